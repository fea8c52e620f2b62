"""The image of a document's page with boxes around a span, by its text layer or by its recognised words."""

from __future__ import annotations

import base64
from pathlib import Path

from indexing.documents import Document
from indexing.files.pdf_images import page_image, word_boxes
from indexing.files.walk import file_hash
from indexing.ocr.words import PlacedWord
from indexing.store.corpus_db import IndexFolder
from indexing.store.page_words import is_recognised, page_words
from qa_pipeline.api.schemas import Page

DRAWN = frozenset(("pdf", "png", "jpg", "tiff", "webp"))
"""Types of files whose pages can be drawn."""


def page_of_document(
    document: Document,
    path: Path,
    number: int,
    span: tuple[int, int] | None,
    scale: float,
    words: tuple[PlacedWord, ...] | None,
) -> Page:
    """A page, from 1, with boxes around the part of the span on it. words: those of a recognised page.

    Raises UnreadableFile if the page cannot be drawn.
    """
    begin, stop = _extent(document, number)
    start = end = known = None
    if span is not None:
        start, end = max(0, span[0] - begin), max(0, min(span[1], stop) - begin)
    if words is not None:
        known = [] if start is None or end is None else word_boxes(words, start, end)
    image = page_image(path, number, text=document.text[begin:stop], start=start, end=end, scale=scale, known=known)
    picture = "data:image/png;base64," + base64.b64encode(image.png).decode()
    return Page(number, image.width, image.height, picture, [list(box) for box in image.boxes], image.exact)


def words_of_page(
    folder: IndexFolder, document: Document, number: int, source: str, path: Path
) -> tuple[PlacedWord, ...] | None:
    """The words of a recognised page; None for a page with a text layer, and if its file is not the one indexed.

    source, path: of the file.
    """
    if not is_recognised(document.meta.get("recognised_pages"), number):
        return None
    begin, stop = _extent(document, number)
    record = folder.file_records().get(source)
    words = page_words(folder, document.id, number, stop - begin)
    try:
        return words if record is not None and record.content_hash == file_hash(path) else None
    except OSError:
        return None


def _extent(document: Document, number: int) -> tuple[int, int]:
    """Start and end of a page, from 1, in the document's text."""
    begin = document.pages[number - 1]
    last = number == len(document.pages)
    return begin, len(document.text) if last else max(begin, document.pages[number] - len("\n\n"))

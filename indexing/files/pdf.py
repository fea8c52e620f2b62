"""PDF text extraction with pdfium, with each character's position on its page.

A page passes through `pdf_pieces` (characters of pdfium), `pdf_rows` (words and printed rows), `pdf_tables` (columns and
tables) and `pdf_paragraphs` (text); `pdf_annotations` adds the values of forms, and comments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pypdfium2

from indexing.errors import UnreadableFile
from indexing.files.bidi import looks_reversed
from indexing.files.file_text import FileLimits, FileText, Heading, TextBuilder, check_pages, clean_meta, counted, ranges
from indexing.files.pdf_annotations import annotation_pieces, is_xfa
from indexing.files.pdf_legible import is_illegible
from indexing.files.pdf_paragraphs import PageLayout, joined
from indexing.files.pdf_pieces import PageText
from indexing.files.pdf_rows import rows_of
from indexing.files.pdf_tables import lines_of


def read_pdf(data: bytes, limits: FileLimits) -> list[FileText]:
    """The text of a PDF with its page map. Raises UnreadableFile if it is encrypted or has no text."""
    return [_read(data, limits, recognise="")]


def read_pdf_with_scans(data: bytes, limits: FileLimits, mode: str) -> list[FileText]:
    """As `read_pdf`, but pages without a legible text layer become `unread`, and have no text.

    mode: `force` makes all pages unread, `auto` only those.
    """
    return [_read(data, limits, recognise=mode)]


def _read(data: bytes, limits: FileLimits, recognise: str) -> FileText:
    document = _opened(data)
    check_pages(len(document), limits.max_pages)
    builder = TextBuilder(limits.max_chars)
    empty: list[int] = []
    broken: list[int] = []
    blocks: list[tuple[int, int, float]] = []
    unmapped: dict[int, int] = {}
    images = 0
    for number in range(1, len(document) + 1):
        builder.page()
        page = _page_or_none(document, number - 1)
        if page is None:
            broken.append(number)
        elif not page.text.strip() or (recognise and _is_scan(page, recognise)):
            empty.append(number)
        else:
            images += page.images
            unmapped[number] = page.unmapped
            start = builder.length
            builder.write(page.text)
            blocks += [(start + first, start + last, size) for first, last, size in page.blocks]
    text, pages = builder.text(), tuple(builder.pages)
    unread = tuple(empty) if recognise else ()
    if len(empty) + len(broken) == len(document) and not unread:
        raise UnreadableFile("; ".join([_nothing(empty, broken), *_left_out(0, document)]))
    strange = _strange(text, pages, unmapped) if not recognise else ()
    notes = (*_missing(() if unread else empty, broken), *strange, *_left_out(images, document))
    return FileText(text, pages, _meta(document), _headings(text, blocks), notes, unread=unread)


def _opened(data: bytes) -> Any:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UnreadableFile("encrypted: a password is needed") from None
        if "security" in str(error).lower():
            raise UnreadableFile("encrypted in a way that cannot be opened here") from None
        raise UnreadableFile("damaged, or not a PDF: it cannot be opened") from None


def _page_or_none(document: Any, index: int) -> PageLayout | None:
    """The text of a page, or None if the page is damaged."""
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return None
    try:
        return _page(page)
    except pypdfium2.PdfiumError:
        return None
    finally:
        page.close()


def _is_scan(page: PageLayout, recognise: str) -> bool:
    """Whether a page with a text layer is to be recognised: always for `force`, else if the layer is not legible."""
    return recognise == "force" or looks_reversed(page.text) or is_illegible(page.text, page.unmapped)


def pdf_page_text(page: Any) -> tuple[str, list[int]]:
    """The text of a `pypdfium2.PdfPage` as `read_pdf` extracts it, and the index of each character.

    Invariant: where the index is 0 or more, pdfium has that character there, or another form of it: the digit of a
    superscript, a mirrored bracket, an Arabic presentation form. Of a surrogate pair, the index is that of the first half.
    -1 marks inserted white space; -2 - n, a character of the page's n-th annotation.
    """
    read = _page(page)
    return read.text, read.origins


def _page(page: Any) -> PageLayout:
    values, typed = annotation_pieces(page)
    with PageText(page) as text:
        pieces = text.pieces()
        unmapped, images = text.unmapped, text.image_count()
        rows = rows_of(pieces, values, text) + rows_of(typed, (), text)
    return replace(joined(lines_of(rows)), unmapped=unmapped, images=images)


# -- headings, remarks, metadata ---------------------------------------------------------------------------------------


def _headings(text: str, blocks: Sequence[tuple[int, int, float]]) -> tuple[Heading, ...]:
    """Blocks with a font clearly larger than the body's; the largest size is level 1."""
    sizes: Counter[float] = Counter()
    for start, end, size in blocks:
        sizes[round(size * 2) / 2] += end - start
    if not sizes:
        return ()
    body = max(sizes, key=lambda size: (sizes[size], -size))
    larger = sorted((size for size in sizes if size >= 1.12 * body and size > body), reverse=True)
    levels = {size: min(level, 6) for level, size in enumerate(larger, 1)}
    return tuple(
        (start, end, levels[size])
        for start, end, raw in blocks
        if (size := round(raw * 2) / 2) in levels and end - start <= 250 and any(map(str.isalpha, text[start:end]))
    )


def _nothing(empty: Sequence[int], broken: Sequence[int]) -> str:
    total = len(empty) + len(broken)
    if not total:
        return "a PDF without pages"
    if not empty:
        return f"damaged: none of its {total:,} pages can be opened"
    where = f"any of its {total:,} pages" if total > 1 else "its one page"
    return f"no text layer (a scan?) on {where}"


def _missing(empty: Sequence[int], broken: Sequence[int]) -> Iterator[str]:
    for numbers, words in ((empty, "no text layer"), (broken, "damaged and not read:")):
        if numbers:
            yield f"{words} {'on ' if words.startswith('no') else ''}page{'s' * (len(numbers) > 1)} {ranges(numbers)}"


def _left_out(images: int, document: Any) -> Iterator[str]:
    """Remarks on what is not read though it may say something."""
    if is_xfa(document):
        yield "an XFA form, not read"
    yield from counted(images, "embedded image", "not read")


def _strange(text: str, pages: tuple[int, ...], unmapped: Mapping[int, int]) -> Iterator[str]:
    """Remarks on reversed and illegible pages. Raises UnreadableFile if that affects all pages with text."""
    ends = (*pages[1:], len(text))
    parts = [text[start:end] for start, end in zip(pages, ends, strict=True)]
    backward = [number for number, part in enumerate(parts, 1) if looks_reversed(part)]
    garbled = [number for number, part in enumerate(parts, 1) if is_illegible(part, unmapped.get(number, 0))]
    full = sum(bool(part.strip()) for part in parts)
    for numbers, words in (
        (backward, "text looks right-to-left reversed"),
        (garbled, "text is not legible (fonts without Unicode map)"),
    ):
        if len(numbers) == full:
            raise UnreadableFile(f"{words} on all pages")
        if numbers:
            yield f"{words} on page{'s' * (len(numbers) > 1)} {ranges(numbers)}"


def _meta(document: Any) -> dict[str, str | int | float | bool]:
    try:
        info = document.get_metadata_dict(skip_empty=True)
    except (pypdfium2.PdfiumError, UnicodeDecodeError, ValueError):
        info = {}
    date = re.match(r"D:(\d{4})(\d\d)(\d\d)", info.get("CreationDate", ""))
    return clean_meta(
        [
            ("title", info.get("Title")),
            ("author", info.get("Author")),
            ("subject", info.get("Subject")),
            ("date", "-".join(date.groups()) if date else ""),
            ("file_type", "pdf"),
            ("page_count", len(document)),
        ]
    )

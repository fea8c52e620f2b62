"""Puts recognised pages into the text of a document, with the remarks on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileText, Heading, Scalar, ranges
from indexing.ocr.words import PlacedWord, RecognisedPage, mean_confidence

GAP = "\n\n"
RECOGNISED = "text recognised"
"""How the remark on recognised pages begins."""


def with_recognised(text: FileText, pages: Mapping[int, RecognisedPage]) -> FileText:
    """The document with the text of its recognised pages, their words, meta and remarks.

    pages: by number from 1; the other pages keep their text. Raises UnreadableFile if no page has text then.
    """
    starts = (*text.pages, len(text.text) + len(GAP))
    built: list[str] = []
    begins: list[int] = []
    headings: list[Heading] = []
    at = 0
    for number, (start, stop) in enumerate(zip(starts, starts[1:], strict=False), 1):
        page = pages.get(number)
        here = page.text if page is not None else text.text[start : stop - len(GAP)]
        begins.append(at)
        if page is None:
            headings += [(at + a - start, at + b - start, level) for a, b, level in text.headings if start <= a < stop]
        built.append(here)
        at += len(here) + len(GAP)
    words = {number: page.words for number, page in sorted(pages.items()) if page.words}
    remarks = tuple(_remarks(pages, only=len(pages) == len(begins) == 1))
    if not any(part.strip() for part in built):
        raise UnreadableFile("; ".join([*_nothing(pages, len(begins)), *text.notes]))
    return replace(
        text,
        text=GAP.join(built),
        pages=tuple(begins),
        headings=tuple(headings),
        meta={**text.meta, **_marks(words)},
        notes=(*remarks, *text.notes),
        unread=(),
        recognised=words,
    )


def _marks(words: Mapping[int, tuple[PlacedWord, ...]]) -> dict[str, Scalar]:
    """The fields that mark a document with recognised pages."""
    if not words:
        return {}
    mean = mean_confidence([word for of in words.values() for word in of])
    return {"recognised": True, "recognised_pages": ranges(words), "recognition_confidence": round(mean, 3)}


def _nothing(pages: Mapping[int, RecognisedPage], count: int) -> Iterator[str]:
    """Why no page has text."""
    if any(not page.reason for page in pages.values()):
        yield f"no text found{f' on any of its {count:,} pages' if count > 1 else ''} by recognition (OCR)"
    for reason, numbers in _by_reason(pages).items():
        yield f"not recognised{_on(numbers, len(numbers) == count)}: {reason}"


def _remarks(pages: Mapping[int, RecognisedPage], only: bool) -> Iterator[str]:
    """What was recognised, by engine, and what was not. only: whether the document has one page."""
    for engine in dict.fromkeys(page.engine for page in pages.values() if page.words):
        numbers = [number for number, page in sorted(pages.items()) if page.words and page.engine == engine]
        mean = mean_confidence([word for number in numbers for word in pages[number].words])
        yield f"{RECOGNISED}{_on(numbers, only)} by {engine}, mean confidence {mean:.0%}"
    blank = [number for number, page in sorted(pages.items()) if not page.words and not page.reason]
    if blank:
        yield f"no text found{_on(blank, only)}"
    for reason, numbers in _by_reason(pages).items():
        yield f"not recognised{_on(numbers, only)}: {reason}"


def _on(numbers: list[int], only: bool) -> str:
    return "" if only else f" on page{'s' * (len(numbers) > 1)} {ranges(numbers)}"


def _by_reason(pages: Mapping[int, RecognisedPage]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, page in sorted(pages.items()):
        if page.reason:
            found.setdefault(page.reason, []).append(number)
    return found

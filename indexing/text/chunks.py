"""Chunking: text into overlapping passages, each an exact slice of its document.

Invariants, each held by a test over random Unicode:
    text[chunk.start:chunk.end] == chunk.text
    every character that is not white space lies in at least one chunk
    starts and ends ascend strictly; no chunk begins or ends with white space
    no chunk holds more tokens than the budget, unless one indivisible cluster of characters alone does; they are counted
        sentence by sentence, and sentences with nothing between them may have a token more for each when read as one
    sentences are not cut unless one alone is over the budget

Tokens are those of the built-in tokenizer, the same on every machine. A chunk ends at a heading or page where that
leaves enough in it; else at the last sentence that fits. The next chunk begins with the last sentence of the one
before, inside a section; a short tail of a section takes more of what came before instead of standing alone.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from indexing.documents import Document
from indexing.settings import ChunkSettings
from indexing.text.sentences import sentences

Span = tuple[int, int]
CountTokens = Callable[[Sequence[str]], list[int]]

DEFAULT = ChunkSettings()
ENOUGH = 0.3
OVERLAP_AT_MOST = 0.34
ZERO_WIDTH_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a part of an overlong one. new_section: a heading or a page begins here."""

    start: int
    end: int
    tokens: int
    new_section: bool


@dataclass(frozen=True, slots=True)
class Units:
    """The sentences of a document without white space around them, and the starts of those that open a section."""

    spans: list[Span]
    starts: set[int]


def cut(documents: Sequence[Document], count_tokens: CountTokens, settings: ChunkSettings = DEFAULT) -> list[list[Span]]:
    """Where the chunks of each document lie: (start, end) offsets in code points, ascending; [] for blank text.

    count_tokens: how many tokens each of several strings has; the sentences of all documents are counted in one call.
    """
    units = [_split(document) for document in documents]
    pairs = list(zip([document.text for document in documents], units, strict=True))
    counts = iter(count_tokens([text[a:b] for text, unit in pairs for a, b in unit.spans]))
    return [_pack(text, unit, [next(counts) for _ in unit.spans], count_tokens, settings) for text, unit in pairs]


def _split(document: Document) -> Units:
    """The sentences of a document, parted where a heading or page begins."""
    text = document.text
    headings = {_with_marks(text, start) for start, *_ in document.headings}
    borders = sorted(headings | {start for start in document.pages if start})
    spans = _trimmed(text, _split_at(sentences(text, document.language), borders))
    return Units(spans, _section_starts(spans, borders))


def _pack(text: str, units: Units, counts: Sequence[int], count_tokens: CountTokens, settings: ChunkSettings) -> list[Span]:
    """The chunks made of a document's sentences; counts: the tokens of each."""
    starts = units.starts
    pieces: list[Piece] = []
    for (start, end), tokens in zip(units.spans, counts, strict=True):
        parts = [(start, end)] if tokens <= settings.tokens else _halves(text, start, end, count_tokens, settings)
        sizes = [tokens] if len(parts) == 1 else count_tokens([text[a:b] for a, b in parts])
        for (a, b), size in zip(parts, sizes, strict=True):
            pieces.append(Piece(a, b, size, a in starts))
    return [(pieces[first].start, pieces[last].end) for first, last in _packed(pieces, settings)]


def _with_marks(text: str, heading: int) -> int:
    """Where a heading's section begins: at its words, or where their line does if only Markdown's marks are before them."""
    begin = text.rfind("\n", 0, heading) + 1
    return begin if "#" in text[begin:heading] and not text[begin:heading].strip("# \t") else heading


def _split_at(spans: Sequence[Span], borders: Sequence[int]) -> list[Span]:
    """The same spans, cut where a heading or page begins inside one."""
    result: list[Span] = []
    for start, end in spans:
        at = bisect_left(borders, start + 1)
        while at < len(borders) and borders[at] < end:
            result.append((start, borders[at]))
            start = borders[at]
            at += 1
        result.append((start, end))
    return result


def _trimmed(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans without white space at their ends; blank ones are left out."""
    result: list[Span] = []
    for start, end in spans:
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            at = start + len(piece) - len(piece.lstrip())
            result.append((at, at + len(stripped)))
    return result


def _section_starts(spans: Sequence[Span], borders: Sequence[int]) -> set[int]:
    """Starts of the first span at or after each border."""
    begins = [start for start, _ in spans]
    found = (bisect_left(begins, border) for border in borders)
    return {begins[at] for at in found if at < len(begins)}


def _halves(text: str, start: int, end: int, count_tokens: CountTokens, settings: ChunkSettings) -> list[Span]:
    """An overlong sentence in parts within the budget, cut in the middle again and again; iterative, not recursive."""
    waiting: list[Span] = [(start, end)]
    done: list[Span] = []
    while waiting:
        level = [span for span in _trimmed(text, waiting)]
        counts = count_tokens([text[a:b] for a, b in level])
        waiting = []
        for (a, b), tokens in zip(level, counts, strict=True):
            middle = _middle(text, a, b) if tokens > settings.tokens else None
            if middle is None:
                done.append((a, b))
            else:
                waiting += [(a, middle), (middle, b)]
    return sorted(done)


def _middle(text: str, start: int, end: int) -> int | None:
    """The best place to cut near the middle: after a clause mark, at white space, else between two clusters."""
    centre = (start + end) // 2
    reach = max(1, (end - start) // 5)
    near = sorted(range(max(start + 1, centre - reach), min(end, centre + reach)), key=lambda at: abs(at - centre))
    marks = (at for at in near if text[at - 1] in ",;:،؛、，；：·" and not text[at].isalnum())
    spaces = (at for at in near if text[at].isspace())
    for at in (*_first(marks), *_first(spaces)):
        return at
    outward = sorted(range(start + 1, end), key=lambda at: abs(at - centre))
    return next((at for at in outward if not _inside_cluster(text, at)), None)


def _first(places: object) -> list[int]:
    return [at for at, _ in zip(places, range(1), strict=False)]  # type: ignore[call-overload]


def _inside_cluster(text: str, at: int) -> bool:
    """Whether a cut before text[at] would part a character from what is written over or after it."""
    after, before = text[at], text[at - 1]
    return (
        unicodedata.category(after) in ("Mn", "Mc", "Me")
        or ZERO_WIDTH_JOINER in (after, before)
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or "\ufe00" <= after <= "\ufe0f"
        or (before == "\r" and after == "\n")
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")
    )


def _packed(pieces: Sequence[Piece], settings: ChunkSettings) -> list[tuple[int, int]]:
    """(first, last) piece of each chunk."""
    chunks: list[tuple[int, int]] = []
    first = 0
    fresh = 0
    while fresh < len(pieces):
        last = _last_that_fits(pieces, first, fresh, settings)
        if last == len(pieces) - 1 or pieces[last + 1].new_section:
            first = _with_more_before(pieces, first, last, chunks, settings)
        chunks.append((first, last))
        fresh = last + 1
        first = _overlap_start(pieces, last, fresh, settings)
    return chunks


def _last_that_fits(pieces: Sequence[Piece], first: int, fresh: int, settings: ChunkSettings) -> int:
    """The last piece of a chunk from `first`; it takes at least `fresh`, the first piece not in a chunk yet."""
    used = sum(piece.tokens for piece in pieces[first : fresh + 1])
    last = fresh
    while last + 1 < len(pieces):
        following = pieces[last + 1]
        if used + following.tokens > settings.tokens:
            break
        if following.new_section and used >= ENOUGH * settings.tokens:
            break
        used += following.tokens
        last += 1
    return last


def _overlap_start(pieces: Sequence[Piece], last: int, fresh: int, settings: ChunkSettings) -> int:
    """Where the next chunk begins: `fresh`, or some whole sentences before it, inside the section."""
    start, used = fresh, 0
    if fresh >= len(pieces) or pieces[fresh].new_section:
        return fresh
    for _ in range(settings.overlap_sentences):
        before = start - 1
        used += pieces[before].tokens if before >= 0 else 0
        too_much = used > OVERLAP_AT_MOST * settings.tokens or used + pieces[fresh].tokens > settings.tokens
        if before < 0 or too_much:
            break
        start = before
        if pieces[start].new_section:
            break
    return start


def _with_more_before(
    pieces: Sequence[Piece], first: int, last: int, chunks: Sequence[tuple[int, int]], settings: ChunkSettings
) -> int:
    """A short tail of a section begins earlier, up to half a budget, never before the section or the last chunk did."""
    if not chunks or pieces[first].new_section:
        return first
    used = sum(piece.tokens for piece in pieces[first : last + 1])
    while used < ENOUGH * settings.tokens and first - 1 > chunks[-1][0]:
        used += pieces[first - 1].tokens
        if used > settings.tokens // 2 or used > settings.tokens:
            break
        first -= 1
        if pieces[first].new_section:
            break
    return first

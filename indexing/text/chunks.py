"""Chunking: text into overlapping passages, each an exact slice of its document.

Invariants, each tested with random Unicode:
    text[chunk.start:chunk.end] == chunk.text;
    every character that is not white space is in at least one chunk;
    starts and ends are strictly ascending; no chunk begins or ends with white space;
    no chunk exceeds the token budget, unless a single grapheme cluster does;
    no sentence is split unless it alone exceeds the budget.

A chunk's tokens are the sum over its sentences. Tokenized as one text, sentences without white space between them may
have one token more each.

The built-in tokenizer counts tokens, so counts are the same on every machine. A chunk ends at a heading or page if it is
long enough there; else at the last sentence that fits. Within a section, the next chunk repeats the last sentence of the
previous one. A short last chunk of a section takes in more preceding sentences.
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
    """The sentences of a document without surrounding white space, and the starts of those that begin a section."""

    spans: list[Span]
    starts: set[int]


def cut(documents: Sequence[Document], count_tokens: CountTokens, settings: ChunkSettings = DEFAULT) -> list[list[Span]]:
    """The chunks of each document: (start, end) offsets in code points, ascending; [] for blank text.

    count_tokens: returns the number of tokens of each string. One call counts the sentences of all documents.
    """
    units = [_split(document) for document in documents]
    pairs = list(zip([document.text for document in documents], units, strict=True))
    counts = iter(count_tokens([text[a:b] for text, unit in pairs for a, b in unit.spans]))
    return [_pack(text, unit, [next(counts) for _ in unit.spans], count_tokens, settings) for text, unit in pairs]


def _split(document: Document) -> Units:
    """Split a document into sentences, also where a heading or page begins."""
    text = document.text
    headings = {_with_marks(text, start) for start, *_ in document.headings}
    borders = sorted(headings | {start for start in document.pages if start})
    spans = _trimmed(text, _split_at(sentences(text, document.language), borders))
    return Units(spans, _section_starts(spans, borders))


def _pack(text: str, units: Units, counts: Sequence[int], count_tokens: CountTokens, settings: ChunkSettings) -> list[Span]:
    """Pack a document's sentences into chunks. counts: the tokens of each sentence."""
    starts = units.starts
    pieces: list[Piece] = []
    for (start, end), tokens in zip(units.spans, counts, strict=True):
        parts = [(start, end)] if tokens <= settings.tokens else _halves(text, start, end, count_tokens, settings)
        sizes = [tokens] if len(parts) == 1 else count_tokens([text[a:b] for a, b in parts])
        for (a, b), size in zip(parts, sizes, strict=True):
            pieces.append(Piece(a, b, size, a in starts))
    return [(pieces[first].start, pieces[last].end) for first, last in _packed(pieces, settings)]


def _with_marks(text: str, heading: int) -> int:
    """The start of a heading's section: its words, or the line start if only Markdown's `#` marks precede them."""
    begin = text.rfind("\n", 0, heading) + 1
    return begin if "#" in text[begin:heading] and not text[begin:heading].strip("# \t") else heading


def _split_at(spans: Sequence[Span], borders: Sequence[int]) -> list[Span]:
    """Split spans at the headings and pages that begin inside them."""
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
    """The spans without white space at their ends; blank spans are dropped."""
    result: list[Span] = []
    for start, end in spans:
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            at = start + len(piece) - len(piece.lstrip())
            result.append((at, at + len(stripped)))
    return result


def _section_starts(spans: Sequence[Span], borders: Sequence[int]) -> set[int]:
    """The start of the first span at or after each border."""
    begins = [start for start, _ in spans]
    found = (bisect_left(begins, border) for border in borders)
    return {begins[at] for at in found if at < len(begins)}


def _halves(text: str, start: int, end: int, count_tokens: CountTokens, settings: ChunkSettings) -> list[Span]:
    """Split an overlong sentence near the middle until all parts fit the budget; iterative, not recursive."""
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
    """The best place to split near the middle: after a clause mark, else at white space, else between two clusters."""
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
    """Whether a cut before text[at] would split a grapheme cluster."""
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
    """The (first, last) piece of each chunk."""
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
    """The last piece that fits a chunk from `first`; at least `fresh`, the first piece not yet in a chunk."""
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
    """Where the next chunk begins: at `fresh`, or some whole sentences earlier within the section (the overlap)."""
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
    """Extend a section's short last chunk backwards, by up to half a budget.

    It never passes the start of the section or of the previous chunk.
    """
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

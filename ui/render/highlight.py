"""Highlights spans in text as HTML, by offsets in code points.

Invariants: without tags and with entities decoded, the HTML is the displayed text (`visible`). Every mark covers exactly
its span. Characters of a document never become markup.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ANSWER, SENTENCE, PASSAGE, FOUND = "answer", "sentence", "passage", "found"
ENDS = re.compile(r"[.!?؟۔।॥፧።]+[\"'”’»)\]]*(?=\s)|[。！？｡]+[」』”）]*|\n+")
# What stands before a full stop that ends no sentence: ordinals ("3. Oktober"), initials, and abbreviations.
ABBREVIATIONS = (
    "abs|art|aug|bd|bzw|ca|cf|chr|co|dec|dez|dr|ev|feb|fig|fr|hr|inc|jan|jr|kap|ltd|mr|mrs|ms|nov|nr|okt|oct|pp|prof|sept|sra?"
    "|st|str|usw|vgl|vol|vs|г|гг|ед|им|мл|обл|пр|проф|руб|см|стр|тыс|ул|тж|αρ|βλ|κ|σελ|örn|yy|b\\.c|a\\.d|d\\.h|e\\.g|i\\.e|z\\.b|т\\.е|т\\.д"
)
NO_END = re.compile(rf"(?:(?<![\w.,])\d{{1,2}}|(?<!\w)(?-i:[A-ZÀ-ÖØ-ÞΑ-ΩА-ЯЁ])|(?<!\w)(?:{ABBREVIATIONS}))\Z", re.IGNORECASE)
LOOK_BACK = 12
MAX_FOUND = 1_000


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of a text, its kind, and the id of its first piece in the HTML ("" for none)."""

    start: int
    end: int
    kind: str
    id: str = ""


def visible(text: str) -> str:
    """The text with control characters and lone surrogates replaced one for one by visible symbols.

    >>> visible("a\\x00b\\tc")
    'a␀b\\tc'
    """
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]", _symbol, text)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def escape_html(text: str) -> str:
    """The text escaped for HTML, safe in elements and in quoted attributes.

    >>> escape_html('<b onclick="x">')
    '&lt;b onclick=&quot;x&quot;&gt;'
    """
    return html.escape(visible(text), quote=True).replace("\r", "&#13;")


def mark_html(text: str, marks: Iterable[Mark], offset: int = 0) -> str:
    """The text as HTML with marks. offset: start of the text in the document to which the marks refer.

    Marks may overlap; a piece under several marks has all their classes. Parts outside the text are ignored.

    >>> mark_html("It opened in 1912.", [Mark(13, 17, ANSWER)])
    'It opened in <mark class="answer">1912</mark>.'
    """
    inside = [mark for mark in (_moved(mark, -offset, len(text)) for mark in marks) if mark.start < mark.end]
    edges = sorted({0, len(text), *(mark.start for mark in inside), *(mark.end for mark in inside)})
    begins: dict[int, list[Mark]] = {}
    for mark in inside:
        begins.setdefault(mark.start, []).append(mark)
    pieces, over = [], list[Mark]()
    for start, end in zip(edges, edges[1:], strict=False):
        over = [mark for mark in over if mark.end > start] + begins.get(start, [])
        pieces.append(_piece(text[start:end], over, [mark.id for mark in begins.get(start, []) if mark.id]))
    return "".join(pieces)


def _moved(mark: Mark, by: int, length: int) -> Mark:
    return Mark(max(0, mark.start + by), min(length, mark.end + by), mark.kind, mark.id)


def _piece(text: str, over: Sequence[Mark], ids: Sequence[str]) -> str:
    if not over:
        return escape_html(text)
    classes = " ".join(sorted({escape_html(mark.kind) for mark in over}))
    anchors = "".join(f'<a id="{escape_html(id)}"></a>' for id in ids)
    return f'{anchors}<mark class="{classes}">{escape_html(text)}</mark>'


def block(inner: str, language: str = "", kind: str = "text") -> str:
    """A text as an HTML block with its own writing direction. inner: HTML, as from `mark_html`.

    >>> block("x", "ar")
    '<div class="docqa-text" dir="auto" lang="ar">x</div>'
    """
    lang = f' lang="{escape_html(language)}"' if language else ""
    return f'<div class="docqa-{escape_html(kind)}" dir="auto"{lang}>{inner}</div>'


def name(text: str) -> str:
    """A name as HTML with isolated writing direction."""
    return f'<bdi class="docqa-name">{escape_html(text)}</bdi>'


def sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of the sentences that contain start..end.

    >>> s = "One. It opened in 1912. Last."; sentence(s, 18, 22)
    (5, 23)
    """
    first, last = 0, len(text)
    for match in ENDS.finditer(text):
        if match[0] == "." and NO_END.search(text, max(0, match.start() - LOOK_BACK), match.start()):
            continue
        if match.end() <= start:
            first = match.end()
        elif match.end() >= end:
            last = match.end()
            break
    while first < start and text[first].isspace():
        first += 1
    while last > end and text[last - 1].isspace():
        last -= 1
    return first, last


def around(text: str, start: int, end: int, size: int = 240) -> tuple[int, int]:
    """The span start..end extended by about `size` characters on each side, to word boundaries if possible.

    >>> around("aa bb cc dd ee", 6, 8, 4)
    (3, 12)
    """
    return _cut(text, start - size, start, forward=True), _cut(text, end + size, end, forward=False)


def _cut(text: str, at: int, stop: int, *, forward: bool) -> int:
    """The nearest boundary from `at` towards `stop` that splits no word or grapheme cluster; `at` if none is near."""
    if at <= 0 or at >= len(text):
        return max(0, min(at, len(text)))
    places = range(at, min(stop, at + 30) + 1) if forward else range(at, max(stop, at - 30) - 1, -1)
    spaces = (place for place in places if text[place - 1].isspace() or text[place : place + 1].isspace())
    space = next(spaces, None)
    if space is not None:
        return space + 1 if forward and text[space : space + 1].isspace() and space < stop else space
    while at != stop and at < len(text) and unicodedata.combining(text[at]):
        at += 1 if forward else -1
    return at


def excerpt(
    text: str, marks: Sequence[Mark], offset: int, span: tuple[int, int], language: str = "", size: int = 240
) -> str:
    """The part of a passage around a span as HTML: with marks, "…" where truncated, without empty lines.

    All offsets refer to the document.
    """
    first, last = around(text, max(0, span[0] - offset), min(len(text), span[1] - offset), size)
    inner = re.sub(r"\n\s*\n", "\n", mark_html(text[first:last], marks, offset + first))
    cut = '<span class="docqa-cut">…</span>'
    return block(f"{cut if first else ''}{inner}{cut if last < len(text) else ''}", language)


def find(text: str, wanted: str, limit: int = MAX_FOUND) -> list[tuple[int, int]]:
    """At most `limit` spans of the searched words in the text, ignoring case; a space matches any white space.

    >>> find("The Bridge\\nopened. bridge  Opened", "bridge opened")
    [(4, 17), (19, 33)]
    """
    words = wanted.split()
    if not words:
        return []
    pattern = re.compile(r"\s+".join(re.escape(word) for word in words), re.IGNORECASE)
    found: list[tuple[int, int]] = []
    for match in pattern.finditer(text):
        if len(found) == limit:
            break
        found.append(match.span())
    return found

"""Sentence segmentation for every script.

Invariants: spans are not empty, ascend, and cover the whole text without gaps; white space after a sentence belongs to it.
No boundary falls inside a CR LF, before a combining mark, or inside a joined emoji. It uses rules, not a model: one pass,
linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import category

import regex

Span = tuple[int, int]

HARD = "。！？｡．！？؟۔।॥၊။។៕።፧՞։⸮‼⁇⁈⁉"
CLOSERS = "\"'”’»›)\\]}」』】》〉）］｝〕"
ENDS = regex.compile(
    rf"(?P<hard>[{HARD}]+[{CLOSERS}]*\s*)"
    rf"|(?P<soft>[.!?…;\u037e]+[{CLOSERS}]*(?=\s|$|\p{{Han}}|\p{{Hiragana}}|\p{{Katakana}}|\p{{Thai}})\s*)"
    r"|(?P<line>[^\S\r\n]*(?:\r\n|[\r\n\u2028\u2029\u0085\x0b\x0c])\s*)"
    r"|(?P<space>(?<=[\p{Thai}\p{Lao}])[ \t\u3000]+(?=[\p{Thai}\p{Lao}]))"
)
NEXT = regex.compile(r"[^\w\s]*(?P<first>\p{L}|\p{N})?")
TOKEN_BEFORE = regex.compile(r"[\p{L}\p{M}\p{N}.'’-]{1,20}$")
INITIAL = regex.compile(r"(?:^|[.\-’'])\p{L}$")
LIST_LINE = regex.compile(r"\s*(?:[-*•‣–—·◦▪#>|]|\(?\p{N}{1,3}[.)]\s|\p{L}[.)]\s)")
SHORT_LINE = 50
THAI_CLAUSE = 40

ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof st sr jr vs etc no vol fig eq p pp ed eds inc ltd co corp dept est gen col sgt capt lt rev hon gov
    sen rep al ca cf e.g i.e a.m p.m u.s u.k u.n approx jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu
    fri sat sun z.b d.h u.a u.ä bzw usw ca evtl ggf inkl nr str tel vgl zzgl abs art bd hr fr hl jh jhd mio mrd o.ä s.o
    p.ej ej sra srta ud uds pág págs núm av avda admón aprox tel m mm mme mmes mlle mlles av env chap c.-à-d n° art
    sig sigg sig.ra dott dott.ssa prof.ssa ecc pag es т.е т.д т.п т.к г гг в вв н.э до.н.э им ул д стр рис см др пр руб
    коп тыс млн млрд π.χ μ.χ κ.ά κ.λπ δηλ βλ σελ αρ κ κα δρ καθ vb vs yy bkz dr doç prof sn cad sok mah no tl str. np
    tzn tj ul św dr hab inż mgr prof m.in itp itd wg zob nr r w bl bijv d.w.z enz mevr dhr nl t.o.v i.p.v tp ts ths gs pgs
    """.split()
)
ORDINAL_LANGUAGES = frozenset("de da no nn nb fi sv cs sk hu hr sr sl et lv pl is tr".split())
MONTHS = frozenset(
    """
    januar februar märz april mai juni juli august september oktober november dezember jänner ocak şubat mart nisan mayıs
    haziran temmuz ağustos eylül ekim kasım aralık
    """.split()
)


def sentences(text: str, language: str = "und") -> list[Span]:
    """Split a text into sentences: (start, end) spans that cover it exactly; [] for "".

    >>> sentences("Dr. Aust came. He stayed.")
    [(0, 15), (15, 25)]
    """
    spans: list[Span] = []
    start = 0
    for end in _ends(text, language):
        if start < end < len(text) and not _inside_cluster(text, end):
            spans.append((start, end))
            start = end
    if start < len(text):
        spans.append((start, len(text)))
    return spans


def _ends(text: str, language: str) -> Iterator[int]:
    last = 0
    for match in ENDS.finditer(text):
        kind, end = match.lastgroup, match.end()
        if kind == "hard":
            ends = True
        elif kind == "soft":
            ends = _is_sentence_end(text, match, language)
        elif kind == "line":
            ends = _is_line_end(text, last, match)
        else:
            ends = _is_thai_end(text, last, match)
        if ends:
            yield end
            last = end


def _is_sentence_end(text: str, match: regex.Match[str], language: str) -> bool:
    """Whether . ! ? … or the Greek question mark ends a sentence here."""
    marks, end = match.group(), match.end()
    sign = marks.rstrip()[:1]
    if sign in (";", "\u037e"):
        return language == "el" or sign == "\u037e"
    following = NEXT.match(text, end, min(len(text), end + 12))
    first = following.group("first") if following else None
    blank = marks[len(marks.rstrip()) :]
    if first is not None and first.islower() and blank.count("\n") < 2:
        return False
    if sign != "." or marks.startswith(".."):
        return True
    return not _is_abbreviation(text, match.start(), end, first, language)


def _is_abbreviation(text: str, dot: int, end: int, first: str | None, language: str) -> bool:
    """Whether the full stop at `dot` is part of its word: an abbreviation, an initial, or an ordinal number."""
    found = TOKEN_BEFORE.search(text, max(0, dot - 20), dot)
    word = found.group() if found else ""
    bare = word.strip("'’-.")
    if bare.lower() in ABBREVIATIONS or INITIAL.search(bare):
        return end < len(text)
    if bare.isdigit() and len(bare) <= 4:
        if _starts_line(text, dot - len(word)):
            return True
        after = text[end : end + 12].split(None, 1)
        named = bool(after) and after[0].strip(".,").lower() in MONTHS
        return len(bare) <= 2 and (named or (language in ORDINAL_LANGUAGES and first is not None and first.isdigit()))
    return False


def _starts_line(text: str, at: int) -> bool:
    """Whether only white space precedes `at` in its line, as for the number of a list item."""
    line = max(text.rfind("\n", max(0, at - 40), at), text.rfind("\r", max(0, at - 40), at))
    return (line >= 0 or at <= 40) and not text[line + 1 : at].strip()


def _is_line_end(text: str, last: int, match: regex.Match[str]) -> bool:
    """Whether a line break ends a sentence: at a blank line, after a short line, next to a list item, heading or row."""
    gap = match.group()
    breaks = gap.count("\n") or sum(gap.count(sign) for sign in "\r\u2028\u2029\u0085\x0b\x0c")
    if breaks > 1 or "\u2029" in gap or "\x0c" in gap:
        return True
    begin = max(last, text.rfind("\n", last, match.start()) + 1)
    line = text[begin : match.start()]
    return (
        "\t" in line
        or len(line) < SHORT_LINE
        or bool(LIST_LINE.match(line[:8]) or LIST_LINE.match(text, match.end(), min(len(text), match.end() + 8)))
    )


def _is_thai_end(text: str, last: int, match: regex.Match[str]) -> bool:
    """Whether a space ends a Thai or Lao sentence: not within THAI_CLAUSE characters, nor after ๆ or ฯ.

    These languages write no full stop. ๆ repeats a word and ฯ abbreviates one, so text goes on after either.
    """
    return match.start() - last >= THAI_CLAUSE and text[match.start() - 1] not in "ๆฯໆຯ"


def _inside_cluster(text: str, at: int) -> bool:
    after, before = text[at], text[at - 1]
    return (before == "\r" and after == "\n") or after == "\u200d" or before == "\u200d" or category(after)[0] == "M"

"""What stands in front of a number: its currency, sign or comparison, and the parentheses of a negative number."""

from __future__ import annotations

from qa_pipeline.answering import number_patterns as patterns
from qa_pipeline.answering.number_affixes import ACCOUNTING_MINUS, MINUS_CUES, PLUS
from qa_pipeline.answering.number_measures import REACH, behind
from qa_pipeline.answering.number_patterns import MEASURES, NUMBER, Pattern
from qa_pipeline.answering.word_boundaries import kind

OPENING, CLOSING = "(（", ")）"
BIDI_CONTROLS = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def with_sign(text: str, start: int, end: int) -> tuple[int, int]:
    """A span that begins with a number, with the currency, sign, comparison and parentheses in front of it."""
    if text[start] in OPENING and start + 1 < end:
        opened, closed = with_sign(text, start + 1, end)
        return min(start, opened), closed
    if patterns.BEGINS_WITH_NUMBER.match(text, start) is None or _is_in_code(text, start):
        return start, end
    at = _currency(text, start)
    at = _currency(text, _sign(text, at, end))
    opened, closed = _parenthesised(text, at, end)
    if opened < at:
        at = _currency(text, opened)
    return _comparison(text, at), closed


def _is_in_code(text: str, start: int) -> bool:
    return start > 0 and (kind(text[start - 1]) == "word" or text[start - 1] in "#№")


def _before(pattern: Pattern, text: str, at: int) -> int:
    """Where a pattern that ends at `at` begins, else `at`."""
    found = pattern.search(text, max(0, at - REACH), at)
    return found.start() if found else at


def _stands_before(pattern: Pattern, text: str, at: int) -> bool:
    return pattern.search(text, max(0, at - REACH), at) is not None


def _currency(text: str, at: int) -> int:
    """Where the currency in front of `at` begins; a currency behind the number before ("5 € 30") is not taken."""
    begin = _before(patterns.CURRENCY_BEFORE, text, at)
    return at if text[at - 1 : at].isspace() and _stands_before(patterns.NUMBER_BEFORE, text, begin) else begin


# -- signs -------------------------------------------------------------------------------------------------------------


def _sign(text: str, at: int, end: int) -> int:
    """Where the sign in front of the number at `at` begins, else `at`."""
    begin = _before(patterns.SIGN, text, at)
    if begin < at:
        is_sign = text[begin] in ACCOUNTING_MINUS or text.startswith(("+/-", "+/−"), begin)
        return begin if is_sign or _is_dash_a_sign(text, begin, at, end) else at
    begin = _before(patterns.SIGN_WORD, text, at)
    if begin == at and _is_measured(text, at, end, (patterns.DEGREE, patterns.PERCENT)):
        begin = _before(patterns.SIGN_WORD_OF_DEGREES, text, at)
    if begin == at:
        return _before(patterns.PREFIX, text, at)
    return at if _stands_before(patterns.NUMBER_BEFORE, text, begin) else begin


def _is_dash_a_sign(text: str, begin: int, at: int, end: int) -> bool:
    """Whether the dash or plus at `begin`, in front of the number at `at`, is a sign and no range, bullet or hyphen."""
    left = text[max(0, begin - REACH) : begin].rstrip(BIDI_CONTROLS)
    last = left[-1:]
    if not last or last == "\n":
        return not _is_bullet(text, begin)
    if last.isspace():
        return not _is_range(text, begin, at, end)
    if kind(last) in ("word", "hangul", "mark"):
        return False
    if kind(last) in ("unspaced", "katakana"):
        return text[begin] == "−" or last in MINUS_CUES or _is_measured(text, at, end, MEASURES[:5])
    if last in "–—":
        return text[begin] in "-−"
    if last in "\"'":
        return not left[:-1] or left[-2].isspace()
    return last not in ")]}%°»-‐"


def _is_range(text: str, begin: int, at: int, end: int) -> bool:
    """Whether the dash behind a space joins two numbers ("2010 –2014", "7 − 5"); cells of a table have signs (3.1 -4.2)."""
    if not _stands_before(patterns.MEASURED_NUMBER_BEFORE, text, begin) or _stands_before(patterns.CELL_BEGINS, text, begin):
        return False
    is_decimal = patterns.PARTED.search(text, at, end) is not None or _stands_before(patterns.DECIMAL_BEFORE, text, begin)
    return text[at - 1].isspace() or text[begin] not in "-−" + PLUS or not is_decimal


def _is_bullet(text: str, at: int) -> bool:
    """Whether the line before or after this one begins with the same dash, as in a list."""
    here, following = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    before = text[text.rfind("\n", 0, max(0, here - 1)) + 1 : here] if here else ""
    after = text[following + 1 : following + REACH] if following >= 0 else ""
    return any(line.lstrip().startswith(text[at]) for line in (before, after))


def _is_measured(text: str, at: int, end: int, measures: tuple[Pattern, ...]) -> bool:
    """Whether one of the measures stands behind the number at `at`."""
    number = NUMBER.match(text, at, end)
    return number is not None and any(pattern.match(text, number.end(), end) for pattern in measures)


def _comparison(text: str, at: int) -> int:
    """Where a comparison such as ≥ or ~ in front of `at` begins; no range (5~7), quotation mark (> 5), tag or arrow."""
    begin = _before(patterns.COMPARISON, text, at)
    if begin == at or _stands_before(patterns.NUMBER_BEFORE, text, begin):
        return at
    left = text[max(0, begin - REACH) : begin]
    if text[begin] in "~∼～":
        last = left.rstrip()[-1:] or " "
        return at if text[at - 1].isspace() or kind(last) in ("hangul", "unspaced") else begin
    if text[begin] in ">＞":
        is_quotation = text[at - 1].isspace() and not left.rpartition("\n")[2].strip()
        is_tag_or_arrow = left[-1:] in ("-", "=", ">") or patterns.TAG.search(left) is not None
        return at if is_quotation or is_tag_or_arrow else begin
    return begin


# -- parentheses -------------------------------------------------------------------------------------------------------


def _parenthesised(text: str, start: int, end: int) -> tuple[int, int]:
    """A negative number in parentheses with both of them, and the measure behind; else (start, end)."""
    number = patterns.IN_PARENTHESES.match(text, start)
    if number is None or text[start - 1 : start] not in tuple(OPENING) or end < number.end():
        return start, end
    close = behind(text, number.end(), number[1])
    if text[close : close + 1] not in tuple(CLOSING):
        return start, end
    stop = behind(text, close + 1, number[1])
    if end > close:
        return start - 1, max(end, stop)
    return (start - 1, stop) if _is_negative(text, start - 1, number[0], stop > close + 1) else (start, end)


def _is_negative(text: str, opening: int, number: str, measured: bool) -> bool:
    """Whether parentheses around a number stand for a minus. measured: a magnitude, currency or unit follows them."""
    if patterns.YEAR.fullmatch(number) or _stands_before(patterns.REFERENCE_BEFORE, text, opening):
        return False
    left = text[max(0, opening - REACH) : opening]
    is_cell = patterns.CELL_BEGINS.search(left) is not None
    if patterns.MEASURED_NUMBER_BEFORE.search(left) and not is_cell:
        return False
    if patterns.MONEY_BEFORE.search(left):
        return True
    is_parted, is_said = patterns.PARTED.search(number) is not None, patterns.VERB_BEFORE.search(left) is not None
    return (measured and (is_parted or is_said)) or (is_parted and (is_said or is_cell))

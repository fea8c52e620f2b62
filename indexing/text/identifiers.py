"""Numbers and identifiers as search terms: as a whole and as their parts.

A run is what stands without a gap, such as `INV-2023/0171`, `GPT-4`, `parse_http`, `v2.1`, and numbers that single spaces
separate, such as `1 150` or a row of a table. Its main terms are those of the usual reading, its extra terms those of the
other one:

    run                     main terms          extra terms
    1 150                   1150                1, 150
    120 340 560 7           120 340 560 7       120340560, 1203405607
    2,5  1,150  1.150,50    2·5  1150  1150·50
    555.123.4567            555 123 4567        555·123·4567, 5551234567
    GPT-4  GPT4             gpt 4               gpt4
    e-mail                  e mail              email
    snake_case              snake case          snakecase
    HttpServer              httpserver          http server
    00:1B:44:11:3A:B7       001b44113ab7        00 1b 44 11 3a b7
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import regex

LONGEST = 64
DECIMAL = "·"
FRACTION = "\u2044"
SPACES = "\u00a0\u2000-\u200a\u202f\u205f "
JOINING = r"[-_./:\u2010\u2011\u02bb\u02bc]"
PHONE_DIGITS = range(7, 21)
GROUPS_AT_MOST = 5
PIECES_AT_MOST = 6

FIELD_ENDS = regex.compile(rf"[{SPACES})]+")
NUMERIC = regex.compile(r"\d+(?:[.,٫٬’']\d+)*")
GROUPED = regex.compile(r"\d{1,3}(?:[.,٬’']\d{2,3})*[.,٬’']\d{3}")
SEPARATOR = regex.compile(r"[.,٫٬’']")
THOUSANDS = regex.compile(r"(\d{3})([.,٫]\d+)?")
MAC = regex.compile(
    r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5,7}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}"
    r"|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){3,7}"
)
PIECES = regex.compile(
    r"(?P<number>\d+(?:[.,٫٬’']\d+)*)|(?P<fraction>[¼-¾⅐-⅟↉])|(?P<sign>\p{No}+)"
    r"|(?P<joint>[-_./:\u2010\u2011\u02bb\u02bc'’,٫٬])|(?P<letters>[^-_./:\u2010\u2011\u02bb\u02bc'’,٫٬\d\p{No}]+)"
)
APOSTROPHES = "\u02bb\u02bc'’"
HUMPS = regex.compile(r"\p{Lu}+(?=\p{Lu}\p{Ll}{2})|\p{Lu}?[^\p{Lu}]+|\p{Lu}+")
HUMP = regex.compile(r"\p{Ll}\p{Lu}|\p{Lu}{2}\p{Ll}{2}")
NOT_DIGITS = regex.compile(r"[\p{L},٫٬]")
WORD = regex.compile(r"[\p{L}\p{M}\u200c\u200d\u0640]+")

Fold = Callable[[str], tuple[str, ...]]
"""The terms of a word: its folded form, and its stem."""


@dataclass(slots=True)
class RunTerms:
    """The terms of one run, without repetitions; an extra term is no main term.

    main: what a question has to meet. extra: other readings, which count in addition.
    """

    main: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    def add(self, main: Iterable[str], extra: Iterable[str] = ()) -> None:
        self.main += [term[:LONGEST] for term in main]
        self.extra += [term for term in extra if len(term) <= LONGEST]

    @property
    def distinct(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        main = tuple(dict.fromkeys(term for term in self.main if term))
        return main, tuple(term for term in dict.fromkeys(self.extra) if term and term not in main)


def run_terms(run: str, fold: Fold) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The main and the extra terms of a run, each without repetitions."""
    if WORD.fullmatch(run) and not any(mark in run for mark in APOSTROPHES[:2]):
        if HUMP.search(run) is None:
            return fold(run), ()
        found = RunTerms()
        found.add(fold(run), _hump_terms(run, fold))
        return found.distinct
    found, digits = RunTerms(), ascii_digits(run)
    numbers: list[str] = []
    fields = [part for part in FIELD_ENDS.split(digits) if part]
    for part in fields:
        if NUMERIC.fullmatch(part):
            numbers.append(part)
            continue
        leading = NUMERIC.match(part)
        _add_numbers(found, [*numbers, leading.group()] if numbers and leading else numbers)
        numbers = []
        _add_compound(found, part, fold)
    _add_numbers(found, numbers)
    _add_whole(found, digits, fields)
    return found.distinct


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as ASCII digits.

    >>> ascii_digits("GPT-٤ २०२१")
    'GPT-4 2021'
    """
    if text.isascii():
        return text
    return "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in text)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _add_numbers(found: RunTerms, parts: Sequence[str]) -> None:
    """Numbers that spaces separate: one grouped number, or a row of numbers with grouped numbers in it."""
    singles = [_number(part) for part in parts]
    wholes = list(_grouped(parts))
    main = [term for terms, _ in singles for term in terms]
    extra = [term for _, terms in singles for term in terms]
    if len(wholes) == 1 and wholes[0][1] == len(parts):
        found.add([wholes[0][0]], [*main, *extra])
    else:
        found.add(main, [*(whole for whole, _ in wholes), *extra])


def _grouped(parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """(number, count of parts) of each longest stretch that is one number: 1 to 3 digits, then groups of three."""
    at = 0
    while at < len(parts):
        end = at + 1
        if parts[at].isdigit() and len(parts[at]) <= 3:
            while end < len(parts) and THOUSANDS.fullmatch(parts[end]):
                end += 1
                if not parts[end - 1].isdigit():
                    break
        if 1 < end - at <= GROUPS_AT_MOST:
            yield SEPARATOR.sub(DECIMAL, "".join(parts[at:end])), end - at
        at = end


def _number(number: str) -> tuple[list[str], list[str]]:
    """The main and extra terms of one number in ASCII digits, with its separators."""
    parts = SEPARATOR.split(number)
    if len(parts) == 1:
        return [number], []
    dotted = [DECIMAL.join(parts)] if set(SEPARATOR.findall(number)) == {"."} else []
    if GROUPED.fullmatch(number):
        return ["".join(parts)], [*parts, *dotted] if len(parts) > 2 else []
    last = number[-len(parts[-1]) - 1]
    if len(parts) == 2 and last in ".,٫":
        return [DECIMAL.join(parts)], []
    head = number[: -len(parts[-1]) - 1]
    if last in ".,٫" and last not in head and GROUPED.fullmatch(head):
        return [f"{''.join(parts[:-1])}{DECIMAL}{parts[-1]}"], []
    return parts, dotted


def _add_whole(found: RunTerms, run: str, fields: Sequence[str]) -> None:
    """A run without its separators: the digits of a telephone number or date, or an account number of several fields."""
    if len(fields) > 2 and not fields[0].isdigit() and fields[0].isalnum() and all(map(str.isdigit, fields[1:])):
        found.add((), ["".join(fields).lower()])
    elif NOT_DIGITS.search(run) is None and not (len(fields) > 1 and "." in run) and _is_composed(run):
        digits = "".join(filter(str.isdigit, run))
        if len(digits) in PHONE_DIGITS:
            found.add((), [digits])


def _is_composed(run: str) -> bool:
    """Whether a run is more than one number with at most one separator, such as 3.14159265."""
    return NUMERIC.fullmatch(run) is None or len(SEPARATOR.findall(run)) > 1


# -- identifiers -------------------------------------------------------------------------------------------------------


def _add_compound(found: RunTerms, compound: str, fold: Fold) -> None:
    """A word with digits, or words and numbers that signs join."""
    if MAC.fullmatch(compound):
        parts = regex.split(r"[:.-]", compound.lower())
        found.add(["".join(parts)], parts)
        return
    pieces = [(match.lastgroup or "", match.group()) for match in PIECES.finditer(compound)]
    for group in _split(pieces, lambda piece: piece[1] == ":"):
        wholes: list[str] = []
        for part in _split(group, lambda piece: piece[1] == "/"):
            atoms = [_atom(atom, fold, found) for atom in _split(part, lambda piece: piece[0] == "joint")]
            wholes.append("".join(atoms) if all(atoms) else "")
            if len(atoms) > 1:
                found.add((), fold(wholes[-1]) if wholes[-1].isalpha() else _with_and_without_points(wholes[-1]))
        if len(wholes) > 1 and all(wholes) and any(kind == "number" for kind, _ in group):
            found.add((), [(FRACTION if _is_fraction(wholes) else "").join(wholes)])


def _with_and_without_points(whole: str) -> Iterator[str]:
    """The whole, and for many digits also without decimal points, since INV.2023.0171 is INV-2023-0171."""
    yield whole
    if DECIMAL in whole and sum(map(str.isdigit, whole)) in PHONE_DIGITS:
        yield whole.replace(DECIMAL, "")


def _is_fraction(parts: Sequence[str]) -> bool:
    """Whether parts that a slash joins are two small numbers, as in 1/2 and 24/7."""
    return len(parts) == 2 and all(part.isdigit() and len(part) <= 2 for part in parts)


def _atom(pieces: Sequence[tuple[str, str]], fold: Fold, found: RunTerms) -> str:
    """Add the terms of letters and numbers without a sign between them. Returns them joined, "" if they cannot be."""
    folded = [_piece(kind, text, fold) for kind, text in pieces]
    joined = "".join(
        main[0] if len(main) == 1 or kind == "letters" else DECIMAL.join(main) for kind, main, _ in folded if main
    )
    raised = any(a[0] == "number" and b[0] in ("sign", "fraction") for a, b in zip(folded, folded[1:], strict=False))
    if len(pieces) > PIECES_AT_MOST and joined:
        found.add([joined])
        return joined
    for (kind, main, extra), (_, text) in zip(folded, pieces, strict=True):
        found.add(main, [*extra, *(_hump_terms(text, fold) if kind == "letters" else ())])
    if len(pieces) > 1 and not raised:
        found.add((), [joined])
    return "" if raised else joined


def _piece(kind: str, text: str, fold: Fold) -> tuple[str, Sequence[str], Sequence[str]]:
    """The kind, the main and the extra terms of a number, a fraction, a raised or circled number, or letters."""
    if kind == "number":
        return kind, *_number(text)
    if kind == "fraction":
        return kind, [unicodedata.normalize("NFKC", text)], ()
    if kind == "sign":
        plain = unicodedata.normalize("NFKC", text)
        return kind, [c for c in ["".join(filter(str.isalnum, plain))] if c], ()
    return kind, fold(text), ()


def _hump_terms(word: str, fold: Fold) -> Iterator[str]:
    """The terms of the parts of a word with capitals inside."""
    if HUMP.search(word) is not None:
        for part in HUMPS.findall(word):
            yield from fold(part)


def _split(
    pieces: Sequence[tuple[str, str]], is_border: Callable[[tuple[str, str]], bool]
) -> Iterator[list[tuple[str, str]]]:
    """The pieces between borders, without empty lists."""
    part: list[tuple[str, str]] = []
    for piece in pieces:
        if not is_border(piece):
            part.append(piece)
        elif part:
            yield part
            part = []
    if part:
        yield part

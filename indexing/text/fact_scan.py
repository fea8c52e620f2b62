"""Finds the numerals, codes and words of a text, each with the canonical forms by which it is compared.

Forms are short strings with a kind in front. "n:1150" is a value, "s:0117" digits as written, "d:5551234" groups of digits.
"t:14:35" is a time of day, "m:5" a month, "c:gpt4" a code. "dec:199" and "cen:20" are decade and century of a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import regex

from indexing.text.numeral_words import CENTURY_WORDS, POWER_OF, SIGN_WORDS, fold, months_of, number_of
from indexing.text.numerals import HAN, canonical, han_value, plain, readings, roman_value, scaled
from indexing.text.search_terms import UNSPACED

Kind = Literal["number", "year", "month", "code", "word"]
Forms = frozenset[str]

CASED = r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}"
LETTER = rf"[[{CASED}]--[ªº]]"
SCAN = regex.compile(
    r"(?P<era>令和|平成|昭和|大正|明治)(?P<era_year>元|[\d" + HAN + r"]{1,3})年"
    rf"|(?P<korean>\d[\d,.]*[만억조](?: ?\d[\d,.]*[만억조천백십]?)*)"
    rf"|(?P<han>(?:\d[\d.,]*)?[{HAN}](?:[{HAN}\d]|[.,](?=\d))*)"
    rf"|(?P<number>(?<![{CASED}\d])\d++(?:[.,'٬٫:/\-–]\d++|[\u00a0 ]\d{{3}}(?!\d))*+(?![{CASED}\d])(?![-/_]\p{{Lu}}))"
    rf"|(?P<chain>(?:{LETTER}\p{{M}}*|\d)+(?:[-/._:](?:{LETTER}\p{{M}}*|\d)+)*)"
    rf"|(?P<dense>[[{UNSPACED}]--[{HAN}]][[{UNSPACED}\p{{M}}]--[{HAN}]]*)"
    r"|(?P<word>[\p{L}\p{M}\u200c\u200d]+|[Ⅰ-ⅿ])",
    regex.V1,
)
PIECE = regex.compile(r"\p{Nd}+|[\p{L}\p{M}]+")
TAILED = regex.compile(r"(?P<digits>\d[\d.,]*)-?(?P<tail>\p{Ll}{1,12})")
LOWER_JOINED = regex.compile(r"\p{L}?\p{Ll}{1,}-(?P<digits>\d[\d.,]*)(?:-?\p{Ll}{1,3})?")
SIGN = regex.compile(r"(?:^|[\s(\[≤≥<>=≈~:])[-–]$")
LEFT_NUMBER = regex.compile(r"[\d%]\s*[-–]$")
ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
CENTURY_SIGNS = ("世纪", "世紀", "세기")
LOOKALIKES = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")
SIGNS_OF_ROMAN = frozenset("ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫ")
FEWEST_JOINED = 7
GROUPED_DIGITS = regex.compile(
    r"(?<![\d.,])\+?\(?\d{1,6}\)?(?:(?:[ \u00a0.\-–/]|[ \u00a0]?[()][ \u00a0]?)\d{1,6}\)?){1,7}(?!\d)"
)
BUDDHIST = 543


@dataclass(frozen=True, slots=True)
class Mark:
    """One numeral, code or word. start, end: code points in the text.

    forms: what it states. claims: what a text must state to hold it; one of them suffices, with all of its forms.
    """

    kind: Kind
    start: int
    end: int
    forms: Forms = frozenset()
    claims: tuple[Forms, ...] = ()
    chain: int = -1


def scan(text: str, language: str) -> list[Mark]:
    """The numerals, codes and words of a text in order. Words keep no forms unless they write a number or month."""
    bare = plain(text)
    marks: list[Mark] = []
    for match in SCAN.finditer(bare):
        run, at, end = match.group(), match.start(), match.end()
        kind = match.lastgroup
        if kind == "number":
            marks += _signed(_numbers(run, at, language), bare)
        elif kind in ("era", "era_year"):
            marks.append(_era(match, at, end))
        elif kind in ("han", "korean"):
            marks += _han(run, at, end)
        elif kind == "chain":
            marks += _chain(run, at, language)
        else:
            marks.append(_word(text[at:end], at, end, language))
    return _in_context(marks, text, language)


# -- digits ------------------------------------------------------------------------------------------------------------


def _numbers(run: str, at: int, language: str) -> Iterator[Mark]:
    """The marks of digits with separators: one number, or its parts."""
    end = at + len(run)
    if any(space in run for space in "\u00a0 "):
        parts = [_one(*part, language) for part in _pieces(run, at)]
        values = readings(run.replace(" ", "\u00a0"), language)
        every = frozenset().union(*(part.forms for part in parts))
        if values:
            needed = frozenset(min(part.claims[0]) for part in parts)
            yield Mark("number", at, end, _n(values) | every, (*map(_claim, _n(values)), needed))
        else:
            yield from parts
        return
    for mark in (":", "/", "-", "–"):
        if mark in run:
            yield from _joined(run, at, mark, language)
            return
    yield _one(run, at, language)


def _pieces(run: str, at: int) -> list[tuple[str, int]]:
    return [(match.group(), at + match.start()) for match in regex.finditer(r"[^\u00a0 ]+", run)]


def _one(run: str, at: int, language: str) -> Mark:
    """The mark of digits with points, commas or apostrophes only."""
    values = readings(run, language)
    end = at + len(run)
    if not values:
        return _groups(run, at, regex.findall(r"\d+", run), language)
    surface = frozenset({f"s:{run}"})
    if run.isdigit() and len(run) == 4 and 1000 <= int(run) <= 2699:
        return _year(int(run), at, end, language)
    claims = (*map(_claim, sorted(_n(values))), surface)
    forms = _n(values) | surface
    if run.isdigit() and len(run) >= FEWEST_JOINED:
        forms |= {f"d:{run}"}
        claims = (*claims, _claim(f"d:{run}"))
    if regex.fullmatch(r"[0-2]?\d\.[0-5]\d", run):
        forms |= {_time(*run.split("."))}
    return Mark("number", at, end, forms, claims)


def _year(value: int, at: int, end: int, language: str) -> Mark:
    """A number that may be a year; Thai also writes years of the Buddhist era."""
    values = {value, value - BUDDHIST} if language == "th" and 2400 <= value <= 2699 else {value}
    forms = frozenset(form for v in values for form in (f"n:{v}", f"dec:{v // 10}", f"cen:{(v - 1) // 100 + 1}"))
    return Mark("year", at, end, forms, tuple(_claim(f"n:{v}") for v in sorted(values)))


def _joined(run: str, at: int, mark: str, language: str) -> Iterator[Mark]:
    """Digits joined by a colon, slash or dash: a time, a date, a range, or a code."""
    parts = run.split(mark)
    end = at + len(run)
    if mark == ":" and len(parts) in (2, 3) and all(part.isdigit() for part in parts):
        time = _time(*parts[:2])
        yield Mark("number", at, end, _parts(parts) | {time}, (_claim(time),))
    elif (
        len(parts) == 2
        and mark != ":"
        and not any(regex.search(r"\D", part.strip(".,")) and not readings(part, language) for part in parts)
        and _is_range(parts, mark)
    ):
        for part, start in zip(parts, (at, end - len(parts[1])), strict=True):
            yield _one(part, start, language)
    else:
        yield _groups(run, at, regex.findall(r"\d+", run), language)


def _is_range(parts: list[str], mark: str) -> bool:
    """Whether two numbers are a range or a proportion, not one code: no leading zero, rising (or a season, 2019/20)."""
    if any(len(part) > 1 and part[0] == "0" and part.isdigit() for part in parts):
        return False
    numbers = [int(regex.sub(r"\D", "", part) or 0) for part in parts]
    return mark in "/–" or numbers[0] < numbers[1]


def _groups(run: str, at: int, parts: list[str], language: str) -> Mark:
    """Groups of digits that are no number: a date where they can be one, else a code."""
    joined = "".join(parts)
    whole = f"d:{joined}" if len(joined) >= FEWEST_JOINED else f"d:{'.'.join(part.lstrip('0') or '0' for part in parts)}"
    forms, claims = _parts(parts) | {whole}, (_claim(whole),)
    date = _date(parts)
    if date is not None:
        return Mark("number", at, at + len(run), forms | date[0], (*claims, *date[1]))
    return Mark("code", at, at + len(run), forms, claims)


def grouped_digits(text: str) -> Forms:
    """Telephone numbers and the like, written in groups of digits, as one run: of several groups, at least seven digits.

    >>> sorted(grouped_digits("Call (555) 987-1111."))
    ['d:5559871111']
    """
    runs = (regex.sub(r"\D", "", match.group()) for match in GROUPED_DIGITS.finditer(plain(text)))
    return frozenset(f"d:{run}" for run in runs if len(run) >= FEWEST_JOINED)


def _date(parts: list[str]) -> tuple[Forms, tuple[Forms, ...]] | None:
    """Forms and claims of three groups that may be a date, in either order of day and month."""
    if len(parts) != 3 or sorted(map(len, parts))[1] > 2 or len(parts[1]) > 2:
        return None
    year, *rest = (parts[0], parts[1], parts[2]) if len(parts[0]) == 4 else (parts[2], parts[0], parts[1])
    numbers = [int(part) for part in rest]
    if len(year) != 4 or not all(1 <= n <= 31 for n in numbers) or min(numbers) > 12:
        return None
    months = [(month, day) for month, day in (numbers, numbers[::-1]) if month <= 12]
    claims = tuple(frozenset({f"n:{int(year)}", f"m:{month}", f"n:{day}"}) for month, day in months)
    value = int(year)
    forms = {f"m:{month}" for month, _ in months} | {f"dec:{value // 10}", f"cen:{(value - 1) // 100 + 1}"}
    return frozenset(forms), claims


def _time(hour: str, minute: str) -> str:
    return f"t:{int(hour)}:{minute}"


def _parts(parts: Iterable[str]) -> Forms:
    found = [part for part in parts if part.isdigit()]
    return frozenset(f"n:{canonical(part)}" for part in found) | frozenset(f"s:{part}" for part in found)


def _n(values: Iterable[str]) -> Forms:
    return frozenset(f"n:{value}" for value in values)


def _claim(form: str) -> Forms:
    return frozenset({form})


def _signed(marks: Iterable[Mark], bare: str) -> list[Mark]:
    """The marks, the first with a minus sign where one stands before it and no number before that."""
    found = list(marks)
    before = bare[max(0, found[0].start - 12) : found[0].start]
    if SIGN.search(before) and not LEFT_NUMBER.search(before) and found[0].kind in ("number", "year"):
        found[0] = negative(found[0], found[0].start - 1)
    return found


def negative(mark: Mark, start: int) -> Mark:
    """The mark with its values below zero. start: where the sign is."""
    values = frozenset(f"n:-{form[2:]}" for form in mark.forms if form.startswith("n:") and form != "n:0")
    return replace(mark, kind="number", start=start, forms=values, claims=tuple(map(_claim, sorted(values))))


# -- Han and Korean numerals, Japanese eras ----------------------------------------------------------------------------


def _era(match: regex.Match[str], at: int, end: int) -> Mark:
    told = match["era_year"]
    number = 1 if told == "元" else int(han_value(told) or 0)
    year = _year(ERAS[match["era"]] + number, at, end, "ja")
    return replace(year, forms=year.forms | {f"n:{number}"})


def _han(run: str, at: int, end: int) -> list[Mark]:
    value = han_value(run)
    if value is None:
        return []
    forms = frozenset({f"n:{value}"})
    if len(run) == 4 and value.isdigit() and 1000 <= int(value) <= 2100 and not set(run) & set("十百千万萬"):
        return [_year(int(value), at, end, "zh")]
    return [Mark("number", at, end, forms, (forms,))]


# -- letters and digits ------------------------------------------------------------------------------------------------


def _chain(run: str, at: int, language: str) -> Iterator[Mark]:
    """The marks of letters and digits joined by hyphens, slashes, points: a code, or words and a number."""
    if run.isalpha():
        yield _word(run, at, at + len(run), language)
        return
    pieces = [(match.group(), at + match.start(), at + match.end()) for match in PIECE.finditer(run)]
    if not any(piece[0].isdigit() for piece, _, _ in pieces):
        yield from (replace(_word(piece, start, end, language), chain=at) for piece, start, end in pieces)
        return
    tailed = TAILED.fullmatch(run) or LOWER_JOINED.fullmatch(run)
    if tailed:
        number = _one(tailed["digits"].rstrip(".,"), at + tailed.start("digits"), language)
        forms = number.forms | _code_forms([piece for piece, _, _ in pieces])
        decade = tuple(_claim(form) for form in forms if form.startswith("dec:")) if run.endswith(("0s", "0er", "х")) else ()
        yield replace(number, forms=forms, claims=(*number.claims, *decade))
        return
    whole = _code([piece for piece, _, _ in pieces])
    claims = [_claim(f"c:{whole}")]
    if run.endswith("s") and run[-2].isdigit():
        claims.append(_claim(f"c:{whole[:-1]}"))
    yield Mark("code", at, at + len(run), _code_forms([piece for piece, _, _ in pieces]), tuple(claims))


def _code(pieces: Iterable[str]) -> str:
    return fold("".join(pieces).translate(LOOKALIKES))


def _code_forms(pieces: list[str]) -> Forms:
    """All neighbouring pieces of a code joined, where they have a letter and a digit, and its digits as numbers."""
    joined = [pieces[a:b] for a in range(len(pieces)) for b in range(a + 2, min(len(pieces), a + 6) + 1)]
    mixed = [part for part in joined if any(p[0].isdigit() for p in part) and not all(p[0].isdigit() for p in part)]
    digits = [piece for piece in pieces if piece[0].isdigit()]
    groups = {f"d:{''.join(digits)}"} if len("".join(digits)) >= FEWEST_JOINED else set()
    return frozenset(f"c:{_code(part)}" for part in mixed) | _parts(digits) | groups


def _word(word: str, at: int, end: int, language: str) -> Mark:
    return Mark("word", at, end, _word_forms(word, language))


@lru_cache(maxsize=1 << 15)
def _word_forms(word: str, language: str) -> Forms:
    number = number_of(word, language)
    forms = {f"n:{number}"} if number is not None else set()
    roman = roman_value(word) if word.isupper() or word in SIGNS_OF_ROMAN else None
    if roman is not None and (len(word) > 1 or word in "IVXІХ" or word in SIGNS_OF_ROMAN):
        forms.add(f"n:{roman}")
    return Forms(forms)


# -- neighbours --------------------------------------------------------------------------------------------------------


def _in_context(marks: list[Mark], text: str, language: str) -> list[Mark]:
    """Adds to numbers what the words beside them say: power of ten, sign, century, month, and codes with a space."""
    found = list(marks)
    for n, mark in enumerate(marks):
        if mark.kind == "word" and not mark.forms:
            if months := months_of(text[mark.start : mark.end], language):
                found[n] = _month(mark, months, marks, n, text)
            continue
        left, right = (marks[k] if 0 <= k < len(marks) else None for k in (n - 1, n + 1))
        before = fold(text[left.start : left.end]) if left and _touch(left, mark, text) else ""
        after = text[right.start : right.end] if right and _touch(mark, right, text) else ""
        found[n] = _beside(mark, before, fold(after), text)
        if mark.kind in ("number", "year") and (left and before and left.kind == "word" or right and len(after) == 1):
            found[n] = replace(found[n], forms=found[n].forms | _spaced_code(marks, n, text, before, after))
    return found


def _beside(mark: Mark, before: str, after: str, text: str) -> Mark:
    values = [form[2:] for form in mark.forms if form.startswith("n:")]
    if after in POWER_OF and mark.kind != "word":
        large = _n(scaled(value, POWER_OF[after]) for value in values)
        mark = replace(mark, kind="number", forms=mark.forms | large, claims=tuple(map(_claim, sorted(large))))
    elif before in SIGN_WORDS and mark.kind in ("number", "year"):
        return negative(mark, mark.start)
    elif after[:1] in ("月", "월"):
        mark = replace(mark, forms=mark.forms | {f"m:{value}" for value in values})
    elif before in CENTURY_WORDS or after in CENTURY_WORDS or after.startswith(CENTURY_SIGNS):
        centuries = frozenset(f"cen:{value}" for value in values)
        mark = replace(mark, forms=mark.forms | centuries, claims=(*mark.claims, *map(_claim, sorted(centuries))))
    return mark


def _month(mark: Mark, months: Iterable[int], marks: list[Mark], n: int, text: str) -> Mark:
    """A month where a number stands within two words of it (May 2021, 3 de mayo de 2021); else a word."""
    near = [other for other in marks[max(0, n - 2) : n + 3] if other.kind in ("number", "year")]
    if any(abs(other.start - mark.end) <= 4 or abs(mark.start - other.end) <= 4 for other in near):
        claims = tuple(_claim(f"m:{month}") for month in sorted(months))
        return replace(mark, kind="month", forms=frozenset(f"m:{month}" for month in months), claims=claims)
    return mark


def _spaced_code(marks: list[Mark], n: int, text: str, before: str, after: str) -> Forms:
    """Codes written with a space: ISO 9001, ISO/IEC 27001, gate 7 B."""
    mark, left = marks[n], marks[n - 1] if n else None
    digits = PIECE.findall(plain(text[mark.start : mark.end]))
    names = [before] if before else []
    if left and left.chain >= 0:
        names += [fold(text[m.start : m.end]) for m in marks[max(0, n - 4) : n - 1] if m.chain == left.chain]
    codes = {_code([*PIECE.findall(name), *digits]) for name in names}
    if len(after) == 1:
        codes |= {_code([code, after]) for code in (*codes, "".join(digits))}
    return frozenset(f"c:{code}" for code in codes)


def _touch(left: Mark, right: Mark, text: str) -> bool:
    """Whether nothing but a space, a hyphen or "No." stands between two marks."""
    return text[left.end : right.start] in ("", " ", "\u00a0", "-", "\u2009", "\u202f", ". ", "-\u00a0", " §", " #")

"""The facts of a question: numbers, years, months, codes and capitalised names; and which of them a text lacks.

`question_facts` takes from a question what it names exactly. `StatedFacts` is what a text states, in every form by which it
may be meant. Forms count as equal across scripts and spellings: GPT4 = GPT-4, ٢٠٢١ = 二〇二一 = 2021, 1 150 = 1,150 = 1.150
where the language writes so, XII = 12. A name counts only against a text that has letters of its script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import regex

from indexing.text.fact_scan import Forms, Mark, grouped_digits, scan
from indexing.text.numeral_words import INFLECTED, QUANTITY_WORDS, RANGE_WORDS, fold
from indexing.text.numerals import HAN_DIGITS, roman_value

FactKind = Literal["number", "year", "month", "code", "name"]
SCRIPTS = ("Latin", "Greek", "Cyrillic", "Armenian")
SCRIPT = regex.compile("|".join(rf"(?P<{name}>\p{{{name}}})" for name in SCRIPTS))
SCRIPT_RUN = regex.compile("|".join(rf"(?P<{name}>[\p{{{name}}}&&\p{{L}}]+)" for name in SCRIPTS), regex.V1)
KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
KATAKANA = regex.compile(r"[ァ-ヺ][ァ-ヺー]{2,}")
LETTER_RUN = regex.compile(r"\p{L}+")
LETTERS = regex.compile(r"\p{L}")
LEAST_SHARE, SAMPLE = 0.3, 600
OPENS = regex.compile(r"(?:^|[.!?:;。！？\n])[\s\"'«»“”„‘’¿¡(\[—–-]*$")
HAN_MARKED = regex.compile(r"[第]$")
HAN_COUNTED = ("年", "月", "日", "号", "號", "章", "条", "條", "世紀", "世纪", "番", "階", "期", "届")
HAN_IDIOMS = frozenset(("万一", "千万", "千萬", "一一", "十分", "百万", "一千零一"))
COUNTED = ("つ", "度", "人", "個")
NUMBER_LABELS = frozenset(("no", "nr", "n", "nº", "num", "№"))
NOUN_CAPITALS = frozenset(("de", "lb"))
TITLE_SHARE = 0.8
RANGE_CHARACTERS = 16
LEAST_PREFIX, LONGEST_ENDING = 5, 3
FEWEST_WORD_NUMBER = 4
AMBIGUOUS_NUMBERS = frozenset(("neuf", "once", "kuusi", "sept", "cento", "elva", "altı", "kirk"))


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a question names exactly. text: question[start:end].

    claims: a text has it if it states all forms of one of them. label: the folded word before a number, as "room" in
    "room 215". name: the folded word of a name; script: of its letters. beside: the folded names right before and after it.
    """

    kind: FactKind
    text: str
    start: int
    end: int
    claims: tuple[Forms, ...] = ()
    label: str = ""
    name: str = ""
    script: str = ""
    beside: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class StatedFacts:
    """What a text states: forms of its numbers and codes, its words, labels of numbers, ranges of years, its scripts.

    names: each capitalised word with the one right before it or after it, as (before, after); initials: of several in a row.
    """

    forms: Forms
    words: Forms
    labels: Mapping[str, Forms]
    ranges: tuple[tuple[int, int], ...]
    scripts: Forms
    language: str
    names: frozenset[tuple[str, str]] = frozenset()
    initials: Forms = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str], language: str) -> StatedFacts:
        """What a passage and what stands about it (headings, file name) state together."""
        return _stated("\n".join(texts), language)

    def has(self, fact: Fact, language: str) -> bool:
        """Whether the text has a fact of a question in a language; a name also where its script does not occur."""
        if fact.kind == "name":
            return fact.script not in self.scripts or self._has_name(fact.name, language) or self._may_be_left_out(fact)
        held = any(claim <= self.forms for claim in fact.claims) or self._in_range(fact)
        return held and not self._contradicts(fact)

    def _in_range(self, fact: Fact) -> bool:
        years = [int(form[2:]) for claim in fact.claims for form in claim if fact.kind == "year" and form[2:].isdigit()]
        return any(first <= year <= last for year in years for first, last in self.ranges)

    def _contradicts(self, fact: Fact) -> bool:
        """Whether the number's label stands here with other numbers only: room 214 ... 215 seats."""
        beside = self.labels.get(fact.label)
        return bool(fact.label and beside) and not any(claim & (beside or Forms()) for claim in fact.claims)

    def _may_be_left_out(self, fact: Fact) -> bool:
        """Whether a name may be meant that is not written: Bo in "Bo Orveth" where only Orveth stands, US by its words.

        Not where the text has another name in its place: Ada Orveth.
        """
        if fact.text.isupper() and fact.name in self.initials:
            return True
        before, after = fact.beside
        follows = bool(before) and before in self.words and not any(first == before for first, _ in self.names)
        leads = bool(after) and after in self.words and not any(second == after for _, second in self.names)
        return follows or leads

    def _has_name(self, name: str, language: str) -> bool:
        if name in self.words:
            return True
        inflected = language in INFLECTED or self.language in INFLECTED or language != self.language
        return any(alike(name, word, inflected) for word in self.words if word[0] == name[0])


def alike(name: str, word: str, inflected: bool) -> bool:
    """Whether two folded words are forms of one name: one begins the other, or they differ in a short ending.

    >>> alike("kestrel", "kestrelbridge", False), alike("москве", "москва", True), alike("ada", "adam", False)
    (True, True, False)
    """
    shared = next((n for n, (a, b) in enumerate(zip(name, word, strict=False)) if a != b), min(len(name), len(word)))
    shorter, longer = sorted((len(name), len(word)))
    if shared == shorter:
        return shared >= LEAST_PREFIX or (
            shared >= LONGEST_ENDING and longer - shared <= (3 if inflected else 1) and shared > 3
        )
    return inflected and shared >= LONGEST_ENDING and longer - shared <= LONGEST_ENDING and 2 * shared > longer


def question_facts(question: str, language: str) -> tuple[Fact, ...]:
    """The facts that a question names, in order; numbers without the words "one", "two", "three".

    >>> [(fact.kind, fact.text) for fact in question_facts("Who paid Velm invoice 2023-0171 in May 2023?", "en")]
    [('name', 'Velm'), ('code', '2023-0171'), ('month', 'May'), ('year', '2023')]
    """
    return _facts(question, language)


def missing_facts(facts: Sequence[Fact], stated: StatedFacts, language: str) -> list[Fact]:
    """The facts of a question in a language that a text lacks."""
    return [fact for fact in facts if not stated.has(fact, language)]


@lru_cache(maxsize=256)
def _facts(question: str, language: str) -> tuple[Fact, ...]:
    marks = scan(question, language)
    return tuple(sorted([*_numbers(question, marks, language), *_names(question, marks, language)], key=lambda f: f.start))


# -- numbers and codes -------------------------------------------------------------------------------------------------


def _numbers(question: str, marks: Sequence[Mark], language: str) -> Iterator[Fact]:
    for n, mark in enumerate(marks):
        text = question[mark.start : mark.end]
        if mark.kind == "word":
            fact = _in_words(question, marks, n, language)
            if fact:
                yield fact
        elif mark.kind in ("number", "year", "month", "code") and mark.claims and _is_claimed(question, mark):
            label = _label(question, marks, n) if mark.kind == "number" else ""
            if text in ("1", "2") and not label and question.startswith(COUNTED, mark.end):
                continue
            yield Fact(mark.kind, text, mark.start, mark.end, mark.claims, label)


def _is_claimed(question: str, mark: Mark) -> bool:
    """Whether a numeral names a number; Han characters of numbers also stand in other words (一般, 万一)."""
    text = question[mark.start : mark.end]
    if text[0].isdigit() or text[0] in "-−–" or text[0] not in HAN_DIGITS and not regex.match(r"[十百千万萬億亿廿卅]", text):
        return True
    if len(text) > 1:
        return text not in HAN_IDIOMS
    return bool(HAN_MARKED.search(question[: mark.start])) or (
        text not in "一千万百" and question.startswith(HAN_COUNTED, mark.end)
    )


def _in_words(question: str, marks: Sequence[Mark], n: int, language: str) -> Fact | None:
    """A number written as a word or in Roman capitals, where it can be nothing else."""
    mark = marks[n]
    text = question[mark.start : mark.end]
    values = frozenset(form for form in mark.forms if form.startswith("n:"))
    if not values:
        return None
    claims = (*map(lambda form: Forms({form}), sorted(values)), *mark.claims)
    if roman_value(text) is not None and text.isupper():
        return Fact("number", text, mark.start, mark.end, claims) if _is_roman(question, marks, n) else None
    value = min(int(form[2:]) for form in values)
    if value >= FEWEST_WORD_NUMBER and len(text) >= FEWEST_WORD_NUMBER and fold(text) not in AMBIGUOUS_NUMBERS:
        return Fact("number", text, mark.start, mark.end, claims)
    return None


def _is_roman(question: str, marks: Sequence[Mark], n: int) -> bool:
    """Whether capitals are a number: XII, a century, a long one (MCMXCIV), or or V behind a capital (Henry V)."""
    mark = marks[n]
    text = question[mark.start : mark.end]
    if mark.claims or not text.isascii() and not text[0].isalpha():
        return True
    only_small = set(text) <= set("IVXІХѴ")
    if len(text) > 1:
        return only_small or len(text) > 3
    if not only_small or not n or question[marks[n - 1].end : mark.start] != " ":
        return False
    before = question[marks[n - 1].start : marks[n - 1].end]
    return before[:1].isupper() and (text != "I" or not OPENS.search(question[: marks[n - 1].start]))


def _label(question: str, marks: Sequence[Mark], n: int) -> str:
    """The word right before a number, "" where it is a preposition or the like; "No." is passed over."""
    right = marks[n].start
    for mark in reversed(marks[max(0, n - 2) : n]):
        if mark.kind != "word" or not regex.fullmatch(r"[\s.\-#§]{0,3}", question[mark.end : right]):
            return ""
        word = question[mark.start : mark.end]
        folded = fold(word)
        if folded not in NUMBER_LABELS:
            proper = len(folded) > 3 or word[:1].isupper() and not OPENS.search(question[: mark.start])
            return folded if proper and folded not in QUANTITY_WORDS and folded not in RANGE_WORDS else ""
        right = mark.start
    return ""


# -- names -------------------------------------------------------------------------------------------------------------


def _names(question: str, marks: Sequence[Mark], language: str) -> Iterator[Fact]:
    """Words with a capital that is not the sentence's first, and of katakana; in German only those that no mere noun has."""
    for match in KATAKANA.finditer(question):
        start, end = match.span()
        yield Fact("name", match.group(), start, end, name=match.group(), script="Katakana")
    words = [mark for mark in marks if mark.kind == "word" and SCRIPT.match(question, mark.start)]
    texts = [question[mark.start : mark.end] for mark in words]
    main = scripts_of(question)
    capitals = [text[:1].isupper() for text in texts]
    if len(words) > 4 and sum(capitals) >= TITLE_SHARE * len(words) and "Latin" in main and language not in NOUN_CAPITALS:
        return
    for n, (mark, text) in enumerate(zip(words, texts, strict=True)):
        if mark.claims or len(text) < 2 or roman_value(text) is not None and _is_roman(question, marks, marks.index(mark)):
            continue
        foreign = main.isdisjoint(SCRIPTS)
        if not (foreign or _is_capitalised(question, mark, text)):
            continue
        if language in NOUN_CAPITALS and not _is_german_name(question, words, capitals, n):
            continue
        match = SCRIPT.match(text)
        assert match is not None and match.lastgroup is not None
        beside = (_neighbour(question, words, texts, n, -1), _neighbour(question, words, texts, n, 1))
        yield Fact("name", text, mark.start, mark.end, name=fold(text), script=match.lastgroup, beside=beside)


def _neighbour(text: str, words: Sequence[Mark], texts: Sequence[str], n: int, step: int) -> str:
    """The folded capitalised word right before or after a word; "" for none."""
    other = n + step
    if not 0 <= other < len(words) or not texts[other][:1].isupper():
        return ""
    left, right = sorted((n, other))
    return fold(texts[other]) if text[words[left].end : words[right].start] in (" ", "-", "\u00a0") else ""


def _is_capitalised(question: str, mark: Mark, text: str) -> bool:
    if any(sign.isupper() for sign in text[1:]):
        return True
    return text[0].isupper() and not OPENS.search(question[: mark.start])


def _is_german_name(question: str, words: Sequence[Mark], capitals: Sequence[bool], n: int) -> bool:
    """Inner capitals, or one of several capitalised words in a row (Maria Tarn), the first of the sentence not counted."""
    mark = words[n]
    if any(sign.isupper() for sign in question[mark.start + 1 : mark.end]):
        return True

    def beside(a: int, b: int) -> bool:
        return (
            a >= 0 and b < len(words) and capitals[a] and capitals[b]
            and question[words[a].end : words[b].start] in (" ", "-")
            and not OPENS.search(question[: words[a].start])
        )  # fmt: skip

    return beside(n - 1, n) or beside(n, n + 1)


def scripts_of(text: str) -> Forms:
    """The cased scripts that have a fair share of the first letters of a text; "other" where caseless ones do."""
    sample = text[:SAMPLE]
    letters = len(LETTERS.findall(sample))
    cased = Counter[str]()
    for match in SCRIPT_RUN.finditer(sample):
        cased[str(match.lastgroup)] += match.end() - match.start()
    counts = {**cased, "other": letters - sum(cased.values())}
    return frozenset(name for name, count in counts.items() if count >= LEAST_SHARE * letters > 0)


# -- what a text states ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _stated(text: str, language: str) -> StatedFacts:
    marks = scan(text, language)
    forms = frozenset(form for mark in marks for form in mark.forms) | grouped_digits(text)
    words = {fold(text[mark.start : mark.end]) for mark in marks if mark.kind == "word"}
    words |= set(KATAKANA.findall(text))
    words |= {fold(part) for mark in marks if mark.kind == "code" for part in LETTER_RUN.findall(text, mark.start, mark.end)}
    labels: dict[str, Forms] = {}
    for n, mark in enumerate(marks):
        if mark.kind == "number" and (label := _label(text, marks, n)):
            labels[label] = labels.get(label, Forms()) | mark.forms
    scripts = scripts_of(text) | (Forms({"Katakana"}) if KANA.search(text) else Forms())
    ranges = tuple(_ranges(text, marks))
    return StatedFacts(forms, frozenset(words - {""}), labels, ranges, scripts, language, *_rows_of_names(text, marks))


def _rows_of_names(text: str, marks: Sequence[Mark]) -> tuple[frozenset[tuple[str, str]], Forms]:
    """Capitalised words that stand side by side, as pairs, and the initials of two to five in a row (with "of" between)."""
    rows: list[list[str]] = [[]]
    end = 0
    for mark in marks:
        word = text[mark.start : mark.end]
        if mark.kind == "word" and word[:1].isupper():
            if rows[-1] and text[end : mark.start] not in (" ", "-", "\u00a0", "\n"):
                rows.append([])
            rows[-1].append(fold(word))
            end = mark.end
    pairs = frozenset(pair for row in rows for pair in pairwise(row))
    letters = ["".join(word[0] for word in row) for row in rows]
    return pairs, Forms(row[a:b] for row in letters for a in range(len(row)) for b in range(a + 2, min(len(row), a + 5) + 1))


def _ranges(text: str, marks: Sequence[Mark]) -> Iterator[tuple[int, int]]:
    """Ranges of years: two with a dash or a word for "to" between them."""
    years = [(mark, min(int(form[2:]) for form in mark.forms if form[:2] == "n:")) for mark in marks if mark.kind == "year"]
    for (left, first), (right, last) in pairwise(years):
        between = text[left.end : right.start]
        if first < last and len(between) <= RANGE_CHARACTERS and not regex.search(r"[.;!?。]", between):
            dash = regex.fullmatch(r"\s*年?\s*[-–—~〜～]\s*", between)
            if (
                dash
                or not RANGE_WORDS.isdisjoint(map(fold, regex.findall(r"\w+|~", between)))
                or regex.search("[至到から]", between)
            ):
                yield first, last

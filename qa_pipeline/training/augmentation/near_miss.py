"""Near-miss twins: an answerable question, and the same question about another year, number, code or name.

After the adversarial unanswerable questions of SQuAD 2.0 (Rajpurkar et al. 2018), made by entity and number swap. The twin
names one fact that its paragraph lacks, of the same kind and language, so that only this fact shows that nothing answers it.
Names are capitalised words; in scripts without case they are answers of the file's other questions.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import regex

from indexing.text.facts import Fact, StatedFacts, missing_facts, question_facts
from indexing.text.numeral_words import fold, months_in, months_of, number_of
from indexing.text.numerals import han, han_value, roman, roman_value
from qa_pipeline.datasets.examples import Example
from qa_pipeline.datasets.squad_writer import GeneratedExample

HOW = "near-miss"
UNSPACED = {"zh": 2, "ja": 3, "th": 5, "km": 5, "lo": 5, "my": 5}
"""Languages written without spaces. A name of fewer characters may be a part of another word."""
CASELESS = frozenset("zh ja ko th ar fa he hi bn ta te ur mr km lo my".split())
TRIES = 12
YEARS_APART, LATEST_YEAR = 12, 2030
LONGEST_NAME, WORDS_OF_NAME = 12, 3
ENDING = 2
FREQUENT, FREQUENT_SHARE = 3, 0.003

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Swap:
    """A part of a question that its paragraph states too, question[start:end]; size: number of words.

    kind: as of a `Fact`, or "entity" for a name in a script without case.
    """

    kind: str
    start: int
    end: int
    size: int = 1


def near_misses(examples: Sequence[Example], seed: int) -> Iterator[GeneratedExample]:
    """Each answerable question that has a twin, followed by the twin, which has no answer.

    Numbers and months are changed a little; codes and names are drawn from the other questions in that language.
    """
    names = _known_names(examples)
    found = [(example, _swaps(example, names)) for example in examples if example.golds]
    found = _without_frequent(found)
    pool = _pool(found)
    for example, swaps in found:
        draw = random.Random(f"{seed}:{example.origin}:{example.id}")
        made = _twin(example, swaps, pool, draw)
        if made is not None:
            source = (f"{example.origin}:{example.id}",)
            yield GeneratedExample(example, HOW, source)
            yield GeneratedExample(made, HOW, source)


def _twin(example: Example, swaps: Sequence[Swap], pool: dict[Key, list[str]], draw: random.Random) -> Example | None:
    """The question with one fact changed to one that the paragraph lacks; None if no swap can be made."""
    stated = StatedFacts.of((example.title, example.context), example.language)
    for swap in draw.sample(swaps, len(swaps)):
        old = example.question[swap.start : swap.end]
        for new in _others(swap, old, example.question_language, pool, draw):
            question = example.question[: swap.start] + new + example.question[swap.end :]
            if _is_near_miss(question, swap.start, new, old, example, stated):
                id = f"{example.id}:near-miss-{swap.kind}"
                return replace(example, id=id, question=question, golds=())
    return None


def _is_near_miss(question: str, start: int, new: str, old: str, example: Example, stated: StatedFacts) -> bool:
    """Whether the paragraph states everything that the question names except what was put in."""
    language = example.question_language
    if fold(new) == fold(old) or fold(new) in fold(example.context) or fold(new) in fold(example.title):
        return False
    missing = missing_facts(question_facts(question, language), stated, language)
    inside = [fact for fact in missing if fact.end > start and fact.start < start + len(new)]
    named = not any(sign.isalnum() and sign.isascii() for sign in new) and language in CASELESS
    return bool(inside or named) and len(inside) == len(missing)


# -- what can be swapped -----------------------------------------------------------------------------------------------


def _swaps(example: Example, names: dict[str, frozenset[str]]) -> list[Swap]:
    """The facts of a question that the paragraph holds; names in a row are one. Answers of the question are left alone."""
    facts = question_facts(example.question, example.question_language)
    if not facts and example.question_language not in CASELESS:
        return []
    stated = StatedFacts.of((example.context,), example.language)
    missing = missing_facts(facts, stated, example.question_language)
    if missing:
        return []
    swaps = [Swap(fact.kind, fact.start, fact.end) for fact in facts if fact.kind != "name"]
    swaps += _name_runs(example.question, [fact for fact in facts if fact.kind == "name"])
    if example.question_language in CASELESS:
        swaps += _named(example, names.get(example.question_language, frozenset()))
    answers = {fold(gold.text) for gold in example.golds}
    return [swap for swap in swaps if fold(example.question[swap.start : swap.end]) not in answers]


def _name_runs(question: str, facts: Sequence[Fact]) -> Iterator[Swap]:
    """Names with only a space or hyphen between them, as one swap."""
    run: list[Fact] = []
    for fact in [*facts, None]:
        if run and (fact is None or question[run[-1].end : fact.start] not in (" ", "-")):
            if len(run) <= WORDS_OF_NAME:
                yield Swap("name", run[0].start, run[-1].end, len(run))
            run = []
        if fact is not None:
            run.append(fact)


def _known_names(examples: Sequence[Example]) -> dict[str, frozenset[str]]:
    """Short answers without digits in scripts without case, by language: most of them are names."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.language in CASELESS:
            found[example.language].update(
                gold.text
                for gold in example.golds
                if 2 <= len(gold.text) <= LONGEST_NAME
                and regex.fullmatch(r"[\p{L}\p{M}·・\- ]+", gold.text)
                and len(gold.text.split()) <= WORDS_OF_NAME
                and not any(number_of(word, example.language) for word in gold.text.split())
            )
    return {language: frozenset(names) for language, names in found.items()}


def _named(example: Example, names: frozenset[str]) -> Iterator[Swap]:
    """The longest known names in a question that also stand in its paragraph, from left to right."""
    question, fewest = example.question, UNSPACED.get(example.question_language)
    at = 0
    while at < len(question):
        for length in range(min(LONGEST_NAME, len(question) - at), (fewest or 2) - 1, -1):
            word = question[at : at + length]
            if word in names and word in example.context and _is_word(question, at, at + length, bool(fewest)):
                yield Swap("entity", at, at + length, len(word.split()))
                at += length - 1
                break
        at += 1


def _without_frequent(found: Sequence[tuple[Example, list[Swap]]]) -> list[tuple[Example, list[Swap]]]:
    """The swaps without names that many questions of the language have: those are common words, not names."""
    asked = Counter(example.question_language for example, _ in found)
    counts = Counter(
        (example.question_language, example.question[swap.start : swap.end])
        for example, swaps in found
        for swap in swaps
        if swap.kind == "entity"
    )

    def is_rare(example: Example, swap: Swap) -> bool:
        language = example.question_language
        most = max(FREQUENT, FREQUENT_SHARE * asked[language])
        return counts[language, example.question[swap.start : swap.end]] <= most

    return [(example, [swap for swap in swaps if is_rare(example, swap)]) for example, swaps in found]


def _is_word(text: str, start: int, end: int, unspaced: bool) -> bool:
    """Whether no letter stands beside text[start:end]; in scripts without spaces, no mark of its last letter."""
    after = text[end : end + 1] or " "
    if unspaced:
        return not regex.match(r"\p{M}", after)
    return not regex.search(r"[\p{L}\p{M}]", text[max(0, start - 1) : start] + after)


def _pool(found: Sequence[tuple[Example, Sequence[Swap]]]) -> dict[Key, list[str]]:
    """Codes and names of the questions by kind, language and number of words, sorted."""
    pool: defaultdict[Key, set[str]] = defaultdict(set)
    for example, swaps in found:
        for swap in swaps:
            if swap.kind in ("name", "entity", "code"):
                pool[swap.kind, example.question_language, swap.size].add(example.question[swap.start : swap.end])
    return {key: sorted(values) for key, values in pool.items()}


# -- what stands there instead -----------------------------------------------------------------------------------------


def _others(swap: Swap, old: str, language: str, pool: dict[Key, list[str]], draw: random.Random) -> Iterator[str]:
    """Other facts of the same kind, in the order in which they are tried."""
    if swap.kind == "month":
        yield from _other_months(old, language, draw)
    elif swap.kind in ("year", "number"):
        for _ in range(TRIES):
            if new := other_number(old, swap.kind, draw):
                yield new
    else:
        if swap.kind == "code":
            yield from filter(None, (_other_digits(old, draw) for _ in range(TRIES // 2)))
        values = pool.get((swap.kind, language, swap.size), [])
        drawn = draw.sample(values, min(len(values), 8 * TRIES))
        alike = [value for value in drawn if value[-ENDING:] == old[-ENDING:] and len(value) > ENDING]
        yield from [*alike, *drawn][:TRIES]


def _other_months(old: str, language: str, draw: random.Random) -> Iterator[str]:
    names = months_in(language)
    own = months_of(old, language)
    for month in draw.sample(range(1, len(names) + 1), len(names)):
        if month not in own:
            yield names[month - 1].capitalize() if old[:1].isupper() else names[month - 1]


def other_number(old: str, kind: str, draw: random.Random) -> str | None:
    """Another number in the same script and form, of the same length; a year at most twelve years away. None for words."""
    if roman_value(old):
        return roman(max(1, int(roman_value(old) or 0) + draw.choice((-2, -1, 1, 2))))
    if not regex.search(r"\p{Nd}", old):
        return _other_han(old, draw)
    digits = regex.findall(r"\p{Nd}", old)
    if kind == "year" and len(digits) == 4:
        year = int("".join(digits)) + draw.choice([n for n in range(-YEARS_APART, YEARS_APART + 1) if n])
        plausible = 1000 <= year <= max(LATEST_YEAR, int("".join(digits)))
        return _with_digits(old, str(year)) if plausible else None
    return _other_digits(old, draw)


def _other_han(old: str, draw: random.Random) -> str | None:
    value = han_value(old)
    if value is None or not value.isdigit():
        return None
    if all(sign in "〇零一二三四五六七八九" for sign in old):
        places = [n for n, sign in enumerate(old) if n or len(old) == 1]
        place = draw.choice(places[-2:])
        return old[:place] + draw.choice([d for d in "一二三四五六七八九" if d != old[place]]) + old[place + 1 :]
    new = max(1, int(value) + draw.choice((-3, -2, -1, 1, 2, 3)))
    return han(new) if new < 10_000 else None


def _other_digits(old: str, draw: random.Random) -> str | None:
    """The text with one digit changed, or two neighbours exchanged; the first digit never becomes 0."""
    digits = [int(sign) for sign in regex.findall(r"\p{Nd}", old)]
    if not digits:
        return None
    if len(digits) > 2 and draw.random() < 0.3:
        place = draw.randrange(len(digits) - 1)
        digits[place], digits[place + 1] = digits[place + 1], digits[place]
    else:
        place = draw.randrange(max(0, len(digits) - 3), len(digits))
        lowest = 1 if place == 0 else 0
        digits[place] = draw.choice([d for d in range(lowest, 10) if d != digits[place]])
    new = _with_digits(old, "".join(map(str, digits)))
    return new if new != old and (digits[0] or old[:1] == "0") else None


def _with_digits(old: str, digits: str) -> str:
    """The text with other digits in their places, each in the script of the digit it replaces."""
    rest = iter(digits)
    return "".join(chr(ord(sign) - int(sign) + int(next(rest))) if sign.isdecimal() else sign for sign in old)

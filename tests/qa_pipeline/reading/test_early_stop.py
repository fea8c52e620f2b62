"""Lazy reading: the time budget is of reading alone, and reading ahead changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qa_pipeline.reading import early_stop
from qa_pipeline.reading.early_stop import read_in_order
from qa_pipeline.reading.readings import Reading, Span
from qa_pipeline.retrieval.variants import are_variants, is_settled


def passage(text: str, missing: tuple[str, ...] = ()) -> Any:
    """What the stop rule looks at."""
    return SimpleNamespace(text=text, language="en", missing=missing)


class Clock:
    """A clock in seconds that only its users advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class SlowReader:
    """Takes ten milliseconds for a passage."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        self.clock.now += 0.010
        return [Reading(()) for _ in texts]


def test_the_budget_counts_reading_and_not_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(early_stop, "time", clock)
    passages: list[Any] = [passage("x")] * 10
    read = 0
    for readings in read_in_order(SlowReader(clock), "q", passages, 35.0):
        read = len(readings)
        clock.now += 5.0
    assert read == 4


class AheadReader(SlowReader):
    """Reads several passages at once; the span of passage number n has the margin n."""

    def __init__(self, clock: Clock, at_once: int) -> None:
        super().__init__(clock)
        self.at_once = at_once
        self.calls: list[int] = []

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        self.calls.append(len(texts))
        return [Reading((Span(0, 1, float(text), float(text), 0.5),)) for text in texts]


@pytest.mark.parametrize("margin", [2.0, 5.0, 6.0, 99.0])
def test_reading_ahead_changes_no_result(margin: float) -> None:
    passages: list[Any] = [passage(str(n)) for n in range(10)]
    steps: dict[int, list[list[Reading]]] = {}
    for at_once in (1, 2, 4, 16):
        reader = AheadReader(Clock(), at_once)
        lazy, steps[at_once] = read_in_order(reader, "q", passages), list[list[Reading]]()
        for readings in lazy:
            steps[at_once].append(readings)
            if readings[-1].spans[0].margin >= margin:
                break
        read = len(steps[at_once][-1])
        assert read <= sum(reader.calls) < read + at_once or sum(reader.calls) == len(passages)
        assert max(reader.calls) == min(at_once, len(passages))
    assert all(found == steps[1] for found in steps.values())


def test_no_passage_gives_one_empty_step() -> None:
    assert list(read_in_order(AheadReader(Clock(), 4), "q", [])) == [[]]


def test_a_passage_that_lacks_a_fact_is_not_settled() -> None:
    lacking, whole = passage("In 2021 the harbour was closed.", ("2022",)), passage("The boats of Ostby were painted red.")
    assert not is_settled(lacking, []) and is_settled(whole, []) and is_settled(whole, [lacking])


def test_a_passage_with_unread_variants_is_not_settled() -> None:
    other = passage("The library of the old town opens at nine, and nobody may eat in it.")
    rows = [passage(f"Station {name} lies {n} metres above the sea and has {n + 3} seats.") for n, name in enumerate("ABC")]
    assert not is_settled(rows[0], [other, rows[2]]) and is_settled(rows[0], [other]) and is_settled(other, rows)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Invoice 2023-0117 was paid by Orveth Ltd on 3 May.", "Invoice 2023-0171 was paid by Velm on 9 June.", True),
        ("2021年港口处理了83400个集装箱。", "2022年港口处理了91200个集装箱。", True),
        ("في عام 2021 عالج الميناء 83400 حاوية.", "في عام ٢٠٢٢ عالج الميناء ٩١٢٠٠ حاوية.", True),
        ("Насос Н-204 стоит в подвале старой мельницы.", "Насос Н-240 стоит в подвале новой мельницы.", True),
        ("Die Mole wurde 1964 verlängert.", "Das Rathaus wurde 1964 verkauft.", False),
        ("The harbour handled 83,400 containers.", "The tax rate for boats is 7 percent.", False),
        ("2021", "2022", False),
    ],
)
def test_variants_differ_in_facts_alone(one: str, other: str, alike: bool) -> None:
    language = "de" if "Die" in one else "en"
    first, second = (SimpleNamespace(text=text, language=language, missing=()) for text in (one, other))
    assert are_variants(first, second) == are_variants(second, first) == alike  # type: ignore[arg-type]

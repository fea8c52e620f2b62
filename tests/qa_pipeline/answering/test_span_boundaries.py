"""Signs, currencies, units and whole words: cases in many languages, and laws for any text."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from qa_pipeline.answering.calibration import UNCALIBRATED
from qa_pipeline.answering.number_affixes import any_of
from qa_pipeline.answering.span_boundaries import whole_span
from qa_pipeline.answering.verdict import answer_text, candidates
from qa_pipeline.answering.word_boundaries import inside_cluster, whole_words
from qa_pipeline.reading.readings import Reading, Span
from qa_pipeline.spark.rows import read_rows
from tests.known import SCRIPTS

CASES: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("span_boundaries.jsonl").read_text("utf-8").splitlines()
]
LANGUAGES = {"en", "de", "fr", "es", "ru", "ar", "he", "hi", "th", "zh", "ja", "ko"}
PIECES = [
    "−",
    "-",
    "–",
    "(",
    ")",
    "<",
    "≥ ",
    "$",
    "€ ",
    "12",
    "4.2",
    "٢٠",
    "三百",
    "人",
    " million",
    " °C",
    "%",
    "é",
    "ة",
    "ब",
    "กำ",
    "한",
]
TEXTS = st.lists(st.one_of(st.sampled_from([*PIECES, " ", "\n", *SCRIPTS.values()]), st.text(max_size=3)), max_size=8)


def id_of(case: dict[str, Any]) -> str:
    return f"{case['language']}: {case['context'][:60]}"


@pytest.mark.parametrize("case", CASES, ids=id_of)
def test_a_span_gets_the_right_boundaries(case: dict[str, Any]) -> None:
    text, right = case["context"], (case["answer_start"], case["answer_start"] + len(case["answer"]))
    start, end = whole_span(text, case["start"], case["end"])
    assert text[start:end] == case["answer"] and (start, end) == right
    assert whole_span(text, start, end) == right, "a right span stays"


def test_the_cases_are_of_many_languages_and_some_may_not_change() -> None:
    counts = Counter(case["language"] for case in CASES)
    unchanged = [case for case in CASES if case["context"][case["start"] : case["end"]] == case["answer"]]
    assert all(counts[language] >= 5 for language in LANGUAGES) and len(unchanged) >= 30


@given(TEXTS.map("".join), st.integers(0, 80), st.integers(1, 30))
def test_the_result_contains_the_span_and_splits_no_cluster(text: str, start: int, length: int) -> None:
    end = min(len(text), start + length)
    found = whole_span(text, start, end)
    if not text[start:end].strip():
        assert found == (start, end)
        return
    piece = text[start:end]
    assert found[0] <= start + len(piece) - len(piece.lstrip()) and found[1] >= start + len(piece.rstrip())
    assert 0 <= found[0] < found[1] <= len(text)
    assert not inside_cluster(text, found[0]) and not inside_cluster(text, found[1])


@given(st.text(alphabet="ab1é ", max_size=40), st.integers(0, 39), st.integers(1, 9))
def test_words_of_letters_and_digits_are_never_cut(text: str, start: int, length: int) -> None:
    if not text[start : start + length].strip():
        return
    first, last = whole_words(text, start, min(len(text), start + length))
    for border in (first, last):
        assert not (0 < border < len(text) and text[border - 1] != " " and text[border] != " ")


def test_a_word_without_an_end_is_not_widened_for_long() -> None:
    data = "x" * 5_000
    assert whole_span(data, 2_000, 2_010) == (2_000, 2_010)
    assert whole_span("9" * 5_000, 2_000, 2_010) == (2_000, 2_010)


class SpanReader:
    """Finds given spans in every text."""

    def __init__(self, *spans: tuple[int, int, float]) -> None:
        self.spans = spans

    def read(self, question: str, texts: list[str]) -> list[Reading]:
        return [Reading(tuple(Span(a, b, margin, margin, 0.5) for a, b, margin in self.spans)) for _ in texts]


def test_spans_that_become_equal_merge_and_the_better_margin_stays() -> None:
    text = "It was −18.5 °C there, and dark."
    reader = SpanReader((8, 12, 3.0), (7, 15, 2.0), (27, 31, 1.0))
    found = candidates(reader.read("", [text]), [text], UNCALIBRATED)
    assert [(text[one.start : one.end], one.margin) for one in found] == [("−18.5 °C", 3.0), ("dark", 1.0)]


def test_one_text_and_a_table_give_whole_spans() -> None:
    text, reader = "It was −18.5 °C there.", SpanReader((8, 12, 9.0))
    said = answer_text(reader, "How cold was it?", text)  # type: ignore[arg-type]
    assert said["answer"] == "−18.5 °C" == text[said["start"] : said["end"]]
    loaded: Any = type("Loaded", (), {"reader": reader, "calibration": UNCALIBRATED})
    (row,) = read_rows(loaded, ["How cold was it?"], [text])
    assert row["answer"] == "−18.5 °C" == text[row["start"] : row["end"]]


def test_the_longest_entry_of_a_table_wins() -> None:
    pattern = regex.compile(any_of("m mm min", "per_cent"))
    found = [pattern.match(text) for text in ("mm", "min", "m2", "per cent")]
    assert [match and match[0] for match in found] == ["mm", "min", "m", "per cent"]

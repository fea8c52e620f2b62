"""Settings of a question: one frozen value.

There is no embedding model here: it is read from the index folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from indexing.errors import SettingError
from indexing.settings import whole_number

MAX_QUESTION = 512
MAX_TOP_K = 100
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class AskSettings:
    """How a question is answered.

    top_k: answers given. retrieve: passages read. depth: how far down each ranking is taken into the fusion.
    dense_weight, keyword_weight: what nearness in meaning and shared words count for, as `retriever.fuse` says.
    no_answer_threshold: "no answer" when its score is above this (0..1); None takes the reader's own.
    thorough: read all `retrieve` passages, also after one gave an answer the reader is sure of.
    read_at_least: passages read before a sure answer may end the reading.
    budget_ms: milliseconds of reading after which no further passage is begun (one is always read); None for no limit.
    """

    top_k: int = 5
    retrieve: int = 10
    depth: int = 60
    dense_weight: float = 1.0
    keyword_weight: float = 6.0
    no_answer_threshold: float | None = None
    thorough: bool = False
    read_at_least: int = 1
    budget_ms: float | None = None

    def __post_init__(self) -> None:
        whole_number("top_k", self.top_k, 1, MAX_TOP_K)
        whole_number("retrieve", self.retrieve, 1, MAX_TOP_K)
        whole_number("read_at_least", self.read_at_least, 1, MAX_TOP_K)
        whole_number("depth", self.depth, 1, 10_000)
        for name in ("dense_weight", "keyword_weight"):
            number_between(name, getattr(self, name), 0.0, 100.0)
        if not isinstance(self.thorough, bool):
            raise SettingError(f"thorough is {self.thorough!r}; it must be true or false.")
        if self.budget_ms is not None:
            number_between("budget_ms", self.budget_ms, 0.0, 3.6e6)
        if self.no_answer_threshold is not None:
            number_between("no_answer_threshold", self.no_answer_threshold, 0.0, 1.0)
        if self.dense_weight == 0 and self.keyword_weight == 0:
            raise SettingError("dense_weight and keyword_weight are both 0; nothing would be found.")


def number_between(name: str, value: object, low: float, high: float) -> float:
    """`value` if it is a finite number (no bool) from `low` to `high`; else SettingError."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= float(value) <= high:  # type: ignore[arg-type]
        raise SettingError(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}.")
    return float(value)  # type: ignore[arg-type]


def question_text(value: object) -> str:
    """A question as asked, without white space around it; SettingError when it is empty or too long."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise SettingError("The question is empty.")
    if len(text) > MAX_QUESTION:
        raise SettingError(f"The question has {len(text):,} characters; {MAX_QUESTION} are the most that are read.")
    return text

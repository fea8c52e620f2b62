"""Settings of a question: one frozen value.

The embedding model is not a setting: the index folder names it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from indexing.errors import SettingError
from indexing.settings import whole_number

MAX_QUESTION = 512
MAX_TOP_K = 100
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class AskSettings:
    """How a question is answered.

    top_k: maximum number of answers. retrieve: number of passages to retrieve and read.
    depth: how many passages of each ranking enter the fusion.
    dense_weight, keyword_weight: weights of the dense score and of BM25 in `retriever.fuse`.
    no_answer_threshold: the verdict is "no answer" when its score (0..1) is above this; None: the reader's threshold.
    thorough: read all `retrieve` passages; no early stopping after a confident answer.
    read_at_least: minimum number of passages read before a confident answer may stop reading.
    budget_ms: after this many milliseconds of reading, no further passage is started. One is always read; None: no limit.
    words: only passages that match this query (`indexing.text.word_query`); "" for all.
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
    words: str = ""

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
        if not isinstance(self.words, str):
            raise SettingError("The words are not a text.")
        if self.words:
            from indexing.text.word_query import parse

            parse(self.words)
        if self.dense_weight == 0 and self.keyword_weight == 0:
            raise SettingError("dense_weight and keyword_weight are both 0; nothing would be found.")


def number_between(name: str, value: object, low: float, high: float) -> float:
    """Return `value` if it is a finite number (no bool) from `low` to `high`. Raises SettingError."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= float(value) <= high:  # type: ignore[arg-type]
        raise SettingError(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}.")
    return float(value)  # type: ignore[arg-type]


def check_pipeline_file(file: Path) -> None:
    """Raises SettingError if a Haystack pipeline file is missing, or no YAML with its lists. It does not import Haystack."""
    import yaml

    try:
        if not file.exists():
            raise SettingError(f"There is no pipeline file {file}.")
        if file.is_dir():
            raise SettingError(f"The pipeline file {file} cannot be used: it is a folder.")
        found = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"The pipeline file {file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise SettingError(f"The pipeline file {file} cannot be used: it is not YAML in UTF-8{line}.") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(part), list) for part in ("components", "pipelines")):
        raise SettingError(f"The pipeline file {file} cannot be used: it lacks the lists components and pipelines.")


def question_text(value: object) -> str:
    """Return the question without surrounding white space. Raises SettingError when it is empty or too long."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise SettingError("The question is empty.")
    if len(text) > MAX_QUESTION:
        raise SettingError(f"The question has {len(text):,} characters; {MAX_QUESTION} are the most that are read.")
    return text

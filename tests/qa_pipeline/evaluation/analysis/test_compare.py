"""`docqa compare`: the same run is not better than itself, a better one is, and chance is called chance."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from indexing.errors import SettingError
from qa_pipeline.cli.main import main
from qa_pipeline.evaluation.analysis.compare import compare, compare_scores
from qa_pipeline.evaluation.metrics.scorers import SCORERS
from qa_pipeline.evaluation.runs.predictions import Prediction
from qa_pipeline.evaluation.runs.results_folder import Results


def run(rates: dict[str, float], seed: int, count: int = 300) -> list[Prediction]:
    """A reader that is right as often as its rate of the language says."""
    dice = random.Random(seed)
    return [
        Prediction(f"{language}.json", str(n), language, language, ("right",), text, text, 0, 5, 0.0, 0.1)
        for language, rate in rates.items()
        for n in range(count)
        for text in ["right" if dice.random() < rate else "wrong"]
    ]


def keep(path: Path, predictions: list[Prediction], scorer: str = "squad1", kind: str = "reading") -> Path:
    with Results.writing(path, {"kind": kind, "reader": {"name": path.name}}) as results:
        results.append(prediction.as_dict() for prediction in predictions)
        results.write_metrics({"scorer": scorer})
    return path


def test_a_run_is_not_better_than_itself() -> None:
    predictions = run({"de": 0.5, "en": 0.7}, 1)
    found = compare_scores(predictions, predictions, SCORERS["squad1"])
    assert [(row.f1.value, row.f1.p, row.verdict) for row in (*found.rows, found.all)] == [(0.0, 1.0, "")] * 3


def test_what_is_better_is_named_where_it_is_better_only() -> None:
    a, b = run({"de": 0.5, "en": 0.5, "fi": 0.8}, 1), run({"de": 0.7, "en": 0.5, "fi": 0.6}, 2)
    found = compare_scores(a, b, SCORERS["squad1"])
    assert {row.name: row.verdict for row in found.rows} == {"de": "B", "en": "", "fi": "A"}
    german = found.rows[0]
    assert german.f1.low < german.f1.value < german.f1.high and german.f1.low > 0
    assert german.b - german.a == pytest.approx(german.f1.value)
    turned = compare_scores(b, a, SCORERS["squad1"])
    assert {row.name: row.verdict for row in turned.rows} == {"de": "A", "en": "", "fi": "B"}


def test_the_same_questions_are_paired_by_name(tmp_path: Path) -> None:
    predictions = run({"de": 0.5}, 3)
    mixed = list(predictions[5:])
    random.Random(1).shuffle(mixed)
    told: list[str] = []
    found = compare(keep(tmp_path / "a", predictions), keep(tmp_path / "b", mixed), tell=told.append)
    assert found.all.f1.value == 0.0 and found.all.questions == 295 and found.readers == ("a", "b")
    assert len(told) == 1 and told[0].startswith("5 questions")


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    a = keep(tmp_path / "a", run({"de": 0.5}, 1))
    with pytest.raises(SettingError, match="no question in common"):
        compare(a, keep(tmp_path / "b", run({"en": 0.5}, 1)))
    with pytest.raises(SettingError, match="name the scorer"):
        compare(a, keep(tmp_path / "c", run({"de": 0.5}, 1), "mlqa"))
    assert compare(a, tmp_path / "c", "mlqa").scorer == "mlqa"
    with pytest.raises(SettingError, match="different kinds"):
        compare(a, keep(tmp_path / "d", run({"de": 0.5}, 1), kind="open-domain"))
    with pytest.raises(SettingError, match="no results"):
        compare(a, tmp_path)


def test_the_table_and_the_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = keep(tmp_path / "a", run({"de": 0.3}, 1)), keep(tmp_path / "b", run({"de": 0.8}, 2))
    assert main(["compare", str(a), str(b)]) == 0
    out = capsys.readouterr().out
    assert "squad1" in out and out.count(" B\n") == 2
    assert main(["compare", str(a), str(b), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["name"], row["better"], row["scorer"]) for row in rows] == [("de", "B", "squad1"), ("all", "B", "squad1")]

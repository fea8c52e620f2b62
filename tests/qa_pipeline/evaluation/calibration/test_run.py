"""`docqa calibrate`: known curves are found again, errors are counted by hand, halves are kept apart."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.errors import SettingError
from indexing.models.embedder import Embedder
from qa_pipeline.answering import calibration_store
from qa_pipeline.answering.calibration import Calibration
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.cli.main import main
from qa_pipeline.evaluation.calibration.run import calibrate, learn, sides
from qa_pipeline.evaluation.metrics.calibration import Fit, Sample, bins, cut, expected_error, fit, logistic
from qa_pipeline.evaluation.open_domain.asker import ReadPassage
from qa_pipeline.evaluation.open_domain.run import OpenDomainSettings, open_predictions
from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader
from qa_pipeline.evaluation.runs.predictions import QuestionSet
from qa_pipeline.evaluation.runs.results_folder import Results
from qa_pipeline.reading.readings import Reading, Span
from tests.known import WordEmbedder

EMBEDDER: Any = WordEmbedder()


def drawn(count: int, slope: float, offset: float, seed: int = 1) -> list[Sample]:
    """Samples whose chance to be right is a known logistic of their margin."""
    dice = random.Random(seed)
    found = []
    for _ in range(count):
        margin = dice.gauss(3.0, 6.0)
        right = dice.random() < 1 / (1 + math.exp(-slope * (margin - offset)))
        found.append(Sample(margin, right, right))
    return found


# -- curves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope, offset", [(1.0, 0.0), (0.35, 5.8), (2.5, -3.0)])
def test_the_curve_that_made_the_samples_is_found_again(slope: float, offset: float) -> None:
    found = fit(drawn(20_000, slope, offset))
    assert found is not None
    assert found.slope == pytest.approx(slope, rel=0.06) and found.offset == pytest.approx(offset, abs=0.25)
    assert found.cut == pytest.approx(offset, abs=1.0)
    assert found.threshold == pytest.approx(0.5, abs=0.2)


def test_the_likelihood_is_largest_there() -> None:
    samples = drawn(400, 0.7, 2.0)
    margins, right = np.array([s.margin for s in samples]), np.array([s.right for s in samples])
    slope, offset = logistic(margins, right)

    def loss(slope: float, offset: float) -> float:
        z = slope * (margins - offset)
        return float(np.logaddexp(0, -z)[right].sum() + np.logaddexp(0, z)[~right].sum())

    best = loss(slope, offset)
    assert all(best <= loss(slope * a, offset + b) + 0.05 for a in (0.8, 1.0, 1.25) for b in (-0.7, 0.0, 0.7))


def test_few_or_one_sided_samples_are_not_learned_from() -> None:
    assert fit(drawn(59, 1.0, 0.0)) is None
    assert fit([Sample(float(n), True, True) for n in range(500)]) is None


def test_separable_samples_stay_finite() -> None:
    found = fit([Sample(float(n - 100), n > 100, n > 100) for n in range(200)])
    assert found is not None and 0 < found.slope <= 20 and math.isfinite(found.offset)
    assert found.cut == pytest.approx(0.5, abs=0.1)


def test_few_samples_are_drawn_to_the_prior() -> None:
    few, prior = drawn(60, 1.0, 0.0), Fit(1.0, 0.0, 0.0)
    alone, drawn_to = fit(few), fit(few, prior)
    assert alone and drawn_to
    assert abs(drawn_to.slope - 1.0) + abs(drawn_to.offset) <= abs(alone.slope - 1.0) + abs(alone.offset) + 0.05


def test_the_cut_is_where_an_answer_is_as_likely_as_none() -> None:
    """Gaps with an answer lie around 6, without around 2, as widely: halfway; and never outside what was seen."""
    dice = random.Random(2)
    found = [Sample(dice.gauss(6.0 if has else 2.0, 3.0), False, has) for has in [True, False] * 4_000]
    at = cut(found)
    assert at == pytest.approx(4.0, abs=0.2)
    rightly = [sum((s.margin < margin) != s.answerable for s in found) / len(found) for margin in (4.0, at)]
    assert rightly[0] - rightly[1] < 0.005
    backwards = [Sample(float(n), False, n < 50) for n in range(100)]
    assert -1.0 <= cut(backwards) <= 100.0


def test_a_threshold_says_what_its_cut_says() -> None:
    found = fit(drawn(2_000, 0.6, 1.0))
    assert found is not None
    for margin in np.linspace(-20, 20, 81):
        if abs(margin - found.cut) > 1e-6:
            assert (1 - found.probability(margin) > found.threshold) == (margin < found.cut)


# -- errors ------------------------------------------------------------------------------------------------------------


def test_the_expected_error_is_counted_by_hand() -> None:
    said = [0.05, 0.15, 0.15, 0.95, 0.92, 1.0]
    right = [False, True, False, True, True, False]
    wanted = (1 * 0.05 + 2 * abs(0.15 - 0.5) + 3 * abs((0.95 + 0.92 + 1.0) / 3 - 2 / 3)) / 6
    assert expected_error(said, right) == pytest.approx(wanted)
    assert [(b.count, round(b.said, 3), round(b.was, 3)) for b in bins(said, right)] == [
        (1, 0.05, 0.0),
        (2, 0.15, 0.5),
        (3, 0.957, 0.667),
    ]
    assert expected_error([], []) == 0.0


def test_true_probabilities_have_nearly_no_error() -> None:
    samples = drawn(20_000, 0.5, 1.0)
    true = [Fit(0.5, 1.0, 0.0).probability(s.margin) for s in samples]
    assert expected_error(true, [s.right for s in samples]) < 0.015


# -- the whole way -----------------------------------------------------------------------------------------------------

TOWNS = [
    f"{first}{last}"
    for first in ("Kes", "Or", "Tam", "Bran", "Sor", "Dun")
    for last in ("trel", "veth", "sin", "nock", "rel", "more")
]


class Overconfident:
    """Right about the year of the town asked for, mostly, and too sure of itself always: its margins stand 6 too high."""

    def read(self, question: str, texts: Any) -> list[Reading]:
        return [self._one(question, text) for text in texts]

    def _one(self, question: str, text: str) -> Reading:
        start = text.index("19")
        named = any(town in question and town in text for town in TOWNS)
        noise = random.Random(question + text).gauss(0, 2)
        return Reading((Span(start, start + 4, 0.0, (9.0 if named else 4.0) + noise, 0.5),))


def measured() -> MeasuredReader:
    before = Calibration(scope="none")
    return MeasuredReader(LoadedReader(Overconfident(), "sure", before), "sure", "1")


def write(folder: Path, languages: tuple[str, ...] = ("de", "en", "fi")) -> Path:
    folder.mkdir()
    for language in languages:
        rows = []
        for n, town in enumerate(TOWNS if language != "fi" else TOWNS[:4]):
            context = f"{town} {language} 19{n + 10}."
            answers = [{"text": f"19{n + 10}", "answer_start": context.index("19")}]
            for k in range(3):
                row = {"id": f"{town}-{k}", "question": f"When {town} {k}?", "context": context, "answers": answers}
                rows.append({**row, "lang": language})
        (folder / f"{language}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def test_a_reader_that_is_too_sure_is_set_right(tmp_path: Path) -> None:
    found = calibrate(QuestionSet.read([write(tmp_path / "q")]), measured(), EMBEDDER, retrieve=5, out=tmp_path / "o")
    rows = {row.name: row for row in found.rows}
    for language in ("de", "en"):
        judged = rows[language].judged
        assert judged["after"].error < judged["raw"].error / 2 and judged["after"].decided > judged["raw"].decided + 20
        assert judged["before"].error < judged["raw"].error, "towns that are missing cost something even uncalibrated"
        assert rows[language].fitted
    assert not rows["fi"].fitted and set(found.known.languages) == {"de", "en"}
    assert found.all.judged["after"].error < found.all.judged["raw"].error / 2
    assert (tmp_path / "o" / "plots" / "reliability.png").is_file()
    assert {row.name: row.samples for row in (*found.rows, found.all)} == {"de": 216, "en": 216, "fi": 24, "all": 456}
    metrics = json.loads((tmp_path / "o" / "metrics.json").read_text("utf-8"))
    assert metrics["rows"][-1]["name"] == "all" and set(metrics["bins"]) == {"raw", "before", "after"}


def test_metrics_state_the_calibration_as_its_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from indexing.models import registry

    monkeypatch.setenv("DOCQA_DATA", str(tmp_path / "data"))
    found = calibrate(QuestionSet.read([write(tmp_path / "q")]), measured(), EMBEDDER, retrieve=5, out=tmp_path / "o")
    stored = json.loads(calibration_store.save(registry.resolve("builtin", "reader"), found.known).read_text("utf-8"))
    known = json.loads((tmp_path / "o" / "metrics.json").read_text("utf-8"))["known"]
    assert known == {name: value for name, value in stored.items() if name != "fingerprint"}
    assert set(known["pooled"]) == {"sharp", "shift", "threshold"} and known["about"] == {"questions": 228}
    assert set(known["found"]["lift"]["typical"]) == {"nearness", "words"}


def test_no_sample_is_measured_by_what_it_taught(tmp_path: Path) -> None:
    """Where each half needs another cut, each is judged by the other's: one always answers, the other never does."""
    questions = QuestionSet.read([write(tmp_path / "q", ("de",))])
    side = sides(questions)
    with Results.writing(None, {}) as results:
        asked = list(open_predictions(questions, measured(), EMBEDDER, OpenDomainSettings(5), results, None))
    predictions = []
    for one in asked:
        high = 4.0 if side[one.present.key] else 0.0
        read = [ReadPassage((5.0 if r.own else 3.0) + high, 0.5, 0.5, r.own, r.own) for r in one.read]
        assert sum(r.own for r in read) == 1
        predictions.append(replace(one, read=tuple(read)))
    found = learn(questions, predictions, Calibration(), "e")
    assert found.all.judged["after"].decided == 50.0


def test_paragraphs_and_their_translations_are_on_one_side(tmp_path: Path) -> None:
    questions = QuestionSet.read([write(tmp_path / "q")])
    side = sides(questions)
    by_town: dict[str, set[bool]] = {}
    for (_, id), first in side.items():
        by_town.setdefault(id.split("-")[0], set()).add(first)
    assert all(len(found) == 1 for found in by_town.values())
    assert 8 <= sum(found == {True} for found in by_town.values()) <= 28
    assert sides(QuestionSet(questions.examples[::-1], questions.files)) == side


def test_a_run_goes_on_also_after_it_was_calibrated(tmp_path: Path) -> None:
    questions = QuestionSet.read([write(tmp_path / "q")])
    first = calibrate(questions, measured(), EMBEDDER, retrieve=5, out=tmp_path / "o")
    now = MeasuredReader(LoadedReader(Overconfident(), "sure", Calibration(0.5, 7.0, 0.5)), "sure", "1")
    again = calibrate(questions, now, EMBEDDER, retrieve=5, out=tmp_path / "o")
    assert again.known == first.known and again.all.judged["before"] != first.all.judged["before"]


def test_too_little_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="too little"):
        calibrate(QuestionSet.read([write(tmp_path / "q", ("fi",))]), measured(), EMBEDDER)


def test_in_the_terminal_it_is_kept_unless_it_is_a_rehearsal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from indexing.models import registry

    folder = write(tmp_path / "q")
    monkeypatch.setenv("DOCQA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(MeasuredReader, "load", lambda name: MeasuredReader(measured().loaded, "builtin", "1"))
    monkeypatch.setattr(Embedder, "load", lambda name: EMBEDDER)
    builtin = registry.resolve("builtin", "reader")
    before = calibration_store.load(builtin)
    assert main(["calibrate", str(folder), "--reader", "builtin", "--dry-run", "--retrieve", "5"]) == 0
    out = capsys.readouterr().out
    assert "ECE" in out and "too few" in out and "share of words" in out and calibration_store.load(builtin) == before
    assert main(["calibrate", str(folder), "--reader", "builtin", "--retrieve", "5", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == ["de", "en", "fi", "all"]
    kept = calibration_store.load(builtin)
    assert kept is not None and kept != before and set(kept.languages) == {"de", "en"}

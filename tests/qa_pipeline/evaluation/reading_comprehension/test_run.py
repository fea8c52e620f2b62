"""`docqa evaluate`: every question once whatever stops the run, the scorer named, intervals that mean something."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.errors import SettingError
from qa_pipeline.answering.calibration import Calibration
from qa_pipeline.answering.evidence_weights import EvidenceWeights
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.cli.main import main
from qa_pipeline.evaluation.metrics.bootstrap import difference, figure, holm, resample
from qa_pipeline.evaluation.metrics.scorers import SCORERS, scorer_for
from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader, evaluate_reading
from qa_pipeline.evaluation.reading_comprehension.summary import summarise
from qa_pipeline.evaluation.runs.predictions import Prediction, QuestionSet, row_name, spread
from qa_pipeline.evaluation.runs.results_folder import OLD_KEYS, Results
from qa_pipeline.reading.readings import Reading
from qa_pipeline.retrieval.evidence import Evidence
from tests.known import WordReader

ROOT = Path(__file__).resolve().parents[4]
CONTEXT = "The bridge opened in 1912. The tunnel closed in 1950."


def row(id: str, question: str, *answers: str, context: str = CONTEXT, lang: str = "en") -> dict[str, Any]:
    found = [{"text": text, "answer_start": context.index(text)} for text in answers]
    return {"id": id, "question": question, "context": context, "answers": found, "lang": lang}


ROWS = [
    row("1", "When opened the bridge?", "1912"),
    row("2", "When closed the tunnel?", "1950"),
    row("3", "Wann öffnete die Brücke?", "1912", lang="de", context="Die Brücke öffnete 1912."),
]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def measured(reader: Any = None) -> MeasuredReader:
    return MeasuredReader(LoadedReader(reader or WordReader(), "words", Calibration(threshold=0.5)), "words", "1")


class Counting(WordReader):
    """Counts the questions it is put, and stops after some."""

    def __init__(self, stop: float = math.inf) -> None:
        self.asked = 0
        self.stop = stop

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        if self.asked >= self.stop:
            raise KeyboardInterrupt
        self.asked += 1
        return super().read(question, texts)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_table_is_what_one_counts_by_hand(tmp_path: Path) -> None:
    questions = QuestionSet.read([write(tmp_path / "q.jsonl", ROWS)])
    summary = evaluate_reading(questions, measured(), SCORERS["squad1"])
    values = {row.name: (row.questions, row.exact.value, row.f1.value) for row in (*summary.rows, summary.mean, summary.all)}
    assert values == {
        "de": (1, 100.0, 100.0),
        "en": (2, 50.0, 50.0),
        "mean": (3, 75.0, 75.0),
        "all": (3, pytest.approx(200 / 3), pytest.approx(200 / 3)),
    }


def test_a_question_in_another_language_has_its_own_row() -> None:
    assert row_name("en", "de") == "en→de"


def prediction(id: str, wanted: Sequence[str], best: str, no_answer: float, threshold: float = 0.5) -> Prediction:
    given = "" if no_answer > threshold else best
    return Prediction("f", id, "en", "en", tuple(wanted), given, best, 0, len(best), 0.0, no_answer)


PREDICTIONS = [
    prediction("1", ["1912"], "1912", 0.1),
    prediction("2", ["year 1950"], "1950", 0.7),
    prediction("3", [], "Mara", 0.3),
    prediction("4", [], "Mara", 0.9),
]


def test_squad2_counts_silence_and_tells_all_its_script_tells() -> None:
    summary = summarise(PREDICTIONS, SCORERS["squad2"])
    assert (summary.all.exact.value, summary.all.f1.value, summary.all.answerable) == (50.0, 50.0, 2)
    assert summary.all.details == pytest.approx(
        {
            "HasAns_exact": 50.0,
            "HasAns_f1": 50.0,
            "HasAns_total": 2,
            "NoAns_exact": 50.0,
            "NoAns_f1": 50.0,
            "NoAns_total": 2,
            "best_exact": 75.0,
            "best_exact_thresh": 0.1,
            "best_f1": 75.0,
            "best_f1_thresh": 0.1,
            "pr_exact_ap": 50.0,
            "pr_f1_ap": 100 * (1 / 2 + (5 / 9) * (1 / 3)),
            "pr_oracle_ap": 100 * (1 / 2 + 1 / 3),
        }
    )


def test_where_every_question_has_an_answer_the_best_span_counts() -> None:
    summary = summarise(PREDICTIONS[:2], SCORERS["squad1"])
    assert summary.all.f1.value == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert summary.all.details == {"would_say_no_answer": 50.0}


def test_the_mean_of_tydiqa_leaves_english_out() -> None:
    rows = [PREDICTIONS[0], Prediction("f", "2", "fi", "fi", ("x",), "y", "y", 0, 1, 0.0, 0.1)]
    summary = summarise(rows, SCORERS["tydiqa"])
    assert (summary.mean.exact.value, summary.all.exact.value, len(summary.rows)) == (0.0, 50.0, 2)


def test_the_mean_leaves_out_rows_of_few_questions_and_says_which() -> None:
    rows = [Prediction("f", f"{n}", "ar", "ar", ("x",), "x", "x", 0, 1, 0.0, 0.1) for n in range(20)]
    rows += [Prediction("f", f"e{n}", "ar", "en", ("x",), "y", "y", 0, 1, 0.0, 0.1) for n in range(19)]
    summary = summarise(rows, SCORERS["squad1"])
    assert (summary.mean.exact.value, summary.mean.questions, summary.left_out) == (100.0, 20, ("en→ar",))
    assert summary.as_dict()["mean_leaves_out"] == ["en→ar"] and len(summary.rows) == 2
    few = summarise(rows[20:], SCORERS["squad1"])
    assert (few.mean.questions, few.left_out) == (19, ())


# -- intervals ---------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_statistics() -> None:
    """400 coins: the normal interval of their mean is 1.96 * sqrt(p * (1 - p) / 400) to either side."""
    coins = np.array([[0.0], [1.0]] * 200)
    found = figure(0.5, resample(coins)[:, 0])
    assert found.value == 50.0
    assert (50 - found.low, found.high - 50) == (pytest.approx(4.9, abs=0.6), pytest.approx(4.9, abs=0.6))
    certain = figure(1.0, resample(np.ones((7, 1)))[:, 0])
    assert (certain.low, certain.high) == (100.0, 100.0)


def test_the_same_predictions_have_the_same_interval() -> None:
    columns = np.random.default_rng(5).random((50, 2))
    assert np.array_equal(resample(columns, "de"), resample(columns, "de"))
    assert not np.array_equal(resample(columns, "de"), resample(columns, "en"))


def test_p_is_small_for_what_differs_and_large_for_what_does_not() -> None:
    random = np.random.default_rng(1)
    noise = random.choice([-1.0, 0.0, 1.0], size=(500, 1))
    clear = noise + random.choice([0.0, 0.5], size=(500, 1))
    assert difference(float(noise.mean()), resample(noise)[:, 0]).p > 0.1
    assert difference(float(clear.mean()), resample(clear)[:, 0]).p < 0.01
    assert difference(0.0, resample(np.zeros((9, 1)))[:, 0]).p == 1.0


def test_p_is_uniform_where_nothing_differs() -> None:
    """Of runs that are alike, one in ten looks unlike at p < 0.1: nearly so, as resampling is."""
    found = []
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(size=(80, 1))
        found.append(difference(float(noise.mean()), resample(noise, str(seed))[:, 0]).p)
    assert 0.02 <= sum(p < 0.1 for p in found) / 60 <= 0.25 and 0.3 < float(np.median(found)) < 0.7


def test_holm_never_makes_a_p_smaller_and_keeps_the_order() -> None:
    values = [0.2, 0.001, 0.04, 0.9, 0.012]
    adjusted = holm(values)
    assert adjusted == pytest.approx([0.4, 0.005, 0.12, 0.9, 0.048])


# -- the folder --------------------------------------------------------------------------------------------------------


def letters(number: int) -> str:
    """A word for a number, since a passage that lacks a number of the question does not answer it."""
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


@pytest.fixture
def many(tmp_path: Path) -> QuestionSet:
    rows = [row(str(n), f"When opened the bridge {letters(n)}?", "1912") for n in range(200)]
    return QuestionSet.read([write(tmp_path / "many.jsonl", rows)])


def test_a_stopped_run_goes_on_and_asks_nothing_twice(many: QuestionSet, tmp_path: Path) -> None:
    first, second = Counting(stop=130), Counting()
    with pytest.raises(KeyboardInterrupt):
        evaluate_reading(many, measured(first), SCORERS["squad1"], tmp_path / "o")
    kept = len(Results.read(tmp_path / "o").lines)
    assert 0 < kept <= 130
    with open(tmp_path / "o" / "predictions.jsonl", "ab") as file:
        file.write(b'{"origin": "many.jsonl", "id": "19')
    seen: list[tuple[int, int]] = []
    summary = evaluate_reading(many, measured(second), SCORERS["squad1"], tmp_path / "o", lambda *at: seen.append(at))
    assert second.asked == 200 - kept and summary.all.questions == 200 and seen[-1] == (200, 200)
    lines = (tmp_path / "o" / "predictions.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(n) for n in range(200)]
    whole = evaluate_reading(many, measured(), SCORERS["squad1"])
    assert whole == summary
    third = Counting()
    assert (
        evaluate_reading(many, measured(third), SCORERS["mlqa"], tmp_path / "o").scorer.name == "mlqa" and third.asked == 0
    )


@pytest.mark.parametrize("torn", [b"\xff\xfe\n", b"[1]\n", b'{"a": 1}', b"\n"])
def test_a_torn_line_and_what_follows_is_made_again(many: QuestionSet, tmp_path: Path, torn: bytes) -> None:
    evaluate_reading(many, measured(), SCORERS["squad1"], tmp_path / "o")
    path = tmp_path / "o" / "predictions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:70]) + torn)
    again = Counting()
    evaluate_reading(many, measured(again), SCORERS["squad1"], tmp_path / "o")
    assert again.asked == 130 and path.read_bytes() == b"".join(lines)


def test_another_run_does_not_go_on_in_the_folder(many: QuestionSet, tmp_path: Path) -> None:
    evaluate_reading(many, measured(), SCORERS["squad1"], tmp_path / "o")
    other = QuestionSet(many.examples[:5], ({**many.files[0], "questions": 5},))
    with pytest.raises(SettingError, match="another set of questions"):
        evaluate_reading(other, measured(), SCORERS["squad1"], tmp_path / "o")
    with pytest.raises(SettingError, match="another reader"):
        evaluate_reading(many, MeasuredReader(LoadedReader(WordReader(), "x"), "x", "2"), SCORERS["squad1"], tmp_path / "o")
    learned = LoadedReader(WordReader(), "words", Calibration(threshold=0.7))
    with pytest.raises(SettingError, match="another calibration"):
        evaluate_reading(many, MeasuredReader(learned, "words", "1"), SCORERS["squad1"], tmp_path / "o")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(SettingError, match="other files"):
        evaluate_reading(many, measured(), SCORERS["squad1"], tmp_path / "mine")
    with pytest.raises(SettingError, match="no results"):
        Results.read(tmp_path / "mine")


def test_a_run_from_before_the_keys_of_calibrations_were_renamed_continues(many: QuestionSet, tmp_path: Path) -> None:
    weights = EvidenceWeights(4.5, 8.1, Evidence(0.775, 0.2), "embedder")
    found = Calibration(0.29, 7.1, 0.6, 5.0, "pooled", evidence_weights=weights)
    fitted = Calibration(0.25, 4.1, 0.65, 5.0, "pooled", languages={"de": Calibration(0.3, 1.0)}, found=found)
    reader = Counting()
    first, again = (MeasuredReader(LoadedReader(one, "words", fitted), "words", "1") for one in (Counting(), reader))
    evaluate_reading(many, first, SCORERS["squad1"], tmp_path / "o")
    settings = (tmp_path / "o" / "settings.json").read_text("utf-8")
    for old, new in OLD_KEYS.items():
        assert f'"{new}"' in settings
        settings = settings.replace(f'"{new}"', f'"{old}"')
    (tmp_path / "o" / "settings.json").write_text(settings, "utf-8")
    evaluate_reading(many, again, SCORERS["squad1"], tmp_path / "o")
    assert reader.asked == 0


def test_two_runs_do_not_write_at_once(many: QuestionSet, tmp_path: Path) -> None:
    second = Results.writing(tmp_path / "o", {})
    with Results.writing(tmp_path / "o", {}), pytest.raises(SettingError, match="Another run"), second:
        pass


def test_the_folder_holds_what_people_and_programs_look_at(many: QuestionSet, tmp_path: Path) -> None:
    evaluate_reading(many, measured(), SCORERS["squad2"], tmp_path / "o")
    metrics = json.loads((tmp_path / "o" / "metrics.json").read_text("utf-8"))
    assert metrics["scorer"] == "squad2" and metrics["rows"][0]["exact"]["value"] == 100.0
    for name in ("by-language", "precision-recall"):
        assert (tmp_path / "o" / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (tmp_path / "o" / "plots" / f"{name}.svg").read_bytes()


def test_without_matplotlib_there_are_metrics_and_one_sentence(
    many: QuestionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingError, match="docqa\\[evaluation\\]"):
        evaluate_reading(many, measured(), SCORERS["squad1"], tmp_path / "o")
    assert (tmp_path / "o" / "metrics.json").is_file()


# -- questions ---------------------------------------------------------------------------------------------------------


def test_a_limit_takes_the_same_places_of_parallel_files(tmp_path: Path) -> None:
    for language in ("de", "en"):
        write(tmp_path / f"{language}.jsonl", [row(str(n), "Q?", "1912", lang=language) for n in range(10)])
    questions = QuestionSet.read([tmp_path], limit=3)
    assert [(e.language, e.id) for e in questions.examples] == [(lang, id) for lang in ("de", "en") for id in "036"]
    assert spread(questions.examples, 100) == list(questions.examples)


def test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "de.jsonl", ROWS)
    with pytest.raises(SettingError, match="Two files are called de.jsonl"):
        QuestionSet.read([tmp_path])


# -- the terminal ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(MeasuredReader, "load", lambda name: measured())
    yield


@pytest.mark.usefixtures("stubbed")
def test_the_scorer_is_named_beside_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(write(tmp_path / "q.jsonl", ROWS))
    assert main(["evaluate", file]) == 0
    out = capsys.readouterr().out
    assert "squad1" in out and "de " in out and "mean" in out and "95 %" in out
    assert main(["evaluate", file, "--scorer", "mlqa", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == ["de", "en", "mean", "all"] and {row["scorer"] for row in rows} == {"mlqa"}


@pytest.mark.usefixtures("stubbed")
@pytest.mark.parametrize(
    "more, words", [(["--limit", "0"], "--limit"), (["--scorer", "bleu"], "squad1"), ([], "no questions")]
)
def test_wrong_use_is_one_sentence(tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "q.json").write_text('{"data": []}' if not more else json.dumps(ROWS), "utf-8")
    try:
        status = main(["evaluate", str(tmp_path / "q.json"), *more])
    except SystemExit as stop:
        status = int(stop.code or 0)
    err = capsys.readouterr().err
    assert status == 2 and words in err and len(err.strip().splitlines()) == 1


def test_killed_it_goes_on(tmp_path: Path) -> None:
    """The real command with the built-in reader, killed by -9 once it has written something, then run again."""
    rows = [row(str(n), f"When did the {n}th bridge open?", "1912") for n in range(192)]
    file, out = write(tmp_path / "q.jsonl", rows), tmp_path / "o"
    command = [sys.executable, "-m", "qa_pipeline.cli", "evaluate", str(file), "--reader", "builtin", "--out", str(out)]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and not (out / "predictions.jsonl").is_file():
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL) if run.poll() is None else None
    run.wait()
    again = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    lines = (out / "predictions.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(n) for n in range(192)]
    assert json.loads(again.stdout.splitlines()[-1])["questions"] == 192


def test_what_people_said_evaluates_as_any_set(tmp_path: Path, corpus: Path) -> None:
    """Feedback, exported as the service exports it: one question answered, one said to have no answer in its document."""
    from indexing.build import build_index
    from indexing.store.corpus_db import IndexFolder
    from qa_pipeline.service.feedback import FeedbackStore, squad
    from tests.known import WordEmbedder

    build_index(corpus, tmp_path / "i", embedder=WordEmbedder())  # type: ignore[arg-type]
    store = FeedbackStore(tmp_path / "service.db")
    with IndexFolder.open(tmp_path / "i") as folder:
        ids = {source: id for id, source, *_ in folder.document_rows()}
        place = {"document_id": ids["reports/bridge.txt"], "start": 21, "end": 25, "text": "1912"}
        store.add("c", folder, question="When opened the bridge?", verdict="right", **place)  # type: ignore[arg-type]
        store.add("c", folder, question="Who paid?", verdict="wrong", document_id=ids["reports/mine.txt"])
        exported = squad(reversed(store.list("c")), folder)
    (tmp_path / "feedback.json").write_text(json.dumps(exported), "utf-8")
    questions = QuestionSet.read([tmp_path / "feedback.json"])
    scorer = scorer_for(questions.examples)
    summary = evaluate_reading(questions, measured(), scorer)
    assert (scorer.name, summary.all.questions, summary.all.answerable) == ("squad2", 2, 1)
    assert summary.all.exact.value == 100.0

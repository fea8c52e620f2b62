"""Results folders as `docqa evaluate` makes them, of readers whose behaviour is known: a few questions in three scripts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qa_pipeline.answering.calibration import Calibration
from qa_pipeline.answering.calibration_store import StoredCalibration
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.evaluation.analysis.stored_run import QuestionFile
from qa_pipeline.evaluation.calibration.run import CalibrationResult, as_dict
from qa_pipeline.evaluation.metrics.calibration import CalibratedRow
from qa_pipeline.evaluation.metrics.calibration import DecisionFigures as CalibrationJudged
from qa_pipeline.evaluation.metrics.scorers import SCORERS
from qa_pipeline.evaluation.open_domain.run import evaluate_open
from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader, evaluate_reading
from qa_pipeline.evaluation.runs.predictions import Prediction, QuestionSet
from qa_pipeline.evaluation.runs.results_folder import CALIBRATION, Results
from qa_pipeline.reading.readings import Reading
from tests.known import WordEmbedder, WordReader

PROBE = "<img src=x onerror=alert(1)>"
ENGLISH = "The bridge opened in 1912. The tunnel closed in 1950."
GERMAN = "Die Brücke öffnete 1912. Der Tunnel schloss 1950."
ARABIC = "افتتح الجسر عام 1912 وأغلق النفق عام 1950 في الجزيرة."


def row(id: str, lang: str, question: str, answer: str, context: str) -> dict[str, Any]:
    answers = [{"text": answer, "answer_start": context.index(answer)}] if answer else []
    return {"id": id, "question": question, "context": context, "answers": answers, "lang": lang}


# WordReader gives the first number: right where that is wanted, partly where it is a part, else wrong.
ROWS = [
    row("1", "en", "When opened the bridge?", "1912", ENGLISH),
    row("2", "en", f"When closed the tunnel {PROBE}?", "1950", ENGLISH),
    row("3", "en", "Since when is the bridge opened?", "in 1912", ENGLISH),
    row("4", "de", "Wann öffnete die Brücke?", "1912", GERMAN),
    row("5", "de", "Wann schloss der Tunnel?", "1950", GERMAN),
    row("6", "ar", "متى افتتح الجسر ؟", "عام 1950 في الجزيرة", ARABIC),
]


class Silent(WordReader):
    """Finds nothing."""

    def _one(self, asked: set[str], text: str) -> Reading:
        return Reading()


def measured(reader: Any = None, name: str = "words") -> MeasuredReader:
    return MeasuredReader(LoadedReader(reader or WordReader(), name, Calibration(threshold=0.5)), name, "1")


def questions(folder: Path, rows: list[dict[str, Any]] | None = None, name: str = "asked.jsonl") -> QuestionSet:
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in rows or ROWS), "utf-8")
    return QuestionSet.read([path])


def make_run(out: Path, beside: Path) -> None:
    """One run of reading."""
    evaluate_reading(questions(beside), measured(), SCORERS["squad1"], out)


def make_runs(home: Path, beside: Path) -> Path:
    """A home with the runs: good, poor (another reader), open, half (stopped), torn (broken). Its evaluations' folder."""
    asked, runs = questions(beside), home / "evaluations"
    evaluate_reading(asked, measured(), SCORERS["squad1"], runs / "good")
    evaluate_reading(asked, measured(Silent(), "silent"), SCORERS["squad1"], runs / "poor")
    evaluate_open(asked, measured(), WordEmbedder(), SCORERS["squad1"], out=runs / "open")  # type: ignore[arg-type]
    evaluate_reading(asked, measured(), SCORERS["squad1"], runs / "half")
    (runs / "half" / "metrics.json").unlink()
    (runs / "torn").mkdir()
    (runs / "torn" / "settings.json").write_text('{"kind": "reading", "rea', "utf-8")
    return runs


def make_calibration(out: Path) -> None:
    """A calibration's folder: its table as the command writes it, over one question."""
    one = QuestionFile("asked.jsonl", 1)
    settings = {"kind": CALIBRATION, "reader": {"name": "words"}, "set_of_questions": [asdict(one)], "retrieve": 3}
    judged = {way: CalibrationJudged(error, 80.0) for way, error in (("raw", 20.0), ("before", 10.0), ("after", 2.5))}
    rows = tuple(CalibratedRow(name, 60, True, judged) for name in ("en", "all"))
    said = Prediction("asked.jsonl", "1", "en", "en", ("1912",), "", "1912", 0, 4, 1.0, 0.6)
    with Results.writing(out, settings) as results:
        results.append([said.as_dict()])
        results.write_questions([{"origin": "asked.jsonl", "id": "1", "question": "When opened the bridge?"}])
        results.write_metrics(as_dict(CalibrationResult(StoredCalibration((1.0, 0.0, 0.5), {}, {}), rows[:1], rows[1], {})))

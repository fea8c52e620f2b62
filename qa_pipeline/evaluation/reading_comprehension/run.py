"""Runs a reading comprehension evaluation into a results folder. Entry point: `evaluate_reading`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_pipeline.evaluation.metrics.no_answer import precision_recall
from qa_pipeline.evaluation.metrics.scorers import Scorer
from qa_pipeline.evaluation.reading_comprehension.summary import Summary, summarise
from qa_pipeline.evaluation.runs import plots
from qa_pipeline.evaluation.runs.predictions import Prediction, QuestionSet, predict
from qa_pipeline.evaluation.runs.question_records import question_record
from qa_pipeline.evaluation.runs.results_folder import PLOTS, READING, Results

if TYPE_CHECKING:
    from qa_pipeline.answering.loaded_reader import LoadedReader

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MeasuredReader:
    """A loaded reader, the name it was requested by, and the fingerprint of its weights."""

    loaded: LoadedReader
    name: str
    fingerprint: str

    @classmethod
    def load(cls, name: str) -> MeasuredReader:
        """Loads a preset, hub id or folder. Raises ModelMissing, ModelRefused."""
        from indexing.models.registry import resolve
        from qa_pipeline.answering.loaded_reader import LoadedReader

        return cls(LoadedReader.load(name), name, resolve(name, "reader").fingerprint)

    def facts(self) -> dict[str, Any]:
        """What determines its spans."""
        return {"name": self.name, "fingerprint": self.fingerprint}


def settings_of(questions: QuestionSet, reader: MeasuredReader) -> dict[str, Any]:
    """The content of settings.json: runs with equal settings make equal predictions."""
    return {
        "format": 1,
        "kind": READING,
        "reader": reader.facts(),
        "calibration": asdict(reader.loaded.calibration),
        "set_of_questions": list(questions.files),
    }


def evaluate_reading(
    questions: QuestionSet, reader: MeasuredReader, scorer: Scorer, out: Path | None = None, progress: Progress | None = None
) -> Summary:
    """Reads every question not yet in `out`, and returns the table over all questions.

    progress: questions done and total. Raises SettingError for the folder of another run.
    """
    with Results.writing(out, settings_of(questions, reader)) as results:
        done = {(line["origin"], line["id"]) for line in results.lines}
        left = [example for example in questions.examples if (example.origin, example.id) not in done]
        for part in predict(reader.loaded.reader, reader.loaded.calibration.of, left):
            results.append(prediction.as_dict() for prediction in part)
            if progress:
                progress(len(results.lines), len(questions.examples))
        predictions = [Prediction.from_dict(line) for line in results.lines]
        results.write_questions(map(asdict, question_record(questions.examples, predictions)))
        summary = summarise(predictions, scorer)
        write_metrics(results, summary)
    return summary


def write_metrics(results: Results, summary: Summary) -> None:
    """Writes metrics.json and the plots of a reading comprehension run."""
    name = str(results.settings["reader"]["name"])
    results.write_metrics({"kind": READING, "reader": name, **summary.as_dict()})
    if results.path is None:
        return
    title = f"{name}: {summary.all.questions:,} questions"
    pictures = {"by-language": plots.by_language([*summary.rows, summary.mean], summary.scorer.name, title)}
    if summary.scorer.name == "squad2" and summary.all.answerable:
        pictures["precision-recall"] = _precision_recall(
            [Prediction.from_dict(line) for line in results.lines], summary.scorer
        )
    for plot, drawn in pictures.items():
        for file, data in plots.files(plot, drawn):
            results.write(f"{PLOTS}/{file}", data)


def _precision_recall(predictions: list[Prediction], scorer: Scorer) -> Any:
    answerable, no_answer_scores = [bool(p.wanted) for p in predictions], [p.no_answer for p in predictions]
    raw = [scorer.score(p.best, p.wanted, p.language) for p in predictions]
    curves = []
    for column, label in enumerate(("exact", "F1")):
        found = precision_recall([pair[column] for pair in raw], answerable, no_answer_scores)
        curves.append((f"{label} (average precision {100 * found.average:.1f} %)", found.points))
    return plots.precision_recall(curves, f"all questions, {scorer.name}")

"""Runs an open-domain evaluation into a results folder: corpus, predictions, table. Entry point: `evaluate_open`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qa_pipeline.evaluation.metrics.scorers import Scorer
from qa_pipeline.evaluation.open_domain.asker import SYSTEMS, OpenAsker, OpenPrediction, Parallel
from qa_pipeline.evaluation.open_domain.corpus import make_corpus
from qa_pipeline.evaluation.open_domain.summary import MATRIX_CUT, OpenSummary, summarise_open
from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader, Progress, settings_of
from qa_pipeline.evaluation.runs import plots
from qa_pipeline.evaluation.runs.predictions import QuestionSet
from qa_pipeline.evaluation.runs.question_records import question_record
from qa_pipeline.evaluation.runs.results_folder import OPEN_DOMAIN, PLOTS, Results

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder


FORMAT = 4


@dataclass(frozen=True, slots=True)
class OpenDomainSettings:
    """retrieve: passages read per question. across: also search the corpora of the other languages."""

    retrieve: int = 10
    across: bool = False


def evaluate_open(
    questions: QuestionSet,
    reader: MeasuredReader,
    embedder: Embedder,
    scorer: Scorer,
    *,
    how: OpenDomainSettings = OpenDomainSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> OpenSummary:
    """Asks every question not yet in `out`, and returns the table over all questions.

    progress: questions done and total. Raises SettingError for the folder of another run.
    """
    settings = {
        **settings_of(questions, reader),
        "kind": OPEN_DOMAIN,
        "format": FORMAT,
        "embedder": embedder.facts(),
        "retrieve": how.retrieve,
        "across": how.across,
    }
    with Results.writing(out, settings) as results:
        summary = summarise_open(open_predictions(questions, reader, embedder, how, results, progress), scorer)
        _write(results, summary)
    return summary


def open_predictions(
    questions: QuestionSet,
    reader: MeasuredReader,
    embedder: Embedder,
    how: OpenDomainSettings,
    results: Results,
    progress: Progress | None,
) -> list[OpenPrediction]:
    """The stored predictions and those of the remaining questions."""
    results.write_questions(map(asdict, question_record(questions.examples)))
    done = {(line["origin"], line["id"]) for line in results.lines}
    left = [example for example in questions.examples if (example.origin, example.id) not in done]
    if left:
        with _folder(results.path) as folder:
            corpus = make_corpus(questions.contexts, folder, embedder)
            parallel = Parallel.of(questions.examples) if how.across else None
            of = reader.loaded.calibration.with_embedder(embedder.dense_score_name).of
            asker = OpenAsker(corpus, embedder, reader.loaded.reader, of, retrieve=how.retrieve, parallel=parallel)
            with corpus.index:
                for part in asker.ask(left):
                    results.append(prediction.as_dict() for prediction in part)
                    if progress:
                        progress(len(results.lines), len(questions.examples))
    return [OpenPrediction.from_dict(line) for line in results.lines]


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder of the corpus: the results folder, or a temporary one for the duration of the block."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="docqa-evaluate-") as folder:
        yield Path(folder)


def _write(results: Results, summary: OpenSummary) -> None:
    """Writes metrics.json and the plots."""
    name = str(results.settings["reader"]["name"])
    facts = {"kind": OPEN_DOMAIN, "reader": name, "embedder": results.settings["embedder"]["name"]}
    results.write_metrics({**facts, **summary.as_dict()})
    if results.path is None:
        return
    names = [row.name for row in summary.rows]
    found = [(system, [row.retrieval[system].recall[MATRIX_CUT] for row in summary.rows]) for system in SYSTEMS]
    pictures = {
        "by-language": plots.by_language(summary.rows, summary.scorer.name, f"{name}, open domain, as given"),
        "retrieval": plots.lines(names, found, f"recall@{MATRIX_CUT}, %", "the right passage is found"),
    }
    if summary.matrix:
        languages = sorted({*summary.matrix, *(language for row in summary.matrix.values() for language in row)})
        cells = [[summary.matrix.get(q, {}).get(d) for d in languages] for q in languages]
        pictures["matrix"] = plots.heat_map(languages, cells, f"recall@{MATRIX_CUT}, %")
    for plot, drawn in pictures.items():
        for file, data in plots.files(plot, drawn):
            results.write(f"{PLOTS}/{file}", data)

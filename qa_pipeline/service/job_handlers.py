"""Job handlers: index a corpus, add its sentence vectors, and answer a question file.

An interrupted index job resumes after its last committed batch, a deepening job likewise. An interrupted question job
starts again from the first question.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from indexing.atomic_files import open_atomic
from indexing.errors import IndexBusy
from indexing.files.file_text import FileLimits
from indexing.ocr.settings import OcrSettings
from indexing.speed import IndexingSpeed
from qa_pipeline.answers import Reply
from qa_pipeline.errors import CorpusMissing, JobCancelled, JobNotDone
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.job_store import Job
from qa_pipeline.service.job_worker import POLL_S, Report
from qa_pipeline.service.question_files import ROWS, AnsweredRow, BatchQuestion, run_questions, write_answers
from qa_pipeline.service.question_worker import parse_questions
from qa_pipeline.service.settings import ServerSettings

if TYPE_CHECKING:
    from indexing.report import Report as Built
    from indexing.scans import RecognitionProgress

BUSY_S = 600.0
GIVE_WAY_S = 30.0
ASKED_POLL_S = 0.05


class JobContext(Protocol):
    """The part of the service that job handlers use."""

    settings: ServerSettings
    home: Home

    def ask_in_turn(self, asked: BatchQuestion) -> Reply: ...

    def is_asked(self) -> bool: ...


def index(service: JobContext, job: Job, report: Report) -> dict[str, Any]:
    """Bring the index of a corpus up to date; returns the result of `index_corpus`."""
    limits = FileLimits(max_bytes=service.settings.file_bytes)
    return index_corpus(
        service.home, service.home.corpus(job.corpus), report, limits=limits, ocr=service.settings.recognition
    )


def deepen(service: JobContext, job: Job, report: Report) -> dict[str, Any]:
    """Add the sentence vectors that a corpus lacks; returns {"deepened", "passages", "added"}.

    Between its batches it waits while questions are read or wait, so it delays a question by one batch at most.
    Raises JobCancelled, CorpusMissing for a corpus deleted meanwhile, and the errors of `deepen_index`.
    """
    from indexing.deepen import deepen_index

    corpus = service.home.corpus(job.corpus)

    def give_way(done: int, total: int) -> None:
        report(done, total, "Adding sentence vectors.")
        until = time.monotonic() + GIVE_WAY_S
        while service.is_asked() and time.monotonic() < until:
            time.sleep(ASKED_POLL_S)

    embedder = service.home.embedder(corpus.embedder).sentence_embedder()
    gone = CorpusMissing(f"The corpus {corpus.name!r} was deleted meanwhile.")
    try:
        done = deepen_index(corpus.index, embedder=embedder, progress=give_way)
    except JobCancelled:
        raise
    except Exception:
        if corpus.path.is_dir():
            raise
        raise gone from None
    if not corpus.path.is_dir():
        raise gone
    return {"deepened": done.deepened, "passages": done.passages, "added": done.added}


def questions(service: JobContext, job: Job, report: Report) -> dict[str, Any]:
    """Answer every question of a file. Writes the rows beside the file; returns their counts by outcome.

    A cancelled job keeps the rows that it had.
    """
    folder = service.home.uploads / str(job.request["folder"])
    name = str(job.request["name"])
    asked = parse_questions(folder / "0", name, service.settings.questions, corpus=job.corpus, wait=True)
    seen = set(job.request["corpora"])

    def ask(question: BatchQuestion) -> Any:
        if question.corpus not in seen:
            raise CorpusMissing(f"There is no corpus {question.corpus!r}.")
        return service.ask_in_turn(question)

    rows: list[AnsweredRow] = []
    try:
        run_questions(asked, ask, report, into=rows)
    except JobCancelled:
        # A deleted collection takes the folder along.
        if folder.is_dir():
            _write_rows(folder, rows)
        raise
    _write_rows(folder, rows)
    return {
        "questions": len(rows),
        "answered": sum(bool(row.answer) for row in rows),
        "no_answer": sum(row.no_answer is True for row in rows),
        "failed": sum(bool(row.error) for row in rows),
        "format": str(job.request["format"]),
    }


def _write_rows(folder: Path, rows: list[AnsweredRow]) -> None:
    with open_atomic(folder / ROWS) as out:
        write_answers(rows, "jsonl", out)


def write_result(uploads: Path, job: Job, kind: str, out: BinaryIO) -> None:
    """Write the answers of a question job as a file; of a cancelled one, those that it had.

    Raises JobNotDone, also for answers deleted after `keep_days`.
    """
    if job.kind != "questions":
        raise JobNotDone(f"The job {job.id} is no batch of questions, so it has no file of answers; its report is in it.")
    if job.state not in ("done", "cancelled"):
        raise JobNotDone(f"The job {job.id} is {job.state}; there are answers only when it is done.")
    path = uploads / str(job.request["folder"]) / ROWS
    if job.state == "cancelled" and not (path.is_file() and path.stat().st_size):
        raise JobNotDone(f"The job {job.id} was cancelled before a question was answered; ask the questions again.")
    if not path.is_file():
        raise JobNotDone(f"The answers of the job {job.id} are no longer kept; ask the questions again.")
    with path.open(encoding="utf-8") as lines:
        write_answers((AnsweredRow(**json.loads(line)) for line in lines), kind, out)


def index_corpus(
    home: Home,
    corpus: Corpus,
    report: Report,
    *,
    limits: FileLimits | None = None,
    ocr: OcrSettings | None = None,
    busy_s: float = BUSY_S,
) -> dict[str, Any]:
    """Bring a corpus's index up to date with its documents. Progress is in bytes of files, then in pages recognised.

    Committed batches stay when the job stops. Waits at most `busy_s` seconds for another writer of the index.
    Returns the build's report as a dictionary: its files without unchanged ones, and "counts" by status.
    Raises JobCancelled, CorpusMissing for a corpus deleted meanwhile, and the errors of `build_index`.
    """
    until = time.monotonic() + busy_s
    while True:
        report(0, 0, "Looking at the files.")
        try:
            return _report(_build(home, corpus, report, limits, ocr))
        except IndexBusy:
            if time.monotonic() > until:
                raise
            report(0, 0, "Waiting for another process that writes to this index.")
            time.sleep(POLL_S)
        except JobCancelled:
            raise
        except Exception:
            if corpus.path.is_dir():
                raise
            raise CorpusMissing(f"The corpus {corpus.name!r} was deleted meanwhile.") from None


def _build(home: Home, corpus: Corpus, report: Report, limits: FileLimits | None, ocr: OcrSettings | None) -> Built:
    from indexing.build import build_index
    from indexing.report import FileReport

    speed, passages, last = IndexingSpeed(), 0, ""

    def progress(file: FileReport, done: int, total: int) -> None:
        nonlocal passages, last
        passages += file.passages
        last = f"{file.source}: {file.status}" + (f" ({file.reason})" if file.reason else "")
        embedding(passages, done, total)

    def embedding(passages: int, done: int, total: int) -> None:
        speed.update(passages, done, total)
        if total:
            report(speed.done, total, " · ".join(filter(None, (last, speed.words()))) or "Computing vectors.")

    def recognising(pages: RecognitionProgress) -> None:
        report(pages.done, pages.total, f"{pages.words().capitalize()}.")

    embedder = home.embedder(corpus.embedder)
    return build_index(
        corpus.documents,
        corpus.index,
        limits=limits,
        progress=progress,
        embedding=embedding,
        embedder=embedder,
        emptied=True,
        ocr=ocr,
        recognising=recognising,
    )


def _report(built: Built) -> dict[str, Any]:
    """A report as stored in the job: unchanged files are only counted."""
    values = built.as_dict()
    statuses = [file.status for file in built.files]
    values["files"] = [file for file in values["files"] if file["status"] != "unchanged"]
    return {**values, "counts": {status: statuses.count(status) for status in sorted(set(statuses))}}

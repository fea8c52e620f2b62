"""What the jobs of a service do: bring a corpus's index up to date, and answer a file of questions.

An index job that is stopped, by whatever, is done again from where it came: what was committed stays. A file of
questions is asked from its beginning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from indexing.errors import CorpusMissing, JobNotDone
from indexing.files import FileLimits
from qa_pipeline.jobs import Job, Report, index_corpus
from qa_pipeline.questions import AnsweredRow, Asked, read_questions, run_questions, write_answers

if TYPE_CHECKING:
    from qa_pipeline.service import Service

ROWS = "answers.jsonl"


def index(service: Service, job: Job, report: Report) -> dict[str, Any]:
    """Index what changed in a corpus's documents; the result is `index_corpus`'s."""
    limits = FileLimits(max_bytes=service.settings.file_bytes)
    return index_corpus(service.home, service.home.corpus(job.corpus), report, limits=limits)


def questions(service: Service, job: Job, report: Report) -> dict[str, Any]:
    """Ask every question of a file. The rows are kept beside the file; the result tells how many there are of each kind."""
    folder = service.home.uploads / str(job.request["folder"])
    asked = read_questions(
        folder / "0", str(job.request["name"]), service.settings.questions, corpus=job.corpus
    )  # fmt: skip
    seen = set(job.request["corpora"])

    def ask(question: Asked) -> Any:
        if question.corpus not in seen:
            raise CorpusMissing(f"There is no corpus {question.corpus!r}.")
        return service.ask_in_turn(question)

    rows = run_questions(asked, ask, report)
    with (folder / ROWS).open("wb") as out:
        write_answers(rows, "jsonl", out)
    return {
        "questions": len(rows),
        "answered": sum(bool(row.answer) for row in rows),
        "no_answer": sum(row.no_answer is True for row in rows),
        "failed": sum(bool(row.error) for row in rows),
        "format": str(job.request["format"]),
    }


def write_result(uploads: Path, job: Job, kind: str, out: BinaryIO) -> None:
    """The answers of a question job as a file. Raises JobNotDone, also where they are no longer kept."""
    if job.kind != "questions":
        raise JobNotDone(f"The job {job.id} is no batch of questions, so it has no file of answers; its report is in it.")
    if job.state != "done":
        raise JobNotDone(f"The job {job.id} is {job.state}; there are answers only when it is done.")
    path = uploads / str(job.request["folder"]) / ROWS
    if not path.is_file():
        raise JobNotDone(f"The answers of the job {job.id} are no longer kept; ask the questions again.")
    with path.open(encoding="utf-8") as lines:
        write_answers((AnsweredRow(**json.loads(line)) for line in lines), kind, out)

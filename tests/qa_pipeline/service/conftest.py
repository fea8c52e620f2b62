"""A home folder with a corpus; a store of jobs with its workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qa_pipeline.service import job_store
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.job_store import Job, JobStore
from qa_pipeline.service.job_worker import Worker
from tests.known import WordEmbedder


def words(name: str) -> WordEmbedder:
    assert name in ("words", "builtin"), name
    return WordEmbedder()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", create=True, embedder=words)  # type: ignore[arg-type]


@pytest.fixture
def reports(home: Home) -> Corpus:
    return home.create("reports", title="Annual reports", embedder="words")


def below(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


@pytest.fixture
def jobs(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "service.db")


@pytest.fixture
def working() -> Iterator[Callable[..., Worker]]:
    """Makes workers that are stopped at the end."""
    made: list[Worker] = []

    def make(jobs: JobStore, functions: dict[str, Any], **options: Any) -> Worker:
        made.append(Worker(jobs, functions, poll_s=0.02, **options))
        made[-1].start()
        return made[-1]

    yield make
    for worker in made:
        worker.stop(0)


def until(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What `condition` gives as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.01)
    return found


def ended(jobs: JobStore, job: Job) -> Job:
    until(lambda: jobs.get(job.id).state in job_store.ENDED)
    return jobs.get(job.id)


def died(jobs: JobStore) -> None:
    """As if the process of the store had ended, and another one came: the kernel releases its lock."""
    jobs.close()

"""Index jobs: what was committed stays, whatever becomes of the job, its process or its corpus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexing import build
from indexing.errors import IndexBusy
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.errors import CorpusMissing, JobCancelled
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.job_handlers import index_corpus
from qa_pipeline.service.job_store import JobStore
from qa_pipeline.service.job_worker import Work, Worker
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from tests.known import SCRIPTS
from tests.live import known_models
from tests.qa_pipeline.service.conftest import died, ended, until


def wired(home: Home) -> Work:
    """What the service itself does for an index job."""
    return Service(ServerSettings(home.path), known_models())._index


def test_index_jobs_of_a_corpus(home: Home, reports: Corpus, working: Callable[..., Worker]) -> None:
    jobs = JobStore(home.database)
    working(jobs, {"index": wired(home)})
    for name, text in SCRIPTS.items():
        home.put(reports, f"{name}.txt", text.encode())
        os.utime(reports.documents / f"{name}.txt", (1_600_000_000,) * 2)
    home.put(reports, "bad.pdf", b"%PDF-1.7 broken")
    first = ended(jobs, jobs.add("reports", "index", {}))
    assert first.state == "done" and first.done == first.total > 0 and first.result is not None
    assert first.result["counts"] == {"indexed": len(SCRIPTS), "skipped": 1}
    assert {file["source"]: file["reason"] for file in first.result["files"]}["bad.pdf"]
    home.remove(reports, "en.txt")
    second = ended(jobs, jobs.add("reports", "index", {})).result
    assert second is not None and second["counts"] == {"removed": 1, "skipped": 1, "unchanged": len(SCRIPTS) - 1}
    assert {file["source"]: file["status"] for file in second["files"]} == {"en.txt": "removed", "bad.pdf": "skipped"}
    for path in list(reports.documents.iterdir()):
        home.remove(reports, path.name)
    assert ended(jobs, jobs.add("reports", "index", {})).result["documents"] == 0  # type: ignore[index]
    assert ended(jobs, jobs.add("reports", "index", {})).result["files"] == []  # type: ignore[index]
    assert "no corpus 'gone'" in ended(jobs, jobs.add("gone", "index", {})).message


def test_a_cancelled_index_job_keeps_what_was_committed(
    home: Home, reports: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    import indexing.prepare

    monkeypatch.setattr(indexing.prepare, "BATCH_CHARACTERS", 500)
    for n in range(10):
        home.put(reports, f"{n}.txt", f"File {n} says so. ".encode() * 40)
    told: list[str] = []

    def report(done: int, total: int, message: str) -> None:
        told.append(message)
        if message.startswith("4.txt"):
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        index_corpus(home, reports, report)
    assert "Computing vectors." in told
    with Index.open(reports.index) as index:
        assert 5 <= index.folder.counts()["documents"] < 10
        assert [line for line in index.problems() if "derived files" not in line] == []
    assert index_corpus(home, reports, lambda *_: None)["documents"] == 10


def test_another_writer_is_waited_for(home: Home, reports: Corpus) -> None:
    home.put(reports, "a.txt", b"The bridge opened in 1912.")
    told: list[str] = []
    with IndexFolder.open(reports.index, writable=True) as folder, folder.writer():
        with pytest.raises(IndexBusy):
            index_corpus(home, reports, lambda *_: None, busy_s=0)
        thread = threading.Thread(target=index_corpus, args=(home, reports, lambda d, t, message: told.append(message)))
        thread.start()
        until(lambda: any("Waiting" in message for message in told))
    thread.join(120)
    with IndexFolder.open(reports.index) as folder:
        assert folder.counts()["documents"] == 1


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_corpus_deleted_meanwhile(home: Home, reports: Corpus, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home.put(reports, "a.txt", b"The bridge opened in 1912.")

    def deleted(*arguments: Any) -> None:
        reports.path.rename(home.path / "aside")

    if when == "before":
        home.delete("reports")
    else:
        monkeypatch.setattr(build, "_store_run", deleted)
    with pytest.raises(CorpusMissing, match="deleted meanwhile"):
        index_corpus(home, reports, lambda *_: None)
    assert home.corpora() == [] and not reports.path.exists()


# -- two processes -----------------------------------------------------------------------------------------------------


WORKING = """
import sys, time; sys.path.insert(0, {root!r})
from pathlib import Path
from functools import partial
import indexing.prepare
from qa_pipeline.service.home import Home
from qa_pipeline.service.job_store import JobStore
from qa_pipeline.service.job_worker import Worker
from qa_pipeline.service.job_handlers import index_corpus
from tests.known import WordEmbedder
indexing.prepare.BATCH_CHARACTERS = 2_000
home = Home.open(Path({home!r}), embedder=lambda _: WordEmbedder())
def index(job, report):
    def slowly(done, total, message):
        report(done, total, message)
        print(message, flush=True)
        time.sleep(0.01)
    return index_corpus(home, home.corpus(job.corpus), slowly)
worker = Worker(JobStore(home.database), {{"index": index}}, poll_s=0.02)
worker.start()
sys.stdin.read()
worker.stop()
"""


def test_kill_9_of_the_process_that_works(
    home: Home, reports: Corpus, repository: Path, working: Callable[..., Worker]
) -> None:
    """Another process takes the job over and goes on from what was committed."""
    for n in range(60):
        home.put(reports, f"{n:02}.txt", "\n\n".join(f"Paragraph {p} of file {n}. " * 30 for p in range(3)).encode())
    jobs = JobStore(home.database)
    job = jobs.add("reports", "index", {})
    code = WORKING.format(root=str(repository), home=str(home.path))
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdin is not None
    for line in child.stdout:
        if line.startswith("20.txt"):
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    child.stdin.close()
    assert jobs.get(job.id).state == "running"
    with IndexFolder.open(reports.index) as folder:
        committed = folder.counts()["documents"]
    assert 20 <= committed < 60
    died(jobs)
    working(jobs, {"index": wired(home)})
    result = ended(jobs, job).result
    assert result is not None and result["documents"] == 60 and result["counts"]["unchanged"] >= 1
    assert result["counts"].get("indexed", 0) <= 60 - committed
    with Index.open(reports.index) as index:
        assert list(index.problems()) == []

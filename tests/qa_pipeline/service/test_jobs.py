"""Jobs: run once each, in order, cancelled when asked, and never lost, whatever becomes of the process that ran them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from indexing import build
from indexing.errors import DocqaError, IndexBusy, SettingError
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.errors import CorpusMissing, JobCancelled, JobMissing
from qa_pipeline.service import job_store
from qa_pipeline.service import job_worker as at_work
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.job_handlers import index_corpus
from qa_pipeline.service.job_store import Job, JobStore
from qa_pipeline.service.job_worker import Report, Work, Worker
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from tests.known import SCRIPTS, WordEmbedder
from tests.live import known_models


@pytest.fixture
def jobs(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "service.db")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", create=True, embedder=lambda _: WordEmbedder())  # type: ignore[arg-type, return-value]


@pytest.fixture
def reports(home: Home) -> Corpus:
    return home.create("reports", embedder="words")


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


def wired(home: Home) -> Work:
    """What the service itself does for an index job."""
    return Service(ServerSettings(home.path), known_models())._index


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


def nothing(job: Job, report: Report) -> None:
    return None


def silent(jobs: JobStore, job: Job, seconds: float) -> None:
    """As if the job's process had not been heard of for that long."""
    with jobs._database.transaction() as connection:
        connection.execute("UPDATE jobs SET beat = beat - ? WHERE id = ?", (seconds, job.id))


# -- the store ---------------------------------------------------------------------------------------------------------


def test_a_job_from_queue_to_end(jobs: JobStore, tmp_path: Path) -> None:
    job = jobs.add("c", "index", {"files": ["ä.txt"]})
    assert (job.corpus, job.kind, job.state, job.started, job.ended) == ("c", "index", "queued", None, None)
    assert (job.done, job.total, job.message, job.request, job.result) == (0, 0, "", {"files": ["ä.txt"]}, None)
    running = jobs.claim("me")
    assert running is not None and running.id == job.id and running.state == "running" and running.started
    assert jobs.progress(job.id, 3, 10, "ตั๋ว\udcff \x00", owner="me") and jobs.heartbeat(job.id, owner="me")
    told = JobStore(tmp_path / "service.db").get(job.id)
    assert (told.done, told.total, told.message) == (3, 10, "ตั๋ว? \x00")
    done = jobs.finish(job.id, "done", "", {"n": 1}, owner="me")
    assert done.state == "done" and done.ended and done.result == {"n": 1} and done == jobs.get(job.id)
    assert json.loads(json.dumps(done.as_dict()))["request"] == {"files": ["ä.txt"]}
    assert jobs.claim("other") is None


def test_an_ended_job_never_changes(jobs: JobStore) -> None:
    for state in job_store.ENDED:
        job = jobs.add("c", "index", {})
        jobs.claim("me")
        before = jobs.finish(job.id, state, "why")
        assert not jobs.progress(job.id, 9, 9, "late") and not jobs.heartbeat(job.id)
        for act in (jobs.cancel, jobs.release, partial(jobs.finish, state="failed", message="late")):
            assert act(job.id) == before  # type: ignore[operator]


@pytest.mark.parametrize("id", ["", "nowhere", "'; DROP TABLE jobs", "\ud800", "\x00", "x" * 10_000])
def test_jobs_that_are_not_there(jobs: JobStore, id: str) -> None:
    for act in (jobs.get, jobs.cancel):
        with pytest.raises(JobMissing):
            act(id)


def test_lists_the_newest_first(jobs: JobStore) -> None:
    made = [jobs.add(corpus, "index", {}) for corpus in ("a", "b", "a")]
    assert jobs.list() == made[::-1] and jobs.list("a") == [made[2], made[0]] and jobs.list("zzz") == []
    assert jobs.list(limit=1) == [made[2]] and jobs.list(limit=0) == [] == jobs.list(limit=-1)
    jobs.claim("me")
    jobs.finish(made[0].id, "done", "", {"long": "x"})
    assert jobs.list("a")[1].result == {"long": "x"} and jobs.list("a", results=False)[1].result is None
    assert jobs.counts() == {"queued": 2, "running": 0, "done": 1, "failed": 0, "cancelled": 0}


def test_old_ended_jobs_are_forgotten(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "KEPT", 5)
    waiting = jobs.add("other", "questions", {})
    for _ in range(10):
        job = jobs.add("c", "index", {})
        jobs.cancel(job.id)
    assert len(jobs.list("c")) == 5 and jobs.get(waiting.id).state == "queued"


def test_index_jobs_of_a_corpus_in_order_others_beside(jobs: JobStore) -> None:
    first, second = jobs.add("a", "index", {}), jobs.add("a", "index", {})
    asked, other, later = jobs.add("a", "questions", {}), jobs.add("b", "index", {}), jobs.add("b", "questions", {})
    assert [jobs.claim(f"o{n}") for n in range(3)][0].id == first.id  # type: ignore[union-attr]
    assert jobs.get(other.id).state == "running" and jobs.claim("x") is None
    jobs.finish(other.id, "done")
    assert jobs.claim("y").id == later.id  # type: ignore[union-attr]
    jobs.finish(first.id, "failed", "why")
    assert jobs.claim("z").id == second.id and jobs.claim("z2") is None  # type: ignore[union-attr]
    jobs.finish(second.id, "cancelled")
    third = jobs.add("a", "index", {})
    assert jobs.claim("q").id == asked.id  # type: ignore[union-attr]
    assert jobs.claim("r").id == third.id, "a batch of questions keeps no upload waiting"  # type: ignore[union-attr]


def test_only_the_kinds_asked_for(jobs: JobStore) -> None:
    job = jobs.add("c", "questions", {})
    assert jobs.claim("a", ("index",)) is None and jobs.claim("b", ()) is None
    assert jobs.claim("c", ("index", "questions")).id == job.id  # type: ignore[union-attr]


def test_cancel(jobs: JobStore) -> None:
    running, queued = jobs.add("c", "index", {}), jobs.add("c", "index", {})
    jobs.claim("me")
    assert jobs.cancel(queued.id).state == "cancelled" and jobs.cancel(queued.id).ended
    assert jobs.heartbeat(running.id)
    assert jobs.cancel(running.id).state == "running"
    assert not jobs.heartbeat(running.id) and not jobs.progress(running.id, 1, 2, "")
    assert jobs.finish(running.id, "cancelled").state == "cancelled"


def test_cancel_all_of_a_corpus(jobs: JobStore) -> None:
    running, queued, other = jobs.add("c", "index", {}), jobs.add("c", "index", {}), jobs.add("d", "index", {})
    jobs.claim("me")
    jobs.cancel_all("c")
    assert not jobs.heartbeat(running.id) and jobs.get(queued.id).state == "cancelled"
    assert jobs.get(other.id).state == "queued"


def test_a_job_whose_process_died_is_run_again(jobs: JobStore) -> None:
    job = jobs.add("c", "index", {})
    jobs.claim("dead")
    jobs.progress(job.id, 5, 10, "half", owner="dead")
    silent(jobs, job, 29)
    assert jobs.claim("early") is None
    silent(jobs, job, 2)
    again = jobs.claim("living")
    assert again is not None and again.id == job.id and (again.done, again.message) == (0, "")
    assert not jobs.heartbeat(job.id, owner="dead") and not jobs.progress(job.id, 9, 9, "", owner="dead")
    assert jobs.finish(job.id, "done", owner="dead").state == "running" == jobs.release(job.id, owner="dead").state
    assert jobs.heartbeat(job.id, owner="living") and jobs.finish(job.id, "done", owner="living").state == "done"


def test_a_job_that_kills_its_process_is_given_up(jobs: JobStore) -> None:
    job = jobs.add("c", "index", {})
    for attempt in range(job_store.ATTEMPTS):
        assert jobs.claim(str(attempt)) is not None
        silent(jobs, job, 60)
    assert jobs.claim("again") is None
    assert jobs.get(job.id).state == "failed" and "3 times" in jobs.get(job.id).message and jobs.get(job.id).ended


def test_a_released_job_has_lost_no_attempt(jobs: JobStore) -> None:
    job = jobs.add("c", "index", {})
    for attempt in range(2 * job_store.ATTEMPTS):
        assert jobs.claim(str(attempt)) is not None
        assert jobs.release(job.id, owner=str(attempt)).state == "queued"


@pytest.mark.parametrize("how", ["died", "released"])
def test_a_cancelled_job_is_not_run_again(jobs: JobStore, how: str) -> None:
    job = jobs.add("c", "index", {})
    jobs.claim("me")
    jobs.cancel(job.id)
    silent(jobs, job, 60) if how == "died" else jobs.release(job.id)
    assert jobs.claim("other") is None and jobs.get(job.id).state == "cancelled" and jobs.get(job.id).ended


def test_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "service.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DocqaError, match="cannot be used"):
        JobStore(tmp_path / "service.db")


# -- two processes -----------------------------------------------------------------------------------------------------

CLAIMING = """
import sys, time; sys.path.insert(0, {root!r})
from pathlib import Path
from qa_pipeline.service.job_store import JobStore
jobs = JobStore(Path({database!r}))
print("ready", flush=True); sys.stdin.readline()
misses = 0
while misses < 20:
    job = jobs.claim(sys.argv[1])
    if job is None: misses += 1; continue
    misses = 0
    print(job.id, flush=True); time.sleep(0.005)
    if job.kind == "questions" or jobs.list(job.corpus)[-1].state != "queued":
        assert jobs.finish(job.id, "done", owner=sys.argv[1]).state == "done"
"""


def test_two_processes_claim_each_job_once(jobs: JobStore, tmp_path: Path, repository: Path) -> None:
    made = [jobs.add(f"c{n % 7}", ("index", "questions")[n % 2], {}) for n in range(80)]
    code = CLAIMING.format(root=str(repository), database=str(tmp_path / "service.db"))
    children = [
        subprocess.Popen([sys.executable, "-c", code, f"p{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    claimed = [child.communicate(timeout=300)[0].split() for child in children]
    assert sorted(claimed[0] + claimed[1]) == sorted(job.id for job in made)
    assert all(child.returncode == 0 for child in children)
    assert claimed[0] and claimed[1], "both had a share"


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
    silent(jobs, job, 60)
    working(jobs, {"index": wired(home)})
    result = ended(jobs, job).result
    assert result is not None and result["documents"] == 60 and result["counts"]["unchanged"] >= 1
    assert result["counts"].get("indexed", 0) <= 60 - committed
    with Index.open(reports.index) as index:
        assert list(index.problems()) == []


# -- the worker --------------------------------------------------------------------------------------------------------


def test_work_its_progress_and_what_follows(jobs: JobStore, working: Callable[..., Worker]) -> None:
    followed: list[Job] = []
    step = threading.Event()

    def work(job: Job, report: Report) -> dict[str, Any]:
        report(1, 3, "first")
        step.wait(120)
        report(3, 3, "last")
        return {"asked": job.request["n"]}

    working(jobs, {"questions": work}, on_done=followed.append)
    job = jobs.add("c", "questions", {"n": 7})
    assert until(lambda: jobs.get(job.id).done == 1) and jobs.get(job.id).message == "first"
    step.set()
    done = ended(jobs, job)
    assert (done.state, done.done, done.total, done.message, done.result) == ("done", 3, 3, "", {"asked": 7})
    assert until(lambda: followed == [done])


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (SettingError("One sentence."), "failed", "One sentence."),
        (ValueError("secret"), "failed", "Internal error (ValueError); see the log of the service."),
        (JobCancelled("x"), "cancelled", ""),
    ],
)
def test_whatever_is_raised_the_worker_goes_on(
    jobs: JobStore, working: Callable[..., Worker], error: Exception, state: str, message: str
) -> None:
    def work(job: Job, report: Report) -> None:
        if job.request["bad"]:
            raise error

    def follows(job: Job) -> None:
        raise RuntimeError("what follows fails too")

    working(jobs, {"index": work}, on_done=follows)
    bad, good = jobs.add("c", "index", {"bad": True}), jobs.add("c", "index", {"bad": False})
    assert ended(jobs, good).state == "done"
    assert (jobs.get(bad.id).state, jobs.get(bad.id).message) == (state, message)


def test_a_result_that_is_no_json_fails_the_job(jobs: JobStore, working: Callable[..., Worker]) -> None:
    working(jobs, {"index": lambda job, report: {"set": {1}}})
    assert ended(jobs, jobs.add("c", "index", {})).message.startswith("Internal error (TypeError)")


def test_cancel_reaches_the_work(jobs: JobStore, working: Callable[..., Worker]) -> None:
    steps = 0

    def work(job: Job, report: Report) -> None:
        nonlocal steps
        while True:
            report(steps, 0, "")
            steps += 1
            time.sleep(0.01)

    working(jobs, {"index": work})
    job = jobs.add("c", "index", {})
    until(lambda: steps > 3)
    jobs.cancel(job.id)
    assert ended(jobs, job).state == "cancelled"


def test_cancel_reaches_work_that_seldom_reports(
    jobs: JobStore, working: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the heartbeat: the next step ends it, however soon after the last one that is."""
    monkeypatch.setattr(at_work, "BEAT_S", 0.05)
    monkeypatch.setattr(at_work, "REPORT_S", 1e9)
    asked = threading.Event()

    def work(job: Job, report: Report) -> None:
        report(0, 1, "")
        asked.wait(120)
        while True:
            time.sleep(0.01)
            report(0, 1, "")

    working(jobs, {"index": work})
    job = jobs.add("c", "index", {})
    until(lambda: jobs.get(job.id).state == "running")
    jobs.cancel(job.id)
    asked.set()
    assert ended(jobs, job).state == "cancelled"


def test_long_work_is_not_taken_for_dead(
    jobs: JobStore, working: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "BEAT_S", 0.05)
    monkeypatch.setattr(job_store, "STALE_S", 1.0)
    runs: list[str] = []

    def work(job: Job, report: Report) -> None:
        runs.append(job.id)
        time.sleep(2.0)

    working(jobs, {"index": work})
    working(jobs, {"index": work})
    assert ended(jobs, jobs.add("c", "index", {})).state == "done" and len(runs) == 1


def test_no_kind_waits_for_another(jobs: JobStore, working: Callable[..., Worker]) -> None:
    held = threading.Event()
    working(jobs, {"questions": lambda job, report: held.wait(120) and None, "index": nothing})
    batch = jobs.add("c", "questions", {})
    until(lambda: jobs.get(batch.id).state == "running")
    assert ended(jobs, jobs.add("c", "index", {})).state == "done" and jobs.get(batch.id).state == "running"
    held.set()
    assert ended(jobs, batch).state == "done"


def test_wake_does_not_wait_for_the_poll(jobs: JobStore) -> None:
    worker = Worker(jobs, {"index": nothing}, poll_s=60)
    worker.start()
    time.sleep(0.2)
    job = jobs.add("c", "index", {})
    worker.wake()
    assert ended(jobs, job).state == "done"
    assert worker.stop(5)


def test_stop_finishes_what_was_taken(jobs: JobStore) -> None:
    worker = Worker(jobs, {"index": lambda job, report: time.sleep(0.3)}, poll_s=0.02)
    worker.start()
    taken = jobs.add("c", "index", {})
    until(lambda: jobs.get(taken.id).state == "running")
    left = jobs.add("c", "index", {})
    assert worker.stop(10)
    assert jobs.get(taken.id).state == "done" and jobs.get(left.id).state == "queued"


def test_stop_puts_back_what_takes_too_long(jobs: JobStore) -> None:
    def work(job: Job, report: Report) -> None:
        while True:
            report(0, 0, "")
            time.sleep(0.01)

    worker = Worker(jobs, {"index": work}, poll_s=0.02)
    worker.start()
    job = jobs.add("c", "index", {})
    until(lambda: jobs.get(job.id).state == "running")
    assert worker.stop(0.1)
    assert jobs.get(job.id).state == "queued" and jobs.claim("next").id == job.id  # type: ignore[union-attr]


def test_a_database_that_fails_for_a_while(
    jobs: JobStore, working: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, left = jobs.claim, [3]

    def failing(*arguments: Any) -> Job | None:
        if left[0]:
            left[0] -= 1
            raise DocqaError("The database is locked.")
        return claim(*arguments)

    monkeypatch.setattr(jobs, "claim", failing)
    working(jobs, {"index": nothing})
    assert ended(jobs, jobs.add("c", "index", {})).state == "done"


# -- the index job -----------------------------------------------------------------------------------------------------


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

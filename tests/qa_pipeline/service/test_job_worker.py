"""The worker of jobs: it goes on whatever is raised, stops when asked, and no clock misleads it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import DocqaError, SettingError
from qa_pipeline.errors import JobCancelled
from qa_pipeline.service import job_worker as at_work
from qa_pipeline.service.job_store import Job, JobStore
from qa_pipeline.service.job_worker import Report, Worker
from tests.qa_pipeline.service.conftest import ended, until


def nothing(job: Job, report: Report) -> None:
    return None


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
    """By looking now and then: the next step ends it, however soon after the last one that is."""
    monkeypatch.setattr(at_work, "CHECK_S", 0.05)
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


@pytest.mark.parametrize("seconds", [-1e6, 1e6])
def test_no_clock_stalls_a_job_or_runs_it_twice(
    jobs: JobStore, working: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Set back or forward while a job runs in one process, and others look for work."""
    runs: list[str] = []

    def work(job: Job, report: Report) -> None:
        runs.append(job.id)
        monkeypatch.setattr(time, "time", lambda: real + seconds)
        time.sleep(1.0)

    real = time.time()
    others = JobStore(jobs._database.path)
    working(jobs, {"index": work})
    working(others, {"index": work})
    assert ended(jobs, jobs.add("c", "index", {})).state == "done" and len(runs) == 1
    assert jobs.add("c", "index", {}).state == "queued"
    until(lambda: len(runs) == 2)


def test_the_end_of_a_job_is_written_when_it_can_be(
    jobs: JobStore, working: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "RETRY_S", 0.02)
    finish, left = jobs.finish, [3]

    def failing(*arguments: Any, **named: Any) -> Job:
        if left[0]:
            left[0] -= 1
            raise DocqaError("No space is left.")
        return finish(*arguments, **named)

    monkeypatch.setattr(jobs, "finish", failing)
    working(jobs, {"index": nothing})
    assert ended(jobs, jobs.add("c", "index", {})).state == "done" and left == [0]


KILLED = """
import sys, time; sys.path.insert(0, {root!r})
from pathlib import Path
from qa_pipeline.service.job_store import JobStore
from qa_pipeline.service.job_worker import Worker
jobs = JobStore(Path({database!r}))
Worker(jobs, {{"index": lambda job, report: (print("running", flush=True), time.sleep(600))}}).start()
time.sleep(600)
"""


def test_a_job_goes_on_as_soon_as_its_process_was_killed(
    jobs: JobStore, working: Callable[..., Worker], tmp_path: Path, repository: Path
) -> None:
    job = jobs.add("c", "index", {})
    code = KILLED.format(root=str(repository), database=str(tmp_path / "service.db"))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "running\n"
        assert jobs.claim("meanwhile") is None and jobs.get(job.id).state == "running"
    finally:
        child.kill()
        child.wait()
    claimed = jobs.claim("next")
    assert claimed is not None and claimed.id == job.id, "at once: nothing is waited for"
    assert len(list((tmp_path / "processes").glob("*.lock"))) == 1, "of this process alone"


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
    jobs: JobStore, working: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    assert [record.getMessage() for record in caplog.records] == ["No job could be claimed: The database is locked."]

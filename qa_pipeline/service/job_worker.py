"""Job workers: the threads of a process that claim and run jobs.

Invariants, each tested: no error of a job stops the worker; stopping a worker loses no job.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from indexing.errors import DocqaError
from qa_pipeline.errors import JobCancelled, JobMissing
from qa_pipeline.service.job_store import ENDED, Job, JobStore
from qa_pipeline.service.service_db import new_id

logger = logging.getLogger(__name__)

CHECK_S = 5.0
RETRY_S = 1.0
POLL_S = 0.5
REPORT_S = 0.25
INTERRUPT_S = 5.0

Report = Callable[[int, int, str], None]
"""Progress callback: done, total, message. A job calls it at each step. Raises JobCancelled when the job must stop."""

Work = Callable[[Job, Report], "dict[str, Any] | None"]


class _RunningJob:
    """A job that runs in this process."""

    def __init__(self, jobs: JobStore, job: Job, owner: str) -> None:
        self.job = job
        self.owner = owner
        self.stop = threading.Event()
        self.release = False
        self._jobs = jobs
        self._last = (0, 0, "")
        self._written = 0.0

    def report(self, done: int, total: int, message: str) -> None:
        """The job's `Report`; writes to the database at most once per REPORT_S seconds."""
        if self.stop.is_set():
            raise JobCancelled(f"The job {self.job.id} was asked to stop.")
        self._last = (done, total, message)
        if time.monotonic() - self._written >= REPORT_S:
            self.write()
            if self.stop.is_set():
                raise JobCancelled(f"The job {self.job.id} was asked to stop.")

    def write(self) -> None:
        self._written = time.monotonic()
        if not self._jobs.progress(self.job.id, *self._last, owner=self.owner):
            self.stop.set()


class Worker:
    """Claims and runs jobs of a home in this process. Each kind has its own thread, so that no kind waits for another.

    functions: job kind -> function; its result is stored in the job. on_done: called with each job that ended here.
    """

    def __init__(
        self,
        jobs: JobStore,
        functions: Mapping[str, Work],
        *,
        on_done: Callable[[Job], None] | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self._jobs = jobs
        self._functions = dict(functions)
        self._on_done = on_done
        self._poll_s = poll_s
        self._running: dict[str, _RunningJob] = {}
        self._failures: dict[str, str] = {}
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._wakes = {kind: threading.Event() for kind in self._functions}
        self._threads = [
            threading.Thread(target=self._serve, args=(kind,), name=f"jobs-{kind}", daemon=True) for kind in self._functions
        ]
        self._checking = threading.Thread(target=self._check, name="jobs-cancelled", daemon=True)

    def start(self) -> None:
        """Start claiming jobs."""
        for thread in (*self._threads, self._checking):
            thread.start()

    def wake(self) -> None:
        """Look for jobs at once instead of at the next poll."""
        for event in self._wakes.values():
            event.set()

    def stop(self, wait_s: float = 30.0) -> bool:
        """Stop claiming jobs. Running jobs have `wait_s` seconds to end, then return to the queue at their next step.

        Returns whether every job of this worker has stopped.
        """
        self._stop.set()
        self.wake()
        if not self._joined(wait_s):
            for running in list(self._running.values()):
                running.release = True
                running.stop.set()
            self._joined(INTERRUPT_S)
        self._ended.set()
        return not any(thread.is_alive() for thread in self._threads)

    def _joined(self, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self, kind: str) -> None:
        while not self._stop.is_set():
            owner = new_id()
            job = self._claimed(owner, kind)
            if job is None:
                self._wakes[kind].wait(self._poll_s)
                self._wakes[kind].clear()
            else:
                self._run(_RunningJob(self._jobs, job, owner))

    def _claimed(self, owner: str, kind: str) -> Job | None:
        try:
            job = self._jobs.claim(owner, (kind,))
        except DocqaError as error:
            # Not at each poll: a disk may be full for days.
            if self._failures.get(kind) != str(error):
                logger.warning("No job could be claimed: %s", error)
            self._failures[kind] = str(error)
            return None
        self._failures.pop(kind, None)
        return job

    def _run(self, running: _RunningJob) -> None:
        self._running[running.owner] = running
        try:
            job = self._written_end(running, *self._outcome(running))
        finally:
            del self._running[running.owner]
        if job is None:
            return
        if self._on_done is not None and job.state in ENDED:
            try:
                self._on_done(job)
            except Exception:
                logger.exception("What follows the job %s failed.", job.id)

    def _outcome(self, running: _RunningJob) -> tuple[str, str, dict[str, Any] | None]:
        """Run the job's function. Returns state, message and result."""
        try:
            result = self._functions[running.job.kind](running.job, running.report)
            json.dumps(result)
            return "done", "", result
        except JobCancelled:
            return "cancelled", "", None
        except DocqaError as error:
            return "failed", str(error), None
        except Exception as error:
            logger.exception("The job %s failed.", running.job.id)
            return "failed", f"Internal error ({type(error).__name__}); see the log of the service.", None

    def _written_end(self, running: _RunningJob, *outcome: Any) -> Job | None:
        """The ended job, once its end could be written; None if it was deleted, or this worker stops before."""
        while True:
            try:
                return self._ended_job(running, *outcome)
            except JobMissing:
                return None
            except DocqaError as error:
                logger.warning("The end of a job could not be written: %s", error)
                if self._stop.wait(RETRY_S):
                    return None

    def _ended_job(self, running: _RunningJob, state: str, message: str, result: dict[str, Any] | None) -> Job:
        if state == "cancelled" and running.release:
            return self._jobs.release(running.job.id, owner=running.owner)
        if state == "done":
            running.write()
        return self._jobs.finish(running.job.id, state, message, result, owner=running.owner)

    def _check(self) -> None:
        """Stop running jobs that were cancelled, as a step may take long."""
        while not self._ended.wait(CHECK_S):
            for running in list(self._running.values()):
                with contextlib.suppress(DocqaError):
                    if not self._jobs.goes_on(running.job.id, owner=running.owner):
                        running.stop.set()

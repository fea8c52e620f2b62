"""The store of jobs: each is claimed once, in order, cancelled when asked, and never lost."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from indexing.errors import DocqaError
from qa_pipeline.errors import JobMissing
from qa_pipeline.service import job_store
from qa_pipeline.service.job_store import JobStore
from tests.qa_pipeline.service.conftest import died

# -- one process -------------------------------------------------------------------------------------------------------


def test_a_job_from_queue_to_end(jobs: JobStore, tmp_path: Path) -> None:
    job = jobs.add("c", "index", {"files": ["ä.txt"]})
    assert (job.corpus, job.kind, job.state, job.started, job.ended) == ("c", "index", "queued", None, None)
    assert (job.done, job.total, job.message, job.request, job.result) == (0, 0, "", {"files": ["ä.txt"]}, None)
    running = jobs.claim("me")
    assert running is not None and running.id == job.id and running.state == "running" and running.started
    assert jobs.progress(job.id, 3, 10, "ตั๋ว\udcff \x00", owner="me") and jobs.goes_on(job.id, owner="me")
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
        assert not jobs.progress(job.id, 9, 9, "late") and not jobs.goes_on(job.id)
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


def test_answers_are_kept_by_days_and_not_by_number(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "KEPT", 5)
    for number in range(30):
        jobs.cancel(jobs.add("c", ("questions", "index")[number % 2], {}).id)
    kinds = [job.kind for job in jobs.list("c")]
    assert kinds.count("questions") == 15 and kinds.count("index") <= 5
    jobs.forget_old(1)
    assert [job.kind for job in jobs.list("c")] == kinds
    jobs.forget_old(-1)
    assert len(jobs.list("c")) <= 5


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
    assert jobs.goes_on(running.id)
    assert jobs.cancel(running.id).state == "running"
    assert not jobs.goes_on(running.id) and not jobs.progress(running.id, 1, 2, "")
    assert jobs.finish(running.id, "cancelled").state == "cancelled"


def test_cancel_all_of_a_corpus(jobs: JobStore) -> None:
    running, queued, other = jobs.add("c", "index", {}), jobs.add("c", "index", {}), jobs.add("d", "index", {})
    jobs.claim("me")
    jobs.cancel_all("c")
    assert not jobs.goes_on(running.id) and jobs.get(queued.id).state == "cancelled"
    assert jobs.get(other.id).state == "queued"


def test_a_job_whose_process_died_is_run_again(jobs: JobStore) -> None:
    job = jobs.add("c", "index", {})
    jobs.claim("dead")
    jobs.progress(job.id, 5, 10, "half", owner="dead")
    assert JobStore(jobs._database.path).claim("early") is None
    died(jobs)
    again = jobs.claim("living")
    assert again is not None and again.id == job.id and (again.done, again.message) == (0, "")
    assert not jobs.goes_on(job.id, owner="dead") and not jobs.progress(job.id, 9, 9, "", owner="dead")
    assert jobs.finish(job.id, "done", owner="dead").state == "running" == jobs.release(job.id, owner="dead").state
    assert jobs.goes_on(job.id, owner="living") and jobs.finish(job.id, "done", owner="living").state == "done"


def test_a_job_that_kills_its_process_is_given_up(jobs: JobStore) -> None:
    job = jobs.add("c", "index", {})
    for attempt in range(job_store.ATTEMPTS):
        assert jobs.claim(str(attempt)) is not None
        died(jobs)
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
    died(jobs) if how == "died" else jobs.release(job.id)
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

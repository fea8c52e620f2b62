"""Deepening in the service: after each index job, giving way to questions, continued at the next start."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import indexing.deepen
from indexing.models.embedder import Embedder
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.errors import CorpusMissing, JobCancelled
from qa_pipeline.service import job_handlers
from qa_pipeline.service.home import Corpus
from qa_pipeline.service.job_store import Job
from qa_pipeline.service.model_pool import ModelPool
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from tests.known import WordReader
from tests.qa_pipeline.service.conftest import until

BUILTIN = Embedder.load("builtin")
NAMES = ("red", "white", "blue", "green", "black")


@pytest.fixture
def service(tmp_path: Path) -> Service:
    models = ModelPool("words", lambda name: LoadedReader(WordReader(), "words"), lambda name: BUILTIN)
    return Service(ServerSettings(tmp_path / "home"), models)


@pytest.fixture
def letters(service: Service) -> Corpus:
    corpus = service.home.create("letters", embedder="builtin")
    for number in range(5):
        service.home.put(corpus, f"{number}.txt", f"The {NAMES[number]} letter was sent in 19{number}2 by ship.".encode())
    return corpus


def ended(service: Service, kind: str) -> Job:
    found: list[Job] = []

    def done() -> bool:
        found[:] = [job for job in service.jobs.list("letters") if job.kind == kind and job.ended]
        return bool(found)

    until(done)
    return found[0]


def a_job(service: Service) -> Job:
    return service.jobs.add("letters", "deepen", {})


def indexed(service: Service, corpus: Corpus) -> None:
    job_handlers.index_corpus(service.home, corpus, lambda *_: None)


def test_an_index_job_is_followed_by_deepening(service: Service, letters: Corpus) -> None:
    service.start()
    try:
        service.index_later(letters, [])
        assert ended(service, "index").state == "done"
        job = ended(service, "deepen")
        assert (job.state, job.done, job.total) == ("done", 5, 5)
        assert job.result == {"deepened": 5, "passages": 5, "added": 5}
        assert service.status("letters")["deepened"] == 1.0
        reply = service.ask("letters", "When was the green letter sent?", service.ask_settings(), None)
        assert reply.deepened == 1.0
        assert reply.answers[0].text == "1932"
        service.index_later(letters, [])
        until(lambda: len([job for job in service.jobs.list("letters") if job.kind == "index" and job.ended]) == 2)
        assert len([job for job in service.jobs.list("letters") if job.kind == "deepen"]) == 1
    finally:
        service.stop()


def test_a_service_deepens_what_an_earlier_one_left(service: Service, letters: Corpus) -> None:
    indexed(service, letters)
    assert service.status("letters")["deepened"] == 0.0
    service.start()
    try:
        assert ended(service, "deepen").state == "done"
        assert service.status("letters")["deepened"] == 1.0
    finally:
        service.stop()


def test_deepening_gives_way_to_questions(service: Service, letters: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(service, letters)
    monkeypatch.setattr(indexing.deepen, "AT_ONCE", 1)
    asked = threading.Event()
    asked.set()
    monkeypatch.setattr(service, "is_asked", asked.is_set)
    told: list[int] = []
    result: list[Any] = []

    def report(done: int, total: int, message: str) -> None:
        told.append(done)

    thread = threading.Thread(target=lambda: result.append(job_handlers.deepen(service, a_job(service), report)))
    thread.start()
    until(lambda: told == [1])
    thread.join(0.5)
    assert thread.is_alive() and told == [1]
    asked.clear()
    thread.join(60)
    assert told == [1, 2, 3, 4, 5]
    assert result == [{"deepened": 5, "passages": 5, "added": 5}]


def test_a_cancelled_job_keeps_its_batches(service: Service, letters: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(service, letters)
    monkeypatch.setattr(indexing.deepen, "BATCH", 2)

    def report(done: int, total: int, message: str) -> None:
        if done > 2:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        job_handlers.deepen(service, a_job(service), report)
    assert service.status("letters")["deepened"] == pytest.approx(2 / 5)


def test_a_corpus_deleted_while_it_is_deepened(service: Service, letters: Corpus) -> None:
    indexed(service, letters)
    job = a_job(service)

    def report(done: int, total: int, message: str) -> None:
        letters.path.rename(service.home.path / "aside")

    with pytest.raises(CorpusMissing):
        job_handlers.deepen(service, job, report)


def test_another_writer_comes_between_the_batches(
    service: Service, letters: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(service, letters)
    monkeypatch.setattr(indexing.deepen, "BATCH", 2)
    service.home.put(letters, "new.txt", b"A new letter of 1999.")

    def report(done: int, total: int, message: str) -> None:
        if done == 2:
            indexed(service, letters)

    found = job_handlers.deepen(service, a_job(service), report)
    assert found == {"deepened": 6, "passages": 6, "added": 6}
    with IndexFolder.open(letters.index) as folder:
        assert indexing.deepen.coverage(folder) == 1.0

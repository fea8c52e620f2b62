"""A home on a read-only or full disk: reading works, and each change is refused in one sentence."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.failing_disk import compiled, compiler, docqa
from qa_pipeline.service.feedback import FeedbackStore
from qa_pipeline.service.home import Home
from qa_pipeline.service.job_handlers import index_corpus
from qa_pipeline.service.job_store import JobStore
from qa_pipeline.service.saved_questions import SavedQuestions
from tests.live import ASKED, BRIDGE, MINE

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs Linux and a C compiler")
WORDS = {"read-only": "read-only", "full": "full"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("library"))


def filled(path: Path) -> Home:
    home = Home.open(path, create=True)
    corpus = home.create("a")
    for name, text in {"bridge.txt": BRIDGE, "mine.txt": MINE}.items():
        home.put(corpus, name, text.encode())
    index_corpus(home, corpus, lambda *_: None)
    return home


@pytest.mark.parametrize("fault", sorted(WORDS))
def test_commands_read_and_refuse_to_write(tmp_path: Path, library: Path, repository: Path, fault: str) -> None:
    home = filled(tmp_path / "h")
    index = home.corpus("a").index
    document = next(iter(_documents(index)))

    def run(*words: Any) -> subprocess.CompletedProcess[str]:
        command = docqa(library, fault, tmp_path / "h", *map(str, words))
        return subprocess.run(command, cwd=repository, capture_output=True, text=True)

    for words, wanted in (
        (("ask", index, ASKED["question"], "--reader", "builtin"), "1912"),
        (("search", index, "--words", "bridge"), "bridge"),
        (("show", index, document), BRIDGE[:20]),
        (("status", index), "2"),
        (("doctor", index), "sound"),
    ):
        done = run(*words)
        assert done.returncode == 0 and wanted in done.stdout, (words, done.stderr)
    changes: tuple[tuple[Any, ...], ...] = (
        ("index", home.corpus("a").documents, "--into", index),
        ("doctor", index, "--compact"),
    )
    for change in changes:
        done = run(*change)
        assert done.returncode == 2 and WORDS[fault] in done.stderr and "Traceback" not in done.stderr, done.stderr


def _documents(index: Path) -> list[str]:
    from indexing.store.corpus_db import IndexFolder

    with IndexFolder.open(index) as folder:
        return [row[0] for row in folder.document_rows()]


@contextmanager
def served(library: Path, fault: str, home: Path, repository: Path) -> Iterator[httpx.Client]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = docqa(library, fault, home, "serve", "--home", str(home), "--reader", "builtin", "--lean", "--port", str(port))
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            for _ in range(600):
                try:
                    if client.get("/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    assert process.poll() is None, process.stdout.read() if process.stdout else ""
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize("fault", sorted(WORDS))
@pytest.mark.parametrize("jobs", [False, True])
def test_a_service_starts_and_answers(tmp_path: Path, library: Path, repository: Path, fault: str, jobs: bool) -> None:
    """jobs: the home was served before, so it has a database."""
    home = filled(tmp_path / "h")
    if jobs:
        store, _, _ = JobStore(home.database), FeedbackStore(home.database), SavedQuestions(home.database)
        store.finish(store.add("a", "index", {}).id, "done")
    with served(library, fault, home.path, repository) as http:
        assert http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        assert http.get("/v1/corpora/a/documents").json()["total"] == 2
        assert len(http.get("/v1/jobs").json()) == jobs
        for answer in (
            http.post("/v1/corpora/a/documents", files={"files": ("new.txt", b"New 1999.")}),
            http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "wrong"}),
            http.post("/v1/corpora", json={"name": "b"}),
            http.delete("/v1/corpora/a"),
        ):
            detail = answer.json()["detail"]
            assert answer.status_code == (507 if fault == "full" else 503), detail
            assert WORDS[fault] in detail and str(tmp_path) not in detail
        assert [c["name"] for c in http.get("/v1/corpora").json()] == ["a"]

"""Many corpora on one machine: bounded open files, a broken corpus takes nobody with it, and the log stays small."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.errors import IndexFolderError, ModelMissing
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.corpus_pool import CorpusPool
from qa_pipeline.service.descriptors import fitting
from qa_pipeline.service.home import Home
from qa_pipeline.service.log_limits import LINES, SECONDS, RepeatedLines
from qa_pipeline.service.model_pool import ModelPool
from qa_pipeline.service.public_messages import public_message
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from qa_pipeline.settings import AskSettings
from tests.live import ASKED, BRIDGE, known_models, live, problem

ROOT = Path(__file__).resolve().parents[3]


def fill(home: Home, names: list[str]) -> None:
    for name in names:
        corpus = home.create(name)
        home.put(corpus, "bridge.txt", BRIDGE.encode())
        build_index(corpus.documents, corpus.index, embedder=home.embedder("words"))


def test_the_least_recently_used_corpora_are_closed(tmp_path: Path) -> None:
    models = known_models()
    home = Home.open(tmp_path / "h", create=True, embedder=models.embedder)
    fill(home, ["a", "b", "c"])
    pool = CorpusPool(models, capacity=2)
    with pool.using(home.corpus("a")) as a:
        for name in ("b", "c", "b"):
            with pool.using(home.corpus(name)) as opened:
                assert opened.folder.counts()["documents"] == 1
        assert a.folder.counts()["documents"] == 1, "one in use stays open"
    with pool.using(home.corpus("a")) as again:
        assert again is a
    with pool.using(home.corpus("c")), pool.using(home.corpus("b")):
        pass
    with pool.using(home.corpus("a")) as again:
        assert again is not a
    pool.close()


def test_the_capacity_fits_the_limit_of_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qa_pipeline.service.descriptors._limit", lambda: 1_024)
    assert fitting(64, 10) == (1_024 - 256) // 30 and fitting(5, 10) == 5 and fitting(64, 10_000) == 1
    monkeypatch.setattr("qa_pipeline.service.descriptors._limit", lambda: 0)
    assert fitting(64, 10) == 64


MANY = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
from concurrent.futures import ThreadPoolExecutor
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from qa_pipeline.settings import AskSettings
from tests.live import known_models
service = Service(ServerSettings(Path(sys.argv[1]), reader="words", concurrency=2, lean=True), known_models())
def ask(name):
    return len(service.ask(name, "When was the bridge opened in?", AskSettings(), None).answers)
names = service.home.names()
with ThreadPoolExecutor(4) as threads:
    answers, statuses = sum(threads.map(ask, names * 2)), service.statuses(None)
print(answers, len(statuses), sum(bool(status.get("broken")) for status in statuses))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_more_corpora_than_open_files_are_all_answered(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    fill(home, [f"c{number:03}" for number in range(60)])
    run = subprocess.run(
        [sys.executable, "-c", MANY, home.path], cwd=ROOT, capture_output=True, text=True, env={**os.environ}
    )
    assert run.stdout.split() == ["120", "60", "0"], run.stderr[-2_000:]


@pytest.mark.parametrize("how", ["database", "facts"])
def test_a_broken_corpus_is_listed_and_takes_nobody_with_it(tmp_path: Path, how: str) -> None:
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    fill(home, ["a", "b", "c"])
    broken = home.corpus("b").path / {"database": "index/corpus.db", "facts": "corpus.json"}[how]
    broken.write_bytes(b"\xff" * 20_000)
    with live(home.path) as api:
        until = time.monotonic() + 60
        while not api.http.get("/ready").json()["ready"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        listed = {corpus["name"]: corpus for corpus in api.http.get("/v1/corpora").json()}
        assert list(listed) == ["a", "b", "c"]
        assert listed["b"]["broken"] and str(tmp_path) not in listed["b"]["broken"]
        assert listed["a"]["broken"] == "" and listed["a"]["documents"] == 1
        assert api.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        kind = {"database": "IndexDamaged", "facts": "HomeFolderError"}[how]
        assert str(tmp_path) not in problem(api.http.post("/v1/corpora/b/ask", json=ASKED), 503, kind)
        assert "docqa_ready 1" in api.http.get("/metrics").text


def test_no_message_names_a_path_of_the_machine(tmp_path: Path) -> None:
    """Not in a problem, a stream, a batch, a job, or a row of answers; the operator finds the file below HOME."""
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    fill(home, ["a", "b"])
    (home.corpus("b").index / "corpus.db").write_bytes(b"\xff" * 20_000)
    with live(home.path) as api:
        until = time.monotonic() + 60
        while not api.http.get("/ready").json()["ready"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        details = [
            problem(api.http.request(method, f"/v1/corpora/b{path}", json=body), 503, "IndexDamaged")
            for method, path, body in (
                ("POST", "/ask", ASKED),
                ("POST", "/ask/batch", {"questions": [ASKED]}),
                ("POST", "/ask/stream", ASKED),
                ("POST", "/search", ASKED),
                ("POST", "/words", {"words": "bridge"}),
                ("GET", "", None),
                ("GET", "/documents", None),
                ("GET", "/documents/x/original", None),
                ("GET", "/feedback", None),
            )
        ]
        files = {"files": ("new.txt", b"New 1999.")}
        job = api.http.post("/v1/corpora/b/documents", files=files).json()["job"]["id"]
        details.append(api.wait(job)["message"])
        asked = ASKED["question"]
        file = {"file": ("q.csv", f"question,corpus\n{asked},b\n{asked},a\n".encode())}
        job = api.http.post("/v1/corpora/a/questions", files=file).json()["job"]["id"]
        result = api.wait(job)["result"]
        assert (result["failed"], result["answered"]) == (1, 1), "a broken corpus fails its own questions only"
        details.append(api.http.get(f"/v1/jobs/{job}/result", params={"format": "jsonl"}).text)
        for detail in details:
            assert "HOME/corpora/b/index" in detail and str(tmp_path) not in detail


def test_only_the_path_of_the_home_is_replaced() -> None:
    """A home may have a short name, relative to the folder that the service runs in."""

    def shown(message: str, home: str = "h") -> str:
        return public_message(IndexFolderError(message), Path(home))

    assert shown("The other hash is in h/corpora/a.") == "The other hash is in HOME/corpora/a."
    here = Path("h").absolute()
    assert shown(f"See {here}/corpora, {here}x/corpora, /x{here}/corpora.") == (
        f"See HOME/corpora, {here}x/corpora, /x{here}/corpora."
    )
    assert shown("See . and ./corpora.", "x") == "See . and ./corpora."


def test_a_model_in_a_folder_is_named_without_its_folder(tmp_path: Path) -> None:
    def load(name: str) -> LoadedReader:
        raise ModelMissing(f"There is no folder {tmp_path}/models/mine; see https://example.org/a/b or --reader.")

    said = "There is no folder mine; see https://example.org/a/b or --reader."
    with live(tmp_path / "h", ModelPool("words", load, known_models().embedder)) as api:
        api.http.post("/v1/corpora", json={"name": "a"})
        until = time.monotonic() + 60
        while (reason := api.http.get("/ready").json()["reason"]) == "the models are being loaded":
            assert time.monotonic() < until
            time.sleep(0.02)
        assert reason == said
        read = {"question": "When?", "context": "In 1912."}
        for path, body in (("/v1/corpora/a/ask", ASKED), ("/v1/read", read)):
            assert problem(api.http.post(path, json=body), 503, "ModelMissing") == said


def test_the_corpora_that_are_warmed_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though every corpus is looked at for sentence vectors that it lacks."""
    monkeypatch.setattr("qa_pipeline.service.service.WARM_CORPORA", 2)
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    fill(home, ["a", "b", "c", "d"])
    for number, name in enumerate("dcba"):
        for path in home.corpus(name).index.iterdir():
            os.utime(path, (1_600_000_000 + number,) * 2)
    service = Service(ServerSettings(home.path, reader="words", lean=True, open_corpora=2), known_models())
    service._warm_corpora()
    assert {corpus.name for corpus in service.corpora.opened()} == {"a", "b"}
    service.corpora.close()


def test_a_home_that_cannot_be_listed_is_an_error_and_no_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "h") as api:

        def fail(_: object) -> list[str]:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr("qa_pipeline.service.home.os.listdir", fail)
        assert "too many open files" in problem(api.http.get("/v1/corpora"), 503, "HomeFolderError")


def test_a_line_that_repeats_is_limited_and_counted() -> None:
    now = [0.0]
    limit = RepeatedLines(lambda: now[0])

    def passes(level: int, message: str, *arguments: object) -> str:
        record = logging.LogRecord("x", level, "f", 1, message, arguments, None)
        return record.getMessage() if limit.filter(record) else ""

    lines = [passes(logging.WARNING, "no socket %s", number) for number in range(1_000)]
    assert [bool(line) for line in lines] == [True] * LINES + [False] * (1_000 - LINES)
    assert passes(logging.WARNING, "another")
    assert all(passes(logging.INFO, "GET %s", number) for number in range(1_000))
    now[0] = SECONDS + 1
    assert passes(logging.WARNING, "no socket %s", 7) == f"no socket 7 ({1_000 - LINES:,} lines like this were left out)"
    assert passes(logging.WARNING, "no socket %s", 8) == "no socket 8"


def test_what_is_closed_while_it_is_broken_says_so(tmp_path: Path) -> None:
    service = Service(ServerSettings(tmp_path / "h", lean=True), known_models())
    service.home.create("a")
    (service.home.corpus("a").index / "corpus.db").write_bytes(b"")
    with pytest.raises((IndexFolderError, HomeFolderError)):
        service.ask("a", "when?", AskSettings(), None)
    assert [status["broken"] != "" for status in service.statuses(None)] == [True]

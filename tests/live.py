"""A real service on a free port, with models whose behaviour is known; and the shortest way to fill a corpus."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.api.app import create_app, with_headers
from qa_pipeline.api.problems import MEDIA_TYPE
from qa_pipeline.cli.serve import config
from qa_pipeline.reading.readings import Reading
from qa_pipeline.service.model_pool import ModelPool
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from tests.known import WordEmbedder, WordReader

BRIDGE = "The bridge opened in 1912. It is long.\n"
MINE = "The mine closed in 1974. It was wet.\n"
ASKED = {"question": "When was the bridge opened in?"}


def known_models(reader: Any = None) -> ModelPool:
    """Models by words: one embedder whatever it is called, and the reader given or one by words."""
    return ModelPool("words", lambda name: LoadedReader(reader or WordReader(), "words"), lambda name: WordEmbedder())  # type: ignore


@dataclass
class Live:
    """A service that runs: its address, and an HTTP client for it."""

    service: Service
    url: str
    http: httpx.Client

    def fill(self, corpus: str, files: Mapping[str, bytes | str]) -> dict[str, str]:
        """Make a corpus of these files and wait until they are indexed: source -> document id."""
        self.http.post("/v1/corpora", json={"name": corpus})
        sent = [("files", (name, data)) for name, data in files.items()]
        answer = self.http.post(f"/v1/corpora/{corpus}/documents", files=sent)
        assert answer.status_code == 202, answer.text
        self.wait(answer.json()["job"]["id"])
        return {d["source"]: d["id"] for d in self.http.get(f"/v1/corpora/{corpus}/documents").json()["documents"]}

    def wait(self, job: str, seconds: float = 120) -> dict[str, Any]:
        """A job when it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found: dict[str, Any] = self.http.get(f"/v1/jobs/{job}").json()
            if found["state"] in ("done", "failed", "cancelled"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"the job {job} did not end")


@contextmanager
def live(home: Path, models: ModelPool | None = None, key: str = "", **settings: Any) -> Iterator[Live]:
    """Serve `home` while the block lasts."""
    chosen = ServerSettings(home, port=0, reader="words", **{"concurrency": 2, "shutdown_s": 5, **settings})
    service = Service(chosen, models or known_models())
    server = uvicorn.Server(config(chosen, with_headers(create_app(service))))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 120
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False) as http:
            yield Live(service, url, http)
    finally:
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive()


class SlowReader(WordReader):
    """Reads when it is let; tells how many read at once at most."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.now = self.most = 0
        self.guard = threading.Lock()

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        with self.guard:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(120)
        with self.guard:
            self.now -= 1
        return super().read(question, texts)


def problem(answer: httpx.Response, status: int, kind: str) -> str:
    """The detail of a problem, which must be this one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    found = answer.json()
    assert found["status"] == status and found["type"] == f"urn:docqa:problem:{kind}" and found["title"]
    detail: str = found["detail"]
    return detail


def holds(api: Live, corpus: str, value: Any) -> int:
    """The law, from outside: each thing with a document and a span is that text. How many there were."""
    if isinstance(value, list):
        return sum(holds(api, corpus, item) for item in value)
    if not isinstance(value, dict):
        return 0
    count = 0
    if {"document_id", "start", "end", "text"} <= value.keys():
        path = f"/v1/corpora/{corpus}/documents/{value['document_id']}"
        piece = api.http.get(path, params={"start": value["start"], "end": value["end"]}).json()
        assert piece["text"] == value["text"] != ""
        count = 1
    return count + sum(holds(api, corpus, item) for item in value.values())


def events(text: str) -> list[tuple[str, Any]]:
    found = re.findall(r"event: (\w+)\ndata: ([^\n]*)\n\n", text)
    return [(name, json.loads(data)) for name, data in found]

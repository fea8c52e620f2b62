"""One client cannot stop the others: abandoned, slow and oversized requests end, and batches have a place of their own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from qa_pipeline.reading.cancellation import check
from qa_pipeline.reading.readings import Reading
from qa_pipeline.service.api_keys import KeyStore
from qa_pipeline.service.home import Home
from tests.known import WordReader
from tests.live import ASKED, BRIDGE, Live, SlowReader, known_models, live, problem

MANY = {"questions": [ASKED] * 50}


class EndlessReader(WordReader):
    """Reads a question with `endless` in it window after window, until its work is ended; tells how many ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        if "endless" in question:
            self.begun += 1
            try:
                while True:
                    time.sleep(0.01)
                    check()
            finally:
                self.ended += 1
        return super().read(question, texts)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def ready(api: Live) -> None:
    until(lambda: api.http.get("/ready").json()["ready"])


def abandon(api: Live, path: str, body: Any, key: str = "") -> socket.socket:
    """Send a request and read nothing; closing the socket abandons it."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    connection = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])))
    connection.sendall(head.encode() + b"\r\n" + content)
    return connection


PATHS: dict[str, Any] = {
    "/v1/read": {"question": "endless?", "context": "It opened in 1912."},
    "/v1/read/batch": {"items": [{"question": "endless?", "context": "It opened in 1912."}] * 3},
    "/v1/corpora/a/ask": {"question": "endless bridge?"},
    "/v1/corpora/a/ask/stream": {"question": "endless bridge?"},
    "/v1/corpora/a/ask/batch": {"questions": [{"question": "endless bridge?"}] * 3},
}


@pytest.mark.parametrize("path", PATHS)
def test_work_ends_when_its_client_has_gone(tmp_path: Path, path: str) -> None:
    """Also the rest of its batch, and what still waits."""
    reader = EndlessReader()
    with live(tmp_path / "h", known_models(reader), concurrency=1, queue=4) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        ready(api)
        gone = [abandon(api, path, PATHS[path]) for _ in range(2)]
        until(lambda: reader.begun == 1)
        for connection in gone:
            connection.close()
        until(lambda: reader.ended == reader.begun and not api.service.is_asked())
        assert api.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        assert reader.begun <= 2


@pytest.mark.parametrize("path", ["/v1/read", "/v1/corpora/a/ask"])
def test_a_request_has_a_deadline(tmp_path: Path, path: str) -> None:
    with live(tmp_path / "h", known_models(EndlessReader()), deadline_s=1) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        ready(api)
        assert "--deadline-s" in problem(api.http.post(path, json=PATHS[path]), 504, "OutOfTime")


def test_a_question_of_a_batch_that_is_late_is_told_in_its_place(tmp_path: Path) -> None:
    with live(tmp_path / "h", known_models(EndlessReader()), deadline_s=1) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        ready(api)
        asked = [ASKED, {"question": "endless bridge?"}, ASKED]
        replies = api.http.post("/v1/corpora/a/ask/batch", json={"questions": asked}).json()["replies"]
        assert [bool(reply.get("answers")) for reply in replies] == [True, False, True]
        assert "deadline" in replies[1]["error"]


def test_a_stop_ends_what_does_not_end_by_itself(tmp_path: Path) -> None:
    """Within `shutdown_s`, and with a sentence for those who wait."""
    reader, answers = EndlessReader(), list[httpx.Response]()
    with live(tmp_path / "h", known_models(reader), shutdown_s=1) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        ready(api)
        ask = lambda: answers.append(httpx.post(f"{api.url}/v1/read", json=PATHS["/v1/read"], timeout=60))  # noqa: E731
        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: reader.begun)
        api.service.begin_stop()
        thread.join(60)
    assert reader.ended == 1
    assert "shutting down" in problem(answers[0], 429, "TooBusy")


def test_texts_are_bounded(tmp_path: Path) -> None:
    with live(tmp_path / "h", read_chars=1_000) as api:
        ready(api)
        for path, body in (
            ("/v1/read", {"question": "q?", "context": "x" * 1_001}),
            ("/v1/read/batch", {"items": [{"question": "q?", "context": "x" * 1_001}]}),
        ):
            assert "1,001 characters; 1,000 are the most" in problem(api.http.post(path, json=body), 413, "TooLarge")
        assert api.http.post("/v1/read", json={"question": "q?", "context": "x" * 1_000}).status_code == 200


LONG = "x" * 20_001
FIELDS: list[tuple[str, Any, str]] = [
    ("/v1/corpora/a/ask", {"question": "q?", "filters": {"source": LONG}}, "filters"),
    ("/v1/corpora/a/ask", {"question": "q?", "filters": {"source": list(range(20_000))}}, "filters"),
    ("/v1/corpora/a/search", {"question": "q?", "filters": {LONG: 1}}, "filters"),
    ("/v1/corpora/a/ask/batch", {"questions": [{"question": "q?", "filters": {"source": LONG}}]}, "filters"),
    ("/v1/corpora/a/feedback", {"question": "q?", "verdict": "wrong", "text": LONG}, "text"),
    ("/v1/corpora/a/feedback", {"question": "q?", "verdict": "wrong", "document_id": LONG}, "document_id"),
    ("/v1/corpora/a/saved", {"question": "q?", "filters": {"$or": [{"a": LONG}]}}, "filters"),
]


@pytest.mark.parametrize("number", range(len(FIELDS)))
def test_every_field_is_bounded(tmp_path: Path, number: int) -> None:
    path, body, field = FIELDS[number]
    with live(tmp_path / "h") as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        assert field in problem(api.http.post(path, json=body), 413, "TooLarge")


def test_batches_leave_room_for_single_questions(tmp_path: Path) -> None:
    """However many batches come, of however many keys, a single question finds its place in the queue."""
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    keys = [KeyStore(home.keys).add(f"k{n}", write=True)[1] for n in range(6)]
    reader = SlowReader()
    with live(home.path, known_models(reader), keys[0], concurrency=1, queue=4, key_batches=1) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        ready(api)
        reader.go.clear()
        batches = [abandon(api, "/v1/corpora/a/ask/batch", MANY, key) for key in keys for _ in range(2)]
        until(lambda: api.service.reads.queued() + api.service.reads.running() >= 2)
        answers: list[httpx.Response] = []
        ask = lambda: answers.append(api.http.post("/v1/corpora/a/ask", json=ASKED))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: api.service.reads.queued() >= 4)
        told = problem(api.http.post("/v1/corpora/a/ask/batch", json=MANY), 429, "TooBusy")
        assert "batches" in told
        reader.go.set()
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [200] * 4
        for connection in batches:
            connection.close()
        until(lambda: not api.service.is_asked())
        assert api.http.post("/v1/corpora/a/ask/batch", json={"questions": [ASKED]}).status_code == 200


def test_slow_heads_and_bodies_are_closed_before_any_key_is_looked_at(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    _, secret = KeyStore(home.keys).add("k")
    with live(home.path, key=secret, body_s=1) as api:
        address = ("127.0.0.1", int(api.url.rpartition(":")[2]))
        silent, halves = socket.create_connection(address), socket.create_connection(address)
        halves.sendall(b"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for connection in (silent, halves):
            connection.settimeout(60)
            assert connection.recv(1) == b"", "closed by the service"
        slow = socket.create_connection(address)
        slow.settimeout(60)
        slow.sendall(
            f"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\n"
            "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{".encode()
        )
        assert b" 408 " in slow.recv(100)
        second = socket.create_connection(address)
        second.settimeout(60)
        second.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        until(lambda: b'"up"' in second.recv(2_000))
        second.sendall(b"GET /health HTT")
        assert second.recv(1) == b"", "a second request's head has its time, too"


def test_connections_are_bounded(tmp_path: Path) -> None:
    with live(tmp_path / "h", connections=5) as api:
        address = ("127.0.0.1", int(api.url.rpartition(":")[2]))
        idle = [socket.create_connection(address) for _ in range(8)]
        answer = httpx.get(f"{api.url}/health")
        assert answer.status_code == 503
        for connection in idle:
            connection.close()
        until(lambda: httpx.get(f"{api.url}/health").status_code == 200)


def begun(api: Live, path: str, size: int, key: str, kind: str = "application/json") -> socket.socket:
    """A request that announces a body of this size and sends the first byte of it."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nAuthorization: Bearer {key}\r\n"
    connection = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])))
    connection.sendall(f"{head}Content-Length: {size}\r\n\r\n{{".encode())
    return connection


@pytest.mark.parametrize("uploads", [False, True])
def test_bytes_of_one_key_are_bounded(tmp_path: Path, uploads: bool) -> None:
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    keys = KeyStore(home.keys)
    mine, other = keys.add("mine", write=True)[1], keys.add("other", write=True)[1]
    limits: dict[str, Any] = {"body_bytes": 100_000, "key_bytes": 150_000, "upload_bytes": 75_000}
    with live(home.path, key=mine, **limits) as api:
        api.fill("c", {"bridge.txt": BRIDGE})
        path = "/v1/corpora/c/documents" if uploads else "/v1/corpora/c/ask"
        kind = "multipart/form-data; boundary=x" if uploads else "application/json"
        waiting = [begun(api, path, 70_000, mine, kind) for _ in range(2)]
        held = api.service.reads._held
        until(lambda: held.total() == 140_000)

        def sent(key: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}"}
            if uploads:
                return api.http.post(path, files=[("files", ("x.txt", "x" * 20_000))], headers=headers)
            return api.http.post(path, json={**ASKED, "filters": {"source": ["x" * 9_000] * 2}}, headers=headers)

        refused = sent(mine)
        assert "hold 150,000 bytes" in problem(refused, 429, "TooBusy") and int(refused.headers["retry-after"]) >= 1
        assert sent(other).status_code in (200, 202)
        waiting.pop().close()
        until(lambda: held.total() == 70_000)
        assert sent(mine).status_code in (200, 202)
        waiting.pop().close()
        until(lambda: not held)

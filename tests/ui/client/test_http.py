"""The client against a real service: every route, every value, every way it can fail."""

from __future__ import annotations

import ast
import http.server
import inspect
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import BRIDGE, MINE, Live, SlowReader, known_models, live
from tests.pdfs import make_pdf, paragraph
from ui.client.http import Client
from ui.client.schemas import ApiError, Event, FailedQuestion, Reply, value
from ui.client.schemas import Job as ToldJob

ROOT = Path(__file__).resolve().parents[3]
LINES = "Before\u2028the line\u0085separator stands 1654 and after.\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("client") / "home") as api:
        yield api


@pytest.fixture(scope="module")
def client(api: Live) -> Iterator[Client]:
    with Client(api.url) as client:
        yield client


@pytest.fixture(scope="module")
def corpus(client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    pdf = tmp_path_factory.mktemp("files") / "tower.pdf"
    pdf.write_bytes(make_pdf([paragraph(["The tower was built in 1731."])]))
    assert client.create_corpus("c", title="The title").documents == 0
    files: list[tuple[str, Any]] = [("bridge.txt", BRIDGE), ("in/mine.txt", MINE.encode()), ("tower.pdf", pdf)]
    sent = client.upload("c", [*files, ("lines.txt", io.BytesIO(LINES.encode())), ("photo.jpg", b"\xff\xd8\xff\xe0\0\0")])
    assert sent.job and [file.status for file in sent.files] == ["stored"] * 5
    done = client.wait_for_job(sent.job.id)
    assert done.state == "done" and done.result and done.result["counts"] == {"indexed": 4, "skipped": 1}
    return "c"


def test_the_service_and_its_corpora(client: Client, corpus: str) -> None:
    assert (
        client.get_health() == "up"
        and client.get_readiness().reason == ""
        and "docqa_requests_total" in client.get_metrics()
    )
    assert {"reader", "embedder"} == {model.kind for model in client.list_models()}
    assert client.get_description()["openapi"].startswith("3.1")
    assert "c" in [one.name for one in client.list_corpora()]
    found = client.get_corpus("c")
    assert found.title == "The title" and found.documents == 4 and found.languages["en"]["passages"] >= 3
    assert [skipped.source for skipped in found.skipped] == ["photo.jpg"]


def test_documents(client: Client, corpus: str) -> None:
    listed = client.list_documents("c", limit=2)
    assert listed.total == 4 and len(listed.documents) == 2 and listed.facets["type"] == {"txt": 3, "pdf": 1}
    ids = {one.source: one.id for one in client.list_documents("c", source="*").documents}
    assert client.get_document("c", ids["lines.txt"]).text == LINES
    assert client.get_document("c", ids["bridge.txt"], start=21, end=25).text == "1912"
    file = client.get_original("c", ids["tower.pdf"])
    assert (file.name, file.type, file.data[:5]) == ("tower.pdf", "application/pdf", b"%PDF-")
    text = client.get_document("c", ids["tower.pdf"])
    at = text.text.index("1731")
    page = client.get_page_image("c", ids["tower.pdf"], 1, start=at, end=at + 4, scale=1)
    assert page.exact and len(page.boxes) == 1 and (page.width, page.height) == (600, 800)


def test_questions(client: Client, corpus: str) -> None:
    reply = client.ask("c", "When was the bridge opened in?", {"language": "en"}, top_k=1)
    assert reply.answers[0].text == "1912" and reply.answers[0].passage == reply.passages[0]
    with pytest.raises(AttributeError):
        reply.question = "other"  # type: ignore[misc]
    assert client.search("c", "mine closed wet", retrieve=1).passages[0].source == "in/mine.txt"
    batch = client.ask_batch(
        "c", [{"question": "When was the mine closed in?"}, {"question": "q", "filters": {"page": "x"}}]
    )
    assert isinstance(batch[0], Reply) and batch[0].answers[0].text == "1974" and isinstance(batch[1], FailedQuestion)
    assert len(client.search_batch("c", [{"question": "mine"}])) == 1
    assert client.read("When did the mine close?", MINE).answer == "1974"
    assert [found.answer for found in client.read_batch([("the mine", MINE), ("q", "nothing")])] == ["1974", ""]


def test_a_stream(client: Client, corpus: str) -> None:
    events = list(client.ask_stream("c", "the separator stands at", no_answer_threshold=1.0, thorough=True))
    assert [event.name for event in events] == ["passages", *["answers"] * 4, "reply"]
    assert events[0].passages and (events[-2].read, events[-2].of) == (4, 4) and events[-1].reply is not None
    assert LINES.strip() in [passage.text for passage in events[0].passages]
    first = next(client.ask_stream("c", "the bridge"))
    assert isinstance(first, Event) and first.name == "passages"
    with pytest.raises(ApiError, match="no corpus"):
        next(client.ask_stream("none", "the bridge"))


def test_jobs_and_files_of_questions(client: Client, corpus: str, tmp_path: Path) -> None:
    table = tmp_path / "questions.csv"
    table.write_text("question\nWhen was the bridge opened in?\n", encoding="utf-8")
    job = client.ask_file("c", "questions.csv", table, format="jsonl")
    assert client.wait_for_job(job.id).state == "done" and '"1912"' in client.get_job_result(job.id).data.decode()
    assert client.get_job_result(job.id, "csv").name.endswith(".csv")
    assert (
        client.list_jobs("c")[0].id == job.id
        and len(client.list_jobs(limit=1)) == 1
        and client.cancel_job(job.id).state == "done"
    )


def test_feedback_and_saved_questions(client: Client, corpus: str) -> None:
    answer = client.ask("c", "When was the bridge opened in?").answers[0]
    said = client.add_feedback("c", "When?", "right", document_id=answer.document_id, start=answer.start, end=answer.end)
    assert said.text == "1912" and client.list_feedback("c") == (said,)
    assert client.export_feedback("c")["version"] == "v2.0"
    client.delete_feedback("c", said.id)
    saved = client.save_question("c", "When was the bridge opened in?", {"language": "en"}, {"top_k": 2})
    assert client.list_saved_questions("c") == (saved,) and saved.filters == {"language": "en"}
    change = client.run_saved_question("c", saved.id)
    assert change.new[0].text == "1912" and client.run_saved_question("c", saved.id).new == ()
    client.delete_saved_question("c", saved.id)


def test_deleting(client: Client) -> None:
    client.create_corpus("gone")
    sent = client.upload("gone", [("one.txt", "One 1."), ("two.txt", "Two 2."), ("bad.jpg", b"\xff\xd8\xff\xe0\0\0")])
    assert sent.job
    client.wait_for_job(sent.job.id)
    document = client.list_documents("gone").documents[0]
    assert client.wait_for_job(client.delete_document("gone", document.id).id).state == "done"
    assert client.wait_for_job(client.delete_file("gone", "bad.jpg").id).state == "done"
    assert client.get_corpus("gone").skipped == () and client.get_corpus("gone").documents == 1
    client.delete_corpus("gone")
    with pytest.raises(ApiError) as caught:
        client.get_corpus("gone")
    assert (caught.value.status, caught.value.kind) == (404, "CorpusMissing") and "no corpus" in caught.value.detail


def test_every_route_has_a_method(api: Live) -> None:
    source = inspect.getsource(Client)
    told = set(
        re.findall(r'"(GET|POST|DELETE)", (?:_at\(\w+((?:, [^()]+?)*)\)|f?"([^"]+)")', source.replace("str(page)", "page"))
    )
    called = set()
    for method, parts, path in told:
        if not path:
            names = [part.strip(' "') if '"' in part else "*" for part in parts.split(",") if part.strip()]
            path = "/".join(["/v1/corpora/*", *names])
        called.add(f"{method} {re.sub(r'{[^}]*}', '*', path)}")
    paths = api.http.get("/schema/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {re.sub(r'{[^}]*}', '*', path)}" for path, of in paths.items() for method in of}
    assert routes - called == set(), sorted(routes - called)


def test_it_stands_on_its_own() -> None:
    for path in (ROOT / "ui" / "client").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        ours = {name for name in names if name.split(".")[0] in ("indexing", "qa_pipeline", "ui")}
        assert ours <= {"ui.client.schemas"}


class Strange(http.server.BaseHTTPRequestHandler):
    """Something else that listens where a service is looked for."""

    def do_GET(self) -> None:
        status, body = (200, b"<html>") if self.path == "/health" else (200, b"[{}]")
        self.send_response(502 if self.path == "/metrics" else status)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_failures_are_one_sentence() -> None:
    with Client("http://127.0.0.1:9", timeout=2) as nobody, pytest.raises(ApiError, match="docqa serve") as caught:
        nobody.get_health()
    assert caught.value.status == 0
    server = http.server.HTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}", timeout=2) as strange:
        with pytest.raises(ApiError, match="JSON"):
            strange.get_health()
        with pytest.raises(ApiError, match="another version"):
            strange.list_corpora()
        with pytest.raises(ApiError, match="did not answer with events"):
            next(strange.ask_stream("c", "q"))
        with pytest.raises(ApiError, match="502"):
            strange.get_metrics()
    server.shutdown()
    server.server_close()


def test_values_that_are_too_long_for_an_address_are_one_sentence(client: Client, corpus: str) -> None:
    for ask in (
        lambda: client.delete_file(corpus, ["x" * 70_000]),
        lambda: client.get_document(corpus, "x" * 70_000),
        lambda: next(client.ask_stream("x" * 70_000, "q")),
    ):
        with pytest.raises(ApiError, match="too long") as caught:
            ask()
        assert caught.value.status == 414


def test_a_newer_service_may_say_more_but_not_less() -> None:
    told = {"id": "1", "corpus": "c", "kind": "index", "state": "done", "created": "", "started": None, "ended": None}
    job = value(ToldJob, {**told, "done": 1, "total": 1, "message": "", "later": {"new": 1}})
    assert job.id == "1" and job.result is None
    with pytest.raises(ApiError):
        value(ToldJob, told)


def test_patience_waits_while_the_service_is_busy_and_time_runs_out(tmp_path: Path) -> None:
    reader = SlowReader()
    with live(tmp_path / "h", known_models(reader), concurrency=1, queue=2) as api, Client(api.url, timeout=120) as client:
        api.fill("a", {"bridge.txt": BRIDGE})
        while not client.get_readiness().ready:
            time.sleep(0.05)
        reader.go.clear()
        with Client(api.url, timeout=0.3) as hasty, pytest.raises(ApiError, match="in time"):
            hasty.ask("a", "bridge")
        threads = [threading.Thread(target=client.ask, args=("a", "bridge")) for _ in range(2)]
        for thread in threads:
            thread.start()
        while api.service.reads.queued() < 2:
            time.sleep(0.01)
        with pytest.raises(ApiError) as caught:
            client.ask("a", "bridge")
        assert caught.value.status == 429 and caught.value.retry_after
        threading.Timer(0.5, reader.go.set).start()
        with Client(api.url, patience=120) as patient:
            assert patient.ask("a", "When was the bridge opened in?").answers
        for thread in threads:
            thread.join(10)

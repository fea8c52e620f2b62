"""The service over HTTP: what holds for all routes, under load, with several processes and at the end."""

from __future__ import annotations

import inspect
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from indexing import errors
from qa_pipeline import errors as own_errors
from qa_pipeline.api.app import ROUTES
from qa_pipeline.api.auth import WRITES
from qa_pipeline.api.problems import MEDIA_TYPE, STATUSES, status_of
from qa_pipeline.reading.readings import Reading
from tests.known import WordReader
from tests.live import ASKED, BRIDGE, Live, SlowReader, events, holds, known_models, live, problem

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")


# -- all routes --------------------------------------------------------------------------------------------------------


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


def test_every_response_has_the_headers(api: Live) -> None:
    for path in ("/health", "/v1/corpora", "/nothing", "/metrics", "/schema"):
        headers = api.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'") and "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_a_method_that_is_not_there_is_told_which_are(api: Live) -> None:
    described = api.http.get("/schema/openapi.json").json()
    assert "405" in described["info"]["description"] and "`Allow`" in described["info"]["description"]
    has = {path: {method.upper() for method in of} for path, of in described["paths"].items()}
    has = {path: methods | ({"HEAD"} if "GET" in methods else set()) for path, methods in has.items()}
    for path, methods in {**has, "/schema": {"GET", "HEAD"}, "/schema/openapi.json": {"GET", "HEAD"}}.items():
        there = re.sub(r"{[^}]*}", "1", path)
        for method in set(METHODS) - methods - {"OPTIONS"}:
            answer = api.http.request(method, there)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"] == ", ".join(sorted({*methods, "OPTIONS"})), (method, path)
            if method != "HEAD":
                assert answer.headers["allow"] in problem(answer, 405, "MethodNotAllowed")
        assert api.http.request("OPTIONS", there).headers["allow"] == ", ".join(sorted({*methods, "OPTIONS"}))


def test_other_names_and_other_pages_are_refused_without_keys(api: Live) -> None:
    assert api.http.get("/v1/corpora", headers={"Host": "evil.example"}).status_code == 403
    assert api.http.get("/v1/corpora", headers={"Host": "localhost:1"}).status_code == 200
    page = {"Origin": "http://evil.example"}
    problem(api.http.post("/v1/corpora", json={"name": "evil"}, headers=page), 403, "NotAllowed")
    assert api.http.post("/v1/read", json={"question": "q", "context": "c"}, headers={"Origin": api.url}).status_code == 200


def test_only_pages_that_are_named_may_call(tmp_path: Path) -> None:
    with live(tmp_path / "h", cors_origins=("https://search.example.org",)) as api:
        good, bad = {"Origin": "https://search.example.org"}, {"Origin": "https://evil.example"}
        allowed = api.http.get("/v1/corpora", headers=good).headers
        assert allowed["access-control-allow-origin"] == "https://search.example.org"
        assert "access-control-allow-origin" not in api.http.get("/v1/corpora", headers=bad).headers
        assert api.http.post("/v1/corpora", json={"name": "x"}, headers=good).status_code == 201
        assert api.http.post("/v1/corpora", json={"name": "y"}, headers=bad).status_code == 403


def test_every_error_has_a_status_and_is_in_the_docs() -> None:
    every = [*vars(errors).values(), *vars(own_errors).values()]
    kinds = [kind for kind in every if isinstance(kind, type) and issubclass(kind, errors.DocqaError)]
    assert all(400 <= status_of(kind.__new__(kind)) < 600 for kind in kinds)
    assert all(kind.__name__ in DOCS for kind in STATUSES)
    for status in {*STATUSES.values(), 400, 405}:
        assert f"| {status} |" in DOCS


def test_every_route_is_in_the_docs_and_no_other(api: Live) -> None:
    paths = api.http.get("/schema/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, of in paths.items() for method in of}
    told = set(re.findall(r"`((?:GET|POST|DELETE|PUT) /[^ `]*)`", DOCS)) - {"GET /schema/openapi.json", "GET /schema"}
    assert described == told and len(described) == len(ROUTES)


VERBS = set(
    "Add Answer Cancel Check Compare Create Delete Download Export Get List Mark Render Run Save Search Stream"
    " Upload".split()
)


def test_the_description_is_openapi_3_1_with_every_error_as_a_problem(api: Live) -> None:
    described = api.http.get("/schema/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if status >= "400" and path != "/ready":
                    assert list(response["content"]) == [MEDIA_TYPE], (method, path, status)
            assert operation["description"] and len(operation["summary"].split()) <= 5
            assert operation["summary"].split()[0] in VERBS, (method, path)
    assert described["components"]["schemas"]["AskBody"]["additionalProperties"] is False
    page = api.http.get("/schema")
    assert page.headers["content-type"].startswith("text/html") and "http://" not in page.text


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.handler_name)
def test_every_route_describes_the_problems_it_can_have(route: HTTPRouteHandler) -> None:
    """A body can be slow or large, writing can find a full disk, and work in the pool can be refused or late."""
    described = set(route.responses or {})
    if "POST" in route.http_methods and (
        "data" in route.parsed_fn_signature.parameters or route.request_max_body_size is None
    ):
        assert {408, 413} <= described
    if route.opt.get(WRITES):
        assert 507 in described
    if "service.reads." in inspect.getsource(route.fn):
        assert {429, 504} <= described


def test_metrics_tell_of_requests_and_corpora_but_no_question(api: Live, ids: dict[str, str]) -> None:
    api.http.post("/v1/corpora/a/ask", json={"question": "secretquestion?"})
    text = api.http.get("/metrics").text
    assert 'docqa_requests_total{method="POST",route="/v1/corpora/{corpus}/ask",status="200"}' in text
    assert 'docqa_corpus_generation{corpus="a"}' in text and 'docqa_stage_seconds_count{stage="read"}' in text
    assert "secretquestion" not in text


# -- defects and load --------------------------------------------------------------------------------------------------


class BrokenReader(WordReader):
    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        raise RuntimeError(f"broken over {question}")


@pytest.mark.parametrize("log_questions", [False, True])
def test_a_defect_is_told_as_one_and_the_log_keeps_the_question(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, log_questions: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    with live(tmp_path / "h", known_models(BrokenReader()), log_questions=log_questions) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        body = {"question": "secretquestion of the bridge"}
        assert "log" in problem(api.http.post("/v1/corpora/a/ask", json=body), 500, "Defect")
        found = events(api.http.post("/v1/corpora/a/ask/stream", json=body).text)
        assert [name for name, _ in found] == ["passages", "error"] and found[-1][1]["status"] == 500
        ready = api.http.get("/ready")
        assert ready.status_code == 503 and not ready.json()["ready"] and ready.json()["reason"]
        assert api.http.get("/health").status_code == 200
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("docqa", "qa_pipeline")))
    assert "a request failed: RuntimeError" in ours and ("secretquestion" in ours) == log_questions


def test_beyond_the_queue_a_question_is_refused_and_told_when_to_come_back(tmp_path: Path) -> None:
    reader = SlowReader()
    with live(tmp_path / "h", known_models(reader), concurrency=2, queue=2) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        while not api.http.get("/ready").json()["ready"]:
            time.sleep(0.05)
        reader.go.clear()
        answers: list[httpx.Response] = []
        ask = lambda: answers.append(api.http.post("/v1/corpora/a/ask", json=ASKED))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 120
        while (len(answers) < 4 or reader.now < 2) and time.monotonic() < until:
            time.sleep(0.02)
        assert api.http.get("/health").status_code == 200
        assert [answer.status_code for answer in answers] == [429] * 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        assert problem(api.http.post("/v1/corpora/a/ask/stream", json=ASKED), 429, "TooBusy")
        reader.go.set()
        for thread in threads:
            thread.join(120)
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429] * 4 and reader.most == 2


def test_questions_are_answered_while_files_are_indexed(tmp_path: Path) -> None:
    with live(tmp_path / "h") as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        uploads, generations = [], []
        for number in range(6):
            files = [
                ("files", (f"{number}-{n}.txt", f"The bridge number {n} of {number} opened in {1900 + n}."))
                for n in range(5)
            ]
            uploads.append(api.http.post("/v1/corpora/a/documents", files=files).json()["job"]["id"])
            for _ in range(5):
                reply = api.http.post("/v1/corpora/a/ask", json=ASKED).json()
                generations.append(reply["generation"])
                assert reply["answers"] and holds(api, "a", reply["answers"][0])
        assert all(api.wait(job)["state"] == "done" for job in uploads) and generations == sorted(generations)
        assert api.http.get("/v1/corpora/a").json()["documents"] == 31


def test_two_processes_serve_one_home(tmp_path: Path) -> None:
    with live(tmp_path / "h") as one, live(tmp_path / "h") as two:
        one.fill("a", {"bridge.txt": BRIDGE})
        assert two.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        two.fill("a", {"bridge.txt": "The bridge opened in 1913."})
        assert one.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1913"
        one.http.delete("/v1/corpora/a")
        problem(two.http.post("/v1/corpora/a/ask", json=ASKED), 404, "CorpusMissing")


def test_what_was_taken_is_finished_when_it_is_stopped(tmp_path: Path) -> None:
    reader, answers = SlowReader(), []
    with live(tmp_path / "h", known_models(reader)) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        reader.go.clear()
        thread = threading.Thread(target=lambda: answers.append(httpx.post(f"{api.url}/v1/corpora/a/ask", json=ASKED)))
        thread.start()
        while not reader.now:
            time.sleep(0.01)
        threading.Timer(0.5, reader.go.set).start()
    thread.join(120)
    assert answers[0].status_code == 200 and answers[0].json()["answers"][0]["text"] == "1912"


# -- the docs, the start -----------------------------------------------------------------------------------------------


def test_the_examples_of_the_docs_run(tmp_path: Path) -> None:
    import shutil

    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("curl or bash is not installed")
    script = DOCS.split("```sh\n", 1)[1].split("```", 1)[0]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    with live(tmp_path / "h") as api:
        script = script.replace("http://127.0.0.1:8080", api.url)
        safe = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; echo; }\nexport PATH="$PWD/bin:$PATH"\n'
        run = subprocess.run(["bash", "-c", safe + script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stdout[-2_000:] + run.stderr
        assert (tmp_path / "answers.csv").stat().st_size > 100 and "event: reply" in run.stdout
        assert (tmp_path / "original.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "there is no key"),
        (["--port", "x"], "port is 'x'"),
        (["--reader", "no-such"], "no reader"),
        (["--log-questions", "maybe"], "log_questions is 'maybe'"),
        (["--cors-origins", "*"], "cors_origins"),
    ],
)
def test_a_wrong_start_is_one_sentence(tmp_path: Path, arguments: list[str], told: str) -> None:
    command = [sys.executable, "-m", "qa_pipeline.cli", "serve", "--home", str(tmp_path / "h"), "--port", "0", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 2 and run.stdout == "" and run.stderr.startswith("docqa: ") and run.stderr.count("\n") == 1
    assert told in run.stderr

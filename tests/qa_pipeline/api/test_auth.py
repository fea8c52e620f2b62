"""Who may do what: every route against no key, one that may only read, one for another corpus, one that may write.

The routes come from the application itself, so that a new one without a row here fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qa_pipeline.api.app import create_app
from qa_pipeline.service.api_keys import KeyStore
from qa_pipeline.service.home import Home
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from tests.live import BRIDGE, MINE, Live, known_models, live
from tests.runs import make_run

ROOT = Path(__file__).resolve().parents[3]
ASK = {"question": "bridge?"}
BATCH = {"questions": [ASK]}
READ = {"question": "q", "context": "c"}

# Route: (what is sent), then the status without a key, with one that may only read, with one for another corpus (which
# may write there), with one that may write. 0: any that is no refusal (not 401, 403 or 404).
C = "/v1/corpora/{corpus}"
D = C + "/documents/{document}"
E = "/v1/evaluations"
TABLE: dict[str, tuple[dict[str, Any], int, int, int, int]] = {
    "GET /health": ({}, 200, 200, 200, 200),
    "GET /ready": ({}, 200, 200, 200, 200),
    "GET /metrics": ({}, 401, 200, 403, 200),
    "GET /v1/models": ({}, 401, 200, 200, 200),
    "GET /v1/limits": ({}, 401, 200, 200, 200),
    "GET /v1/corpora": ({}, 401, 200, 200, 200),
    "POST /v1/corpora": ({"json": {"name": "new"}}, 401, 403, 403, 201),
    f"GET {C}": ({}, 401, 200, 404, 200),
    f"GET {C}/documents": ({}, 401, 200, 404, 200),
    f"POST {C}/documents": ({"files": {"files": ("n.txt", b"New 1.")}}, 401, 403, 404, 202),
    f"GET {D}": ({}, 401, 200, 404, 200),
    f"GET {D}/original": ({}, 401, 200, 404, 200),
    f"GET {D}/pages/{{page}}": ({}, 401, 404, 404, 404),
    f"POST {C}/ask": ({"json": ASK}, 401, 200, 404, 200),
    f"POST {C}/ask/batch": ({"json": BATCH}, 401, 200, 404, 200),
    f"POST {C}/ask/stream": ({"json": ASK}, 401, 200, 404, 200),
    f"POST {C}/search": ({"json": ASK}, 401, 200, 404, 200),
    f"POST {C}/words": ({"json": {"words": "bridge"}}, 401, 200, 404, 200),
    f"POST {C}/search/batch": ({"json": BATCH}, 401, 200, 404, 200),
    "POST /v1/read": ({"json": READ}, 401, 200, 200, 200),
    "POST /v1/read/batch": ({"json": {"items": [READ]}}, 401, 200, 200, 200),
    f"POST {C}/questions": ({"files": {"file": ("q.csv", b"question\nbridge?\n")}}, 401, 403, 404, 202),
    "GET /v1/jobs": ({}, 401, 200, 200, 200),
    "GET /v1/jobs/{job}": ({}, 401, 200, 404, 200),
    "GET /v1/jobs/{job}/result": ({}, 401, 200, 404, 200),
    "DELETE /v1/jobs/{job}": ({}, 401, 403, 404, 200),
    f"POST {C}/feedback": ({"json": {**ASK, "verdict": "wrong"}}, 401, 403, 404, 201),
    f"GET {C}/feedback": ({}, 401, 200, 404, 200),
    f"GET {C}/feedback/{{feedback}}": ({}, 401, 200, 404, 200),
    f"GET {C}/feedback/export": ({}, 401, 200, 404, 200),
    f"DELETE {C}/feedback/{{feedback}}": ({}, 401, 403, 404, 204),
    f"POST {C}/saved": ({"json": ASK}, 401, 403, 404, 201),
    f"GET {C}/saved": ({}, 401, 200, 404, 200),
    f"GET {C}/saved/{{saved}}": ({}, 401, 200, 404, 200),
    f"POST {C}/saved/{{saved}}/run": ({}, 401, 403, 404, 200),
    f"POST {C}/saved/{{saved}}/seen": ({}, 401, 403, 404, 200),
    f"DELETE {C}/saved/{{saved}}": ({}, 401, 403, 404, 204),
    f"GET {E}": ({}, 401, 200, 403, 200),
    f"GET {E}/{{evaluation}}": ({}, 401, 200, 403, 200),
    f"GET {E}/{{evaluation}}/plots/{{plot}}": ({}, 401, 200, 403, 200),
    f"GET {E}/{{evaluation}}/predictions": ({}, 401, 200, 403, 200),
    f"GET {E}/{{evaluation}}/compare/{{other}}": ({}, 401, 200, 403, 200),
    f"DELETE {C}/files": ({"params": {"source": "mine.txt"}}, 401, 403, 404, 202),
    f"DELETE {D}": ({}, 401, 403, 404, 202),
    f"DELETE {C}": ({}, 401, 403, 404, 204),
}
DESCRIPTION = {"GET /schema", "GET /schema/openapi.json", "GET /schema/{path}"}
WHO = ("none", "read", "other", "write")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, dict[str, str]]]:
    home = Home.open(tmp_path_factory.mktemp("keys") / "h", create=True, embedder=known_models().embedder)
    keys = KeyStore(home.keys)
    home.create("other")
    make_run(home.path / "evaluations" / "run", tmp_path_factory.mktemp("asked"))
    made = {
        "none": "",
        "read": keys.add("reader")[1],
        "other": keys.add("other", write=True, corpora=["other"])[1],
        "write": keys.add("writer", write=True)[1],
    }
    with live(home.path, key=made["write"]) as api:
        yield api, made


@pytest.fixture
def things(secrets: tuple[Live, dict[str, str]]) -> dict[str, str]:
    """One of everything that a route may be asked for."""
    api, _ = secrets
    ids = api.fill("a", {"bridge.txt": BRIDGE, "mine.txt": MINE})
    job = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", b"question\nbridge?\n")}).json()["job"]["id"]
    api.wait(job)
    feedback = api.http.post("/v1/corpora/a/feedback", json={**ASK, "verdict": "wrong"}).json()["id"]
    saved = api.http.post("/v1/corpora/a/saved", json=ASK).json()["id"]
    return {
        "corpus": "a",
        "document": ids["bridge.txt"],
        "job": job,
        "feedback": feedback,
        "saved": saved,
        "page": "1",
        "evaluation": "run",
        "other": "run",
        "plot": "by-language.png",
    }


def routes(tmp_path: Path) -> set[str]:
    """Every route of the application, with its method."""
    app = create_app(Service(ServerSettings(tmp_path / "routes"), known_models()))
    return {
        f"{method} {route.path_format}"
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS" and not route.path_format.startswith("/schema/openapi_")
    }


def test_every_route_has_a_row(tmp_path: Path) -> None:
    assert routes(tmp_path) == set(TABLE) | DESCRIPTION


def test_the_description_needs_no_key(secrets: tuple[Live, dict[str, str]]) -> None:
    for path in ("/schema", "/schema/openapi.json"):
        assert ask(secrets[0], "", "GET", path, {}).status_code == 200
    assert ask(secrets[0], "", "GET", "/schema/other", {}).status_code == 404


@pytest.mark.parametrize("route", TABLE)
def test_the_matrix(secrets: tuple[Live, dict[str, str]], things: dict[str, str], route: str) -> None:
    api, made = secrets
    sent, *expected = TABLE[route]
    method, path = route.split(" ")
    found = [ask(api, made[who], method, path.format(**things), sent).status_code for who in WHO]
    assert found == expected
    if method != "GET":
        api.http.delete("/v1/corpora/new")


def ask(api: Live, secret: str, method: str, path: str, sent: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    with httpx.Client(base_url=api.url, headers=headers, trust_env=False) as http:
        answer = http.request(method, path, **sent)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    return answer


def test_a_key_for_another_corpus_changes_and_sees_nothing_of_this_one(
    secrets: tuple[Live, dict[str, str]], things: dict[str, str]
) -> None:
    api, made = secrets
    assert [corpus["name"] for corpus in ask(api, made["other"], "GET", "/v1/corpora", {}).json()] == ["other"]
    assert ask(api, made["other"], "GET", "/v1/jobs", {}).json() == []
    assert ask(api, made["other"], "GET", "/v1/jobs?corpus=a", {}).json() == []
    assert ask(api, made["other"], "GET", "/v1/corpora/a", {}).json() == {
        **ask(api, made["other"], "GET", "/v1/corpora/b", {}).json(),
        "detail": "There is no corpus 'a'; create it first, or choose an existing one.",
    }
    table = {"files": {"file": ("q.csv", b"question,corpus\nbridge?,a\n")}}
    assert ask(api, made["other"], "POST", "/v1/corpora/other/questions", table).status_code == 404
    feedback = f"/v1/corpora/other/feedback/{things['feedback']}"
    saved = f"/v1/corpora/other/saved/{things['saved']}"
    assert ask(api, made["other"], "DELETE", feedback, {}).status_code == 404
    assert ask(api, made["other"], "DELETE", saved, {}).status_code == 404
    assert ask(api, made["other"], "POST", f"{saved}/run", {}).status_code == 404
    assert ask(api, made["other"], "GET", f"/v1/corpora/other/documents/{things['document']}", {}).status_code == 404
    assert api.http.get("/v1/corpora/a/feedback").json() and api.http.get("/v1/corpora/a/saved").json()


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x", "Basic {s}", "{s}", "Bearer {s}x", "Bearer  {s} y"])
def test_what_is_no_key_opens_nothing(secrets: tuple[Live, dict[str, str]], value: str) -> None:
    api, made = secrets
    answer = httpx.get(f"{api.url}/v1/corpora", headers={"Authorization": value.format(s=made["write"])}, trust_env=False)
    assert answer.status_code == 401


def test_a_key_may_be_used_by_any_name_and_a_removed_one_by_none(secrets: tuple[Live, dict[str, str]]) -> None:
    api, made = secrets
    named = {"Host": "docqa.example.org", "Authorization": f"bearer {made['read']}"}
    assert httpx.get(f"{api.url}/v1/corpora", headers=named, trust_env=False).status_code == 200
    key, secret = api.service.keys.add("soon gone")
    assert ask(api, secret, "GET", "/v1/corpora", {}).status_code == 200
    api.service.keys.remove(key.id)
    assert ask(api, secret, "GET", "/v1/corpora", {}).status_code == 401


def test_an_address_others_can_reach_needs_keys_also_when_the_last_is_removed(tmp_path: Path) -> None:
    service = Service(ServerSettings(tmp_path / "h", host="0.0.0.0"), known_models())
    assert service.keys_needed()
    assert not Service(ServerSettings(tmp_path / "h"), known_models()).keys_needed()
    service.keys.add("someone")
    assert Service(ServerSettings(tmp_path / "h"), known_models()).keys_needed()


def docqa(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qa_pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_keys_are_made_listed_and_removed_in_the_terminal(tmp_path: Path) -> None:
    home = tmp_path / "h"
    added = docqa("keys", home, "add", "--label", "Ada", "--write", "--corpus", "reports")
    secret = added.stdout.strip()
    assert added.returncode == 0 and secret.startswith("docqa_") and "shown this once" in added.stderr
    assert secret not in (home / "keys.json").read_text() and (home / "keys.json").stat().st_mode & 0o777 == 0o600
    listed = docqa("keys", home, "list")
    assert "Ada: may change reports" in listed.stdout and secret not in listed.stdout
    id = listed.stdout.split()[0]
    assert docqa("keys", home, "list", "--json").stdout.startswith(f'{{"id": "{id}"')
    assert docqa("keys", home, "remove", id).returncode == 0 and docqa("keys", home, "list").stdout == ""
    for wrong in (("remove",), ("remove", id), ("add",), ("add", "--label", "x", "--corpus", "A B"), ("dance",)):
        run = docqa("keys", home, *wrong)
        assert run.returncode == 2 and run.stderr.startswith("docqa: ") and run.stderr.count("\n") == 1, wrong
    assert docqa("keys", tmp_path / "nowhere", "list").returncode == 2

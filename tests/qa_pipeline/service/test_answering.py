"""The ways in which the service answers: lean, through the usual Haystack pipeline, and through a file's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import SettingError
from qa_pipeline.answering.answerer import Answerer
from qa_pipeline.cli import serve
from qa_pipeline.cli.main import main, parser
from qa_pipeline.haystack import nodes
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.service.corpus_pool import answering
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings, server_settings
from tests.live import BRIDGE, MINE, known_models, live

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = Path(nodes.__file__).with_name("pipeline.yaml")
HEAVY = ("torch", "transformers", "haystack", "sklearn", "scipy.stats", "pandas")
FILES: dict[str, bytes | str] = {"bridge.txt": BRIDGE, "mine.txt": MINE}
ASKED = {"question": "When did the bridge open?"}


def test_a_lean_service_answers_over_http_without_haystack_and_torch(tmp_path: Path) -> None:
    code = (
        "import sys, json; from pathlib import Path\n"
        "from qa_pipeline.answering.loaded_reader import LoadedReader\n"
        "from qa_pipeline.service.model_pool import ModelPool\n"
        "from tests.live import live\n"
        "with live(Path(sys.argv[1]), ModelPool('builtin', LoadedReader.load), lean=True) as api:\n"
        f"    api.http.post('/v1/corpora', json={{'name': 'a', 'embedder': 'builtin'}})\n"
        f"    api.fill('a', {FILES!r})\n"
        f"    reply = api.http.post('/v1/corpora/a/ask', json={ASKED!r}).json()\n"
        f"print(json.dumps([reply['answers'][0]['text'], [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "h")], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    text, heavy = json.loads(run.stdout.splitlines()[-1])
    assert "1912" in text and heavy == []


def test_the_service_answers_the_same_in_each_way(tmp_path: Path) -> None:
    replies: list[dict[str, Any]] = []
    ways: list[dict[str, Any]] = [{}, {"lean": True}, {"pipeline": str(EXAMPLE)}]
    for way in ways:
        with live(tmp_path / "h", **way) as api:
            if not replies:
                api.fill("a", FILES)
            reply = api.http.post("/v1/corpora/a/ask", json=ASKED).json()
            replies.append({name: value for name, value in reply.items() if name != "timings_ms"})
    first, *others = replies
    assert first["answers"]
    for other in others:
        assert rounded(other) == rounded(first)


def rounded(value: Any) -> Any:
    """A JSON value with floats to six digits: products of vectors differ in the last bits with their place in memory."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value


def test_the_setting_decides(tmp_path: Path) -> None:
    assert answering(ServerSettings(tmp_path)) is QAPipeline
    assert answering(ServerSettings(tmp_path, lean=True)) is Answerer
    assert answering(server_settings({"home": "h"}, {"DOCQA_LEAN": "yes"})) is Answerer
    found: Any = answering(server_settings({"home": "h"}, {"DOCQA_PIPELINE": str(EXAMPLE)}))
    assert found.func is QAPipeline and found.keywords["pipeline"].get_node("Reader").model == "builtin"
    with pytest.raises(SettingError, match="only one"):
        ServerSettings(tmp_path, lean=True, pipeline=str(EXAMPLE))


def test_a_bad_file_ends_the_start_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1.26.4.post0\n")
    for name in ("none.yaml", "bad.yaml"):
        with pytest.raises(SettingError, match=name):
            Service(ServerSettings(tmp_path / "h", pipeline=str(tmp_path / name)), known_models())
        line = ["serve", "--home", str(tmp_path / "h"), "--reader", "builtin", "--pipeline", str(tmp_path / name)]
        assert main(line) == 2
        said = [row for row in capsys.readouterr().err.splitlines() if row.startswith("docqa:")]
        assert len(said) == 1 and name in said[0]


UNREADABLE: dict[str, bytes | None] = {
    "There is no pipeline file": None,
    "it is not YAML in UTF-8 (line 2)": b"a:\n  - ]",
    "it is not YAML in UTF-8.": b"\xff\xfe\x00",
    "it lacks the lists components and pipelines": b"just a text",
    "it is a folder": b"",
}


@pytest.mark.parametrize("reason", UNREADABLE)
def test_a_file_that_cannot_be_read_is_told_before_haystack_is_imported(tmp_path: Path, reason: str) -> None:
    file, content = tmp_path / "p.yaml", UNREADABLE[reason]
    if content:
        file.write_bytes(content)
    elif content is not None:
        file.mkdir()
    code = (
        "import sys\n"
        "from qa_pipeline.cli.main import main\n"
        f"status = main(['serve', '--home', {str(tmp_path / 'h')!r}, '--reader', 'builtin', '--pipeline', {str(file)!r}])\n"
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "2 []\n" and reason in run.stderr and str(file) in run.stderr and run.stderr.count("\n") == 1


def test_a_node_that_raises_is_a_problem_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "h", pipeline=str(EXAMPLE)) as api:
        api.fill("a", FILES)

        def broken(self: Any, **_: Any) -> None:
            raise ZeroDivisionError("secret words of the question")

        monkeypatch.setattr(nodes.DocqaReader, "run", broken)
        answers = [api.http.post(f"/v1/corpora/a/{door}", json=ASKED) for door in ("ask", "ask/stream")]
        for answer in answers:
            assert "The node Reader of the Haystack pipeline failed (ZeroDivisionError)" in answer.text
            assert "secret" not in answer.text
        assert answers[0].status_code == 500 and answers[0].headers["content-type"] == "application/problem+json"
        assert answers[0].json()["type"] == "urn:docqa:problem:PipelineFailed"


def test_the_page_hands_its_options_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str]) -> None:
            commands.append(command)

        def terminate(self) -> None: ...

        def wait(self, timeout: float = 0) -> None: ...

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(serve, "_wait_for", lambda *_: None)
    for options in ([], ["--lean"], ["--pipeline", "p.yaml", "--reader", "builtin"]):
        with serve._service(parser().parse_args(["ui", "--home", str(tmp_path), *options]), serve._Ends()):
            pass
    ends = [command[command.index("--port") + 2 :] for command in commands]
    assert ends == [[], ["--lean"], ["--reader", "builtin", "--pipeline", "p.yaml"]]

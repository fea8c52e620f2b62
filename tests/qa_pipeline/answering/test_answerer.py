"""The plain steps and the Haystack pipeline give the same replies, and the plain ones load nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from indexing.build import build_index
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.answering.answerer import Answerer
from qa_pipeline.answers import Timings
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.settings import AskSettings

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
HEAVY = ("torch", "transformers", "haystack", "sklearn", "scipy.stats", "pandas")
QUESTION = "When did Kestrel Bridge open?"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("examples") / "index"
    build_index(EXAMPLES / "corpus", into, IndexSettings(embedder="builtin"))
    return into


def questions() -> list[str]:
    data = json.loads((EXAMPLES / "questions.json").read_text("utf-8"))["data"]
    return [qa["question"] for article in data for paragraph in article["paragraphs"] for qa in paragraph["qas"]]


def test_every_example_question_has_the_same_reply_both_ways(index: Path) -> None:
    plain = Answerer.open(index, "builtin")
    reader = plain.reader
    haystack = QAPipeline(
        Index.open(index), plain.embedder, reader, reader_name=plain.models.reader, calibration=plain.models.calibration
    )
    untimed = Timings(0.0, 0.0, 0.0, 0.0)
    asked = questions()
    assert len(asked) > 50
    for number, question in enumerate(asked):
        settings = AskSettings(thorough=number % 10 == 0, top_k=3)
        one = plain.ask(question, settings)
        other = haystack.ask(question, settings)
        one, other = (msgspec.structs.replace(reply, timings_ms=untimed) for reply in (one, other))
        assert msgspec.json.encode(one) == msgspec.json.encode(other)


COMMANDS = {
    "ask": ("INDEX", QUESTION, "--reader", "builtin"),
    "search": ("INDEX", QUESTION),
    "read": ("When was it opened?", "--context", "The bridge was opened in 1912.", "--reader", "builtin"),
    "index": (str(EXAMPLES / "corpus"), "--into", "INDEX"),
    "status": ("INDEX", "--documents"),
    "show": ("INDEX", "DOCUMENT"),
    "doctor": ("INDEX",),
    "models": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_nothing_heavy(index: Path, command: str) -> None:
    """With the built-in models, which ONNX Runtime and numpy compute."""
    with IndexFolder.open(index) as folder:
        places = {"INDEX": str(index), "DOCUMENT": next(folder.document_rows())[0]}
    assert loaded_by(command, *(places.get(part, part) for part in COMMANDS[command])) == []


def loaded_by(*command: str) -> list[str]:
    """Those of HEAVY that a command of docqa had imported when it ended, after a real result."""
    code = (
        "import sys; from qa_pipeline.cli.main import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as end: status = end.code\n"
        "assert status in (0, None), status\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code, *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.strip(), run.stderr
    found: list[str] = json.loads(run.stderr.strip().splitlines()[-1].replace("'", '"'))
    return found

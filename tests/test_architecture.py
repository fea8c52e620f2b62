"""The house guards itself: rooms import downstream only, vendors stay behind their seams, nothing heavy at the door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {"indexing": {"indexing"}, "qa_pipeline": {"indexing", "qa_pipeline"}, "ui": {"ui"}}
SEAMS = {
    "haystack": {
        "indexing/store.py",
        "qa_pipeline/retrieval.py",
        "qa_pipeline/loading.py",
        "qa_pipeline/reader.py",
        "qa_pipeline/pipeline.py",
    },  # fmt: skip
    "faiss": {"indexing/vectors.py"},
    "sqlite3": {"indexing/database.py", "indexing/store.py", "qa_pipeline/database.py"},
    "sentence_transformers": {"indexing/embed.py", "qa_pipeline/training/embedder_task.py"},
    "huggingface_hub": {"indexing/models.py", "indexing/hub.py"},
    "pypdfium2": {"indexing/pdf.py", "indexing/pages.py"},
    "docx": {"indexing/office.py"},
    "pptx": {"indexing/office.py"},
    "openpyxl": {"indexing/office.py", "qa_pipeline/tables.py"},
    "selectolax": {"indexing/html.py"},
    "py3langid": {"indexing/language_model.py"},
    "Stemmer": {"indexing/terms.py"},
    "tokenizers": {"indexing/models.py"},
    "uvicorn": {"qa_pipeline/cli_serve.py"},
    "prometheus_client": {"qa_pipeline/measures.py"},
    "httpx": {"ui/client.py"},
    "jieba": {"qa_pipeline/evaluation/words.py"},
    "sacremoses": {"qa_pipeline/evaluation/words.py"},
    "matplotlib": {"qa_pipeline/evaluation/plots.py"},
    "pyspark": {"qa_pipeline/spark.py"},
}
FORBIDDEN = ("nltk", "streamlit", "ray", "elasticsearch")


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path, top_only: bool = False) -> set[str]:
    """Names of all modules a file imports, also inside functions (but not what is only for type checking)."""
    tree = ast.parse(path.read_text("utf-8"))
    found: set[str] = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_downstream_only(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imports(path)} & set(ROOMS)
    assert ours <= ROOMS[room]


def test_the_web_framework_is_known_to_the_door_only() -> None:
    knowing = {path for path in modules() if any(name.split(".")[0] == "litestar" for name in imports(path))}
    assert {path.name for path in knowing if not path.name.startswith("api")} <= {"cli_serve.py"}


def test_the_page_toolkit_is_known_to_the_page_only() -> None:
    knowing = {path for path in modules() if any(name.split(".")[0] == "streamlit" for name in imports(path))}
    assert {path.relative_to(ROOT).parts[0] for path in knowing} <= {"ui"} and ROOT / "ui/client.py" not in knowing


@pytest.mark.parametrize("vendor", SEAMS)
def test_vendors_stay_behind_their_seams(vendor: str) -> None:
    knowing = {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(name == vendor or name.startswith(vendor + ".") for name in imports(path))
    }
    assert knowing <= SEAMS[vendor]


def test_no_import_cycles() -> None:
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in modules()}
    graph = {name: {found for found in imports(path, top_only=True) if found in names} for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"cycle: {' -> '.join((*trail, name))}"
        if name not in done:
            for following in graph[name]:
                visit(following, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", [p for p in modules() if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_every_init_is_a_paragraph_only(path: Path) -> None:
    body = ast.parse(path.read_text("utf-8")).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"], ["status", "nowhere"]])
def test_the_door_is_light(arguments: list[str]) -> None:
    code = (
        "import sys; from qa_pipeline.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'haystack', 'transformers', 'sentence_transformers', 'faiss', 'matplotlib', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_help_imports_no_numpy() -> None:
    code = "import sys, qa_pipeline.cli as c; c.parser(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_answering_reaches_nothing_dangerous_and_says_nothing_home() -> None:
    """Importing the whole answering side opens no socket, starts no telemetry and loads no nltk."""
    code = (
        "import socket, sys, os, pathlib, tempfile\n"
        "home = tempfile.mkdtemp(); os.environ['HOME'] = home\n"
        "def refuse(*a, **k): sys.exit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import qa_pipeline.pipeline, indexing.store\n"
        f"bad = [m for m in {FORBIDDEN!r} if m in sys.modules]\n"
        "from haystack.telemetry import telemetry\n"
        "quiet = telemetry is None or os.environ['HAYSTACK_TELEMETRY_ENABLED'] == 'False'\n"
        "sys.exit(f'{bad} {telemetry}' if bad or not quiet else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr

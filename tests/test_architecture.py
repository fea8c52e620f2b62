"""The house guards itself: folders import earlier stages only, vendors stay behind their seams, nothing heavy at the door.

Every import counts, wherever it stands: inside a function, for type checking only, relative, of a module or of a name.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"indexing": {"indexing"}, "qa_pipeline": {"indexing", "qa_pipeline"}, "ui": {"ui"}}

# What stands in each folder, in the order data walks through it: a part imports parts before it, none after it.
ORDER = {
    "indexing": (
        "errors",
        "settings",
        "documents",
        "arrays",
        "speed",
        "atomic_files",
        "lru_cache",
        "child_process",
        "normal_form",
        "models",
        "text",
        "ocr",
        "files",
        "store",
        "report",
        "changed_files",
        "prepare",
        "scans",
        "workers",
        "build",
        "deepen",
        "repair",
    ),
    "qa_pipeline": (
        "errors",
        "settings",
        "answers",
        "datasets",
        "retrieval",
        "reading",
        "answering",
        "haystack",
        "pipeline",
        "evaluation",
        "training",
        "service",
        "api",
        "spark",
        "cli",
    ),
    "qa_pipeline.evaluation": ("metrics", "runs", "reading_comprehension", "open_domain", "calibration", "analysis"),
    "qa_pipeline.training": (
        "loop",
        "reader",
        "alignment",
        "embedder",
        "run_data",
        "model_card",
        "embedder_card",
        "augmentation",
        "compression",
        "train_reader",
        "train_embedder",
    ),
    "ui": ("client", "access", "render", "state", "components", "views", "app", "server"),
}

# Who may import what others made: files, and folders with all that is in them.
SEAMS = {
    "haystack": {"qa_pipeline/haystack/", "indexing/store/haystack_store.py"},
    # Engines and training.
    "torch": {"indexing/models/", "qa_pipeline/reading/", "qa_pipeline/haystack/", "qa_pipeline/training/"},
    "onnx": {"indexing/models/encoder_graph.py", "indexing/models/graph_file.py"},
    "onnxruntime": {"indexing/models/onnx_encoder.py"},
    "faiss": {"indexing/store/faiss_index.py"},
    "sqlite3": {
        "indexing/store/sqlite.py",
        "indexing/store/checked_sqlite.py",
        "indexing/store/haystack_store.py",
        "qa_pipeline/service/service_db.py",
    },
    "sentence_transformers": {
        "indexing/models/sentence_transformer.py",
        "qa_pipeline/training/embedder/contrastive_task.py",
    },
    "huggingface_hub": {"indexing/models/registry.py", "indexing/models/hub.py"},
    "pypdfium2": {
        "indexing/files/pdf.py",
        "indexing/files/pdf_annotations.py",
        "indexing/files/pdf_images.py",
        "indexing/files/pdf_pieces.py",
    },
    "lxml": {"indexing/files/"},
    "PIL": {"indexing/files/pictures.py"},
    "rapidocr": {"indexing/ocr/rapid.py"},
    "openpyxl": {"qa_pipeline/service/spreadsheets.py", "ui/render/batch_rows.py"},
    "selectolax": {"indexing/files/html.py"},
    "olefile": {"indexing/files/outlook.py"},
    "pypff": {"indexing/files/outlook_data.py"},
    "zstandard": {"indexing/files/archives.py"},
    "py7zr": {"indexing/files/archives.py"},
    "py3langid": {"indexing/text/langid_model.py"},
    "Stemmer": {"indexing/text/search_terms.py"},
    "tokenizers": {"indexing/models/registry.py", "indexing/models/lazy_tokenizer.py"},
    "litestar": {"qa_pipeline/api/", "qa_pipeline/cli/serve.py"},
    "uvicorn": {"qa_pipeline/cli/serve.py", "qa_pipeline/cli/http_protocol.py"},
    "prometheus_client": {"qa_pipeline/service/metrics.py"},
    "starlette": {"ui/server.py", "ui/access/"},
    "streamlit": {"ui/app.py", "ui/server.py", "ui/state/", "ui/render/", "ui/components/", "ui/views/"},
    "httpx": {"ui/client/http.py"},
    "babel": {"ui/render/names.py"},
    "httpx_sse": {"ui/client/http.py"},
    "jieba": {"qa_pipeline/datasets/token_counts.py"},
    "sacremoses": {"qa_pipeline/datasets/token_counts.py"},
    "matplotlib": {"qa_pipeline/evaluation/runs/plots.py"},
    "pyspark": {"qa_pipeline/spark/"},
}
LEVELS = 7
FORBIDDEN = ("nltk", "streamlit", "ray", "elasticsearch")


# -- finding imports ---------------------------------------------------------------------------------------------------


def files() -> list[Path]:
    return sorted(path for room in PACKAGES for path in (ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, modules: Iterable[str], is_package: bool = False) -> set[str]:
    """What a source text imports, anywhere in it, as the names of modules. modules: those of ours, by which
    `from package import module` is told from `from module import name`."""
    known = frozenset(modules)
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names} & known
            found |= inner
            if len(inner) < len(node.names):
                found.add(base)
    return found


@cache
def graph() -> Mapping[str, frozenset[str]]:
    """Each of our modules, and all that it imports."""
    paths = {module_of(path): path for path in files()}
    return {
        module: frozenset(imports(path.read_text("utf-8"), module, paths, path.name == "__init__.py")) - {module}
        for module, path in paths.items()
    }


def ours() -> Mapping[str, frozenset[str]]:
    every = graph()
    return {module: found & every.keys() for module, found in every.items()}


def cycle(arrows: Mapping[str, Iterable[str]]) -> str:
    """The first way found from a module back to itself, "" where there is none."""
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> str:
        if name in trail:
            return " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for following in sorted(arrows.get(name, ())):
                if found := visit(following, (*trail, name)):
                    return found
            done.add(name)
        return ""

    return next((found for name in sorted(arrows) if (found := visit(name, ()))), "")


def longest_chain(name: str, arrows: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The longest way down from a module; of several, the first by name. The arrows must have no cycle."""
    found: dict[str, tuple[str, ...]] = {}

    def below(name: str) -> tuple[str, ...]:
        if name not in found:
            found[name] = (name, *max(map(below, sorted(arrows.get(name, ()))), key=len, default=()))
        return found[name]

    return below(name)


def inside(folder: str, arrows: Mapping[str, Iterable[str]]) -> dict[str, dict[str, str]]:
    """The parts of a folder (its modules, its folders), each with those it imports, and one import that shows it."""
    depth = folder.count(".") + 2
    parts: dict[str, dict[str, str]] = {}
    for module in arrows:
        if module.startswith(f"{folder}."):
            part = ".".join(module.split(".")[:depth])
            found = parts.setdefault(part, {})
            for imported in arrows[module]:
                other = ".".join(imported.split(".")[:depth])
                if imported.startswith(f"{folder}.") and other != part:
                    found[other] = f"{module} imports {imported}"
    return parts


MODULES = ("a", "a.b", "a.b.c", "a.b.d", "a.e")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a.b.c", {"a.b.c"}),
        ("import a.b.c as x, os", {"a.b.c", "os"}),
        ("from a.b.c import name", {"a.b.c"}),
        ("from a.b import c", {"a.b.c"}),
        ("from a.b import c as x", {"a.b.c"}),
        ("from a.b import c, name", {"a.b.c", "a.b"}),
        ("from a import b, e", {"a.b", "a.e"}),
        ("from . import d", {"a.b.d"}),
        ("from .d import name", {"a.b.d"}),
        ("from .. import e", {"a.e"}),
        ("from ..e import name", {"a.e"}),
        ("from . import name", {"a.b"}),
        ("from a.e import *", {"a.e"}),
        ("def f():\n    from a import e\n    import a.b.d", {"a.e", "a.b.d"}),
        ("class C:\n    def f(self):\n        from .d import name", {"a.b.d"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.e import T", {"typing", "a.e"}),
        ("try:\n    import a.e\nexcept ImportError:\n    import os", {"a.e", "os"}),
        ("async def f():\n    async with g():\n        from a import e", {"a.e"}),
        ("# import a.e\n'import a.b.d'", set()),
    ],
)
def test_the_finder_sees_every_form_of_import(source: str, found: set[str]) -> None:
    assert imports(source, "a.b.c", MODULES) == found


@pytest.mark.parametrize(("source", "found"), [("from . import d", {"a.b.d"}), ("from .. import e", {"a.e"})])
def test_relative_imports_of_a_package_begin_at_the_package(source: str, found: set[str]) -> None:
    assert imports(source, "a.b", MODULES, is_package=True) == found


def test_a_cycle_is_found_and_told() -> None:
    assert cycle({"a": ["b"], "b": ["c"], "c": []}) == ""
    assert cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == "b -> c -> b"


def test_the_longest_chain_is_found() -> None:
    assert longest_chain("a", {"a": ["b", "c"], "b": ["c"], "c": ["d"]}) == ("a", "b", "c", "d")
    assert longest_chain("d", {"a": ["d"], "d": []}) == longest_chain("d", {}) == ("d",)


def test_parts_of_a_folder_are_its_modules_and_its_folders() -> None:
    arrows = {"a.b.c": ["a.e", "a.b.d", "os"], "a.b.d": [], "a.e": ["a.b.d"], "other.x": ["a.e"]}
    assert inside("a", arrows) == {
        "a.b": {"a.e": "a.b.c imports a.e"},
        "a.e": {"a.b": "a.e imports a.b.d"},
    }
    assert inside("a.b", arrows) == {"a.b.c": {"a.b.d": "a.b.c imports a.b.d"}, "a.b.d": {}}


# -- the order of folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_packages_import_downstream_only(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert {name.split(".")[0] for name in graph()[module_of(path)]} & set(PACKAGES) <= PACKAGES[room]


def test_no_import_cycles() -> None:
    assert cycle(ours()) == ""


@pytest.mark.parametrize("folder", sorted({module.rpartition(".")[0] for module in ours() if "." in module}))
def test_no_cycles_between_the_parts_of_a_folder(folder: str) -> None:
    assert cycle(inside(folder, ours())) == ""


@pytest.mark.parametrize("folder", ORDER)
def test_no_arrow_runs_back_up(folder: str) -> None:
    order = [f"{folder}.{name}" for name in ORDER[folder]]
    parts = inside(folder, ours())
    assert set(parts) == set(order), "say in ORDER where a new part stands"
    up = [why for part in parts for other, why in parts[part].items() if order.index(other) > order.index(part)]
    assert up == []


def test_at_most_seven_folders_from_the_command_line_down() -> None:
    """Between the folders in qa_pipeline. Modules beside them, such as `answers`, hold values and are no level."""
    parts = inside("qa_pipeline", ours())
    folders = {part for part in parts if any(module.startswith(f"{part}.") for module in ours())}
    chain = longest_chain("qa_pipeline.cli", {part: parts[part].keys() & folders for part in folders})
    assert len(chain) <= LEVELS, " -> ".join(chain)


def test_every_folder_with_folders_has_an_order() -> None:
    folders = {module_of(path) for path in files() if path.name == "__init__.py"}
    # Their own modules import what is in it, or are imported by it: `app` and `routes` of the API.
    small = {"qa_pipeline.api"}
    assert {folder.rpartition(".")[0] for folder in folders if "." in folder} - small == set(ORDER)


# -- the seams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", SEAMS)
def test_vendors_stay_behind_their_seams(vendor: str) -> None:
    knowing = {
        str(path.relative_to(ROOT))
        for path in files()
        if any(name == vendor or name.startswith(f"{vendor}.") for name in graph()[module_of(path)])
    }
    outside = {path for path in knowing if not any(f"{path}/".startswith(seam) for seam in SEAMS[vendor])}
    assert knowing and not outside


@pytest.mark.parametrize("path", [p for p in files() if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_every_init_is_a_paragraph_only(path: Path) -> None:
    body = ast.parse(path.read_text("utf-8")).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


def test_every_folder_with_code_is_a_package() -> None:
    # Streamlit runs the pages by their paths.
    assert {path.parent for path in files() if not (path.parent / "__init__.py").exists()} <= {ROOT / "ui/views"}


# -- the door ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"], ["status", "nowhere"]])
def test_the_entry_point_is_light(arguments: list[str]) -> None:
    code = (
        "import sys; from qa_pipeline.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'haystack', 'transformers', 'sentence_transformers', 'faiss', 'matplotlib', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_help_imports_no_numpy() -> None:
    code = "import sys, qa_pipeline.cli.main as c; c.parser(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_answering_reaches_nothing_dangerous_and_says_nothing_home() -> None:
    """Importing the whole answering side opens no socket, starts no telemetry and loads no nltk."""
    code = (
        "import socket, sys, os, pathlib, tempfile\n"
        "home = tempfile.mkdtemp(); os.environ['HOME'] = home\n"
        "def refuse(*a, **k): sys.exit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import qa_pipeline.pipeline, indexing.store.haystack_store\n"
        f"bad = [m for m in {FORBIDDEN!r} if m in sys.modules]\n"
        "from haystack.telemetry import telemetry\n"
        "quiet = telemetry is None or os.environ['HAYSTACK_TELEMETRY_ENABLED'] == 'False'\n"
        "sys.exit(f'{bad} {telemetry}' if bad or not quiet else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr

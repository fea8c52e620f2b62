"""What is installed in an image is what was tested, and all that its programs import."""

from __future__ import annotations

import ast
import fnmatch
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.docker.files import PROJECT, ROOT, SETUPTOOLS, all_of, installs, ui_packages


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line and not line.startswith("#"))


def closure(names: set[str]) -> set[str]:
    """All distributions that are installed for these, as far as they are installed here."""
    found: set[str] = set()
    left = {normal(name) for name in names}
    while left:
        name = left.pop()
        found.add(name)
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        plain = (line for line in wanted if "extra ==" not in line)
        left |= {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in plain} - found
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_page_has_no_torch() -> None:
    packages = closure(set(ui_packages()))
    heavy = {"torch", "transformers", "farm-haystack", "sentence-transformers", "faiss-cpu", "docqa"}
    assert not packages & heavy


def test_the_page_is_installed_from_the_tested_set() -> None:
    pinned = constraints()
    for name, version in ui_packages().items():
        assert re.fullmatch(r"\d+(\.\d+)+", version) and pinned.get(name, version) == version


def test_the_api_is_installed_from_the_tested_set_torch_first() -> None:
    torch, rest, docqa = installs("api")
    assert torch[:2] == ["--index-url", "$TORCH_INDEX"] and "^torch==" in " ".join(torch) and "torch" in constraints()
    assert rest == ["--constraint", "constraints.txt", "--requirement", "requirements.txt"]
    assert docqa == ["--no-deps", "."]
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in all_of("api", "ARG")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the image's Python has tomllib, this one has not")
def test_the_requirements_of_the_api_are_those_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = (rest for rest in all_of("api", "RUN") if "requirements.txt" in rest)
    code = shlex.split(run)[2].replace("'pyproject.toml'", repr(str(ROOT / "pyproject.toml")))
    exec(code)
    assert capsys.readouterr().out.splitlines() == PROJECT["dependencies"]


def reached(*names: str, rooms: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Our modules that the ones of these names import, however far, and what all of them import from outside."""
    ours: set[str] = set()
    outside: set[str] = set()
    visited: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        visited.add(name)
        path = ROOT / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not path.exists():
            continue
        ours.add(name)
        found = imports(path)
        left |= {module for module in found if module.split(".")[0] in rooms} - visited
        outside |= {module.split(".")[0] for module in found if module.split(".")[0] not in rooms}
    return ours, outside - set(sys.stdlib_module_names)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def missing(modules: set[str], packages: set[str]) -> set[str]:
    """The modules that no distribution among `packages` gives."""
    givers = metadata.packages_distributions()
    return {name for name in modules if not {normal(giver) for giver in givers.get(name, [])} & closure(packages)}


def test_everything_docqa_imports_is_installed_in_the_api() -> None:
    ours, modules = reached("qa_pipeline.cli.main", rooms=("indexing", "qa_pipeline"))
    assert "openpyxl" in modules and "torch" in modules and "qa_pipeline.pipeline" in ours
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in PROJECT["dependencies"]}
    extras = [line for name in ("evaluation", "spark") for line in PROJECT["optional-dependencies"][name]]
    beside = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in extras}
    told = {
        "zstandard",
        "py7zr",
        "pypff",
        "rapidocr",
    }  # files of these kinds are skipped with that reason where they are not installed
    assert missing(modules, names) <= {"streamlit", *beside, *told}
    _, served = reached(
        "qa_pipeline.api.app", "qa_pipeline.service.service", "qa_pipeline.cli.serve", rooms=("indexing", "qa_pipeline")
    )
    assert not served & beside
    wanted = SETUPTOOLS["packages"]["find"]["include"]
    folders = {
        path.parent.relative_to(ROOT) for room in ("indexing", "qa_pipeline") for path in (ROOT / room).rglob("__init__.py")
    }
    packages = {".".join(folder.parts) for folder in folders}
    packages = {name for name in packages if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)}
    assert {name if (ROOT / name.replace(".", "/")).is_dir() else name.rpartition(".")[0] for name in ours} <= packages


def test_everything_the_page_imports_is_installed_in_it() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "ui").rglob("*.py")}
    _, modules = reached(*names, rooms=("ui",))
    assert not modules & {"indexing", "qa_pipeline"}
    assert not missing(modules, set(ui_packages()))

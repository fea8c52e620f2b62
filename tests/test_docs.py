"""Documents that cannot rot: every command and option is told, and what README shows is what runs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from types import ModuleType

import pytest

from indexing import errors
from qa_pipeline import errors as own_errors
from qa_pipeline.cli.main import parser

ROOT = Path(__file__).resolve().parent.parent
CLI = (ROOT / "docs" / "cli.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def verbs() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("verb", verbs())
def test_every_command_and_option_is_told(verb: str) -> None:
    assert f"docqa {verb}" in README
    section = CLI.split(f"## docqa {verb}", 1)[1].split("\n## ", 1)[0]
    for action in verbs()[verb]._actions:
        for option in action.option_strings:
            assert option in ("-h", "--help") or option in section, option


@pytest.mark.parametrize("document", [README, CLI])
def test_no_option_is_told_that_is_not_there(document: str) -> None:
    known = {option for verb in verbs().values() for action in verb._actions for option in action.option_strings}
    for line in re.findall(r"docqa (?:index|ask|search|read|show|status|doctor|models)\b[^\n|]*", document):
        for option in re.findall(r"--[a-z-]+", line):
            assert option in known, (option, line)


def test_linked_documents_exist() -> None:
    for name in re.findall(r"`((?:docs|benchmarks|indexing|examples)/[\w./-]+)`", README):
        assert (ROOT / name).exists(), name


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = README.split("```python", 1)[1].split("```", 1)[0].replace('"my-index"', repr(str(tmp_path / "i")))
    monkeypatch.chdir(ROOT)
    exec(compile(code.replace("examples/corpus", "examples/corpus/en"), "README.md", "exec"), {})
    assert "22 June 1912" in capsys.readouterr().out


@pytest.mark.parametrize("module", [errors, own_errors])
def test_every_error_is_drawn_in_the_tree(module: ModuleType) -> None:
    names = [
        name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, errors.DocqaError)
    ]
    assert names and all(re.search(rf"\b{name}\b", module.__doc__ or "") for name in names)


NOT_OURS = {".venv", ".git", ".demo", ".hypothesis", ".ruff_cache", ".mypy_cache", ".pytest_cache", "docqa.egg-info"}


def test_nothing_names_this_machine() -> None:
    found = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.suffix in (".py", ".md", ".toml", ".txt", ".html", "") and path.is_file() and parts[0] not in NOT_OURS:
            text = path.read_text("utf-8", errors="ignore")
            if re.search("py" + r"pi\.org|python" + r"hosted\.org|/wo" + "rk/|/ro" + "ot/", text):
                found.append(str(path))
    assert found == []

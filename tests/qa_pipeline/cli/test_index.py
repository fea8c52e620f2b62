"""`docqa index`: each file is reported when it is stored, and the options for folders that changed behind its back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from indexing import build
from indexing.errors import IndexFolderError
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.cli.main import main


@pytest.fixture
def run(tmp_path: Path) -> list[str]:
    (tmp_path / "documents").mkdir()
    for name in "ab":
        (tmp_path / "documents" / f"{name}.txt").write_text(f"The lamp {name} was lit in 1868.", "utf-8")
        os.utime(tmp_path / "documents" / f"{name}.txt", (1_600_000_000, 1_600_000_000))
    return ["index", str(tmp_path / "documents"), "--into", str(tmp_path / "index"), "--tiers", "token"]


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_json_prints_each_file_as_it_is_done(
    run: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends before its report has reported the files that it stored."""

    def full(*_: object) -> None:
        raise IndexFolderError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(build, "_store_run", full)
        assert main([*run, "--embedder", "builtin", "--json"]) == 2
    stopped = capsys.readouterr()
    assert [(file["source"], file["status"]) for file in lines(stopped.out)] == [("a.txt", "indexed"), ("b.txt", "indexed")]
    assert main([*run, "--json"]) == 0
    *files, report = lines(capsys.readouterr().out)
    assert [(file["source"], file["status"]) for file in files] == [("a.txt", "unchanged"), ("b.txt", "unchanged")]
    assert report["documents"] == 2


def test_all_reads_files_of_unchanged_size_and_time(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*run, "--embedder", "builtin"]) == 0
    path = Path(run[1]) / "a.txt"
    path.write_text("The lamp a was lit in 1999.", "utf-8")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    capsys.readouterr()
    assert main([*run, "--all"]) == 0
    out = capsys.readouterr().out
    assert "updated    a.txt" in out and "1 updated, 1 unchanged" in out


def test_a_note_stands_below_its_file_in_plain_characters(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Names inside an archive and of other files come from their authors: they send no escape sequence to the terminal."""
    (Path(run[1]) / "b.txt").unlink()
    Path(run[1], "a\x1b[31m.txt").write_bytes(Path(run[1], "a.txt").read_bytes())
    os.utime(Path(run[1], "a\x1b[31m.txt"), (1_600_000_000, 1_600_000_000))
    os.rename(Path(run[1], "a.txt"), Path(run[1], "b.txt"))
    assert main([*run, "--embedder", "builtin"]) == 0
    out = capsys.readouterr().out
    assert "indexed    b.txt (1 passage)\n           note: the same content as a\ufffd[31m.txt\n2 indexed\n" in out
    assert "\x1b" not in out
    with IndexFolder.open(Path(run[run.index("--into") + 1])) as folder:
        first, second = ((id, source) for id, source, *_ in folder.document_rows())
    assert main(["show", run[run.index("--into") + 1], first[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["also_in"] == [{"document_id": second[0], "source": second[1]}]
    assert main(run) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 unchanged\n")


def test_emptied_goes_on_with_another_folder(run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*run, "--embedder", "builtin"]) == 0
    for name in "ab":
        (Path(run[1]) / f"{name}.txt").unlink()
    (Path(run[1]) / "c.txt").write_text("Another text altogether.", "utf-8")
    assert main(run) == 2
    assert "docqa index --emptied" in capsys.readouterr().err
    assert main([*run, "--emptied"]) == 0
    assert "1 indexed, 2 removed" in capsys.readouterr().out

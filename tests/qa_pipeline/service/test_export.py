"""Exports: everything an index holds, as JSON lines with the original files; indexed again it is the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from indexing.build import build_index
from indexing.errors import FilterError, IndexDamaged, SettingError
from indexing.files.walk import find_files
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.cli.main import main as docqa
from qa_pipeline.service.export import DOCUMENTS, FACTS, ORIGINALS, Exported, export
from tests.known import SCRIPTS, WordEmbedder

ROWS = '{"id": "a", "text": "Der Hafen.", "year": 1912}\n{"id": "b", "text": "Die Mine.", "year": 1974}\n'


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "c"
    for language, text in SCRIPTS.items():
        (folder / language).mkdir(parents=True)
        (folder / language / "t\u00e9xt.txt").write_text(text, encoding="utf-8", newline="")
    (folder / "notes.md").write_text("# Bridge\n\nIt opened in 1912.\n\n## Length\n\nIt is long.\n")
    (folder / "rows.jsonl").write_text(ROWS)
    build(folder, tmp_path / "i")
    return tmp_path / "i"


def build(documents: Path, index: Path) -> None:
    report = build_index(documents, index, embedder=WordEmbedder())  # type: ignore[arg-type]
    assert report.count("skipped") == 0


def contents(index: Path) -> dict[str, tuple[Any, ...]]:
    """id -> everything of a document but where it was."""
    with IndexFolder.open(index) as folder:
        found = [folder.document(row[0]) for row in folder.document_rows()]
        return {d.id: (d.source, d.text, d.language, d.pages, d.headings, dict(d.meta)) for d in found}


def rows(to: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (to / DOCUMENTS).read_text("utf-8").split("\n") if line]


def test_the_originals_indexed_again_give_the_same_ids_and_texts(index: Path, tmp_path: Path) -> None:
    done = export(index, tmp_path / "e")
    assert done == Exported(len(SCRIPTS) + 3, done.passages, len(SCRIPTS) + 2, ())
    build(tmp_path / "e" / ORIGINALS, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(index)
    assert (tmp_path / "e" / DOCUMENTS).stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / "e" / FACTS).read_text("utf-8"))["documents"] == done.documents


def test_each_line_is_a_document_with_the_places_of_its_passages(index: Path, tmp_path: Path) -> None:
    export(index, tmp_path / "e")
    kept = contents(index)
    found = rows(tmp_path / "e")
    assert {row["id"]: row["text"] for row in found} == {id: values[1] for id, values in kept.items()}
    with IndexFolder.open(index) as folder:
        chunks = {chunk.key: chunk for chunk in folder.chunks(folder.chunk_ids().tolist())}
    assert sum(len(row["passages"]) for row in found) == len(chunks)
    for row in found:
        for place in row["passages"]:
            chunk = chunks[place["id"]]
            assert row["text"][place["start"] : place["end"]] == chunk.text and place["language"] == chunk.language


def test_the_lines_indexed_again_give_the_same_texts(index: Path, tmp_path: Path) -> None:
    export(index, tmp_path / "e")
    build(tmp_path / "e" / DOCUMENTS, tmp_path / "again")
    ours = sorted(
        (text, language, headings, meta.get("year")) for _, text, language, _, headings, meta in contents(index).values()
    )
    again = contents(tmp_path / "again").values()
    assert sorted((text, language, headings, meta.get("year")) for _, text, language, _, headings, meta in again) == ours


def test_a_filter_leaves_out_documents_and_their_files(index: Path, tmp_path: Path) -> None:
    done = export(index, tmp_path / "e", {"year": 1912})
    assert [row["source"] for row in rows(tmp_path / "e")] == ["rows.jsonl#a"]
    assert done.originals == 0 and done.missing == ("rows.jsonl",), "its other rows are not allowed"
    assert "Die Mine" not in "".join(p.read_text("utf-8") for p in (tmp_path / "e").rglob("*") if p.is_file())
    assert export(index, tmp_path / "n", {"year": 1800}).documents == 0
    with pytest.raises(FilterError, match="passages"):
        export(index, tmp_path / "f", {"language": "de"})


def test_an_original_that_is_not_what_was_indexed_is_named(index: Path, tmp_path: Path) -> None:
    (tmp_path / "c" / "notes.md").write_text("Another text.")
    (tmp_path / "c" / "rows.jsonl").unlink()
    done = export(index, tmp_path / "e")
    assert done.missing == ("notes.md", "rows.jsonl") and done.documents == len(SCRIPTS) + 3
    assert not (tmp_path / "e" / ORIGINALS / "notes.md").exists()


def test_every_original_that_indexing_found_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, folders of mail and names in NFD too, with one walk of the folder."""
    folder = tmp_path / "c"
    (folder / "Mail" / ".Sent" / "new").mkdir(parents=True)
    for part in ("cur", "new", "tmp", ".Sent/cur", ".Sent/tmp"):
        (folder / "Mail" / part).mkdir()
    (folder / "Mail" / ".Sent" / "new" / "1").write_text("From: a@example.org\nSubject: s\n\nThe mine closed in 1974.\n")
    (folder / "e\u0301.txt").write_text("The road was made in 1666.")
    (folder / "link.txt").symlink_to(folder / "e\u0301.txt")
    build(folder, tmp_path / "i")
    walks = []
    monkeypatch.setattr("qa_pipeline.service.export.find_files", lambda place: walks.append(place) or find_files(place))
    assert export(tmp_path / "i", tmp_path / "e").missing == () and len(walks) == 1
    originals = tmp_path / "e" / ORIGINALS
    found = {path.relative_to(originals).as_posix() for path in originals.rglob("*") if path.is_file()}
    assert found == {"Mail/.Sent/new/1", "\u00e9.txt", "link.txt"}
    build(tmp_path / "e" / ORIGINALS, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "i")


def test_no_original_replaces_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk without letter case, where a.txt and A.txt are one file."""

    def exists(path: Path) -> bool:
        return path.parent.is_dir() and path.name.lower() in {name.lower() for name in os.listdir(path.parent)}

    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "A.txt").write_text("The mine closed in 1974.")
    (tmp_path / "c" / "a.txt").write_text("The road was made in 1666.")
    build(tmp_path / "c", tmp_path / "i")
    monkeypatch.setattr(Path, "exists", exists)
    done = export(tmp_path / "i", tmp_path / "e")
    assert (done.documents, done.originals, done.missing) == (2, 1, ("a.txt",))
    assert "1974" in (tmp_path / "e" / ORIGINALS / "A.txt").read_text()


def test_a_damaged_document_ends_it_and_a_filled_folder_is_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds files"):
        export(index, tmp_path / "c")
    with IndexFolder.open(index, writable=True) as folder:
        folder.connection().execute("UPDATE documents SET text = 'x' || text WHERE source = 'notes.md'")
    with pytest.raises(IndexDamaged, match="notes.md"):
        export(index, tmp_path / "e")
    assert not (tmp_path / "e" / FACTS).exists() and not (tmp_path / "e" / DOCUMENTS).exists()


def test_the_command_says_what_it_wrote(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c" / "rows.jsonl").unlink()
    assert docqa(["export", str(index), str(tmp_path / "e")]) == 0
    said = capsys.readouterr().out
    assert f"{len(SCRIPTS) + 3} documents" in said and "without its original file: rows.jsonl" in said
    assert docqa(["export", str(index), str(tmp_path / "f"), "--filter", "year=1974", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 1
    assert docqa(["export", str(tmp_path / "none"), str(tmp_path / "g")]) == 2
    assert "There is no index" in capsys.readouterr().err

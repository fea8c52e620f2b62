"""Index folders that earlier versions of docqa wrote are opened, searched and brought up to date."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.repair import diagnose
from indexing.store.index import Index
from indexing.store.schema import FORMAT

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "index_folders"
MAKE = runpy.run_path(str(FOLDER / "make.py"))
TEXTS: dict[str, str] = MAKE["TEXTS"]
FOLDERS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and (path / "corpus.db").is_file())
OF_THEN = ("rebuilt in memory at each start",)


def test_each_format_version_has_a_small_fixture() -> None:
    assert {int(name.partition("-")[0]) for name in FOLDERS} == set(range(1, FORMAT + 1))
    assert all(sum(p.stat().st_size for p in (FOLDER / name).iterdir()) < 200_000 for name in FOLDERS)


@pytest.fixture(params=FOLDERS)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / "i"))


def found(index: Index) -> dict[str, str]:
    return {row[1]: index.folder.document(row[0]).text for row in index.folder.document_rows()}


def test_it_is_read_as_it_is(earlier: Path) -> None:
    with Index.open(earlier) as index, index.snapshot() as snapshot:
        assert found(index) == TEXTS
        chunks = snapshot.chunks(index.folder.chunk_ids().tolist())
        assert {chunk.source for chunk in chunks} == set(TEXTS)
        for chunk in chunks:
            assert TEXTS[chunk.source][chunk.start : chunk.end] == chunk.text
        for word, source in (("Kestrel", "bridge.txt"), ("Insel", "reports/berg.txt")):
            assert [c.source for c in snapshot.chunks([i for i, _ in snapshot.best(word, "", 5)])] == [source]
        for chunk in chunks:
            assert snapshot.nearest(MAKE["Hashed"]().questions([chunk.text])[0], 1)[0][0] == chunk.id
        assert snapshot.best("removed", "en", 5) == []
    assert all(problem.rstrip(".").endswith(OF_THEN) or "cannot be used" in problem for problem in diagnose(earlier))


def test_it_is_brought_up_to_date_without_losing_ids(earlier: Path, tmp_path: Path) -> None:
    with Index.open(earlier) as index:
        before = index.folder.chunk_ids().tolist()
        documents = [row[0] for row in index.folder.document_rows()]
    for name, text in TEXTS.items():
        path = tmp_path / "c" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (tmp_path / "c" / "new.txt").write_text("The mine closed in 1974.")
    report = build_index(tmp_path / "c", earlier, embedder=MAKE["Hashed"]())
    assert {file.source: file.status for file in report.files} == {**dict.fromkeys(TEXTS, "unchanged"), "new.txt": "indexed"}
    assert diagnose(earlier) == []
    with Index.open(earlier) as index, index.snapshot() as snapshot:
        assert found(index) == {**TEXTS, "new.txt": "The mine closed in 1974."}
        ids = index.folder.chunk_ids().tolist()
        assert ids[: len(before)] == before and ids[-1] > max(before)
        assert set(documents) <= {row[0] for row in index.folder.document_rows()}
        assert [c.source for c in snapshot.chunks([i for i, _ in snapshot.best("mine", "en", 5)])] == ["new.txt"]

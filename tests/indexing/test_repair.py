"""Damage of an index: every kind is a finding, `repair_index` mends or saves what is there, and nothing is guessed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.build import build_index
from indexing.documents import content_hash
from indexing.errors import DiskFull, DocqaError, IndexDamaged, IndexFolderError, IndexMismatch, IndexMissing, SettingError
from indexing.repair import diagnose, repair_index
from indexing.store.checked_sqlite import CheckedConnection, folder_error
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from indexing.store.listing import ListingQuery, list_documents
from indexing.store.salvage import open_wreck
from indexing.store.sqlite import DATABASE
from tests.known import WordEmbedder

EMBEDDER: Any = WordEmbedder()
FILES = 30
CHUNKS = 10
BAD_TEXT = "CAST(x'8081ff' AS TEXT)"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `documents` and the index of them."""
    home = tmp_path_factory.mktemp("damage")
    (home / "documents").mkdir()
    for number in range(FILES):
        text = " ".join(f"Tower {number}-{part} was built in {1000 + 7 * number + part}." for part in range(60))
        (home / "documents" / f"tower{number:02}.txt").write_text(text)
    build_index(home / "documents", home / "index", embedder=EMBEDDER)
    return home


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "home")
    with IndexFolder.open(tmp_path / "home" / "index", writable=True) as folder:
        folder.store_facts({"documents": str(tmp_path / "home" / "documents")})
    return tmp_path / "home"


@pytest.fixture
def index(home: Path) -> Path:
    return home / "index"


def damage(index: Path, *statements: str) -> None:
    connection = sqlite3.connect(index / DATABASE)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def texts(index: Path) -> dict[str, str]:
    """Source -> text of every document that can be read."""
    with IndexFolder.open(index) as folder:
        return {row[1]: folder.document(row[0]).text for row in folder.document_rows()}


def files(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (home / "documents").iterdir()}


ROWS = {
    "document text no UTF-8": f"UPDATE documents SET text = {BAD_TEXT} WHERE number = 3",
    "document text other": "UPDATE documents SET text = 'other' || substr(text, 6) WHERE number = 3",
    "document text a blob": "UPDATE documents SET text = x'00ff' WHERE number = 3",
    "content hash other": "UPDATE documents SET content_hash = 'ff' || substr(content_hash, 3) WHERE number = 3",
    "length other": "UPDATE documents SET length = 7 WHERE number = 3",
    "pages no JSON": "UPDATE documents SET pages = '[0' WHERE number = 3",
    "pages outside": "UPDATE documents SET pages = '[0, 99999999]' WHERE number = 3",
    "headings no JSON": "UPDATE documents SET headings = 'x' WHERE number = 3",
    "meta no JSON": "UPDATE documents SET meta = '{\"a' WHERE number = 3",
    "meta no UTF-8": f"UPDATE documents SET meta = {BAD_TEXT} WHERE number = 3",
    "passage text no UTF-8": f"UPDATE chunks SET text = {BAD_TEXT} WHERE id = 3",
    "passage text other": "UPDATE chunks SET text = 'other' WHERE id = 3",
    "passage place other": "UPDATE chunks SET start = start + 1 WHERE id = 3",
    "passage place text": "UPDATE chunks SET start = 'x' WHERE id = 3",
    "vector short": "UPDATE chunks SET vector = x'00' WHERE id = 3",
    "vector text": "UPDATE chunks SET vector = 'abc' WHERE id = 3",
    "vector not finite": f"UPDATE chunks SET vector = x'{np.full(32, np.nan, np.float32).tobytes().hex()}' WHERE id = 3",
    "vector other": f"UPDATE chunks SET vector = x'{np.eye(32, dtype=np.float32)[0].tobytes().hex()}' WHERE id = 3",
    "vector missing": "UPDATE chunks SET vector = NULL WHERE id = 3",
    "passage without document": "PRAGMA foreign_keys=OFF; UPDATE chunks SET document_id = 'none' WHERE id = 3",
    "passage deleted": "INSERT INTO deleted SELECT id, 1 FROM chunks WHERE id = 3",
    "generation behind": "UPDATE meta SET value = '0' WHERE name = 'generation'",
}


@pytest.mark.parametrize("kind", ROWS)
def test_damaged_rows_are_found_and_repaired_in_place(index: Path, home: Path, kind: str) -> None:
    damage(index, *ROWS[kind].split("; "))
    assert diagnose(index)
    done = repair_index(index, embedder=EMBEDDER)
    assert done.into is None and done.left == () and diagnose(index) == []
    assert texts(index) == files(home), "what was damaged is read again from its file"
    if kind.startswith("vector"):
        assert done.embedded == 1 and not done.removed
    with IndexFolder.open(index) as folder:
        ids, vectors = folder.vectors(folder.chunk_ids())
        assert len(ids) == folder.counts()["passages"]
        expected = EMBEDDER.passages([chunk.text for chunk in folder.chunks(ids.tolist())])
        np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ROWS)
def test_damaged_rows_hide_their_own_passages_only(index: Path, kind: str) -> None:
    """Also where the derived files are gone, so that all passages are read."""
    damage(index, *ROWS[kind].split("; "))
    (index / "derived.json").unlink()
    with Index.open(index) as opened, opened.snapshot() as snapshot:
        found = snapshot.best("Tower 20-7", "en", 5)
        sources = {chunk.source for chunk in snapshot.chunks([number for number, _ in found])}
        assert "tower20.txt" in sources
        assert list_documents(opened.folder, ListingQuery(), fields=True).total == FILES
        assert list_documents(opened.folder, ListingQuery(since="1900")).total == 0
        with opened.folder.reading():
            allowed = opened.allowed(snapshot.generation, {"$not": {"none": 1}})
            assert allowed is not None and len(allowed) >= len(opened.folder.chunk_ids()) - CHUNKS


def test_a_document_with_damaged_meta_matches_no_filter_on_it(index: Path) -> None:
    """Negated filters too: what is not known is not allowed."""
    damage(index, ROWS["meta no JSON"])
    with Index.open(index) as opened, opened.snapshot() as snapshot:
        allowed = opened.allowed(snapshot.generation, {"secret": {"$ne": True}})
        assert allowed is not None
        hidden = np.setdiff1d(opened.folder.chunk_ids(), allowed)
        assert {chunk.source for chunk in opened.folder.chunks(hidden.tolist())} == {"tower02.txt"}


def test_a_damaged_document_is_not_shown(index: Path) -> None:
    with IndexFolder.open(index) as folder:
        name = next(row[0] for row in folder.document_rows() if row[1] == "tower02.txt")
        assert content_hash(folder.document(name).text) == folder.document(name).content_hash
    damage(index, ROWS["document text other"])
    with IndexFolder.open(index) as folder:
        with pytest.raises(IndexDamaged, match=r"tower02\.txt.*docqa doctor"):
            folder.document(name)
        other = next(row[0] for row in folder.document_rows() if row[1] == "tower04.txt")
        assert folder.document(other).text.startswith("Tower 4-0")


def overwrite(index: Path, start: int, content: bytes) -> None:
    with (index / DATABASE).open("r+b") as file:
        file.seek(start)
        file.write(content)


def cut(index: Path, share: float) -> None:
    content = (index / DATABASE).read_bytes()
    (index / DATABASE).write_bytes(content[: int(share * len(content))])


def root_page(index: Path, name: str) -> int:
    connection = sqlite3.connect(index / DATABASE)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    connection.close()
    return int(page)


def page_size(index: Path) -> int:
    return int.from_bytes((index / DATABASE).read_bytes()[16:18], "big")


def zero_root(index: Path, name: str) -> None:
    overwrite(index, page_size(index) * (root_page(index, name) - 1), bytes(page_size(index)))


def overwrite_a_page_in_the_middle(index: Path) -> None:
    pages = (index / DATABASE).stat().st_size // page_size(index)
    overwrite(index, page_size(index) * (pages // 2), b"\xa5" * page_size(index))


FILE_DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda index: cut(index, 0),
    "cut in the first page": lambda index: (index / DATABASE).write_bytes((index / DATABASE).read_bytes()[:3000]),
    "cut in its second half": lambda index: cut(index, 0.8),
    "cut in the last page": lambda index: (index / DATABASE).write_bytes(
        (index / DATABASE).read_bytes()[: -page_size(index) // 2]
    ),
    "header zeroed": lambda index: overwrite(index, 0, bytes(100)),
    "page count wrong": lambda index: overwrite(index, 28, (7).to_bytes(4, "big")),
    "schema zeroed": lambda index: overwrite(index, 100, bytes(page_size(index) - 100)),
    "documents' root zeroed": lambda index: zero_root(index, "documents"),
    "passages' root zeroed": lambda index: zero_root(index, "chunks"),
    "meta's root zeroed": lambda index: zero_root(index, "meta"),
    "an index zeroed": lambda index: zero_root(index, "documents_file"),
    "a page in the middle": overwrite_a_page_in_the_middle,
}


NOTHING_LEFT = ("empty", "cut in the first page", "schema zeroed", "documents' root zeroed")


@pytest.mark.parametrize("kind", FILE_DAMAGE)
def test_damaged_files_are_findings_and_what_can_be_read_is_saved(index: Path, home: Path, kind: str) -> None:
    """In place, or in a new folder; without the originals, so that what is lost shows. No text is another than before."""
    FILE_DAMAGE[kind](index)
    before = (index / DATABASE).read_bytes()
    assert diagnose(index)
    truth = files(home)
    shutil.rmtree(home / "documents")
    try:
        done = repair_index(index, embedder=EMBEDDER)
    except IndexFolderError as error:
        assert "\n" not in str(error) and kind in NOTHING_LEFT
        assert not (home / "index-salvaged").exists() and (index / DATABASE).read_bytes() == before
        return
    where = done.into or index
    kept = texts(where)
    assert kept.items() <= truth.items()
    if done.into is not None:
        assert (index / DATABASE).read_bytes() == before, "the damaged folder is as it was"
        assert done.left and len(kept) == done.saved
        assert not done.named or set(done.lost) == truth.keys() - kept.keys()
        assert diagnose(where) == []
        with pytest.raises(SettingError, match="exists already"):
            repair_index(index, embedder=EMBEDDER)
    whole = ("cut in the last page", "header zeroed", "page count wrong", "passages' root zeroed", "an index zeroed")
    if kind in whole or kind == "meta's root zeroed":
        assert kept == truth


@pytest.mark.parametrize("kind", ["a page in the middle", "documents' root zeroed"])
def test_what_is_lost_is_read_again_from_its_file(index: Path, home: Path, kind: str) -> None:
    FILE_DAMAGE[kind](index)
    done = repair_index(index, embedder=EMBEDDER)
    assert texts(done.into or index) == files(home) and done.lost == ()


def test_a_document_under_the_name_of_another_file_is_not_saved(index: Path) -> None:
    """One flipped bit in its source: saved so, it would stand in the way of the file that has that name."""
    damage(index, "UPDATE documents SET source = 'tower99.txt' WHERE source = 'tower01.txt'")
    with open_wreck(index) as wreck:
        saved = {one.document.source: one.file for one in wreck.documents()}
        assert "tower99.txt" not in saved and saved["tower00.txt"] == "tower00.txt"
        assert wreck.lost() == (["tower01.txt"], True)


def test_a_document_with_a_damaged_file_name_is_saved_under_its_own(index: Path) -> None:
    """Its id proves its source. Under the damaged name it would stand in the way when its file is read again."""
    damage(index, "UPDATE documents SET file = 'tower01.dxt' WHERE source = 'tower01.txt'")
    with open_wreck(index) as wreck:
        assert {one.document.source: one.file for one in wreck.documents()}["tower01.txt"] == "tower01.txt"


def test_an_index_of_smaller_pages_without_its_header_is_saved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases of an earlier docqa have pages of 4 KB."""
    monkeypatch.setattr("indexing.store.sqlite.PAGE_SIZE", 4096)
    build_index(home / "documents", home / "earlier", embedder=EMBEDDER)
    overwrite(home / "earlier", 0, bytes(100))
    truth = files(home)
    shutil.rmtree(home / "documents")
    done = repair_index(home / "earlier", embedder=EMBEDDER)
    assert done.into is not None and texts(done.into) == truth


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_never_crash_and_never_change_a_text(index: Path, home: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray((index / DATABASE).read_bytes())
    for _ in range(chance.choice((1, 3, 40))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    (index / DATABASE).write_bytes(content)
    truth = set(files(home).values())
    try:
        found = diagnose(index)
    except (IndexMismatch, IndexMissing):
        return
    assert all(isinstance(line, str) and "\n" not in line for line in found)
    try:
        with Index.open(index) as opened, opened.snapshot() as snapshot:
            for number, _ in snapshot.best("Tower 20-7", "en", 10):
                for chunk in snapshot.chunks([number]):
                    try:
                        assert opened.folder.document(chunk.document_id).text in truth
                    except DocqaError:
                        continue
    except DocqaError:
        pass
    try:
        done = repair_index(index, embedder=EMBEDDER)
    except DocqaError as error:
        assert "\n" not in str(error)
        return
    assert set(texts(done.into or index).values()) <= truth


def test_a_full_disk_and_a_damaged_file_are_other_errors(tmp_path: Path) -> None:
    assert isinstance(folder_error(tmp_path, sqlite3.OperationalError("database or disk is full")), DiskFull)
    assert isinstance(folder_error(tmp_path, sqlite3.DatabaseError("database disk image is malformed")), IndexDamaged)
    locked = folder_error(tmp_path, sqlite3.OperationalError("database is locked"))
    assert isinstance(locked, IndexFolderError) and not isinstance(locked, IndexDamaged)


def test_a_mistake_in_the_values_stays_a_mistake(tmp_path: Path) -> None:
    connection = CheckedConnection.open(tmp_path, f"file:{tmp_path}/x.db?mode=rwc", 1.0)
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()

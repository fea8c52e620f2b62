"""Folder and index at their edges: locks, newer formats, damage, read-only folders, readers beside a writer."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from indexing.atomic_files import file_checksum
from indexing.build import build_index
from indexing.errors import (
    DocumentMissing,
    IndexBusy,
    IndexDamaged,
    IndexFolderError,
    IndexMismatch,
    IndexMissing,
    SettingError,
)
from indexing.settings import ChunkSettings, IndexSettings
from indexing.store.bm25 import Segment
from indexing.store.corpus_db import IndexFolder
from indexing.store.derived_files import MANIFEST
from indexing.store.filters import where
from indexing.store.index import Index
from indexing.store.sqlite import DATABASE
from tests.known import WordEmbedder

EMBEDDER = WordEmbedder()


def test_there_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="docqa index"):
        IndexFolder.open(tmp_path)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(IndexFolderError, match="other files"):
        IndexFolder.create(tmp_path, IndexSettings(), EMBEDDER.facts())
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_newer_format_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path / DATABASE)
    connection.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    connection.commit()
    connection.close()
    with pytest.raises(IndexMismatch, match="99"):
        IndexFolder.open(path)


@pytest.mark.parametrize("content", [b"", b"no database" * 500])
def test_a_broken_database_is_one_sentence(path: Path, content: bytes) -> None:
    (path / DATABASE).write_bytes(content)
    with pytest.raises(IndexDamaged):
        IndexFolder.open(path)


FILTERS: dict[str, dict[str, object]] = {
    "language": {"language": "de"},
    "page": {"page": {"$ne": 3}},
    "source": {"source": {"$glob": "*"}},
    "both": {"$or": [{"language": "de"}, {"source": {"$glob": "*.md"}}]},
}


@pytest.mark.parametrize("kind", FILTERS)
def test_a_filter_reads_neither_texts_nor_vectors(path: Path, kind: str) -> None:
    """Neither table's rows, which hold them: a filter of a large index would read all of the database."""
    condition = where(FILTERS[kind])
    with IndexFolder.open(path) as folder:
        statements: list[str] = []
        folder.connection().set_trace_callback(statements.append)
        assert len(folder.chunk_ids(condition))
        folder.connection().set_trace_callback(None)
        plan = [row[3] for row in folder.connection().execute(f"EXPLAIN QUERY PLAN {statements[-1]}")]
    tables = [step for step in plan if step.split()[1] in ("c", "d")]
    assert len(tables) == 2 and all("USING COVERING INDEX" in step for step in tables), plan


def test_an_index_of_an_earlier_docqa_gets_the_indexes_of_filters(path: Path, corpus: Path) -> None:
    """Without them it gives the same passages; the next `docqa index` adds them."""
    connection = sqlite3.connect(path / DATABASE)
    connection.executescript(
        "DROP INDEX chunks_filter; DROP INDEX documents_filter; CREATE INDEX chunks_document ON chunks (document_id)"
    )
    connection.close()

    def allowed() -> list[list[int]]:
        with IndexFolder.open(path) as folder:
            return [folder.chunk_ids(where(one)).tolist() for one in FILTERS.values()]

    before = allowed()
    build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
    assert allowed() == before and any(before)
    with sqlite3.connect(path / DATABASE) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {"chunks_filter", "documents_filter"} <= names


def test_one_writer_over_processes(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from indexing.store.corpus_db import IndexFolder\n"
        "from indexing.errors import IndexBusy\n"
        "try:\n  with IndexFolder.open(Path(sys.argv[1]), writable=True).writer(): print('got')\n"
        "except IndexBusy: print('busy')"
    )
    run = [sys.executable, "-c", code, str(path)]
    with IndexFolder.open(path, writable=True) as folder:
        with folder.writer():
            assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "busy\n"
            with pytest.raises(IndexBusy), IndexFolder.open(path, writable=True).writer():
                pass
        assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "got\n"


def test_missing_document(path: Path) -> None:
    with IndexFolder.open(path) as folder, pytest.raises(DocumentMissing):
        folder.document("0" * 32)


def test_the_folder_can_be_moved_copied_and_read_only(path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    path.rename(moved)
    for name in moved.iterdir():
        name.chmod(0o444)
    moved.chmod(0o555)
    try:
        before = sorted(p.name for p in moved.iterdir())
        with Index.open(moved) as index, index.snapshot() as snapshot:
            assert snapshot.best("bridge", "en", 3)
        if os.geteuid() != 0:
            assert sorted(p.name for p in moved.iterdir()) == before
    finally:
        moved.chmod(0o755)


def test_readers_follow_a_writer_without_reopening(path: Path) -> None:
    from tests.indexing.store.test_store_state import new_document

    reader = Index.open(path)
    with reader.snapshot() as before:
        generation = before.generation
    with IndexFolder.open(path, writable=True) as folder, folder.writer():
        item = new_document("new.txt", ["a glacier calves"], "en")
        vectors = EMBEDDER.passages(["a glacier calves"])
        folder.write([type(item)(item.document, item.chunks, vectors, "new.txt")])
    with reader.snapshot() as after:
        assert after.generation == generation + 1
        found = after.best("glacier", "en", 3)
        assert [chunk.source for chunk in after.chunks([n for n, _ in found])] == ["new.txt"]
    reader.close()


def test_a_reader_forgets_what_was_overwritten(tmp_path: Path) -> None:
    """A reader that stays open over any number of rewrites of one corpus holds as much as one that opens now."""
    documents = tmp_path / "documents"
    documents.mkdir()
    sizes = []
    for turn in range(12):
        for number in range(4):
            (documents / f"{number}.txt").write_text(f"Turn {turn} of document {number} says word{turn}x{number}.")
        build_index(documents, tmp_path / "index", embedder=EMBEDDER)  # type: ignore[arg-type]
        if turn == 0:
            reader = Index.open(tmp_path / "index")
        with reader.snapshot() as snapshot:
            vectors, keywords = snapshot.state.vectors, snapshot.state.keywords
            assert len(vectors.ids()) == 4 and snapshot.best(f"word{turn}x3", "en", 5)
            nearest = snapshot.nearest(EMBEDDER.questions([f"word{turn}x3"])[0], 10)
            assert len(nearest) == 4 and sorted(id for id, _ in nearest) == list(vectors.ids())
            sizes.append((len(vectors.added), len(vectors.added_ids), sum(len(one.ids) for one in keywords.segments)))
    reader.close()
    assert all(added == ids == 4 for added, ids, _ in sizes[1:]) and max(terms for *_, terms in sizes) <= 4 * 10


def test_a_question_sees_one_generation_while_another_is_written(path: Path) -> None:
    with Index.open(path) as reader, reader.snapshot() as snapshot:
        ids = [number for number, _ in snapshot.best("the was is", "en", 10)]
        with IndexFolder.open(path, writable=True) as folder, folder.writer():
            folder.delete_documents([row[0] for row in list(folder.document_rows())])
        assert len(snapshot.chunks(ids)) == len(ids)


def test_many_threads_beside_a_writer(path: Path) -> None:
    from tests.indexing.store.test_store_state import new_document

    errors: list[BaseException] = []
    stop = threading.Event()
    reader = Index.open(path)

    def ask() -> None:
        try:
            while not stop.is_set():
                with reader.snapshot() as snapshot:
                    query = EMBEDDER.questions(["the bridge opened"])[0]
                    found = snapshot.nearest(query, 5) + snapshot.best("bridge", "en", 5)
                    ids = {n for n, _ in found}
                    assert len(snapshot.chunks(sorted(ids))) == len(ids)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    with IndexFolder.open(path, writable=True) as folder, folder.writer():
        for n in range(30):
            item = new_document("turn.txt", [f"the bridge number {n}"], "en")
            vectors = EMBEDDER.passages([f"the bridge number {n}"])
            folder.write([type(item)(item.document, item.chunks, vectors, "turn.txt")], drop=["turn.txt"])
    stop.set()
    for thread in threads:
        thread.join()
    reader.close()
    assert errors == []


def test_a_derived_file_of_another_index_is_not_used(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("quite another text about otters")
    build_index(other, tmp_path / "second", embedder=EMBEDDER)  # type: ignore[arg-type]
    theirs = next((tmp_path / "second").glob("vectors-*.faiss"))
    ours = next(path.glob("vectors-*.faiss"))
    shutil.copy(theirs, ours)
    with Index.open(path) as index:
        assert any("derived files" in line for line in index.problems())
        with index.snapshot() as snapshot:
            assert len(snapshot.nearest(EMBEDDER.questions(["bridge"])[0], 10)) == 3


def test_a_keyword_file_of_an_older_docqa_is_made_again(path: Path, corpus: Path) -> None:
    """It lacks an array: in memory at first, and on disk by the next run, which has nothing else to do."""
    manifest = json.loads((path / MANIFEST).read_text())
    file = path / manifest["keywords"]["file"]
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "languages"}
    with file.open("wb") as out:
        np.savez(out, **kept)
    manifest["keywords"]["checksum"] = file_checksum(file)
    (path / MANIFEST).write_text(json.dumps(manifest))
    with Index.open(path) as index:
        assert ["derived files" in line for line in index.problems()] == [True]
        with index.snapshot() as snapshot:
            assert snapshot.best("bridge", "en", 10)
    report = build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
    assert {file.status for file in report.files} == {"unchanged"}
    with Index.open(path) as index:
        assert not list(index.problems())


@pytest.mark.parametrize("version", [None, 1, 10_000])
def test_a_keyword_index_of_other_terms_is_made_again(path: Path, corpus: Path, version: int | None) -> None:
    """Also where documents were added and deleted since; the vectors stay, and the next run writes the file anew."""
    with Index.open(path) as index, index.snapshot() as snapshot:
        wanted, vectors = snapshot.best("bridge", "en", 5), snapshot.state.vectors.ids().tolist()
    manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    foreign = Segment.build((n, ["bridge", "nonsense"]) for n in sorted({*range(3), *vectors}))
    foreign.save(path / manifest["keywords"]["file"])
    manifest["keywords"]["checksum"] = file_checksum(path / manifest["keywords"]["file"])
    manifest["terms"] = version
    manifest = {name: value for name, value in manifest.items() if value is not None or name == "vectors"}
    (path / MANIFEST).write_text(json.dumps(manifest), "utf-8")

    with Index.open(path) as index, index.snapshot() as snapshot:
        assert snapshot.best("bridge", "en", 5) == wanted and snapshot.best("nonsense", "en", 5) == []
        assert snapshot.state.vectors.ids().tolist() == vectors
        assert [problem for problem in index.problems() if "another version" in problem]
    (corpus / "later.txt").write_text("A dirigible moors at GPT-4.", "utf-8")
    build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
    with Index.open(path) as index, index.snapshot() as snapshot:
        assert list(index.problems()) == [] and snapshot.best("gpt4", "en", 1) and snapshot.best("nonsense", "en", 5) == []
        assert [n for n, _ in snapshot.best("bridge", "en", 5)] == [n for n, _ in wanted]


def test_a_manifest_cannot_name_a_file_elsewhere(path: Path) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["keywords"]["file"] = "../../etc/passwd"
    (path / MANIFEST).write_text(json.dumps(manifest))
    with Index.open(path) as index:
        assert any("derived files" in line for line in index.problems())


def test_doctor_names_damage_and_repair_mends_it(path: Path) -> None:
    connection = sqlite3.connect(path / DATABASE)
    connection.execute("UPDATE chunks SET text = 'other' WHERE id = 1")
    connection.execute("UPDATE chunks SET vector = ? WHERE id = 2", (np.full(32, 0.5, np.float32).tobytes(),))
    connection.commit()
    connection.close()
    with Index.open(path, writable=True) as index:
        found = " ".join(index.problems())
        assert "Passage 1 is not the text" in found and "unit length" in found and "other terms" in found
        removed = index.repair()
        assert len(removed) == 1
        assert [line for line in index.problems() if "unit length" not in line] == []


def test_derived_files_do_not_pile_up(path: Path, corpus: Path) -> None:
    for n in range(3):
        (corpus / f"more{n}.txt").write_text(f"another {n}")
        build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
    assert len(list(path.glob("vectors-*"))) == 1 == len(list(path.glob("keywords-*")))


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivfpq"])
def test_every_kind_of_index_survives_additions_and_deletes(tmp_path: Path, kind: str) -> None:
    from tests.indexing.store.test_store_state import new_document

    embedder = WordEmbedder(8)
    settings = IndexSettings(embedder="words", vectors=kind)  # type: ignore[arg-type]
    with IndexFolder.create(tmp_path / "i", settings, embedder.facts()) as folder, folder.writer():
        for step in range(4):
            items = [new_document(f"{step}-{n}", [f"w{n % 17} v{n % 13} s{step}"], "en") for n in range(150)]
            folder.write(items)
            folder.delete_documents([items[0].document.id, items[9].document.id])
            Index(folder).publish()
        index = Index(folder)
        assert list(index.problems()) == []
        with index.snapshot() as snapshot:
            query = embedder.questions(["w3 v5 s2"])[0]
            found = snapshot.nearest(query, 10)
            texts = [chunk.text for chunk in snapshot.chunks([n for n, _ in found])]
        assert "w3 v5 s2" in texts[:3]


def test_settings_are_cast_strictly() -> None:
    for bad in (0, 31, 401, "200", True, 2.5, None):
        with pytest.raises(SettingError, match="chunk_tokens"):
            ChunkSettings(tokens=bad)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="vectors"):
        IndexSettings(vectors="lsh")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="embedder"):
        IndexSettings(embedder=" ")
    settings = IndexSettings(embedder="builtin", chunks=ChunkSettings(100, 0), vectors="hnsw")
    assert IndexSettings.from_dict(settings.as_dict()) == settings

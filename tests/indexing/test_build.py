"""The whole way of writing: what changed and what did not, what is refused, what bad files do, and kill -9."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from indexing.build import build_index
from indexing.errors import IndexFolderError, IndexMismatch, SettingError
from indexing.files.file_text import FileLimits
from indexing.models.embedder import Embedder
from indexing.report import Report
from indexing.settings import ChunkSettings, IndexSettings
from indexing.store.bm25 import ARRAYS, Segment
from indexing.store.index import Index
from tests.known import SCRIPTS, WordEmbedder

OLD = (1_600_000_000, 1_600_000_000)


def build(corpus: Path, index: Path, embedder: WordEmbedder | None = None, **options: object) -> Report:
    return build_index(corpus, index, embedder=embedder or WordEmbedder(), **options)  # type: ignore[arg-type]


def statuses(report: Report) -> dict[str, str]:
    return {file.source: file.status for file in report.files}


def test_an_unchanged_folder_is_not_embedded_again(corpus: Path, tmp_path: Path) -> None:
    embedder = WordEmbedder()
    first = build(corpus, tmp_path / "i", embedder)
    assert set(statuses(first).values()) == {"indexed"} and embedder.embedded == first.passages == 3
    second = build(corpus, tmp_path / "i", embedder)
    assert set(statuses(second).values()) == {"unchanged"} and embedder.embedded == 3
    assert second.generation == first.generation


def test_a_touched_file_is_compared_by_content(corpus: Path, tmp_path: Path) -> None:
    embedder = WordEmbedder()
    build(corpus, tmp_path / "i", embedder)
    os.utime(corpus / "berg.txt", OLD)
    assert statuses(build(corpus, tmp_path / "i", embedder))["berg.txt"] == "unchanged"
    assert embedder.embedded == 3


def test_changed_new_and_removed_files(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    (corpus / "berg.txt").write_text("Der Berg ist 2314 Meter hoch.", encoding="utf-8")
    (corpus / "neu.txt").write_text("Ein neuer Text über Otter.", encoding="utf-8")
    (corpus / "reports" / "mine.txt").unlink()
    found = statuses(build(corpus, tmp_path / "i"))
    assert found == {
        "berg.txt": "updated",
        "neu.txt": "indexed",
        "reports/bridge.txt": "unchanged",
        "reports/mine.txt": "removed",
    }
    with Index.open(tmp_path / "i") as index, index.snapshot() as snapshot:
        texts = {chunk.source: chunk.text for chunk in snapshot.chunks(index.folder.chunk_ids().tolist())}
    assert set(texts) == {"berg.txt", "neu.txt", "reports/bridge.txt"} and "2314" in texts["berg.txt"]


def test_same_size_and_same_second_is_still_noticed(corpus: Path, tmp_path: Path) -> None:
    """A file rewritten within the clock's grain of the run that read it is read again at the next one."""
    path = corpus / "berg.txt"
    path.write_text("a" * 40 + " eins")
    build(corpus, tmp_path / "i")
    stat = path.stat()
    path.write_text("a" * 40 + " zwei")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert statuses(build(corpus, tmp_path / "i"))["berg.txt"] == "updated"


def test_equal_texts_in_two_files_are_two_documents(corpus: Path, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (corpus / name).write_text("The very same text.")
    report = build(corpus, tmp_path / "i")
    assert report.documents == 5


def test_another_folder_does_not_empty_the_index(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    other = tmp_path / "empty"
    other.mkdir()
    with pytest.raises(IndexFolderError, match="nothing was changed"):
        build(other, tmp_path / "i")
    with Index.open(tmp_path / "i") as index:
        assert index.folder.counts()["documents"] == 3


@pytest.mark.parametrize("name", ["missing", "berg.txt/x"])
def test_no_such_folder(corpus: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises((IndexFolderError, SettingError)):
        build(corpus / name, tmp_path / "i")
    assert not (tmp_path / "i" / "corpus.db").exists()


def test_an_index_keeps_what_it_was_made_with(corpus: Path, tmp_path: Path) -> None:
    settings = IndexSettings(embedder="words", chunks=ChunkSettings(64), vectors="hnsw")
    build(corpus, tmp_path / "i", settings=settings)
    with Index.open(tmp_path / "i") as index:
        assert index.folder.settings == settings
    with pytest.raises(IndexMismatch, match="64 tokens"):
        build(corpus, tmp_path / "i", settings=IndexSettings(embedder="words"))
    other = WordEmbedder()
    other.fingerprint = "words-2"
    with pytest.raises(IndexMismatch, match="another version"):
        build(corpus, tmp_path / "i", other)


def test_bad_files_are_named_and_the_rest_is_indexed(corpus: Path, tmp_path: Path) -> None:
    (corpus / "empty.txt").write_bytes(b"")
    (corpus / "blank.txt").write_bytes(b" \n ")
    (corpus / "photo.pdf").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 200)
    (corpus / "latin.txt").write_bytes("Das Café liegt über dem Fluß, größer als früher.".encode("latin-1"))
    (corpus / "utf16.txt").write_bytes("Ο φάρος άναψε το 1868.".encode("utf-16"))
    (corpus / "big.log").write_bytes(b"line of a log\n" * 300_000)
    report = build(corpus, tmp_path / "i", limits=FileLimits(max_chars=1_000_000))
    found = {file.source: (file.status, file.reason) for file in report.files}
    assert found["latin.txt"][0] == found["utf16.txt"][0] == "indexed"
    for name, word in (("empty.txt", "empty"), ("blank.txt", "no text"), ("photo.pdf", "JPEG"), ("big.log", "1,000,000")):
        assert found[name][0] == "skipped" and word in found[name][1], found[name]
    with Index.open(tmp_path / "i") as index:
        texts = {row[1]: index.folder.document(row[0]).text for row in list(index.folder.document_rows())}
    assert texts["latin.txt"].startswith("Das Café") and texts["utf16.txt"] == "Ο φάρος άναψε το 1868."


def test_a_skipped_file_is_tried_again_when_limits_change(corpus: Path, tmp_path: Path) -> None:
    (corpus / "long.txt").write_text("word " * 2_000)
    os.utime(corpus / "long.txt", OLD)
    assert statuses(build(corpus, tmp_path / "i", limits=FileLimits(max_chars=5_000)))["long.txt"] == "skipped"
    assert statuses(build(corpus, tmp_path / "i", limits=FileLimits(max_chars=5_000)))["long.txt"] == "skipped"
    assert statuses(build(corpus, tmp_path / "i"))["long.txt"] == "indexed"


def test_a_file_that_became_unreadable_is_not_cited_any_more(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    (corpus / "berg.txt").write_bytes(b"")
    assert statuses(build(corpus, tmp_path / "i"))["berg.txt"] == "skipped"
    with Index.open(tmp_path / "i") as index:
        assert "berg.txt" not in {row[1] for row in list(index.folder.document_rows())}


@pytest.mark.parametrize("language", SCRIPTS)
def test_every_script_is_kept_verbatim_and_found(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "x.txt").write_bytes(SCRIPTS[language].encode())
    (folder / "other.txt").write_text("Something else entirely, about sailing boats.")
    build(folder, tmp_path / "i")
    with Index.open(tmp_path / "i") as index, index.snapshot() as snapshot:
        row = next(row for row in list(index.folder.document_rows()) if row[1] == "x.txt")
        assert index.folder.document(row[0]).text == SCRIPTS[language]
        found = snapshot.best(SCRIPTS[language][:12], language, 5)
        assert snapshot.chunks([n for n, _ in found])[0].source == "x.txt"
        assert list(index.problems()) == []


@pytest.mark.parametrize("slice_s", [0.0, 60.0])
def test_progress_is_reported_while_a_batch_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_s: float
) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for n in range(30):
        (folder / f"{n:02}.txt").write_text("\n\n".join(f"Paragraph {p} of file {n}. " * 30 for p in range(12)))
    monkeypatch.setattr("indexing.build.FIRST_SLICE", 4)
    monkeypatch.setattr("indexing.build.SLICE_S", slice_s)
    given: list[tuple[int, int, int]] = []
    files: list[tuple[int, int]] = []
    report = build(
        folder,
        tmp_path / "i",
        progress=lambda _, done, total: files.append((done, total)),
        embedding=lambda *values: given.append(values),
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert report.passages > 200 and given[0] == (0, 0, size) and given[-1] == (report.passages, size, size)
    assert [done for _, done, _ in given] == sorted(done for _, done, _ in given)
    assert [passages for passages, _, _ in given] == sorted(passages for passages, _, _ in given)
    assert (len(given) > report.passages // 4) == (slice_s == 0.0), "slices grow while they are quick"
    assert files[-1] == (size, size) and len(files) == 30
    with Index.open(tmp_path / "i") as index:
        assert list(index.problems()) == []


CHILD = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
import indexing.build as b, indexing.prepare as p
from tests.known import WordEmbedder
p.BATCH_CHARACTERS = 2_000
b.build_index(Path({corpus!r}), Path({index!r}), embedder=WordEmbedder(),
              progress=lambda file, done, total: print(file.source, flush=True))
"""


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, repository: Path) -> None:
    """A few kills at moments spread over a run; benchmarks/killing.py does hundreds."""
    folder = tmp_path / "c"
    folder.mkdir()
    for n in range(150):
        (folder / f"{n:03}.txt").write_text("\n\n".join(f"Paragraph {p} of file {n}. " * 30 for p in range(3)))
    code = CHILD.format(root=str(repository), corpus=str(folder), index=str(tmp_path / "i"))
    acknowledged: set[str] = set()
    for kill_after in (2, 12, 40, 75, None):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for line in child.stdout:
            acknowledged.add(line.strip())
            if kill_after is not None and len(acknowledged) >= kill_after:
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.close()
        child.wait()
        with Index.open(tmp_path / "i") as index:
            rows = {row[1]: row[0] for row in list(index.folder.document_rows())}
            assert acknowledged <= set(rows)
            for source, number in rows.items():
                assert index.folder.document(number).text == (folder / source).read_text()
            assert [line for line in index.problems() if "derived files" not in line] == []
        time.sleep(0.05)
    with Index.open(tmp_path / "i") as index:
        assert index.folder.counts()["documents"] == 150
        assert list(index.problems()) == []


def test_a_file_named_like_a_record_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.jsonl").write_text('{"text": "The bridge is old."}\n{"text": "The mine is deep."}\n')
    (tmp_path / "c" / "a.jsonl#1").write_text("The harbour is wide.")
    report = build_index(tmp_path / "c", tmp_path / "i", embedder=WordEmbedder())  # type: ignore[arg-type]
    assert [(file.source, file.status) for file in report.files] == [("a.jsonl", "indexed"), ("a.jsonl\\x231", "indexed")]
    assert report.documents == 3


def contents(index: Path) -> dict[str, object]:
    """All that is kept and searched: rows with their ids, texts and vectors, postings, nearest-neighbour index."""
    with Index.open(index) as opened:
        rows = opened.folder.connection()
        state = opened._state
        whole = Segment.merge(state.keywords.segments, state.keywords.dead)
        return {
            "documents": rows.execute("SELECT id, source, language, text FROM documents ORDER BY number").fetchall(),
            "chunks": rows.execute('SELECT id, key, start, "end", language, page, text, vector FROM chunks').fetchall(),
            "files": rows.execute("SELECT source, content_hash, reason, notes FROM files ORDER BY source").fetchall(),
            "words": [getattr(whole, name).tolist() for name in ARRAYS],
            "ids": state.vectors.ids().tolist(),
            "nearest": [state.vectors.search(vector, 5) for vector in opened.folder.vectors(opened.folder.chunk_ids())[1]],
        }


def scripts(folder: Path) -> Path:
    for number in range(3):
        for language, text in SCRIPTS.items():
            (folder / str(number)).mkdir(parents=True, exist_ok=True)
            (folder / str(number) / f"{language}.txt").write_text(f"{text} {number}\n\n" * 20, encoding="utf-8", newline="")
    return folder


@pytest.mark.parametrize("static", [True, False])
def test_helpers_make_the_same_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, static: bool) -> None:
    folder = scripts(tmp_path / "c")
    embedder = Embedder.load("builtin") if static else WordEmbedder()
    build_index(folder, tmp_path / "alone", embedder=embedder)  # type: ignore[arg-type]
    monkeypatch.setattr("indexing.workers.BYTES_FOR_WORKERS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    build_index(folder, tmp_path / "helped", embedder=embedder)  # type: ignore[arg-type]
    assert contents(tmp_path / "helped") == contents(tmp_path / "alone")


def test_what_is_published_is_what_the_truth_would_give(tmp_path: Path) -> None:
    """Postings and vectors are kept from the writing; made again from the database they are the same, also after changes."""
    folder, index = scripts(tmp_path / "c"), tmp_path / "i"
    for change in ("none", "more", "less"):
        if change == "more":
            (folder / "0" / "en.txt").write_text("Another text altogether, in English.", encoding="utf-8")
            (folder / "0" / "new.txt").write_text("Und ein neuer Text, auf Deutsch.", encoding="utf-8")
        elif change == "less":
            (folder / "1" / "ru.txt").unlink()
        build(folder, index)
        before = contents(index)
        (index / "derived.json").unlink()
        assert contents(index) == before


@pytest.mark.parametrize("begun", [False, True])
def test_a_file_that_the_system_refuses_once_is_read_by_the_next_run(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """A read error left a file skipped until it changed; of a changed file, the index kept the old text as its new."""
    mine, folder = corpus / "reports" / "mine.txt", tmp_path / "index"
    if begun:
        build_index(corpus, folder, embedder=WordEmbedder())  # type: ignore[arg-type]
        mine.write_text(mine.read_text("utf-8").replace("1974", "1981"), encoding="utf-8")
        os.utime(mine, (1_700_000_001, 1_700_000_001))
        time.sleep(0.05)

    def broken(path: Any, *given: Any, real: Any = os.open) -> Any:
        if str(path).endswith("mine.txt"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *given)

    with monkeypatch.context() as patched:
        patched.setattr("os.open", broken)
        patched.setattr("indexing.prepare.file_hash", lambda path: broken(path, os.O_RDONLY))
        report = build_index(corpus, folder, embedder=WordEmbedder())  # type: ignore[arg-type]
        assert [file.source for file in report.files if file.status == "skipped"] == ["reports/mine.txt"]
    report = build_index(corpus, folder, embedder=WordEmbedder())  # type: ignore[arg-type]
    assert [file.source for file in report.files if file.status != "unchanged"] == ["reports/mine.txt"]
    with Index.open(folder) as index:
        texts = {row[1]: index.folder.document(row[0]).text for row in index.folder.document_rows()}
    assert texts["reports/mine.txt"] == mine.read_text("utf-8")

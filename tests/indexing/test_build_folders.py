"""Folders as people have them: rewritten in place, moved, copied, with the index inside."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from indexing.build import build_index
from indexing.errors import IndexFolderError, IndexMismatch
from indexing.report import FileReport, Report
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from tests.known import WordEmbedder


def build(corpus: Path, index: Path, embedder: WordEmbedder | None = None, **options: Any) -> Report:
    return build_index(corpus, index, embedder=embedder or WordEmbedder(), **options)  # type: ignore[arg-type]


def report_of(report: Report, source: str) -> FileReport:
    (found,) = [file for file in report.files if file.source == source]
    return found


def age(folder: Path, index: Path) -> None:
    """Let the index look an hour younger than its files, as if they had rested since."""
    with Index.open(index, writable=True) as opened, opened.folder.writer():
        opened.folder.connection().execute("UPDATE files SET seen_ns = seen_ns + 3600000000000")


def texts(index: Path) -> dict[str, str]:
    with Index.open(index) as opened, opened.snapshot() as snapshot:
        return {chunk.source: chunk.text for chunk in snapshot.chunks(opened.folder.chunk_ids().tolist())}


def facts(index: Path) -> list[tuple[Any, ...]]:
    with Index.open(index) as opened:
        connection = opened.folder.connection()
        return connection.execute("SELECT id, text, vector, language, page FROM chunks ORDER BY id").fetchall()


def test_hidden_text_is_a_setting_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.html").write_text("<p>The pier is 12 metres deep.<p hidden>The mine is deep.")
    shown = build(tmp_path / "c", tmp_path / "shown")
    assert shown.files[0].notes == ("17 characters of hidden text not read",)
    with_hidden = IndexSettings(hidden_text=True)
    whole = build(tmp_path / "c", tmp_path / "whole", settings=with_hidden)
    assert whole.files[0].notes == ("17 characters of hidden text read",)
    assert "The mine is deep." in texts(tmp_path / "whole")["a.html"]
    (tmp_path / "c" / "b.html").write_text("<p>The ferry is slow.<p hidden>The tower is high.")
    build(tmp_path / "c", tmp_path / "whole")
    assert "The tower is high." in texts(tmp_path / "whole")["b.html"]
    with pytest.raises(IndexMismatch, match="is without hidden and struck-out text"):
        build(tmp_path / "c", tmp_path / "shown", settings=with_hidden)


def test_a_text_of_no_known_language_is_said(tmp_path: Path) -> None:
    """Tibetan is a script that the language model does not know; a short text or a table says nothing."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "bo.txt").write_text("ཟམ་པ་འདི་ལོ་༡༩༡༢ལ་བརྒྱབས་པ་རེད། " * 20, "utf-8")
    (tmp_path / "c" / "short.txt").write_text("ཟམ་པ་འདི།", "utf-8")
    (tmp_path / "c" / "numbers.txt").write_text("1 2 3 4 5 6 7 8 9\n" * 100, "utf-8")
    report = build(tmp_path / "c", tmp_path / "i")
    assert [file.notes for file in report.files] == [("language not known: found by its words alone",), (), ()]


def test_other_content_with_the_same_size_and_time_is_noticed(corpus: Path, tmp_path: Path) -> None:
    """The time of the last change (ctime) tells; the file's own time was set back to years ago."""
    path = corpus / "berg.txt"
    os.utime(path, (1_600_000_000, 1_600_000_000))
    build(corpus, tmp_path / "i")
    stat = path.stat()
    path.write_text(path.read_text("utf-8").replace("Berg", "Turm"), "utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert report_of(build(corpus, tmp_path / "i"), "berg.txt").status == "updated"
    assert "Turm" in texts(tmp_path / "i")["berg.txt"]


def test_everything_can_be_read_again(corpus: Path, tmp_path: Path) -> None:
    """Where even ctime says nothing (some network disks), `everything` compares the content of all files."""
    path = corpus / "berg.txt"
    build(corpus, tmp_path / "i")
    stat = path.stat()
    path.write_text(path.read_text("utf-8").replace("Berg", "Turm"), "utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    age(corpus, tmp_path / "i")
    embedder = WordEmbedder()
    assert report_of(build(corpus, tmp_path / "i", embedder), "berg.txt").status == "unchanged"
    report = build(corpus, tmp_path / "i", embedder, everything=True)
    assert sorted(file.status for file in report.files) == ["unchanged", "unchanged", "updated"]
    assert embedder.embedded == 1


def test_moved_files_keep_their_passages_and_vectors(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    before = facts(tmp_path / "i")
    (tmp_path / "whole").mkdir()
    shutil.move(corpus, tmp_path / "whole" / "2023")
    embedder = WordEmbedder()
    report = build(tmp_path / "whole", tmp_path / "i", embedder)
    assert embedder.embedded == 0 and facts(tmp_path / "i") == before
    assert report_of(report, "2023/berg.txt").notes == ("moved from berg.txt",)
    assert {file.status for file in report.files} == {"updated"} and report.documents == 3
    assert set(texts(tmp_path / "i")) == {"2023/berg.txt", "2023/reports/bridge.txt", "2023/reports/mine.txt"}
    with Index.open(tmp_path / "i") as index:
        assert list(index.problems()) == []
    assert {file.status for file in build(tmp_path / "whole", tmp_path / "i").files} == {"unchanged"}


def test_a_moved_file_has_the_ids_of_one_indexed_there(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    (corpus / "berg.txt").rename(corpus / "hügel.txt")
    build(corpus, tmp_path / "i")
    build(corpus, tmp_path / "fresh")
    rows = []
    for name in ("i", "fresh"):
        with Index.open(tmp_path / name) as index:
            ask = "SELECT key, document_id FROM chunks ORDER BY key"
            rows.append(index.folder.connection().execute(ask).fetchall())
    assert rows[0] == rows[1]


def test_records_of_a_moved_table_move_with_it(tmp_path: Path) -> None:
    corpus = tmp_path / "c"
    corpus.mkdir()
    (corpus / "a.jsonl").write_text(
        "".join(f'{{"name": "n{at}", "text": "The bridge number {at} is long."}}\n' for at in range(3))
    )
    build(corpus, tmp_path / "i")
    names = {source.partition("#")[2] for source in texts(tmp_path / "i")}
    (corpus / "a.jsonl").rename(corpus / "b.jsonl")
    embedder = WordEmbedder()
    build(corpus, tmp_path / "i", embedder)
    assert embedder.embedded == 0 and set(texts(tmp_path / "i")) == {f"b.jsonl#{name}" for name in names}


def test_a_file_with_another_ending_is_read_again(corpus: Path, tmp_path: Path) -> None:
    """The ending may choose another parser."""
    build(corpus, tmp_path / "i")
    (corpus / "berg.txt").rename(corpus / "berg.md")
    report = build(corpus, tmp_path / "i")
    assert report_of(report, "berg.md").status == "indexed" and report_of(report, "berg.txt").status == "removed"


def test_a_changed_file_at_a_new_place_is_no_move(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    (corpus / "berg.txt").unlink()
    (corpus / "neu.txt").write_text("Ein ganz anderer Text.")
    report = build(corpus, tmp_path / "i")
    assert report_of(report, "neu.txt").status == "indexed" and report_of(report, "berg.txt").status == "removed"


def test_a_restructured_folder_with_new_content_needs_a_yes(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "i")
    other = tmp_path / "other"
    other.mkdir()
    (other / "neu.txt").write_text("Ein ganz anderer Text.")
    with pytest.raises(IndexFolderError, match="--emptied"):
        build(other, tmp_path / "i")
    report = build(other, tmp_path / "i", emptied=True)
    assert report.documents == 1 and report.count("removed") == 3


def test_the_index_among_the_documents_is_left_out(corpus: Path) -> None:
    report = build(corpus, corpus / "index")
    assert report.documents == 3 and {file.status for file in report.files} == {"indexed"}
    again = build(corpus, corpus / "index")
    assert again.documents == 3 and len(again.files) == 3
    (corpus / "kept").mkdir()
    (corpus / "kept" / "corpus.db").write_text("A note on databases, and no database.")
    assert build(corpus, corpus / "index").documents == 4


def test_files_of_the_same_content_are_reported(corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "berg.txt", corpus / "zweiter.txt")
    report = build(corpus, tmp_path / "i")
    assert report_of(report, "zweiter.txt").notes == ("the same content as berg.txt",)
    assert report_of(report, "berg.txt").notes == ()
    shutil.copy(corpus / "berg.txt", corpus / "dritter.txt")
    again = build(corpus, tmp_path / "i")
    assert report_of(again, "dritter.txt").notes == ("the same content as berg.txt",)
    assert report_of(again, "zweiter.txt").notes == ("the same content as berg.txt",)
    (corpus / "berg.txt").unlink()
    (corpus / "zweiter.txt").unlink()
    shutil.copy(corpus / "dritter.txt", corpus / "vierter.txt")
    report = build(corpus, tmp_path / "i")
    assert "moved from" in report_of(report, "vierter.txt").notes[-1]


def test_the_note_on_the_same_content_ends_with_the_other_file(corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "berg.txt", corpus / "zweiter.txt")
    shutil.copy(corpus / "berg.txt", corpus / "dritter.txt")
    build(corpus, tmp_path / "i")
    (corpus / "berg.txt").write_text("Ein ganz anderer Text.")
    changed = build(corpus, tmp_path / "i")
    assert report_of(changed, "dritter.txt").notes == ()
    assert report_of(changed, "zweiter.txt").notes == ("the same content as dritter.txt",)
    (corpus / "dritter.txt").unlink()
    removed = build(corpus, tmp_path / "i")
    assert report_of(removed, "zweiter.txt").notes == ()


def test_what_is_inside_a_moved_file_has_its_new_place_as_parent(tmp_path: Path) -> None:
    corpus = tmp_path / "c"
    corpus.mkdir()
    with zipfile.ZipFile(corpus / "alt.zip", "w") as archive:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as nested:
            nested.writestr("tief.txt", "Der Pier ist zwölf Meter tief.")
        archive.writestr("brief.txt", "Die Brücke ist gesperrt.")
        archive.writestr("innen.zip", inner.getvalue())
    build(corpus, tmp_path / "i")
    (corpus / "alt.zip").rename(corpus / "neu.zip")
    embedder = WordEmbedder()
    build(corpus, tmp_path / "i", embedder)
    with IndexFolder.open(tmp_path / "i") as folder:
        rows = folder.connection().execute("SELECT source, json_extract(meta, '$.parent') FROM documents").fetchall()
    assert embedder.embedded == 0
    assert dict(rows) == {"neu.zip/brief.txt": "neu.zip", "neu.zip/innen.zip/tief.txt": "neu.zip/innen.zip"}


def test_doctor_loads_the_text_of_a_document_once(tmp_path: Path) -> None:
    """Its work is in proportion to the text, also where one document has many passages."""
    corpus = tmp_path / "c"
    corpus.mkdir()
    (corpus / "long.txt").write_text("The bridge over the Alder was built by hand. " * 2_000)
    report = build(corpus, tmp_path / "i")
    with Index.open(tmp_path / "i") as index:
        loaded: list[int] = []

        def decoded(data: bytes) -> str:
            loaded.append(len(data))
            return data.decode("utf-8")

        index.folder.connection().text_factory = decoded
        assert list(index.problems()) == [] and report.passages > 50
        assert sum(loaded) < 12 * 45 * 2_000

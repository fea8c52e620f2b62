"""An index built by Spark is the index that `docqa index` builds of the same files; nothing is lost on the way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.spark import KillsItsWorker, needs_spark

needs_spark()
from indexing.build import build_index
from indexing.deepen import coverage, deepen_index
from indexing.errors import IndexFolderError, SettingError
from indexing.files.file_text import FileLimits
from indexing.report import Report
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.cli.main import main
from qa_pipeline.spark import dataframe, indexing
from qa_pipeline.spark.indexing import index_documents, index_paths
from tests.known import SCRIPTS
from tests.model_folders import one_sentence

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = IndexSettings(embedder="builtin")
TABLES = {
    "documents": "id, source, file, content_hash, language, pages, headings, meta, length, text",
    "chunks": 'id, key, document_id, start, "end", language, page, text, vector',
    "passage_tokens": "id, tokens",
    "sentence_vectors": "id, vector",
    "files": "source, content_hash, size, reason, notes",
}
LONG = "# Bridges\n\n" + "\n\n".join(f"{text} It is number {n} of the list." for n in range(30) for text in SCRIPTS.values())


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Files of several formats and languages, names that need care, and files that cannot be read."""
    folder = tmp_path / "documents"
    (folder / "deep er" / "x").mkdir(parents=True)
    for language, text in SCRIPTS.items():
        (folder / f"{language}.txt").write_text(text, "utf-8")
    (folder / "a[1]{x}*?.txt").write_text("A name with marks of a pattern. It was written in 1912.", "utf-8")
    (folder / "a1x.txt").write_text("What a pattern would find instead.", "utf-8")
    (folder / "deep er" / "100%25 é#1.md").write_text(LONG, "utf-8")
    (folder / "deep er" / "x" / "page.html").write_text("<h1>Vorn</h1><p>Der Berg ist 2.341 m hoch.</p>", "utf-8")
    (folder / "rows.csv").write_text(
        "question,text\nWho?,Amalia keeps the lighthouse.\nWhen?,It was lit in 1868.\n", "utf-8"
    )
    (folder / "empty.txt").write_bytes(b"")
    (folder / ".hidden.txt").write_text("Hidden files are left out.", "utf-8")
    (folder / "poison.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    (folder / "noise.docx").write_bytes(b"PK\x03\x04" + bytes(range(255, -1, -1)) * 8)
    return folder


def contents(index: Path) -> dict[str, Any]:
    """All that an index holds, but when it was written."""
    with IndexFolder.open(index) as folder:
        ask = folder.connection().execute
        return {table: list(ask(f"SELECT {columns} FROM {table} ORDER BY 1")) for table, columns in TABLES.items()}


def postings(index: Path) -> list[Any]:
    with Index.open(index) as opened, opened.snapshot() as snapshot:
        (segment,) = snapshot.state.keywords.segments
        return [segment.ids, segment.lengths, segment.terms, segment.starts, segment.rows, segment.counts, segment.languages]


def same_index(one: Path, other: Path) -> None:
    found, wanted = contents(one), contents(other)
    for table in TABLES:
        assert found[table] == wanted[table], table
    for a, b in zip(postings(one), postings(other), strict=True):
        assert np.array_equal(a, b)


def statuses(report: Report) -> dict[str, tuple[str, str, int]]:
    return {file.source: (file.status, file.reason, file.passages) for file in report.files}


def test_the_index_is_that_of_docqa_index_and_stays_it(session: SparkSession, documents: Path, tmp_path: Path) -> None:
    spark, plain = tmp_path / "spark", tmp_path / "plain"
    told, wanted = index_paths(session, [str(documents)], spark, SETTINGS), build_index(documents, plain, SETTINGS)
    assert statuses(told) == statuses(wanted)
    assert {file.source for file in told.files if file.status == "skipped"} == {"empty.txt", "noise.docx", "poison.pdf"}
    with IndexFolder.open(spark) as folder:
        assert coverage(folder) == 1.0
    deepen_index(plain)
    same_index(spark, plain)
    assert not Path(f"{spark}.parts").exists()
    (documents / "en.txt").write_text("The bridge cost 5 million pounds and is 40 m high.", "utf-8")
    (documents / "de.txt").unlink()
    (documents / "new.txt").write_text("A new file, in English.", "utf-8")
    told = index_paths(session, [str(documents)], spark)
    changed = {source: status for source, (status, _, _) in statuses(told).items() if status not in ("unchanged", "skipped")}
    assert changed == {"de.txt": "removed", "en.txt": "updated", "new.txt": "indexed"}
    build_index(documents, plain)
    deepen_index(plain)
    found, known = contents(spark), contents(plain)
    assert [row[1:] for row in found["chunks"]] == [row[1:] for row in known["chunks"]]
    assert (found["documents"], found["files"]) == (known["documents"], known["files"])
    with Index.open(spark) as index:
        assert list(index.problems()) == []


def test_a_killed_worker_loses_nothing(
    session: SparkSession, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark tries its task again; its own listing of files has no empty one."""
    (documents / "empty.txt").unlink()
    mark, prepare = tmp_path / "mark", indexing._prepare

    def marked(*arguments: Any) -> None:
        mark.touch()
        prepare(*arguments)

    monkeypatch.setattr(indexing, "_prepare", marked)
    frame = session.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(documents))
    killing = frame.mapInArrow(KillsItsWorker(str(mark)), frame.schema)
    index_documents(killing, tmp_path / "spark", SETTINGS, root=f"file:{documents}")
    assert not mark.exists()
    build_index(documents, tmp_path / "plain", SETTINGS)
    deepen_index(tmp_path / "plain")
    same_index(tmp_path / "spark", tmp_path / "plain")


def test_a_stopped_run_goes_on_and_prepares_nothing_twice(
    session: SparkSession, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "GROUP_FILES", 6)
    prepared: list[int] = []
    prepare, load = indexing._prepare, indexing.loaded_batches

    def counted(*arguments: Any) -> None:
        prepared.extend(arguments[2])
        prepare(*arguments)

    def stopped(rows: Any, files: Any, dimension: int) -> Any:
        if len(prepared) > 6:
            raise KeyboardInterrupt
        return load(rows, files, dimension)

    monkeypatch.setattr(indexing, "_prepare", counted)
    monkeypatch.setattr(indexing, "loaded_batches", stopped)
    with pytest.raises(KeyboardInterrupt):
        index_paths(session, [str(documents)], tmp_path / "spark", SETTINGS, work=str(tmp_path / "work [1]"))
    with IndexFolder.open(tmp_path / "spark") as folder:
        assert len(folder.file_records()) == 7  # and the empty one, which no executor reads
    monkeypatch.setattr(indexing, "loaded_batches", load)
    told = index_paths(session, [str(documents)], tmp_path / "spark", work=str(tmp_path / "work [1]"))
    assert len(prepared) == len(set(prepared)) == len(told.files) - 1
    assert not (tmp_path / "work [1]").exists()
    build_index(documents, tmp_path / "plain", SETTINGS)
    deepen_index(tmp_path / "plain")
    same_index(tmp_path / "spark", tmp_path / "plain")


def test_files_over_the_limit_and_of_several_folders(session: SparkSession, documents: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "en.txt").write_text("Another file with a name that comes twice.", "utf-8")
    roots = [str(documents), f"file:{tmp_path / 'other'}"]
    limits, settings = FileLimits(max_bytes=500), IndexSettings(embedder="builtin", tiers="token")
    told = statuses(index_paths(session, roots, tmp_path / "spark", settings, limits=limits))
    assert told["documents/en.txt"][0] == told["other/en.txt"][0] == "indexed"
    large = {source for source, (_, reason, _) in told.items() if "more than the 500 allowed" in reason}
    assert large == {f"documents/{name}" for name in ("deep er/100%25 é#1.md", "noise.docx", "poison.pdf")}
    (tmp_path / "other" / "_x.txt").write_text("Spark does not list this one.", "utf-8")
    told = statuses(index_paths(session, roots, tmp_path / "spark", limits=limits))
    assert told["other/_x.txt"] == ("skipped", "Spark reads no file with a name that begins with _", 0)
    with pytest.raises(SettingError, match="Two files") as caught:
        index_paths(session, [*roots, str(documents)], tmp_path / "twice", SETTINGS)
    one_sentence(caught.value)
    for path in (str(tmp_path / "nowhere"), "nosuch://place/x"):
        with pytest.raises(IndexFolderError, match="cannot be opened") as missing:
            index_paths(session, [path], tmp_path / "missing", SETTINGS)
        one_sentence(missing.value)


def test_a_table_of_files_without_times_is_compared_by_content(session: SparkSession, tmp_path: Path) -> None:
    rows = [("a/one.txt", bytearray(b"The bridge was opened in 1912.")), ("a/two.txt", bytearray(b"")), ("b", None)]
    frame = session.createDataFrame(rows, "path string, content binary")
    told = statuses(index_documents(frame, tmp_path / "spark", SETTINGS, root="a"))
    assert {source: status for source, (status, _, _) in told.items()} == {
        "one.txt": "indexed",
        "two.txt": "skipped",
        "b": "skipped",
    }
    rows[0] = ("a/one.txt", bytearray(b"The bridge was opened in 1913."))
    again = session.createDataFrame([*rows, ("a/three.txt", bytearray(b"A third file."))], "path string, content binary")
    told = statuses(index_documents(again, tmp_path / "spark", root="a"))
    assert (told["one.txt"][0], told["three.txt"][0]) == ("updated", "indexed")
    assert statuses(index_documents(again, tmp_path / "spark", root="a"))["one.txt"][0] == "unchanged"
    for wrong in (frame.select("path"), frame.selectExpr("path", "string(content) content")):
        with pytest.raises(SettingError, match="content") as caught:
            index_documents(wrong, tmp_path / "wrong", SETTINGS)
        one_sentence(caught.value)


def test_the_command(
    session: SparkSession,
    documents: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def given(_: str | None) -> Iterator[SparkSession]:
        yield session

    monkeypatch.setattr(dataframe, "spark_session", given)
    shutil.rmtree(documents / "deep er")
    into = ["--into", str(tmp_path / "spark"), "--embedder", "builtin", "--chunk-tokens", "100"]
    assert main(["spark", "index", str(documents), *into]) == 0
    printed = capsys.readouterr().out
    assert "skipped    empty.txt: empty (0 bytes)" in printed and "embedder builtin" in printed
    assert main(["spark", "index", str(tmp_path / "nowhere"), *into]) == 2
    assert main(["spark", "read", "a.csv", "b.csv", "--into", "c.csv"]) == 2
    assert "reads one table" in capsys.readouterr().err
    assert main(["ask", str(tmp_path / "spark"), "When was the lighthouse lit?", "--reader", "builtin"]) in (0, 1)

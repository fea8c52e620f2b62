"""The home folder: corpora whole or not at all."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.errors import DocumentMissing, IndexBusy, IndexFolderError, ModelMissing, SettingError
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.errors import CorpusExists, CorpusMissing, HomeFolderError, HomeMissing
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.service.home import Corpus, Home
from tests.known import WordEmbedder, WordReader
from tests.qa_pipeline.service.conftest import below

# -- the folder --------------------------------------------------------------------------------------------------------


def test_a_home_is_made_only_where_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HomeMissing, match="no docqa home"):
        Home.open(tmp_path / "h")
    assert not (tmp_path / "h").exists()
    Home.open(tmp_path / "h", create=True)
    Home.open(tmp_path / "h", create=True)
    assert Home.open(tmp_path / "h").corpora() == []


def test_a_home_does_not_take_over_other_folders(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "letter.txt").write_text("x")
    with pytest.raises(HomeFolderError, match="other files"):
        Home.open(tmp_path / "h", create=True)
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "h"):
        with pytest.raises(HomeFolderError):
            Home.open(path, create=True)


def test_processes_that_make_one_home_at_once(tmp_path: Path) -> None:
    """Each finds what the other has made so far, or all of it."""
    for n in range(10):
        with ThreadPoolExecutor(4) as pool:
            homes = list(pool.map(lambda _, n=n: Home.open(tmp_path / f"h{n}", create=True), range(4)))
        assert all(home.corpora() == [] for home in homes)


@pytest.mark.parametrize("marker", ['{"format": 2}', "[]", "{", ""])
def test_a_home_of_another_format_is_refused(tmp_path: Path, marker: str) -> None:
    Home.open(tmp_path / "h", create=True)
    (tmp_path / "h" / "docqa-home.json").write_text(marker)
    with pytest.raises(HomeFolderError):
        Home.open(tmp_path / "h")


# -- corpora -----------------------------------------------------------------------------------------------------------


def test_a_new_corpus_is_empty_and_can_be_asked(home: Home, reports: Corpus) -> None:
    assert home.corpora() == [reports] == [home.corpus("reports")]
    assert (reports.title, reports.embedder) == ("Annual reports", "words") and reports.created.endswith("+00:00")
    with Index.open(reports.index) as index:
        assert index.folder.counts()["documents"] == 0 and list(index.problems()) == []
        reply = QAPipeline(index, WordEmbedder(), WordReader()).ask("When did the bridge open?")  # type: ignore[arg-type]
    assert reply.no_answer.is_no_answer and reply.passages == () and reply.generation == 0


def test_corpora_by_name_and_once_each(home: Home, reports: Corpus) -> None:
    for name in ("zebra", "a-1_b", "0"):
        home.create(name, embedder="words")
    assert [c.name for c in home.corpora()] == ["0", "a-1_b", "reports", "zebra"]
    with pytest.raises(CorpusExists, match="'reports'"):
        home.create("reports", embedder="words")
    assert home.corpus("reports") == reports


@pytest.mark.parametrize(
    "name", ["", "A", "ü", "a/b", "..", ".", "-a", "_a", "a" * 64, "a\n", "a\0", "a b", "con.x", None, 7]
)
def test_bad_corpus_names(home: Home, name: str) -> None:
    before = below(home.path)
    with pytest.raises(SettingError):
        home.create(name, embedder="words")
    for act in (home.corpus, home.delete):
        with pytest.raises(CorpusMissing):
            act(name)
    assert below(home.path) == before


def test_titles_are_one_line(home: Home) -> None:
    title = "  Jahres\u00adberichte\n\x00 2024\u202e تقارير "
    assert home.create("t", title=title, embedder="words").title == "Jahres berichte 2024 تقارير"
    with pytest.raises(SettingError):
        home.create("u", title="x" * 201, embedder="words")


def test_a_model_that_is_not_here_leaves_nothing(home: Home) -> None:
    def missing(name: str) -> WordEmbedder:
        raise ModelMissing(f"{name} is not here.")

    bare = Home.open(home.path, embedder=missing)  # type: ignore[arg-type]
    for embedder, error in (("nowhere", ModelMissing), (" ", SettingError)):
        with pytest.raises(error):
            bare.create("x", embedder=embedder)
    assert [p.name for p in (home.path / "corpora").iterdir()] == []


def test_two_who_make_the_same_corpus(home: Home) -> None:
    """The one that comes second finds it there, also when it looked before."""

    def slowly(name: str) -> WordEmbedder:
        home.create("same", title="first", embedder="words")
        return WordEmbedder()

    with pytest.raises(CorpusExists):
        Home.open(home.path, embedder=slowly).create("same", title="second", embedder="words")  # type: ignore[arg-type]
    assert home.corpus("same").title == "first"
    assert [p.name for p in (home.path / "corpora").iterdir()] == ["same"]


def test_a_deleted_corpus_is_gone(home: Home, reports: Corpus) -> None:
    home.put(reports, "a.txt", b"text")
    home.delete("reports")
    assert list((home.path / "corpora").iterdir()) == [] and home.corpora() == []
    for act in (home.corpus, home.delete):
        with pytest.raises(CorpusMissing):
            act("reports")
    with pytest.raises(CorpusMissing):
        home.put(reports, "b.txt", b"text")
    with pytest.raises(DocumentMissing):
        home.original(reports, "a.txt")
    assert home.create("reports", embedder="words").title == ""


def test_a_corpus_that_is_written_to_is_not_deleted(home: Home, reports: Corpus) -> None:
    with IndexFolder.open(reports.index, writable=True) as folder, folder.writer():
        with pytest.raises(IndexBusy):
            home.delete("reports", wait_s=0.1)
        assert home.corpus("reports") == reports
    home.delete("reports")
    assert home.corpora() == []


def test_what_stopped_processes_left_is_swept(home: Home, reports: Corpus) -> None:
    corpora = home.path / "corpora"
    (corpora / ".deleted-old-1" / "index").mkdir(parents=True)
    (corpora / ".new-young-1").mkdir()
    (corpora / ".new-old-1").mkdir()
    (reports.incoming / "old.part").write_bytes(b"half")
    (reports.incoming / "young.part").write_bytes(b"half")
    for path in (corpora / ".new-old-1", reports.incoming / "old.part"):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert [c.name for c in Home.open(home.path).corpora()] == ["reports"]
    assert {p.name for p in corpora.iterdir()} == {"reports", ".new-young-1"}
    assert [p.name for p in reports.incoming.iterdir()] == ["young.part"]


def test_a_corpus_with_damaged_facts_hides_no_other(home: Home, reports: Corpus) -> None:
    other = home.create("other", embedder="words")
    (reports.path / "corpus.json").write_text("{")
    assert home.corpora() == [other]
    with pytest.raises(HomeFolderError, match="'reports'"):
        home.corpus("reports")
    home.delete("reports")
    assert home.corpora() == [other]


def test_a_corpus_whose_last_file_went_is_emptied(home: Home, reports: Corpus) -> None:
    home.put(reports, "a.txt", b"The bridge opened in 1912.")
    assert build_index(reports.documents, reports.index, embedder=WordEmbedder()).documents == 1  # type: ignore[arg-type]
    home.remove(reports, "a.txt")
    with pytest.raises(IndexFolderError, match="nothing was changed"):
        build_index(reports.documents, reports.index, embedder=WordEmbedder())  # type: ignore[arg-type]
    report = build_index(reports.documents, reports.index, embedder=WordEmbedder(), emptied=True)  # type: ignore[arg-type]
    assert report.documents == report.passages == 0 and [(f.source, f.status) for f in report.files] == [
        ("a.txt", "removed")
    ]
    with Index.open(reports.index) as index:
        assert list(index.problems()) == []

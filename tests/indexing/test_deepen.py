"""The second tier: every passage gets its sentence vector, in steps that can be stopped, and loses it when deleted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import indexing.deepen
from indexing.atomic_files import file_checksum
from indexing.build import build_index
from indexing.deepen import coverage, deepen_index
from indexing.errors import IndexMismatch
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from indexing.store.derived_files import MANIFEST
from indexing.store.index import Index
from indexing.store.sentence_vectors import second_tier
from tests.known import WordEmbedder


class Tokens(WordEmbedder):
    """Stands for the built-in embedder, which has a second tier."""

    name = "builtin"


class Sentences(WordEmbedder):
    name = "builtin-sentence"
    fingerprint = "sentences-1"

    def __init__(self) -> None:
        super().__init__(48)
        self.texts: list[str] = []

    def passages(self, texts):  # type: ignore[no-untyped-def]
        self.texts += texts
        return super().passages(texts)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.txt").write_text(f"Report {number} tells of the bridge number {number}.", encoding="utf-8")
    return folder


@pytest.fixture
def path(tmp_path: Path, documents: Path) -> Path:
    build(documents, tmp_path / "index")
    return tmp_path / "index"


def build(documents: Path, path: Path, tiers: str = "both") -> None:
    settings = IndexSettings(embedder="builtin", tiers=tiers)  # type: ignore[arg-type]
    build_index(documents, path, settings, embedder=Tokens())  # type: ignore[arg-type]


def deepen(path: Path, sentences: WordEmbedder | None = None, **named: object):  # type: ignore[no-untyped-def]
    return deepen_index(path, embedder=sentences or Sentences(), **named)  # type: ignore[arg-type]


def found(path: Path, question: str, **filters: list[str]) -> list[str]:
    """Sources of the passages nearest to a question by sentence vectors."""
    with Index.open(path) as index, index.snapshot() as snapshot:
        near = snapshot.nearest_sentences(Sentences().questions([question])[0], 10, filters or None)
        return [chunk.source for chunk in snapshot.chunks([number for number, _ in near])]


def sound(path: Path) -> bool:
    with Index.open(path) as index:
        return not list(index.problems())


def test_every_passage_gets_its_vector(path: Path) -> None:
    with IndexFolder.open(path) as folder:
        assert second_tier(folder) == "builtin-sentence"
        assert coverage(folder) == 0.0
    assert found(path, "Report 3") == []
    result = deepen(path)
    assert (result.deepened, result.passages, result.added) == (7, 7, 7)
    assert found(path, "Report 3 tells of the bridge number 3.")[0] == "3.txt"
    assert found(path, "Report 3", source=["5.txt"]) == ["5.txt"]
    assert found(path, "Report 3", source=["none.txt"]) == []
    with IndexFolder.open(path) as folder:
        assert coverage(folder) == 1.0
    assert sound(path)
    again = Sentences()
    assert deepen(path, again).added == 0
    assert again.texts == []


def test_the_newest_passages_come_first_and_a_stopped_run_continues(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing.deepen, "BATCH", 3)
    monkeypatch.setattr(indexing.deepen, "AT_ONCE", 2)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    first = Sentences()
    with pytest.raises(KeyboardInterrupt):
        deepen(path, first, progress=stop)
    assert seen == [(2, 7), (3, 7), (5, 7)]
    first.texts = first.texts[:3]
    with Index.open(path) as index:
        newest = [chunk.text for chunk in index.folder.chunks(index.folder.chunk_ids()[::-1][:3].tolist())]
    assert first.texts == newest
    assert len(found(path, "bridge")) == 3
    rest = Sentences()
    assert deepen(path, rest).added == 4
    assert not set(rest.texts) & set(first.texts)
    assert sound(path)


def test_a_killed_run_loses_no_batch(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; import indexing.deepen as d\n"
        "from tests.indexing.test_deepen import deepen\n"
        "d.BATCH = 2\n"
        "deepen(Path(sys.argv[1]), progress=lambda done, total: os._exit(9) if done >= 6 else None)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert run.returncode == 9
    assert len(found(path, "bridge")) == 4
    assert deepen(path).added == 3
    assert sound(path)


def test_a_deleted_document_takes_its_vector_and_a_new_one_lacks_it(path: Path, documents: Path) -> None:
    deepen(path)
    (documents / "3.txt").unlink()
    (documents / "8.txt").write_text("Report 8 tells of a tunnel.", encoding="utf-8")
    build(documents, path)
    assert "3.txt" not in found(path, "Report 3 tells of the bridge number 3.")
    assert sorted(found(path, "bridge")) == ["0.txt", "1.txt", "2.txt", "4.txt", "5.txt", "6.txt"]
    with IndexFolder.open(path) as folder:
        assert coverage(folder) == pytest.approx(6 / 7)
    assert deepen(path).added == 1
    assert found(path, "Report 8 tells of a tunnel.")[0] == "8.txt"
    assert sound(path)


def test_vectors_of_another_model_are_replaced(path: Path) -> None:
    deepen(path)

    class Newer(Sentences):
        fingerprint = "sentences-2"

    with Index.open(path) as open_before:
        result = deepen(path, Newer())
        assert result.added == 7
        with open_before.snapshot() as snapshot:
            assert snapshot.sentence_model == "sentences-2"
            assert len(snapshot.nearest_sentences(Sentences().questions(["bridge"])[0], 10)) == 7
    assert sound(path)


def test_an_open_index_sees_the_vectors_of_a_later_run(path: Path) -> None:
    with Index.open(path) as index:
        with index.snapshot() as snapshot:
            assert snapshot.sentence_model is None
        deepen(path)
        with index.snapshot() as snapshot:
            assert snapshot.sentence_model == "sentences-1"
            near = snapshot.nearest_sentences(Sentences().questions(["Report 2 tells of the bridge number 2."])[0], 1)
            assert [chunk.source for chunk in snapshot.chunks([near[0][0]])] == ["2.txt"]


def test_the_file_of_sentence_vectors_is_named_checked_and_rebuilt(path: Path) -> None:
    deepen(path)
    (file,) = path.glob("sentences-*.faiss")
    entry = json.loads((path / MANIFEST).read_text("utf-8"))["sentences"]["vectors"]
    assert entry == {"file": file.name, "checksum": file_checksum(file)}
    before = found(path, "Report 4")
    file.write_bytes(file.read_bytes()[:-8] + b"\0" * 8)
    assert found(path, "Report 4") == before
    with Index.open(path, writable=True) as index:
        assert any("derived files" in line for line in index.problems())
        index.repair()
    assert sound(path)
    assert file not in list(path.glob("sentences-*.faiss"))


def test_derived_files_without_the_second_tier_are_completed_from_the_database(path: Path) -> None:
    deepen(path)
    manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    del manifest["sentences"]
    (path / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    assert len(found(path, "bridge")) == 7


def test_token_tier_alone_drops_the_sentences_and_both_brings_them_back(path: Path, documents: Path) -> None:
    deepen(path)
    build(documents, path, "token")
    assert found(path, "bridge") == []
    with IndexFolder.open(path) as folder:
        assert (second_tier(folder), coverage(folder)) == ("", None)
    with pytest.raises(IndexMismatch, match="one tier"):
        deepen(path)
    assert sound(path)
    build(documents, path, "both")
    assert deepen(path).added == 7
    with pytest.raises(IndexMismatch, match="sentence vectors alone"):
        build(documents, path, "sentence")


def test_an_index_of_an_earlier_version_gets_both_tiers(path: Path) -> None:
    with IndexFolder.open(path, writable=True) as folder:
        stored = folder.settings.as_dict()
        del stored["tiers"]
        folder.store_facts({"settings": stored})
    with IndexFolder.open(path) as folder:
        assert folder.settings.tiers == "both"
    assert deepen(path).added == 7


def test_another_embedder_has_one_tier(tmp_path: Path, documents: Path) -> None:
    build_index(documents, tmp_path / "other", embedder=WordEmbedder())  # type: ignore[arg-type]
    with pytest.raises(IndexMismatch, match="one tier"):
        deepen(tmp_path / "other")


def test_compacting_keeps_the_sentences(path: Path, documents: Path) -> None:
    deepen(path)
    (documents / "0.txt").unlink()
    build(documents, path)
    with Index.open(path, writable=True) as index:
        assert index.compact()
    assert len(found(path, "bridge")) == 6
    assert sound(path)


def test_a_wrong_vector_of_the_file_is_told(path: Path) -> None:
    deepen(path)
    with Index.open(path, writable=True) as index:
        with index.folder.writer(), index.folder.writing() as (connection, _):
            blob = np.ones(48, "<f4").tobytes()
            connection.execute("UPDATE sentence_vectors SET vector = ? WHERE id = 1", (blob,))
        assert any("1 vectors of the index of sentence vectors" in line for line in index.problems())


def test_settings_refuse_unknown_tiers() -> None:
    with pytest.raises(Exception, match="tiers is 'three'"):
        replace(IndexSettings(), tiers="three")  # type: ignore[arg-type]

"""Positions of words: merged as if built at once, equal to comparing texts, and one more derived file of an index."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexing.build import build_index
from indexing.deepen import deepen_index
from indexing.errors import IndexDamaged
from indexing.models.embedder import Embedder
from indexing.store import word_file, word_positions
from indexing.store.derived_files import MANIFEST
from indexing.store.index import Index
from indexing.store.index_checks import word_problems
from indexing.store.word_file import WordFile, restricted, write
from indexing.store.word_positions import ARRAYS, WordPositions
from indexing.text.word_query import Near, Phrase, matches, parse
from qa_pipeline.retrieval.word_search import WordSearcher
from tests.known import SCRIPTS, WordEmbedder

PIECES = ["red", "Réd", "reddish", "stone", "1,150", "GPT-4", "東京都", "京", "東", "ไทย", "גשר", "...", "\u200b", "\n"]
QUERIES = [
    '"red stone"',
    "red*",
    "京",
    "東京",
    '"東 京"',
    "1150",
    "gpt-4",
    "red NEAR/1 stone",
    '"red red"',
    "京 NEAR/0 東",
    "zzz",
]
texts = st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)


def equal(left: WordPositions, right: WordPositions) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in ARRAYS)


@pytest.fixture(params=[1, 10**6], ids=["in small ranges", "at once"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for limit in ("TEXTS_AT_ONCE", "MERGED_AT_ONCE", "IN_MEMORY"):
        monkeypatch.setattr(word_file, limit, request.param)
    return tmp_path


def test_merging_equals_building_at_once(folder: Path) -> None:
    draw = random.Random(3)
    for _ in range(60):
        passages = [(n * 3, " ".join(draw.choices(PIECES, k=draw.randrange(9)))) for n in range(1, draw.randrange(2, 14))]
        cut = draw.randrange(len(passages) + 1)
        write(folder / "a.npz", None, np.empty(0, np.int64), iter(passages[:cut]))
        dead = np.array(sorted(draw.sample([n for n, _ in passages[:cut]], draw.randrange(cut + 1))), np.int64)
        write(folder / "b.npz", WordPositions.load(folder / "a.npz"), dead, iter(passages[cut:]))
        alive = [(n, text) for n, text in passages if n not in dead]
        assert equal(WordPositions.load(folder / "b.npz"), WordPositions.build(alive))
        assert {path.name for path in folder.iterdir()} == {"a.npz", "b.npz"}, "what was merged on the way is gone"


@given(st.lists(texts, max_size=8), st.integers(0, 255), st.booleans())
@settings(deadline=None, max_examples=150)
def test_matches_are_those_of_the_texts(given_texts: list[str], chosen: int, wide: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if wide:
            patch.setattr(word_positions, "MOST_IN_32_BITS", 10)
        found = WordPositions.build(enumerate(given_texts))
        part = restricted(found, np.flatnonzero([chosen >> n & 1 for n in range(len(given_texts))]))
        assert equal(part, WordPositions.build((n, text) for n, text in enumerate(given_texts) if chosen >> n & 1))
    assert found.places.dtype == (np.int64 if wide else np.uint32)
    for query in QUERIES:
        node = parse(query)
        assert isinstance(node, Phrase | Near)
        mask = found.near(node) if isinstance(node, Near) else found.having(node)
        assert mask.tolist() == [matches(node, text) for text in given_texts], query
    assert found.words() == sorted(found.words())
    assert found.beginning("red") == [word for word in found.words() if word.startswith("red")]


def test_nothing_reaches_from_one_passage_into_the_next() -> None:
    found = WordPositions.build([(1, "old"), (2, "bridge"), (3, ""), (9, "old bridge")])
    near, phrase = parse("old NEAR/100 bridge"), parse('"old bridge"')
    assert isinstance(near, Near) and isinstance(phrase, Phrase)
    assert found.near(near).tolist() == found.having(phrase).tolist() == [False, False, False, True]


def test_another_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "w.npz", None, np.empty(0, np.int64), iter([(1, "a bridge")]))
    content = (tmp_path / "w.npz").read_bytes()
    for name, bad in (("cut", content[: len(content) // 2]), ("text", b"no positions")):
        (tmp_path / name).write_bytes(bad)
    np.savez(tmp_path / "other.npz", ids=np.arange(3))
    for name in ("cut", "text", "other.npz", "missing"):
        with pytest.raises(IndexDamaged, match="cannot be read"):
            WordPositions.load(tmp_path / name)


def test_a_failed_write_leaves_no_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_file, "TEXTS_AT_ONCE", 1)
    monkeypatch.setattr(word_file, "IN_MEMORY", 1)

    def passages() -> Iterator[tuple[int, str]]:
        yield from enumerate(["old bridge", "new bridge"])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "w.npz", None, np.empty(0, np.int64), passages())
    assert list(tmp_path.iterdir()) == []


# -- of an index -------------------------------------------------------------------------------------------------------


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / "secret.txt").write_text("The xylophonist is gone.", encoding="utf-8")
    index_it(documents=folder)
    return folder


def index_it(documents: Path) -> Path:
    build_index(documents, documents.parent / "index", embedder=WordEmbedder())  # type: ignore[arg-type]
    return documents.parent / "index"


def file_of(index: Path) -> Path:
    (path,) = index.glob("words-*.npz")
    assert json.loads((index / MANIFEST).read_bytes())["words"]["file"] == path.name
    return path


def test_of_two_tiers_the_second_writes_the_file_and_the_first_is_searched_without(tmp_path: Path) -> None:
    (documents := tmp_path / "documents").mkdir()
    for name in ("bridge", "mill"):
        (documents / f"{name}.txt").write_text(f"The old {name} is red.", "utf-8")
    builtin, index = Embedder.load("builtin"), tmp_path / "index"

    def found(query: str) -> int:
        with Index.open(index) as opened:
            return WordSearcher(opened).search(query).passages

    build_index(documents, index, embedder=builtin)
    assert not list(index.glob("words-*")) and found('"old mill"') == 1
    deepen_index(index)
    first = file_of(index)
    (documents / "harbour.txt").write_text("The old harbour is blue.", "utf-8")
    build_index(documents, index, embedder=builtin)
    assert file_of(index) == first and found('"old harbour"') == 1 and found("old") == 3
    (documents / "mill.txt").unlink()
    build_index(documents, index, embedder=builtin)
    assert file_of(index) != first and b"mill" not in file_of(index).read_bytes() and found("old") == 2


def test_deleted_words_leave_the_disk_and_unchanged_files_stay(documents: Path) -> None:
    index = documents.parent / "index"
    before = file_of(index)
    assert b"xylophonist" in before.read_bytes()
    with Index.open(index, writable=True) as opened, opened.folder.writer():
        opened.publish()
    assert file_of(index) == before
    (documents / "secret.txt").unlink()
    (documents / "new.txt").write_text("A zither arrived.", encoding="utf-8")
    index_it(documents)
    content = file_of(index).read_bytes()
    assert b"xylophonist" not in content and b"zither" in content and not before.exists()
    with Index.open(index) as opened:
        assert list(opened.problems()) == []
        found, ids = opened.words.newest(), opened.folder.chunk_ids()
        assert found is not None
        assert equal(found, WordPositions.build((number, text) for number, text, _ in opened.folder.texts(ids)))


@pytest.mark.parametrize("damage", ["cut", "gone", "not named", "other rules", "outside"])
def test_without_positions_the_texts_are_searched(documents: Path, damage: str) -> None:
    """So it is in an index of an earlier docqa; a damaged file is also found by the doctor, and repaired."""
    index = documents.parent / "index"
    with Index.open(index) as opened:
        wanted = [WordSearcher(opened).search(query).passages for query in ("xylo*", "bridge", "京")]
    path, manifest = file_of(index), json.loads((index / MANIFEST).read_bytes())
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "gone":
        path.unlink()
    elif damage == "not named":
        del manifest["words"]
    elif damage == "other rules":
        manifest["terms"] = 0
    else:
        manifest["words"]["file"] = "../documents/secret.txt"
    (index / MANIFEST).write_text(json.dumps(manifest))
    with Index.open(index) as opened:
        assert opened.words.newest() is None
        assert [WordSearcher(opened).search(query).passages for query in ("xylo*", "bridge", "京")] == wanted
        problems = " ".join(opened.problems())
        assert ("search by words is slow" in problems) == (damage in ("cut", "gone", "outside"))
    with Index.open(index, writable=True) as opened:
        opened.repair()
        assert list(opened.problems()) == []
        assert opened.words.newest() is not None and WordSearcher(opened).search("xylo*").passages == 1


def test_the_doctor_compares_positions_with_texts(documents: Path) -> None:
    with Index.open(documents.parent / "index") as opened:
        found = opened.words.newest()
        assert found is not None
        passages = [(number, text) for number, text, _ in opened.folder.texts(found.ids)]
    assert list(word_problems(found, passages)) == [] == list(word_problems(found, passages[1:3]))
    passages[2] = (passages[2][0], "Another text.")
    assert list(word_problems(found, passages)) == ["The positions of words are others than the passages have."]


def test_a_newer_file_is_taken(documents: Path) -> None:
    reader = WordFile(documents.parent / "index" / MANIFEST)
    first = reader.newest()
    assert first is not None and first is reader.newest()
    (documents / "new.txt").write_text("A zither arrived.", encoding="utf-8")
    index_it(documents)
    second = reader.newest()
    assert second is not None and second.beginning("zit") == ["zither"] and first.beginning("zit") == []

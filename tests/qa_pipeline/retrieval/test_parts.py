"""An index in parts: the passages, scores and answers of the whole index."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.build import build_index
from indexing.deepen import coverage, deepen_index
from indexing.errors import FilterError, IndexBusy, IndexDamaged, IndexFolderError, IndexMismatch, IndexMissing, SettingError
from indexing.models.embedder import Embedder
from indexing.settings import IndexSettings
from indexing.store.bm25 import KeywordIndex, Segment, SegmentStatistics, language_code, term_hash
from indexing.store.copies import copies_among
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from indexing.store.parts import Parts, WholeStatistics, split_index, write_statistics
from qa_pipeline.retrieval.language_bias import SAMPLE
from qa_pipeline.retrieval.parts import FoldersOfParts, PartRetriever, PartsRetriever
from qa_pipeline.retrieval.retriever import RetrievedPassages, Retriever
from qa_pipeline.settings import AskSettings
from tests.qa_pipeline.retrieval.test_sentence_tier import ASKED, TEXTS

ROOT = Path(__file__).resolve().parents[3]
PARTS = 3
SHALLOW = AskSettings(depth=6, retrieve=6)


@pytest.fixture(scope="module")
def builtin() -> Embedder:
    return Embedder.load("builtin")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, builtin: Embedder) -> Path:
    """An index of examples/corpus, which has twelve languages."""
    home = tmp_path_factory.mktemp("parts")
    shutil.copytree(ROOT / "examples" / "corpus", home / "documents")
    settings = IndexSettings(embedder="builtin", tiers="token")
    build_index(home / "documents", home / "index", settings, embedder=builtin)
    return home / "index"


@pytest.fixture(scope="module")
def parts(whole: Path) -> Path:
    split(whole, whole.parent / "parts")
    return whole.parent / "parts"


def split(whole: Path, into: Path) -> Parts:
    with IndexFolder.open(whole) as folder:
        deepened = coverage(folder)
    return split_index(whole, into, PARTS, SAMPLE, deepened)


class Asked:
    """Asks an index and its parts the same questions."""

    def __init__(self, whole: Path, parts: Path, embedder: Embedder) -> None:
        self.whole = Retriever(Index.open(whole), embedder)
        opened = Parts.open(parts)
        self.parts = [PartRetriever(opened, number, embedder) for number in range(opened.count)]
        self.merged = PartsRetriever.open(parts)

    def both(self, question: str, settings: AskSettings, filters: Any = None) -> list[RetrievedPassages]:
        found = [part.candidates(question, settings, filters) for part in self.parts]
        return [self.whole.passages(question, settings, filters), self.merged.passages(question, found, settings, filters)]


def same(one: RetrievedPassages, other: RetrievedPassages) -> None:
    """All but the milliseconds; scores as float32 sums allow, which BLAS may add in another order."""
    assert [(p.document_id, p.start, p.end, p.text, p.also_in) for p in one.passages] == [
        (p.document_id, p.start, p.end, p.text, p.also_in) for p in other.passages
    ]
    for a, b in zip(one.passages, other.passages, strict=True):
        assert (a.dense_rank, a.keyword_rank, a.fused_rank, a.missing) == (
            b.dense_rank,
            b.keyword_rank,
            b.fused_rank,
            b.missing,
        )
        scores = [(p.dense_score, p.keyword_score, p.fused_score) for p in (a, b)]
        assert all(x == y or x == pytest.approx(y, abs=1e-5) for x, y in zip(*scores, strict=True))
    for x, y in zip(one.evidence, other.evidence, strict=True):
        assert [type(v) for v in astuple(x)] == [type(v) for v in astuple(y)]
        assert [v for v in astuple(x) if isinstance(v, float)] == pytest.approx(
            [v for v in astuple(y) if isinstance(v, float)], abs=1e-5
        )
    assert (one.content_hashes, one.language, one.generation, one.deepened, one.copies) == (
        other.content_hashes,
        other.language,
        other.generation,
        other.deepened,
        other.copies,
    )


@pytest.mark.parametrize(
    "settings", [SHALLOW, AskSettings(), AskSettings(dense_weight=0.0), AskSettings(keyword_weight=0.0)]
)
def test_parts_find_what_the_whole_finds(whole: Path, parts: Path, builtin: Embedder, settings: AskSettings) -> None:
    asked = Asked(whole, parts, builtin)
    examples = json.loads((ROOT / "examples" / "questions.json").read_text("utf-8"))
    questions = [q["question"] for d in examples["data"] for p in d["paragraphs"] for q in p["qas"]]
    for number, question in enumerate(questions[::12]):
        filters = [None, {"language": "en"}, {"source": {"$glob": "[a-h]*"}}, {"source": "none"}][number % 4]
        one, other = asked.both(question, settings, filters)
        same(one, other)
        if settings.dense_weight:
            assert len(one.passages) == (0 if filters == {"source": "none"} else settings.retrieve)


def test_words_are_a_condition_of_the_whole(tmp_path: Path, builtin: Embedder) -> None:
    """Also where one part alone has a field, and with positions of words or, as just split, without."""
    (tmp_path / "documents").mkdir()
    for number in range(12):
        text = f"The {'old' if number % 3 else 'new'} bridge {number} was opened in 19{number:02}."
        page = f'<meta name="author" content="North"><p>{text}</p>'
        (tmp_path / "documents" / f"bridge{number}.html").write_text(page if number == 5 else f"<p>{text}</p>", "utf-8")
    settings = IndexSettings(embedder="builtin", tiers="token")
    build_index(tmp_path / "documents", tmp_path / "index", settings, embedder=builtin)
    split(tmp_path / "index", tmp_path / "parts")
    asked = Asked(tmp_path / "index", tmp_path / "parts", builtin)
    counts = []
    for words in ('"new bridge"', "open* NOT old", "old NEAR/3 4", "author:North", "zebra"):
        for filters in (None, {"source": {"$glob": "bridge[0-5].html"}}):
            one, other = asked.both("When was the bridge opened?", AskSettings(words=words, retrieve=20), filters)
            same(one, other)
            counts.append(len(other.passages))
    assert counts == [4, 2, 4, 2, 1, 1, 1, 1, 0, 0]


def test_copies_in_other_parts_are_named_once_and_by_the_filter(tmp_path: Path, builtin: Embedder) -> None:
    for folder in "abcdef":
        (tmp_path / "documents" / folder).mkdir(parents=True)
        (tmp_path / "documents" / folder / "bridge.txt").write_text("The old bridge was opened in 1912.", "utf-8")
    (tmp_path / "documents" / "mill.txt").write_text("The mill was closed in 1974.", "utf-8")
    settings = IndexSettings(embedder="builtin", tiers="token")
    build_index(tmp_path / "documents", tmp_path / "index", settings, embedder=builtin)
    split(tmp_path / "index", tmp_path / "parts")
    asked = Asked(tmp_path / "index", tmp_path / "parts", builtin)
    for filters, others in ((None, 5), ({"source": {"$glob": "[a-c]/*"}}, 2), ({"source": "f/bridge.txt"}, 0)):
        one, other = asked.both("When was the old bridge opened?", AskSettings(), filters)
        groups = [[{p.source, *(name.source for name in p.also_in)} for p in made.passages] for made in (one, other)]
        assert groups[0] == groups[1]
        assert len(other.passages[0].also_in) == others and len(other.passages) == (2 if filters is None else 1)


def test_a_name_with_a_star_is_that_file_in_every_part(tmp_path: Path, builtin: Embedder) -> None:
    """Of parts without the file, the name was a pattern, and they gave documents that the filter does not allow."""
    (tmp_path / "documents").mkdir()
    for number in range(9):
        name = "bridge*.txt" if not number else f"bridge{number}.txt"
        text = f"The old bridge {number % 8} was opened in 1912."
        (tmp_path / "documents" / name).write_text(text, "utf-8")
    settings = IndexSettings(embedder="builtin", tiers="token")
    build_index(tmp_path / "documents", tmp_path / "index", settings, embedder=builtin)
    split(tmp_path / "index", tmp_path / "parts")
    asked = Asked(tmp_path / "index", tmp_path / "parts", builtin)
    path = {"source": {"$path": "bridge*.txt"}}
    for filters, count in ((path, 1), ({"$not": [path]}, 8), ({"source": {"$not": path["source"]}}, 8)):
        one, other = asked.both("When was the old bridge opened?", AskSettings(), filters)
        groups = [{(p.source, *(name.source for name in p.also_in)) for p in made.passages} for made in (one, other)]
        assert groups[0] == groups[1] and len(groups[1]) == count
    pattern = {"source": {"$path": "*[8].txt"}}
    assert not any(made.passages for made in asked.both("When was the old bridge opened?", AskSettings(), pattern))
    with pytest.raises(FilterError, match="one of them"):
        asked.parts[0].candidates("When?", AskSettings(), {"source": {"$path": "b.t*", "$glob": "b*"}})


def test_parts_of_two_tiers(tmp_path: Path, builtin: Embedder) -> None:
    for name, text in TEXTS.items():
        (tmp_path / "documents" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "documents" / name).write_text(text, "utf-8")
    build_index(tmp_path / "documents", tmp_path / "index", IndexSettings(embedder="builtin"), embedder=builtin)
    deepen_index(tmp_path / "index")
    split(tmp_path / "index", tmp_path / "parts")
    asked = Asked(tmp_path / "index", tmp_path / "parts", builtin)
    for question in ASKED:
        for settings in (AskSettings(depth=3, retrieve=4), AskSettings()):
            one, other = asked.both(question, settings)
            assert one.deepened == 1.0 and one.evidence[0].sentences is not None
            same(one, other)


def test_copies_are_found_over_parts(tmp_path: Path, builtin: Embedder) -> None:
    (tmp_path / "documents").mkdir()
    for number in range(8):
        text = f"{TEXTS['en/ferry.txt']} " * 9 if number % 2 else f"{list(TEXTS.values())[number]} Nothing is like it."
        (tmp_path / "documents" / f"{number}.txt").write_text(text, "utf-8")
    settings = IndexSettings(embedder="builtin", tiers="token")
    build_index(tmp_path / "documents", tmp_path / "index", settings, embedder=builtin)
    folders = FoldersOfParts(split(tmp_path / "index", tmp_path / "parts"))
    with IndexFolder.open(tmp_path / "index") as folder:
        ids = [row[0] for row in folder.document_rows()]
        (group,) = copies_among(folder, ids)
    assert len({folders.parts.part_of(id) for id in group}) > 1 and len(group) == 4
    assert folders.copies(ids) == (group,)


def test_each_document_is_in_one_part(whole: Path, parts: Path) -> None:
    opened = Parts.open(parts)
    held = []
    for number in range(opened.count):
        with Index.open(opened.folder(number)) as index:
            assert list(index.problems()) == []
            rows = [row[0] for row in index.folder.document_rows()]
            assert rows and all(opened.part_of(id) == number for id in rows)
            held += index.folder.documents_of(index.folder.chunk_ids())
    with IndexFolder.open(whole) as folder:
        assert sorted(held) == folder.documents_of(folder.chunk_ids()) != []


def test_statistics_are_those_of_the_segments(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    words = [f"w{number}" for number in range(30)]
    passages = [(number, list(random.choice(words, size=random.integers(0, 9)))) for number in range(200)]
    languages = [str(random.choice(["de", "en", "ja"])) for _ in passages]
    segments = [Segment.build(passages[:80], languages[:80]), Segment.build(passages[80:], languages[80:])]
    keywords = KeywordIndex.of(segments, np.arange(0, 200, 7))
    write_statistics(tmp_path / "s.npz", keywords)
    found, wanted = WholeStatistics(tmp_path / "s.npz"), SegmentStatistics(keywords.segments, keywords._alive)
    assert found.words() == wanted.words()
    for language in (None, *map(language_code, ("de", "en", "ja", "fr"))):
        assert found.passages(language) == wanted.passages(language)
        for word in (*words, "none"):
            assert found.frequency(term_hash(word), language) == wanted.frequency(term_hash(word), language)
    whole = (tmp_path / "s.npz").read_bytes()
    for bad in (b"no statistics", b"", whole[: len(whole) // 2]):
        (tmp_path / "s.npz").write_bytes(bad)
        with pytest.raises(IndexDamaged, match="split the index again"):
            WholeStatistics(tmp_path / "s.npz")


def test_an_index_that_changes_while_it_is_split_is_not(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "index")
    create = IndexFolder.create

    def changing(path: Path, *arguments: Any) -> IndexFolder:
        with IndexFolder.open(tmp_path / "index", writable=True) as folder, folder.writer():
            folder.write([])
        return create(path, *arguments)

    monkeypatch.setattr(IndexFolder, "create", changing)
    with pytest.raises(IndexBusy, match="split it again"):
        split(tmp_path / "index", tmp_path / "parts")
    assert list((tmp_path / "parts").iterdir()) == []


def test_what_cannot_be_split_or_asked_is_one_sentence(whole: Path, parts: Path, tmp_path: Path, builtin: Embedder) -> None:
    with pytest.raises(IndexFolderError, match="other files"):
        split(whole, parts)
    with pytest.raises(IndexMissing):
        split(tmp_path / "none", tmp_path / "parts")
    assert not (tmp_path / "parts").exists(), "nothing half done is left"
    with pytest.raises(IndexMissing, match="docqa spark split"):
        Parts.open(tmp_path)
    (tmp_path / "parts.json").write_text('{"format": 9}')
    with pytest.raises(IndexMismatch, match="format"):
        Parts.open(tmp_path)
    for bad in ("{", "[]", '{"format": 1}', '{"format": 1, "count": 2, "languages": 3}', '{"format": 1, "mine": 2}'):
        (tmp_path / "parts.json").write_text(bad)
        with pytest.raises(IndexDamaged, match="split the index again"):
            Parts.open(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(IndexFolderError) as refused:
        split(whole, tmp_path / "file" / "parts")
    assert "Errno" not in str(refused.value)
    part = PartRetriever(Parts.open(parts), 0, builtin)
    with pytest.raises(SettingError, match="No document has a field"):
        part.candidates("When?", AskSettings(words="color:red"))
    with pytest.raises(FilterError):
        part.candidates("When?", AskSettings(), {"$none": 1})

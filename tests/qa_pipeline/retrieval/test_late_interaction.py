"""Late interaction (MaxSim): retrieved passages are compared by tokens, in any language, inside the filter, and cached."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from indexing.build import build_index
from indexing.models.embedder import Embedder
from indexing.store.corpus_db import StoredChunk
from indexing.store.index import Index
from indexing.store.snapshot import Snapshot
from qa_pipeline.haystack.retriever import FusedRetriever
from qa_pipeline.retrieval import late_interaction
from qa_pipeline.retrieval.candidates import OTHERS, Tiers
from qa_pipeline.retrieval.dense_score import dense_score
from qa_pipeline.retrieval.late_interaction import LateInteraction
from qa_pipeline.retrieval.retriever import TRANSLATED, rank
from qa_pipeline.settings import AskSettings
from tests.known import SCRIPTS, WordEmbedder

ASKED = "How many libraries does the university have?"
GERMAN = "Die Universität auf der Insel hat zwei Bibliotheken und einen botanischen Garten."
LONG = "Auf dem Markt werden Fisch, Brot und Käse verkauft. Am Abend spielt dort Musik, und im Winter ruht der Handel. " * 4


@pytest.fixture(scope="module")
def builtin() -> Embedder:
    return Embedder.load("builtin")


@pytest.fixture
def index(tmp_path: Path, builtin: Embedder) -> Index:
    folder = tmp_path / "documents"
    folder.mkdir()
    for language, text in SCRIPTS.items():
        (folder / f"script-{language}.txt").write_bytes(text.encode())
    (folder / "university.txt").write_text(f"{LONG}{GERMAN} {LONG}", "utf-8")
    (folder / "market.txt").write_text(LONG, "utf-8")
    build_index(folder, tmp_path / "i", embedder=builtin)
    return Index.open(tmp_path / "i")


def test_nearness_is_the_cosine_and_what_is_matched(index: Index, builtin: Embedder) -> None:
    vector, settings = builtin.questions([ASKED])[0], AskSettings(depth=6)
    with index.snapshot() as snapshot:
        bare = rank(snapshot, Tiers(), ASKED, vector, "en", settings)
        interaction = LateInteraction.of(builtin)
        found = rank(snapshot, Tiers(interaction), ASKED, vector, "en", settings)
        chunks = {chunk.id: chunk for chunk in snapshot.chunks([number for number, _ in found.dense])}
        others = dict(snapshot.nearest(vector, OTHERS, {"language": {"$ne": "en"}}))
        language_offsets = interaction.language_offsets(snapshot, ASKED, vector)  # type: ignore[union-attr]
    cosines, last = dict(bare.dense), bare.dense[-1][1]
    assert len(cosines) == 6 and bare.by_meaning == list(cosines)
    cosines |= others
    assert set(dict(found.dense)) == set(cosines) | set(dict(bare.keyword)) == set(chunks)
    assert sorted(found.by_meaning) == sorted(cosines)
    assert builtin.tokens is not None
    for number, near in found.dense:
        (held,) = builtin.tokens.distinct([chunks[number].text])
        (matched,) = builtin.tokens.max_sim(ASKED, [held])
        by_chance = 0.05 * math.log(max(len(held), 32) / 32)
        level = language_offsets[chunks[number].language]
        assert near == pytest.approx(cosines.get(number, last) + matched - by_chance + level, abs=1e-5)
    assert [near for _, near in found.dense] == sorted((near for _, near in found.dense), reverse=True)
    assert {item.id: item.dense[1] for item in found.fused if item.dense} == dict(found.dense)


def test_words_in_another_language_count_by_what_is_matched(index: Index, builtin: Embedder) -> None:
    vector, settings, interaction = builtin.questions([ASKED])[0], AskSettings(), LateInteraction.of(builtin)
    assert interaction is not None
    with index.snapshot() as snapshot:
        found = rank(snapshot, Tiers(interaction), ASKED, vector, "en", settings)
        matches = interaction.matches(snapshot, ASKED, [item.id for item in found.fused])
    high, low = found.dense[0][1], found.dense[-1][1]
    assert {match.language for match in matches.values()} > {"en", "de", "ja"}
    for item in found.fused:
        match = matches[item.id]
        words = (item.keyword[1] if item.keyword else 0.0) / found.ceiling
        if match.language not in ("en", "und"):
            words = math.hypot(words, TRANSLATED * max(0.0, match.share))
        near = (dict(found.dense)[item.id] - low) / (high - low)
        assert item.score == pytest.approx(settings.dense_weight * near + settings.keyword_weight * words)


def test_of_two_that_match_alike_the_shorter_is_nearer() -> None:
    assert dense_score(0.5, 0.25, 1) == dense_score(0.5, 0.25, 32) == 0.75
    falling = [dense_score(0.5, 0.25, tokens) for tokens in (32, 33, 100, 1000, 10_000)]
    assert falling == sorted(falling, reverse=True) and len(set(falling)) == 5
    assert falling[-2] - falling[-1] == pytest.approx(dense_score(0, 0, 40) - dense_score(0, 0, 400))


def test_the_one_thing_asked_for_is_found_in_another_language(index: Index, builtin: Embedder) -> None:
    found = FusedRetriever(index, builtin).passages(ASKED)
    assert found.passages[0].source == "university.txt" and GERMAN in found.passages[0].text


class Reads:
    """A snapshot that notes which passages are read from it, texts or tokens."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.read: list[int] = []
        self.index = self
        self._snapshot = snapshot

    @property
    def folder(self) -> Reads:
        return self

    def connection(self) -> Any:
        return self._snapshot.index.folder.connection()

    def readable_rows(self, select: str, ids: Sequence[int]) -> list[Any]:
        self.read += ids
        return self._snapshot.index.folder.readable_rows(select, ids)

    def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        self.read += ids
        return self._snapshot.chunks(ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._snapshot, name)


class ReadIndex:
    """An index whose snapshots note which passages are read from them."""

    def __init__(self, index: Index) -> None:
        self.folder = index.folder
        self.read: list[int] = []
        self._index = index

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        with self._index.snapshot() as snapshot:
            reads = Reads(snapshot)
            yield reads
            self.read += reads.read


def test_nothing_outside_a_filter_is_even_read(index: Index, builtin: Embedder) -> None:
    """But for the sample of each language, which is of the whole index and is drawn first here."""
    read: dict[str | None, set[str]] = {}
    for source in ("market.txt", "nowhere.txt", None):
        spied = ReadIndex(index)
        retriever = FusedRetriever(spied, builtin)  # type: ignore[arg-type]
        assert retriever.tiers.late_interaction is not None
        with index.snapshot() as snapshot:
            retriever.tiers.late_interaction.language_offsets(snapshot, ASKED, builtin.questions([ASKED])[0])
        found = retriever.passages(ASKED, filters={"source": source} if source else None).passages
        with index.snapshot() as snapshot:
            read[source] = {chunk.source for chunk in snapshot.chunks(spied.read)}
        assert {passage.source for passage in found} <= read[source]
    assert read["market.txt"] == {"market.txt"} and read["nowhere.txt"] == set() and len(read[None]) > 1


def test_passages_are_remembered_and_the_oldest_forgotten(
    index: Index, builtin: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_interaction, "CACHED_PASSAGES", 4)
    interaction = LateInteraction.of(builtin)
    assert interaction is not None
    with index.snapshot() as snapshot:
        ids = index.folder.chunk_ids().tolist()
        whole = interaction.matches(snapshot, ASKED, ids)
        assert list(whole) == ids
        spy = Reads(snapshot)
        again = interaction.matches(spy, ASKED, ids[-4:])  # type: ignore[arg-type]
        assert spy.read == [] and list(again) == ids[-4:]
        for number, match in again.items():
            assert match.language == whole[number].language and match.share == pytest.approx(whole[number].share, abs=1e-6)
        assert interaction.matches(spy, ASKED, ids[:1]).keys() == {ids[0]} and spy.read == ids[:1]  # type: ignore[arg-type]
        assert interaction.matches(snapshot, ASKED, [10_000]) == {}, "gone"


def test_many_passages_are_compared_part_by_part(index: Index, builtin: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = index.folder.chunk_ids().tolist()
    with index.snapshot() as snapshot:
        whole = LateInteraction.of(builtin).matches(snapshot, ASKED, ids)  # type: ignore[union-attr]
        monkeypatch.setattr(late_interaction, "AT_ONCE", 3)
        parts = LateInteraction.of(builtin).matches(snapshot, ASKED, ids)  # type: ignore[union-attr]
    assert list(parts) == list(whole) == ids and len(ids) > 6
    assert [m.share for m in parts.values()] == pytest.approx([m.share for m in whole.values()], abs=1e-6)


def test_a_rewritten_document_is_compared_by_its_new_text(tmp_path: Path, builtin: Embedder) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text(LONG, "utf-8")
    (folder / "b.txt").write_text("Der Hafen wird im Frühjahr ausgebaggert.", "utf-8")
    build_index(folder, tmp_path / "i", embedder=builtin)
    with Index.open(tmp_path / "i") as index:
        retriever = FusedRetriever(index, builtin)
        before = {passage.source: passage.dense_score for passage in retriever.passages(ASKED).passages}
        (folder / "a.txt").write_text(GERMAN, "utf-8")
        build_index(folder, tmp_path / "i", embedder=builtin)
        after = {passage.source: passage.dense_score for passage in retriever.passages(ASKED).passages}
    assert after["a.txt"] > before["a.txt"] + 0.3 and after["b.txt"] == pytest.approx(before["b.txt"], abs=1e-5)  # type: ignore[operator]


def test_threads_get_what_one_gets(index: Index, builtin: Embedder) -> None:
    retriever = FusedRetriever(index, builtin)
    asked = [*SCRIPTS.values()] * 3
    wanted = [retriever.passages(question[:60]) for question in asked]
    fresh = FusedRetriever(index, builtin)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda question: fresh.passages(question[:60]), asked))
    assert [f.passages for f in found] == [w.passages for w in wanted]


def test_an_embedder_of_whole_texts_ranks_by_its_cosines() -> None:
    assert LateInteraction.of(WordEmbedder()) is None  # type: ignore[arg-type]

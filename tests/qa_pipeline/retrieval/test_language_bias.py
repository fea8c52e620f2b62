"""Language bias: how it is estimated from a sample, and how it changes the ranking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexing.build import build_index
from indexing.models.embedder import Embedder
from indexing.store.index import Index
from qa_pipeline.haystack.retriever import FusedRetriever
from qa_pipeline.retrieval import language_bias as module
from qa_pipeline.retrieval.candidates import OTHERS, Tiers
from qa_pipeline.retrieval.dense_score import dense_score
from qa_pipeline.retrieval.language_bias import LanguageBias
from qa_pipeline.retrieval.late_interaction import LateInteraction
from qa_pipeline.retrieval.retriever import rank
from qa_pipeline.settings import AskSettings

GERMAN = (
    "Das Rathaus steht am Markt und hat einen hohen Turm. Der Bürgermeister wohnt im ersten Stock.",
    "Im Hafen liegen Fischerboote, und am Abend wird auf der Mole Musik gespielt.",
    "Die Schule wurde nach dem Brand neu gebaut; heute lernen dort vierhundert Kinder.",
    "Im Winter fährt die Fähre nur zweimal am Tag, weil das Eis die Einfahrt versperrt.",
)
ENGLISH = "The lighthouse of Vorn was built by the engineer Amalia Renn and is fifty-four metres high."
HOUSES = (
    "The town hall stands on the market square and has a tall tower.",
    "Fishing boats lie in the harbour, and in the evening there is music on the pier.",
    "The school was rebuilt after the fire; four hundred children learn there today.",
    "In winter the ferry runs only twice a day, as ice blocks the entrance.",
)
GREEK = "Η βιβλιοθήκη του νησιού έχει δύο αίθουσες και έναν κήπο με λεμονιές."
ASKED = "Welche Ingenieurin baute den Leuchtturm, und wie hoch ist er heute?"


@pytest.fixture(scope="module")
def builtin() -> Embedder:
    return Embedder.load("builtin")


def index_of(folder: Path, builtin: Embedder, texts: dict[str, str]) -> Index:
    (folder / "documents").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / "documents" / name).write_text(text, "utf-8")
    build_index(folder / "documents", folder / "i", embedder=builtin)
    return Index.open(folder / "i")


def german(count: int) -> dict[str, str]:
    return {f"de{n:03d}.txt": f"{GERMAN[n % 4]} Das war im Jahr {1800 + n}." for n in range(count)}


def test_the_level_of_a_language_is_the_mean_nearness_of_its_sample(tmp_path: Path, builtin: Embedder) -> None:
    static = builtin.tokens
    assert static is not None
    texts = {**german(20), "a.txt": ENGLISH, "b.txt": f"{ENGLISH} It is white.", "c.txt": GREEK}
    vector = builtin.questions([ASKED])[0]
    with index_of(tmp_path, builtin, texts) as index, index.snapshot() as snapshot:
        found = LanguageBias.of(static, snapshot).language_offsets(ASKED, vector)
        chunks = snapshot.chunks(index.folder.chunk_ids().tolist())
        ids, vectors = index.folder.vectors(index.folder.chunk_ids())
    assert [chunk.id for chunk in chunks] == ids.tolist()
    near: dict[str, list[float]] = {}
    for chunk, cosine in zip(chunks, (vectors @ vector).tolist(), strict=True):
        (held,) = static.distinct([chunk.text])
        near.setdefault(chunk.language, []).append(dense_score(cosine, float(static.max_sim(ASKED, [held])[0]), len(held)))
    whole = float(np.mean([one for some in near.values() for one in some]))
    level = {language: (sum(some) + 8 * whole) / (len(some) + 8) for language, some in near.items()}
    most = max(level.values())
    assert found == pytest.approx({language: most - one for language, one in level.items()}, abs=1e-5)
    assert set(found) == {"de", "en", "el"} and found["de"] == 0 < found["en"] and found["el"] > 0


def test_the_sample_is_from_all_over_the_index_and_mostly_stays(tmp_path: Path, builtin: Embedder) -> None:
    with index_of(tmp_path, builtin, {**german(50), "a.txt": ENGLISH}) as index:
        ids = [number for number, _, language in index.folder.texts(index.folder.chunk_ids()) if language == "de"]
        spread = index.folder.spread(8)
        assert set(spread) == {"de", "en"} and len(spread["en"]) == 1
        assert 4 <= len(spread["de"]) <= 8 and set(spread["de"]) <= set(ids)
        parts = np.histogram(spread["de"], bins=4, range=(ids[0], ids[-1]))[0]
        assert parts.min() >= 1 and max(np.diff(spread["de"])) <= 16
        assert len(index.folder.spread(1)["de"]) == 1 and set(index.folder.spread(1000)["de"]) == set(ids)
        for n in range(5):
            index_of(tmp_path, builtin, {f"later{n}.txt": f"Später kam noch ein Brief an, der {n + 1}."}).close()
            later = index.folder.spread(8)["de"]
            assert len(set(later) - set(spread["de"])) <= 1 and set(spread["de"]) <= set(later)


def test_with_one_language_nothing_changes(tmp_path: Path, builtin: Embedder) -> None:
    late_interaction, vector = LateInteraction.of(builtin), builtin.questions([ASKED])[0]
    assert late_interaction is not None and builtin.tokens is not None
    with index_of(tmp_path, builtin, german(12)) as index, index.snapshot() as snapshot:
        assert late_interaction.language_offsets(snapshot, ASKED, vector) == {}
        found = rank(snapshot, Tiers(late_interaction), ASKED, vector, "de", AskSettings())
        texts = {chunk.id: chunk.text for chunk in snapshot.chunks([number for number, _ in found.dense])}
        cosines = dict(snapshot.nearest(vector, 100))
    for number, near in found.dense:
        (held,) = builtin.tokens.distinct([texts[number]])
        share = float(builtin.tokens.max_sim(ASKED, [held])[0])
        assert near == pytest.approx(dense_score(cosines[number], share, len(held)), abs=1e-5)


def test_what_others_crowd_out_is_looked_at(tmp_path: Path, builtin: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, settings = "How many libraries does the university have?", AskSettings(depth=10, retrieve=5)
    vector = builtin.questions([asked])[0]
    english = {f"en{n:02d}.txt": f"Does the university have many students? {HOUSES[n % 4]} {n}" for n in range(60)}
    answer = {"university.txt": "Die Universität auf der Insel hat zwei Bibliotheken und einen botanischen Garten."}
    with index_of(tmp_path, builtin, {**german(12), **english, **answer}) as index:
        retriever = FusedRetriever(index, builtin, settings)
        with index.snapshot() as snapshot:
            (right,) = snapshot.nearest(vector, 1, {"source": "university.txt"})
            assert right not in snapshot.nearest(vector, settings.depth)
            found = rank(snapshot, retriever.tiers, asked, vector, "en", settings)
            assert right[0] in found.by_meaning and len(found.by_meaning) <= settings.depth + OTHERS
        assert "university.txt" in [passage.source for passage in retriever.passages(asked).passages]
        monkeypatch.setattr("qa_pipeline.retrieval.candidates.OTHERS", 0)
        monkeypatch.setattr("qa_pipeline.retrieval.retriever.OTHERS", 0)
        monkeypatch.setattr(LanguageBias, "language_offsets", lambda *_: {})
        assert {passage.language for passage in retriever.passages(asked).passages} == {"en"}


def test_a_filter_bounds_the_others_too(tmp_path: Path, builtin: Embedder) -> None:
    texts = {**german(30), "lighthouse.txt": ENGLISH, "secret.txt": f"{ENGLISH} Its code is 7741."}
    with index_of(tmp_path, builtin, texts) as index:
        retriever = FusedRetriever(index, builtin)
        for filters in ({"source": {"$ne": "secret.txt"}}, {"$and": [{"source": {"$ne": "secret.txt"}}]}):
            sources = {passage.source for passage in retriever.passages(ASKED, filters=filters).passages}
            assert "secret.txt" not in sources and "lighthouse.txt" in sources
        assert {p.language for p in retriever.passages(ASKED, filters={"language": "de"}).passages} == {"de"}
        assert not retriever.passages(ASKED, filters={"source": "nowhere"}).passages


def test_the_nearest_elsewhere_are_the_nearest_of_other_languages(tmp_path: Path, builtin: Embedder) -> None:
    vector = builtin.questions([ASKED])[0]
    texts = {**german(30), "a.txt": ENGLISH, "b.txt": HOUSES[0], "c.txt": GREEK}
    with index_of(tmp_path, builtin, texts) as index:
        index_of(tmp_path, builtin, {"d.txt": HOUSES[1], "a.txt": f"{ENGLISH} It is white."}).close()
        with index.snapshot() as snapshot:
            for filters in (None, {"source": {"$ne": "b.txt"}}, {"language": "de"}):
                elsewhere = {"language": {"$ne": "de"}}
                both = {"$and": [filters, elsewhere]} if filters else elsewhere
                for top_k in (1, 2, 10):
                    found = snapshot.nearest_elsewhere(vector, "de", top_k, filters)
                    assert found == snapshot.nearest(vector, top_k, both)
            sources = {c.source for c in snapshot.chunks([n for n, _ in snapshot.nearest_elsewhere(vector, "de", 10)])}
            assert sources == {"a.txt", "b.txt", "c.txt", "d.txt"}
            vectors = replace(snapshot.state.vectors, kind="hnsw")
            graph = replace(snapshot, state=replace(snapshot.state, vectors=vectors))
            assert graph.nearest_elsewhere(vector, "de", 10) == []


def test_a_new_generation_is_sampled_anew(tmp_path: Path, builtin: Embedder) -> None:
    late_interaction, vector = LateInteraction.of(builtin), builtin.questions([ASKED])[0]
    assert late_interaction is not None
    with index_of(tmp_path, builtin, {**german(10), "a.txt": ENGLISH}) as index:
        with index.snapshot() as snapshot:
            before = late_interaction.language_offsets(snapshot, ASKED, vector)
            assert late_interaction.language_offsets(snapshot, ASKED, vector) == before and set(before) == {"de", "en"}
            kept = LanguageBias.of(late_interaction._model, snapshot)
            assert LanguageBias.of(late_interaction._model, snapshot, kept) is kept
        index_of(tmp_path, builtin, {"g.txt": GREEK}).close()
        with index.snapshot() as snapshot:
            assert set(late_interaction.language_offsets(snapshot, ASKED, vector)) == {"de", "en", "el"}


def test_what_is_remembered_of_tokens_changes_nothing(
    tmp_path: Path, builtin: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert builtin.tokens is not None
    asked = [ASKED, ENGLISH, GREEK, *GERMAN, "", "?"]
    vectors = builtin.questions(asked)
    texts = {**german(10), "a.txt": ENGLISH, "b.txt": GREEK}
    with index_of(tmp_path, builtin, texts) as index, index.snapshot() as snapshot:
        alone = [
            LanguageBias.of(builtin.tokens, snapshot).language_offsets(q, v) for q, v in zip(asked, vectors, strict=True)
        ]
        shared = LanguageBias.of(builtin.tokens, snapshot)
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(shared.language_offsets, [*asked, *reversed(asked)], [*vectors, *vectors[::-1]]))
        assert together == [*alone, *reversed(alone)]
        monkeypatch.setattr(module, "CACHED_TOKENS", 5)
        forgetful = LanguageBias.of(builtin.tokens, snapshot)
        assert [forgetful.language_offsets(q, v) for q, v in zip(asked, vectors, strict=True)] == alone
        assert 0 < len(forgetful._max_cosines) < len(shared._max_cosines)
        monkeypatch.setattr(module, "BATCH_TOKENS", 3)
        for few, many in zip(
            map(LanguageBias.of(builtin.tokens, snapshot).language_offsets, asked, vectors), alone, strict=True
        ):
            assert few == pytest.approx(many, abs=1e-5)

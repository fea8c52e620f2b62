"""Retrieval in an index of two tiers: across languages, while only a part is deepened, and inside a filter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import indexing.deepen
from indexing.build import build_index
from indexing.deepen import deepen_index
from indexing.models.embedder import Embedder
from indexing.settings import IndexSettings
from indexing.store.index import Index
from qa_pipeline.retrieval.language_bias import offsets
from qa_pipeline.retrieval.retriever import ELSEWHERE, TOKEN_SHARE, Retriever, both_tiers, estimated
from qa_pipeline.retrieval.sentence_tier import SentenceBias, SentenceTier
from qa_pipeline.settings import AskSettings

TEXTS = {
    "en/ferry.txt": "In winter the ferry runs only twice a day, as ice blocks the entrance.",
    "en/school.txt": "The school was rebuilt after the fire; four hundred children learn there today.",
    "en/lamp.txt": "The lighthouse keeper Amalia Renn lit the lamp for the first time in 1868.",
    "de/markt.txt": "Das Rathaus steht am Markt und hat einen hohen Turm. Der Bürgermeister wohnt im ersten Stock.",
    "de/hafen.txt": "Im Hafen liegen Fischerboote, und am Abend wird auf der Mole Musik gespielt.",
    "de/garten.txt": "Im Garten hinter dem Haus wachsen Äpfel, Birnen und Kirschen, die im Herbst geerntet werden.",
    "ja/hon.txt": "図書館には二つの読書室があり、毎週火曜日は休館です。",
    "ja/hashi.txt": "橋は1912年に開通し、長さは1870メートルである。",
    "ar/matar.txt": "يقع المطار على بعد عشرة كيلومترات شمال المدينة وافتتح قبل عشرين عاما.",
}
ASKED = {
    "Wer hat die Lampe des Leuchtturms zuerst angezündet?": "en/lamp.txt",
    "At what time of the week is the library closed?": "ja/hon.txt",
    "How far is the airport from the town?": "ar/matar.txt",
    "橋の開通はいつですか。": "ja/hashi.txt",
}


@pytest.fixture(scope="module")
def builtin() -> Embedder:
    return Embedder.load("builtin")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, builtin: Embedder) -> Path:
    return _index(tmp_path_factory.mktemp("tiers"), builtin)


@pytest.fixture(scope="module")
def deep(path: Path) -> Iterator[Index]:
    deepen_index(path)
    with Index.open(path) as index:
        yield index


def _index(folder: Path, builtin: Embedder) -> Path:
    for name, text in TEXTS.items():
        (folder / "documents" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "documents" / name).write_text(text, "utf-8")
    build_index(folder / "documents", folder / "index", IndexSettings(embedder="builtin"), embedder=builtin)
    return folder / "index"


def test_a_question_finds_the_passage_in_another_language(deep: Index, builtin: Embedder) -> None:
    retriever = Retriever(deep, builtin)
    for question, source in ASKED.items():
        found = retriever.passages(question)
        assert found.passages[0].source == source, question
        assert found.deepened == 1.0


def test_a_filter_holds_for_sentence_vectors(deep: Index, builtin: Embedder) -> None:
    retriever = Retriever(deep, builtin)
    for question in ASKED:
        found = retriever.passages(question, filters={"source": {"$glob": "de/*"}})
        assert {passage.source for passage in found.passages} == {name for name in TEXTS if name.startswith("de/")}
        assert not retriever.passages(question, filters={"source": ["no.txt"]}).passages


def test_evidence_has_the_score_of_each_tier(deep: Index, builtin: Embedder) -> None:
    """So one calibration holds for an index of one tier, and while an index is deepened."""
    both, tokens = Retriever(deep, builtin), Retriever(deep, builtin)
    tokens.tiers = type(tokens.tiers)(tokens.tiers.late_interaction, None)
    for question in ASKED:
        one, other = both.passages(question), tokens.passages(question)
        theirs = dict(zip((p.source for p in other.passages), other.evidence, strict=True))
        for passage, evidence in zip(one.passages, one.evidence, strict=True):
            if passage.source in theirs:
                assert evidence.dense_score == pytest.approx(theirs[passage.source].dense_score, abs=1e-6)
                assert theirs[passage.source].sentences is None
            assert evidence.sentences is not None and passage.dense_score is not None
            elsewhere = 0.0 if passage.language == one.language else ELSEWHERE
            assert evidence.sentences + (evidence.dense_score or 0) / TOKEN_SHARE == pytest.approx(
                passage.dense_score + elsewhere, abs=1e-6
            )


def test_a_part_of_the_index_is_deepened(tmp_path: Path, builtin: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _index(tmp_path, builtin)
    monkeypatch.setattr(indexing.deepen, "BATCH", 4)

    def stop(done: int, total: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deepen_index(path, progress=stop)
    with Index.open(path) as index:
        retriever = Retriever(index, builtin, AskSettings(retrieve=20))
        found = retriever.passages("Where do fishing boats lie?")
        assert found.deepened == pytest.approx(4 / 9)
        assert {passage.source for passage in found.passages} == set(TEXTS)
        assert all(evidence.sentences is not None for evidence in found.evidence), "no passage gains by lacking its vector"


def test_vectors_of_another_model_are_not_compared(deep: Index, builtin: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = SentenceTier.of(builtin)
    assert tier is not None
    with deep.snapshot() as snapshot:
        assert tier.search(snapshot, "When?", "en", 5) is not None
        encoder = builtin.sentence_embedder()
        assert encoder is not None
        monkeypatch.setattr(encoder, "fingerprint", "another")
        assert tier.search(snapshot, "When?", "en", 5) is None


def test_an_embedder_of_one_tier_has_none(deep: Index) -> None:
    encoder = Embedder.load("builtin-sentence")
    assert SentenceTier.of(encoder) is None
    assert encoder.sentence_embedder() is None
    assert encoder.dimension == 384


def test_the_bias_of_sentence_vectors_is_the_mean_of_a_sample(deep: Index, builtin: Embedder) -> None:
    encoder = builtin.sentence_embedder()
    assert encoder is not None
    vector = encoder.questions(["Where do fishing boats lie?"])[0]
    with deep.snapshot() as snapshot:
        found = SentenceBias.of(snapshot).language_offsets(vector)
        near = dict(snapshot.nearest_sentences(vector, 100))
        spoken = {chunk.id: chunk.language for chunk in snapshot.chunks(list(near))}
    languages = sorted(set(spoken.values()))
    level = [np.mean([score for number, score in near.items() if spoken[number] == language]) for language in languages]
    counts = [list(spoken.values()).count(language) for language in languages]
    wanted = dict(zip(languages, offsets(np.array(level), np.array(counts)).tolist(), strict=True))
    assert found == pytest.approx(wanted, abs=1e-5)
    assert min(found.values()) == 0 < max(found.values())


def test_a_passage_without_a_sentence_vector_keeps_its_place() -> None:
    tokens = {1: 1.2, 2: 0.4, 3: 1.2, 4: 0.4, 5: 0.8}
    sentences = estimated(tokens, {1: 0.9, 2: 0.7})
    assert sentences[3] == pytest.approx(0.9) and sentences[4] == pytest.approx(0.7) and 0.7 < sentences[5] < 0.9
    scored = both_tiers(tokens, sentences)
    assert scored[3] == pytest.approx(scored[1]) and scored[4] == pytest.approx(scored[2])
    assert scored[2] < scored[5] < scored[1]
    assert estimated(tokens, {}) == estimated({}, {}) == {}
    assert both_tiers(tokens, {}) == tokens
    assert both_tiers({}, {}) == {}


def test_both_tiers_of_equal_token_scores() -> None:
    tokens = {1: 0.5, 2: 0.5}
    assert both_tiers(tokens, estimated(tokens, {1: 0.8})) == pytest.approx({1: 0.8625, 2: 0.8625})

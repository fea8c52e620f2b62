"""What the finding of a passage adds to its reading: the formula, weights found again, other embedders, every door alike."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.build import build_index
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.store.index import Index
from qa_pipeline.answering import calibration_store
from qa_pipeline.answering.calibration import Calibration, calibration_of
from qa_pipeline.answering.evidence_weights import SHIPPED, EvidenceWeights, FactWeights
from qa_pipeline.evaluation.calibration.fit_evidence_weights import fit_evidence_weights, fit_weights
from qa_pipeline.evaluation.calibration.run import calibrate, learn
from qa_pipeline.evaluation.open_domain.asker import OpenPrediction, ReadPassage, ReadQuestion
from qa_pipeline.evaluation.runs.predictions import QuestionSet
from qa_pipeline.evaluation.runs.results_folder import Results
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.reading.readings import Reading, Span
from qa_pipeline.retrieval.evidence import NOTHING, Evidence
from qa_pipeline.retrieval.retriever import evidence, fuse
from qa_pipeline.settings import AskSettings
from tests.known import WordEmbedder
from tests.qa_pipeline.evaluation.calibration.test_run import EMBEDDER, measured, write

FREE = FactWeights(0.0, 0.0)
WEIGHTS = EvidenceWeights(10.0, 6.0, Evidence(0.4, 0.2), WordEmbedder.fingerprint)


# -- the formula -------------------------------------------------------------------------------------------------------


def test_evidence_is_the_cosine_and_the_share_of_the_words() -> None:
    dense, keyword = [(1, 0.9), (2, 0.6)], [(2, 3.0), (3, 1.0)]
    found = {item.id: evidence(item, dense, 12.0, AskSettings()) for item in fuse(dense, keyword, 12.0, AskSettings())}
    assert found == {1: Evidence(0.9, 0.0), 2: Evidence(0.6, 0.25), 3: Evidence(0.6, 1 / 12)}
    (item,) = fuse(dense[:1], [], 12.0, AskSettings())
    assert evidence(item, dense, 12.0, AskSettings(), alike=False) == Evidence(0.9, None), "words of another language"


def test_what_nobody_looked_for_is_typical() -> None:
    (item,) = fuse([], [(2, 3.0)], 12.0, AskSettings())
    assert evidence(item, [], 12.0, AskSettings()) == Evidence(None, 0.25)
    (item,) = fuse([(1, 0.9)], [], 0.0, AskSettings(keyword_weight=0))
    assert evidence(item, [(1, 0.9)], 0.0, AskSettings(keyword_weight=0)) == Evidence(0.9, None)
    assert WEIGHTS.of(NOTHING) == 0.0 == WEIGHTS.of(Evidence(0.4, 0.2))
    assert WEIGHTS.of(Evidence(0.5, None)) == pytest.approx(1.0) and WEIGHTS.of(Evidence(None, 0.0)) == pytest.approx(-1.2)


# -- learning it -------------------------------------------------------------------------------------------------------


def chosen(count: int, a: float, b: float, c: float, d: float) -> list[ReadQuestion]:
    """Questions over five passages each, whose choice of a passage, or of none, is a known conditional logit."""
    dice, found = random.Random(3), []
    for _ in range(count):
        rows = [(dice.gauss(1, 4), dice.uniform(0, 1), dice.uniform(0, 1)) for _ in range(5)]
        chances = np.exp([0.0, *(a * gap + b * near + c * words + d for gap, near, words in rows)])
        which = dice.choices(range(6), weights=chances.tolist())[0]
        found.append(
            ReadQuestion(tuple(ReadPassage(*row, n == which, False) for n, row in enumerate(rows, start=1)), which > 0, "en")
        )
    return found


def test_the_weight_of_sentence_vectors_is_found_again_and_a_missing_score_is_typical() -> None:
    dice, asked = random.Random(4), []
    for _ in range(9_000):
        rows = [(dice.gauss(1, 4), dice.uniform(0, 1), dice.uniform(0, 1), dice.uniform(0.7, 1)) for _ in range(5)]
        chances = np.exp([0.0, *(0.5 * gap + 2 * near + 3 * words + 20 * s - 20 for gap, near, words, s in rows)])
        which = dice.choices(range(6), weights=chances.tolist())[0]
        read = [ReadPassage(a, b, c, n == which, False, sentences=s) for n, (a, b, c, s) in enumerate(rows, start=1)]
        asked.append(ReadQuestion(tuple(read), which > 0, "en"))
    found = fit_evidence_weights(asked, "e")
    assert found is not None and found.sentences == pytest.approx(40.0, rel=0.1)
    typical = found.typical.sentences
    assert typical is not None and 0.7 < typical < 1
    some = Evidence(found.typical.dense_score, found.typical.words)
    assert found.of(some) == 0.0
    assert found.of(replace(some, sentences=typical + 0.1)) == pytest.approx(found.sentences / 10)


@pytest.mark.parametrize("near, words", [(10.0, 6.0), (0.0, 12.0), (3.0, 0.0)])
def test_the_weights_that_chose_are_found_again(near: float, words: float) -> None:
    found = fit_evidence_weights(chosen(12_000, 0.5, 0.5 * near, 0.5 * words, -3.0), "e")
    assert found is not None and found.embedder == "e"
    assert found.near == pytest.approx(near, abs=0.5) and found.words == pytest.approx(words, abs=0.5)
    assert min(found.near, found.words) >= 0.0


def test_what_speaks_against_a_passage_is_not_learned() -> None:
    found = fit_evidence_weights(chosen(4_000, 0.5, -4.0, 2.0, -2.0), "e")
    assert found is not None and found.near == 0.0 and found.words > 2.0


def test_a_gap_that_says_nothing_is_not_weighed_against() -> None:
    assert fit_evidence_weights(chosen(4_000, -0.5, 2.0, 2.0, -1.0), "e") is None

    def same(one: ReadQuestion) -> ReadQuestion:
        return replace(one, passages=tuple(replace(read, gap=3.0) for read in one.passages))

    assert fit_evidence_weights([same(one) for one in chosen(1_000, 0.5, 2.0, 2.0, -1.0)], "e") is None


def test_spans_that_are_missing_and_evidence_nobody_has_do_not_stop_it() -> None:
    whole = chosen(1_000, 1, 0, 3, -6)
    asked = [replace(one, passages=(ReadPassage(None, 0.1, 0.1, False, False), *one.passages)) for one in whole]
    assert fit_evidence_weights(asked, "e") == fit_evidence_weights(whole, "e") is not None
    blind = [replace(one, passages=tuple(replace(r, nearness=None) for r in one.passages)) for one in asked]
    found = fit_evidence_weights(blind, "e")
    assert found is not None and found.near == 0.0 and found.words > 0.0 and found.typical.dense_score is None


def test_few_or_one_sided_questions_teach_nothing() -> None:
    assert fit_evidence_weights(chosen(40, 1, 2, 3, -1), "e") is None and fit_evidence_weights([], "e") is None
    assert fit_evidence_weights([one for one in chosen(2_000, 1, 2, 3, -1) if one.answerable], "e") is None
    wrong = [
        replace(one, passages=tuple(replace(r, right=False) for r in one.passages), answerable=True)
        for one in chosen(500, 1, 2, 3, -1)
    ]
    assert fit_evidence_weights(wrong, "e") is None


def test_calibrating_learns_it_and_keeps_whose_cosines_they_are(tmp_path: Path) -> None:
    questions = QuestionSet.read([write(tmp_path / "q", ("de", "en"))])
    found = calibrate(questions, measured(), EMBEDDER, retrieve=5, out=tmp_path / "o")
    assert found.known.evidence_weights is None and found.known.found is not None, (
        "a text given by hand has a curve of its own"
    )
    evidence_weights = found.known.found.evidence_weights
    assert (
        evidence_weights is not None
        and evidence_weights.embedder == EMBEDDER.fingerprint
        and evidence_weights.near + evidence_weights.words > 0
    )
    lines = [OpenPrediction.from_dict(line) for line in Results.read(tmp_path / "o").lines]
    assert all(len(one.read) >= 5 and sum(read.own for read in one.read) == 1 for one in lines)
    present, absent = lines[0].asked()
    assert (present.answerable, absent.answerable) == (True, False)
    assert len(present.passages) == len(absent.passages) == 5 and not any(read.own for read in absent.passages)
    again = learn(questions, lines, Calibration(), EMBEDDER.fingerprint)
    assert again.known == found.known


# -- using it ----------------------------------------------------------------------------------------------------------


def test_the_weight_of_sentence_vectors_is_kept_and_files_without_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCQA_DATA", str(tmp_path))
    builtin = resolve("builtin", "reader")
    for weights in (WEIGHTS, replace(WEIGHTS, sentences=40.0, typical=Evidence(0.4, 0.2, sentences=0.86))):
        known = calibration_store.StoredCalibration((0.3, 9.0, 0.8), {}, {}, weights)
        path = calibration_store.save(builtin, known)
        assert calibration_store.load(builtin) == known
    path.write_text(path.read_text("utf-8").replace("40.0", '"many"'), "utf-8")
    assert calibration_store.load(builtin) is None


def test_it_is_kept_beside_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_DATA", str(tmp_path / "data"))
    builtin = resolve("builtin", "reader")
    with_evidence = calibration_store.StoredCalibration((0.3, 9.0, 0.8), {"fi": (0.2, 8.0, 0.7)}, {}, WEIGHTS)
    known = calibration_store.StoredCalibration((0.5, 2.0, 0.6), {"de": (0.7, 1.0, 0.4)}, {}, found=with_evidence)
    path = calibration_store.save(builtin, known)
    assert calibration_store.load(builtin) == known
    by_hand = calibration_of(builtin)
    found = by_hand.with_embedder(WEIGHTS.embedder)
    assert (by_hand.slope, by_hand.evidence_weights, by_hand.of("de").slope, by_hand.of("de").evidence_weights) == (
        0.5,
        None,
        0.7,
        None,
    )
    assert (found.slope, found.evidence_weights, found.of("fi").slope, found.of("fi").evidence_weights) == (
        0.3,
        WEIGHTS,
        0.2,
        WEIGHTS,
    )
    assert found.of("de") is found and same_stop(found, by_hand) and found.of("fi").scope == "language"
    path.write_text(path.read_text("utf-8").replace('"near": 10.0', '"near": -1.0'), "utf-8")
    assert calibration_store.load(builtin) is None, "a damaged file is not used"


def same_stop(one: Calibration, other: Calibration) -> bool:
    """Whether two calibrations stop reading at the same probability."""
    return one.probability(one.stop_margin) == pytest.approx(other.probability(other.stop_margin))


def test_another_embedders_cosines_are_not_used() -> None:
    known = Calibration(2.0, found=Calibration(1.0, evidence_weights=WEIGHTS))
    found = known.with_embedder(WEIGHTS.embedder)
    assert found is known.found and found.with_evidence(1.0, Evidence(0.5, 0.2)) == pytest.approx(2.0)
    assert known.with_embedder("another") is known and known.with_evidence(1.0, Evidence(0.5, 0.2)) == 1.0
    assert Calibration().with_embedder("") == Calibration()


def test_the_built_in_reader_has_one_for_the_built_in_embedder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCQA_DATA", str(tmp_path))
    by_hand = calibration_of(resolve("builtin", "reader"))
    assert by_hand.evidence_weights is None and by_hand.found is not None
    assert by_hand.found.probability(by_hand.found.stop_margin) > 1 - by_hand.found.threshold
    evidence_weights = by_hand.found.evidence_weights
    assert evidence_weights is not None and evidence_weights.embedder == Embedder.load("builtin").dense_score_name
    assert evidence_weights.sentences > 0 and 0.7 < (evidence_weights.typical.sentences or 0) < 1.1
    assert (
        evidence_weights.near > 0
        and evidence_weights.words > 0
        and 0 < (evidence_weights.typical.dense_score or 0) < 1
        and 0 < (evidence_weights.typical.words or 0) < 1
    )


class Alike:
    """Finds a year in every text, always with the same margin."""

    def read(self, question: str, texts: Any) -> list[Reading]:
        spans = [(text, next((n for n in range(len(text) - 3) if text[n : n + 4].isdigit()), None)) for text in texts]
        return [Reading((Span(at, at + 4, 0.0, 1.0, 0.5),)) if at is not None else Reading() for _, at in spans]


def test_of_answers_read_alike_the_better_found_is_first_through_every_way_of_asking(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for n, place in enumerate(("Kestrel", "Orveth", "Tamsin", "Sorrel")):
        (texts / f"{place}.txt").write_text(f"The bridge of {place} was opened in {1900 + n}.", "utf-8")
    embedder: Any = WordEmbedder()
    build_index(texts, tmp_path / "i", embedder=embedder)
    question, settings = "When was the bridge of Tamsin opened?", AskSettings(thorough=True)

    def scores(evidence_weights: EvidenceWeights | None) -> list[tuple[str, float]]:
        found = Calibration(evidence_weights=evidence_weights, threshold=1.0, fact_weights=FREE)
        known = Calibration(threshold=1.0, found=found, fact_weights=FREE)
        pipeline = QAPipeline(Index.open(tmp_path / "i"), embedder, Alike(), calibration=known)
        reply = pipeline.ask(question, settings)
        last = list(pipeline.stream(question, settings))[-1].reply
        assert last is not None and last.answers == reply.answers
        return [(answer.text, round(answer.score, 6)) for answer in reply.answers]

    assert len({score for _, score in scores(None)}) == 1 and len(scores(None)) == 4
    with_evidence = scores(WEIGHTS)
    assert with_evidence[0][0] == "1902" and with_evidence[0][1] > with_evidence[1][1] + 0.02
    assert scores(replace(WEIGHTS, embedder="another")) == scores(None)


def test_words_count_only_in_passages_of_the_questions_language(corpus: Path, tmp_path: Path) -> None:
    embedder: Any = WordEmbedder()
    build_index(corpus, tmp_path / "i", embedder=embedder)
    pipeline = QAPipeline(Index.open(tmp_path / "i"), embedder, None)
    found = pipeline.retriever.passages("When was the bridge opened in?", AskSettings(retrieve=50))
    assert len(found.evidence) == len(found.passages) and {passage.language for passage in found.passages} > {"en"}
    for passage, how in zip(found.passages, found.evidence, strict=True):
        assert (how.words is None) == (passage.language != found.language)
        assert how.dense_score is not None and passage.dense_score in (None, how.dense_score)
        assert how.words is None or (0 <= how.words <= 1 and (how.words > 0) == bool(passage.keyword_score))


# -- missing facts -----------------------------------------------------------------------------------------------------


def near_missed(count: int, numbers: float, names: float) -> list[ReadQuestion]:
    """Questions over five passages that lack facts at random; the choice is a known conditional logit."""
    dice, found = random.Random(5), []
    for _ in range(count):
        rows = [(dice.gauss(6, 4), float(dice.random() < 0.4), float(dice.random() < 0.4)) for _ in range(5)]
        chances = np.exp([0.0, *(0.5 * (gap - numbers * a - names * b) - 2.0 for gap, a, b in rows)])
        which = dice.choices(range(6), weights=chances.tolist())[0]
        read = [ReadPassage(gap, 0.5, 0.2, n == which, False, a, b) for n, (gap, a, b) in enumerate(rows, start=1)]
        found.append(ReadQuestion(tuple(read), which > 0, "en"))
    return found


@pytest.mark.parametrize("numbers, names", [(10.0, 4.0), (3.0, 0.0)])
@pytest.mark.parametrize("embedder", ["e", None])
def test_what_missing_facts_cost_is_found_again(numbers: float, names: float, embedder: str | None) -> None:
    found = fit_weights(near_missed(8_000, numbers, names), embedder)
    assert found is not None and found.facts is not None and (found.evidence is None) == (embedder is None)
    assert found.facts.numbers == pytest.approx(numbers, abs=0.8) and found.facts.names == pytest.approx(names, abs=0.8)


def test_without_near_misses_facts_keep_the_shipped_cost() -> None:
    found = fit_weights(chosen(2_000, 0.5, 2.0, 1.0, -2.0), "e")
    assert found is not None and found.facts is None
    assert Calibration().fact_weights == SHIPPED and min(SHIPPED.numbers, SHIPPED.names) > 0


def test_fact_weights_are_stored_and_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_DATA", str(tmp_path))
    builtin = resolve("builtin", "reader")
    numbers = (0.3, 9.0, 0.8)
    found = calibration_store.StoredCalibration(numbers, {"fi": numbers}, {}, WEIGHTS, fact_weights=FactWeights(7.0, 2.0))
    known = calibration_store.StoredCalibration(numbers, {}, {}, found=found)
    path = calibration_store.save(builtin, known)
    assert calibration_store.load(builtin) == known
    calibration = calibration_of(builtin)
    retrieved = calibration.with_embedder(WEIGHTS.embedder)
    assert calibration.fact_weights == SHIPPED and retrieved.of("fi").fact_weights.names == 2.0
    lacking = Evidence(numbers=1.0, names=1.0)
    assert retrieved.with_evidence(1.0, lacking) == pytest.approx(-8.0)
    path.write_text(path.read_text("utf-8").replace('"numbers": 7.0', '"numbers": -7.0'), "utf-8")
    assert calibration_store.load(builtin) is None, "a damaged file is not used"

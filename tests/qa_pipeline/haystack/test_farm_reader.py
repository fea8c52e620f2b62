"""The reader against farm-haystack's own, and its laws, with tiny random models saved and loaded the ordinary way."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from haystack import Answer, Document, Pipeline
from haystack.document_stores import InMemoryDocumentStore
from haystack.nodes import BM25Retriever, FARMReader

from indexing.errors import ModelRefused, SettingError
from indexing.models.registry import resolve
from indexing.normal_form import normal_form
from qa_pipeline.haystack.farm_reader import Reader
from qa_pipeline.haystack.load import load_farm_reader
from qa_pipeline.reading.readings import Reading
from tests.known import SCRIPTS
from tests.tiny import LONG, LONG_QUESTION, QUESTION, UGLY, check_laws, close, make_reader, same_ranking

STOCK = {"max_seq_len": 64, "doc_stride": 16, "max_query_length": 12, "use_gpu": False}
SMALL = {**STOCK, "precision": "fp32"}
KINDS = {"xlm-roberta": 3, "bert": 4, "distilbert": 5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("readers")
    return {kind: make_reader(kind, home / kind, seed) for kind, seed in KINDS.items()}


class Pair:
    """Our reader and the stock one over the same folder, with the same arguments; settings are changed on both."""

    def __init__(self, folder: Path) -> None:
        self.ours = load_farm_reader(resolve(str(folder), "reader"), exact_confidence=True, **SMALL)
        with _kept_random_state():
            self.stock = FARMReader(str(folder), num_processes=0, progress_bar=False, **STOCK)
        self.usual = {
            "top_k": 10,
            "top_k_per_candidate": 3,
            "top_k_per_sample": 1,
            "duplicate_filtering": 0,
            "no_ans_boost": 0.0,
            "return_no_answers": False,
            "use_confidence_scores": True,
        }
        self.set()

    def set(self, **changes: Any) -> Pair:
        """Both readers with their usual settings, and these."""
        values = {**self.usual, **changes}
        for reader in (self.ours, self.stock):
            head = reader.inferencer.model.prediction_heads[0]
            head.n_best = values["top_k_per_candidate"] + 1
            head.n_best_per_sample = values["top_k_per_sample"]
            head.duplicate_filtering = values["duplicate_filtering"]
            head.no_ans_boost = values["no_ans_boost"]
            head.use_confidence_scores_for_ranking = values["use_confidence_scores"]
            for name in ("top_k", "top_k_per_candidate", "return_no_answers", "use_confidence_scores"):
                setattr(reader, name, values[name])
        return self

    def check(self, question: str, documents: list[Document], top_k: int | None = None) -> None:
        ours, theirs = (reader.predict(question, documents, top_k) for reader in (self.ours, self.stock))
        assert ours["query"] == theirs["query"] == question
        same(ours["answers"], theirs["answers"])
        assert ours["no_ans_gap"] == pytest.approx(theirs["no_ans_gap"], abs=1e-3)

    def check_batch(self, questions: list[str], documents: Any) -> None:
        ours, theirs = (reader.predict_batch(questions, documents) for reader in (self.ours, self.stock))
        assert ours["queries"] == theirs["queries"] == questions
        assert ours["no_ans_gaps"] == pytest.approx(theirs["no_ans_gaps"], abs=1e-3)
        same(ours["answers"], theirs["answers"])


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Pair:
    return Pair(folders[request.param])


@pytest.fixture
def pair(both: Pair) -> Pair:
    return both.set()


@pytest.fixture(scope="module")
def ours(folders: dict[str, Path]) -> Reader:
    reader = load_farm_reader(resolve(str(folders["xlm-roberta"]), "reader"), **SMALL)
    return reader


def same(ours: Any, theirs: Any) -> None:
    """The same answers in the same order, however deeply they are nested, as `tiny.same_ranking` says."""
    if theirs and isinstance(theirs[0], Answer):
        one, other = ([(answer.score, _but_score(answer)) for answer in part] for part in (ours, theirs))
        same_ranking(one, other)
    else:
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)


def _but_score(answer: Answer) -> str:
    return json.dumps({name: value for name, value in answer.to_dict().items() if name != "score"}, sort_keys=True)


def docs(*texts: str) -> list[Document]:
    return [Document(content=text, meta={"name": f"{n}.txt"}) for n, text in enumerate(texts)]


class _kept_random_state:
    """The stock reader seeds every random generator; tests after it should not notice."""

    def __enter__(self) -> None:
        self.states = random.getstate(), np.random.get_state(), torch.get_rng_state()

    def __exit__(self, *_: object) -> None:
        random.setstate(self.states[0])
        np.random.set_state(self.states[1])
        torch.set_rng_state(self.states[2])


# -- the same answers as the stock reader --------------------------------------------------------------------------


def test_one_document(pair: Pair) -> None:
    for text in SCRIPTS.values():
        pair.check(QUESTION, docs(text))


def test_several_documents(pair: Pair) -> None:
    pair.check(QUESTION, docs(*SCRIPTS.values()))
    pair.check(QUESTION, docs(*SCRIPTS.values()), top_k=3)


def test_a_long_document_of_many_windows(pair: Pair) -> None:
    pair.check(QUESTION, docs(LONG, SCRIPTS["en"]))


def test_a_question_longer_than_its_room(pair: Pair) -> None:
    pair.check(LONG_QUESTION, docs(LONG, SCRIPTS["en"]))


@pytest.mark.parametrize("apart", [-1, 0, 1])
@pytest.mark.parametrize("per_sample", [1, 4])
def test_several_answers_from_a_window(pair: Pair, apart: int, per_sample: int) -> None:
    pair.set(duplicate_filtering=apart, top_k_per_sample=per_sample, top_k_per_candidate=6)
    pair.check(QUESTION, docs(LONG, SCRIPTS["ar"], SCRIPTS["en"]), top_k=20)


@pytest.mark.parametrize("per_candidate", [1, 2, 8])
def test_answers_of_a_document(pair: Pair, per_candidate: int) -> None:
    pair.set(top_k_per_candidate=per_candidate).check(QUESTION, docs(LONG, *SCRIPTS.values()), top_k=30)


@pytest.mark.parametrize("boost", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("confidence", [True, False])
def test_no_answer_among_the_answers(pair: Pair, boost: float, confidence: bool) -> None:
    pair.set(return_no_answers=True, no_ans_boost=boost, use_confidence_scores=confidence)
    pair.check(QUESTION, docs(LONG, SCRIPTS["th"], SCRIPTS["en"]), top_k=20)


def test_predict_batch_in_its_four_shapes(pair: Pair) -> None:
    lists = [docs(SCRIPTS["en"], LONG), docs(SCRIPTS["zh"])]
    pair.check_batch([QUESTION], docs(SCRIPTS["en"], LONG))
    pair.check_batch([QUESTION], lists)
    pair.check_batch([QUESTION, "橋はいつ開通した"], docs(SCRIPTS["ja"], SCRIPTS["de"]))
    pair.check_batch([QUESTION, "橋はいつ開通した"], lists)


def test_page_numbers_are_counted_from_the_documents_own(pair: Pair) -> None:
    pair.check(QUESTION, [Document(content="one page\f" + SCRIPTS["en"] + "\f" + LONG, meta={"page_number": 4})])


def test_trimmed_padding_gives_the_same_confidence(folders: dict[str, Path]) -> None:
    """XLM-R's pad positions all give one logit, so a batch cut to its longest window needs no full padding."""
    stock = Pair(folders["xlm-roberta"])
    stock.ours.exact_confidence = False
    stock.check(QUESTION, docs(*SCRIPTS.values(), LONG), top_k=30)


def test_trimmed_padding_gives_the_same_spans(both: Pair) -> None:
    """BERT's pad positions differ: without exact_confidence the spans and raw scores are stock's, confidence is not."""
    both.set(use_confidence_scores=False)
    both.ours.exact_confidence = False
    try:
        both.check(QUESTION, docs(*SCRIPTS.values(), LONG), top_k=30)
    finally:
        both.ours.exact_confidence = True


def test_as_a_node_of_a_stock_pipeline(pair: Pair) -> None:
    store = InMemoryDocumentStore(use_bm25=True)
    store.write_documents(docs(SCRIPTS["en"], SCRIPTS["de"], LONG))
    results = []
    for reader in (pair.ours, pair.stock):
        pipeline = Pipeline()
        pipeline.add_node(BM25Retriever(document_store=store), "Retriever", ["Query"])
        pipeline.add_node(reader, "Reader", ["Retriever"])
        results.append(pipeline.run(query=QUESTION, params={"Retriever": {"top_k": 3}, "Reader": {"top_k": 4}}))
    assert results[0]["answers"]
    same(results[0]["answers"], results[1]["answers"])
    assert [answer.meta for answer in results[0]["answers"]] == [answer.meta for answer in results[1]["answers"]]


# -- where we differ on purpose ------------------------------------------------------------------------------------


def test_an_empty_document_does_not_shift_the_answers_of_others(pair: Pair) -> None:
    """Stock's predict_batch hands out results by counting documents. One without tokens (white space) gives no result,
    so all answers after it go to the question or the list before theirs; an empty one stops it with a TypeError.
    Ours stay with their question, as if each were asked alone."""
    lists = [docs(SCRIPTS["en"], "", SCRIPTS["de"]), docs(" \n "), docs(SCRIPTS["zh"], LONG)]
    batch = pair.ours.predict_batch([QUESTION], lists)
    for answers, part in zip(batch["answers"], lists, strict=True):
        same(answers, pair.ours.predict(QUESTION, part)["answers"])
        same(answers, pair.ours.predict(QUESTION, [d for d in part if d.content.strip()])["answers"])
        assert {i for answer in answers for i in answer.document_ids} <= {document.id for document in part}
    assert batch["answers"][1] == [] and batch["answers"][0] and batch["answers"][2]


def test_one_document_without_tokens_among_others_changes_nothing(pair: Pair) -> None:
    whole, without = (pair.ours.predict(QUESTION, docs(SCRIPTS["en"], *margin, LONG)) for margin in (["", "  "], []))
    assert [(a.answer, a.score) for a in whole["answers"]] == [(a.answer, a.score) for a in without["answers"]]


def test_nothing_to_read(ours: Reader) -> None:
    assert ours.predict(QUESTION, [])["answers"] == []
    assert ours.predict(QUESTION, docs(""))["answers"] == []
    assert ours.read(QUESTION, []) == []
    assert ours.read(QUESTION, ["", " "]) == [Reading(), Reading()]


def test_unequal_questions_and_lists_are_refused(ours: Reader) -> None:
    with pytest.raises(SettingError, match="as many questions"):
        ours.predict_batch([QUESTION, QUESTION], [docs("a"), docs("b"), docs("c")])


# -- the laws of read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [QUESTION, LONG_QUESTION, "", "？", "هل؟"])
def test_laws_of_read(pair: Pair, question: str) -> None:
    check_laws(pair.ours.read(question, UGLY), UGLY)


def test_reading_a_list_is_reading_each_text(pair: Pair) -> None:
    close(pair.ours.read(QUESTION, UGLY), [pair.ours.read(QUESTION, [text])[0] for text in UGLY])


def test_the_span_of_highest_score_is_predicts_best_answer(pair: Pair) -> None:
    pair.set(use_confidence_scores=False)
    for text in map(normal_form, [*SCRIPTS.values(), LONG]):
        spans = pair.ours.read(QUESTION, [text])[0].spans
        answers = pair.ours.predict(QUESTION, docs(text))["answers"]
        if not spans:  # the best candidate of the only window is white space
            assert answers == []
            continue
        span, best = max(spans, key=lambda span: span.score), answers[0]
        assert text[span.start : span.end] == best.answer
        assert (span.start, span.end) == (best.offsets_in_document[0].start, best.offsets_in_document[0].end)
        assert span.score == pytest.approx(best.score, abs=1e-4)


def test_eight_threads_get_what_one_gets(ours: Reader) -> None:
    questions = [f"{QUESTION} {n}" for n in range(16)]
    alone = [(ours.read(q, UGLY), ours.predict(q, docs(LONG, SCRIPTS["en"]))["answers"]) for q in questions]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda q: ours.read(q, UGLY), questions))
        predicted = list(pool.map(lambda q: ours.predict(q, docs(LONG, SCRIPTS["en"]))["answers"], questions))
    for (one, answers), other, others in zip(alone, read, predicted, strict=True):
        close(other, one)
        same(others, answers)


# -- loading -------------------------------------------------------------------------------------------------------


def test_loading_leaves_random_generators_alone(folders: dict[str, Path]) -> None:
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    expected = random.random(), float(np.random.rand()), float(torch.rand(1))
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    load_farm_reader(resolve(str(folders["bert"]), "reader"), **SMALL)
    assert (random.random(), float(np.random.rand()), float(torch.rand(1))) == expected


def test_a_folder_without_preset_is_read_with_farms_usual_windows(folders: dict[str, Path]) -> None:
    reader = load_farm_reader(resolve(str(folders["xlm-roberta"]), "reader"))
    assert (reader.max_seq_len, reader.doc_stride) == (384, 128)


def test_an_unknown_architecture_is_refused_in_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for path in folders["bert"].iterdir():
        (odd / path.name).write_bytes(path.read_bytes())
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps({**config, "model_type": "nobody-knows-it"}))
    with pytest.raises(ModelRefused) as refused:
        load_farm_reader(resolve(str(odd), "reader"), **SMALL)
    message = str(refused.value)
    assert "odd" in message and "\n" not in message and "Traceback" not in message and len(message) < 500

"""Answers: the law through fusion and reading, in every script; the no-answer verdict; filters; threads."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.build import build_index
from indexing.errors import FilterError, IndexMismatch, SettingError
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.answering.ask import MORE_FOR_FEW
from qa_pipeline.answering.verdict import FEW, answer_text
from qa_pipeline.answers import Answer, Reply
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.reading.early_stop import read_in_order
from qa_pipeline.retrieval.retriever import fuse
from qa_pipeline.settings import AskSettings, question_text
from tests.known import SCRIPTS, WordEmbedder, WordReader

EMBEDDER = WordEmbedder()


@pytest.fixture
def pipeline(corpus: Path, tmp_path: Path) -> QAPipeline:
    for language, text in SCRIPTS.items():
        (corpus / f"script-{language}.txt").write_bytes(text.encode())
    build_index(corpus, tmp_path / "i", embedder=EMBEDDER)  # type: ignore[arg-type]
    return QAPipeline(Index.open(tmp_path / "i"), EMBEDDER, WordReader(), reader_name="words")  # type: ignore[arg-type]


def holds(reply: Reply, folder: IndexFolder) -> bool:
    """The law, for every answer and passage of a reply, checked from outside."""
    spans = [(a.document_id, a.start, a.end, a.text) for a in reply.answers]
    spans += [(p.document_id, p.start, p.end, p.text) for p in reply.passages]
    return all(text and folder.document(number).text[start:end] == text for number, start, end, text in spans)


def test_an_answer_is_a_quotation(pipeline: QAPipeline) -> None:
    reply = pipeline.ask("When was the bridge opened in?")
    best = reply.answers[0]
    assert (best.text, best.source, best.page) == ("1912", "reports/bridge.txt", None)
    assert best.passage.fused_rank == 1 and not reply.no_answer.is_no_answer
    assert best.content_hash == pipeline.index.folder.document(best.document_id).content_hash
    assert holds(reply, pipeline.index.folder)


@pytest.mark.parametrize("language", SCRIPTS)
def test_the_law_in_every_script(pipeline: QAPipeline, language: str) -> None:
    for question in (SCRIPTS[language][:25], SCRIPTS[language][-25:]):
        reply = pipeline.ask(question, AskSettings(no_answer_threshold=1.0))
        assert reply.passages and holds(reply, pipeline.index.folder)


@given(st.text(min_size=1, max_size=80))
def test_any_question_is_answered_or_refused_in_a_sentence(text: str) -> None:
    reply = QUESTIONED().ask(text) if text.strip() else None
    assert reply is None or holds(reply, QUESTIONED().index.folder)


_kept: list[QAPipeline] = []


def QUESTIONED() -> QAPipeline:
    """One small pipeline for all random questions."""
    if not _kept:
        import tempfile

        root = Path(tempfile.mkdtemp())
        (root / "c").mkdir()
        for language, text in SCRIPTS.items():
            (root / "c" / f"{language}.txt").write_bytes(text.encode())
        build_index(root / "c", root / "i", embedder=EMBEDDER)  # type: ignore[arg-type]
        _kept.append(QAPipeline(Index.open(root / "i"), EMBEDDER, WordReader()))  # type: ignore[arg-type]
    return _kept[0]


def test_reading_stops_when_an_answer_is_sure_unless_all_is_asked_for(pipeline: QAPipeline) -> None:
    question, all_of_it = "When was the bridge opened in the years and over the river?", AskSettings(thorough=True)
    readings = list(read_in_order(WordReader(), question, pipeline.ask(question, all_of_it).passages))
    assert [len(part) for part in readings] == list(range(1, len(readings[-1]) + 1))
    sure = replace(pipeline.models.calibration, stop_margin=readings[0][0].spans[0].margin - MORE_FOR_FEW)
    stopping = QAPipeline(pipeline.index, EMBEDDER, WordReader(), calibration=sure)  # type: ignore[arg-type]
    reply, whole = stopping.ask(question), stopping.ask(question, all_of_it)
    assert reply.passages_read == 1 < whole.passages_read == len(whole.passages) == whole.passages_retrieved
    assert reply.passages_retrieved == len(reply.passages)
    assert reply.stopped == "sure" and whole.stopped == "all"
    assert stopping.ask(question, AskSettings(read_at_least=3)).passages_read == 3
    nearly = replace(sure, stop_margin=sure.stop_margin + 0.5)
    careful = QAPipeline(pipeline.index, EMBEDDER, WordReader(), calibration=nearly)  # type: ignore[arg-type]
    assert careful.ask(question).passages_read == FEW
    hurried = stopping.ask(question, AskSettings(thorough=True, budget_ms=0.0))
    assert hurried.passages_read == 1 and hurried.stopped == "budget"
    assert reply.answers[0] == whole.answers[0] and set(reply.answers) <= set(whole.answers)


def test_asking_step_by_step_ends_with_the_reply_of_asking(pipeline: QAPipeline) -> None:
    for question in ("When was the bridge opened in?", "zebra quantum?"):
        steps = list(pipeline.stream(question, AskSettings()))
        reply, asked = steps[-1].reply, pipeline.ask(question)
        assert steps[0].passages == asked.passages and not steps[0].answers and reply is not None
        assert msgspec.structs.replace(reply, timings_ms=asked.timings_ms, models=asked.models) == asked
        assert [step.read for step in steps[1:]] == sorted(step.read for step in steps[1:])


def test_no_answer_is_a_reply_with_the_closest_passages(pipeline: QAPipeline) -> None:
    reply = pipeline.ask("zebra quantum?")
    assert reply.answers == () and reply.passages and reply.no_answer.is_no_answer
    assert 0 <= reply.no_answer.threshold < reply.no_answer.score <= 1


def test_filters_bound_answers_and_passages(pipeline: QAPipeline) -> None:
    assert pipeline.ask("bridge", filters={"language": "xx"}).passages == ()
    reply = pipeline.ask("the in 1912 1974", filters={"source": {"$glob": "reports/*"}})
    assert {p.source for p in reply.passages} == {"reports/bridge.txt", "reports/mine.txt"}
    assert pipeline.ask("bridge", filters={"file_type": []}).passages == ()
    with pytest.raises(FilterError):
        pipeline.ask("bridge", filters={"source": {"$regex": ".*"}})


def test_a_deleted_document_is_gone_from_answers(pipeline: QAPipeline) -> None:
    found = pipeline.ask("When was the bridge opened in?").answers[0]
    with IndexFolder.open(pipeline.index.folder.path, writable=True) as folder, folder.writer():
        folder.delete_documents([found.document_id])
    after = pipeline.ask("When was the bridge opened in?")
    assert found.document_id not in {p.document_id for p in after.passages} | {a.document_id for a in after.answers}
    assert after.generation > 0


def test_a_question_changes_nothing(pipeline: QAPipeline) -> None:
    once = pipeline.ask("When was the bridge opened in?")
    pipeline.ask("mine", AskSettings(top_k=1, retrieve=1, keyword_weight=0.0), {"language": "en"})
    again = pipeline.ask("When was the bridge opened in?")
    assert (once.answers, once.passages) == (again.answers, again.passages)


def test_threads_get_what_one_gets(pipeline: QAPipeline) -> None:
    questions = [
        "When was the bridge opened in?",
        "When did the mine close in?",
        "Wie hoch ist der Berg?",
        *SCRIPTS.values(),
    ]
    alone = [pipeline.ask(question[:200]).answers for question in questions]
    results: dict[int, list[tuple[Answer, ...]]] = {}

    def run(number: int) -> None:
        results[number] = [pipeline.ask(question[:200]).answers for question in questions]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found == alone for found in results.values()) and len(results) == 8


def test_another_model_is_refused(pipeline: QAPipeline) -> None:
    other = WordEmbedder()
    other.fingerprint = "words-2"
    with pytest.raises(IndexMismatch):
        QAPipeline(pipeline.index, other, WordReader())  # type: ignore[arg-type]


def test_json_shape_is_the_documented_one(pipeline: QAPipeline) -> None:
    reply = msgspec.to_builtins(pipeline.ask("When was the bridge opened in?"))
    passage = {
        "document_id",
        "source",
        "page",
        "language",
        "start",
        "end",
        "text",
        "dense_rank",
        "dense_score",
        "keyword_rank",
        "keyword_score",
        "fused_rank",
        "fused_score",
        "missing",
        "also_in",
        "recognised",
    }
    answer = {"text", "start", "end", "score", "document_id", "source", "page", "language", "content_hash", "passage"}
    answer |= {"recognised"}
    top = {
        "question",
        "language",
        "answers",
        "passages",
        "no_answer",
        "timings_ms",
        "models",
        "generation",
        "passages_read",
        "passages_retrieved",
        "deepened",
        "copies",
        "stopped",
        "calibration",
    }
    assert set(reply) == top and set(reply["answers"][0]) == answer
    assert set(reply["answers"][0]["passage"]) == passage == set(reply["passages"][0])
    assert set(reply["no_answer"]) == {"score", "threshold", "is_no_answer"}
    assert set(reply["timings_ms"]) == {"embed", "retrieve", "read", "total"}
    assert set(reply["models"]) == {"embedder", "reader"}


def test_a_reply_travels_between_processes_and_as_json(pipeline: QAPipeline) -> None:
    reply = pipeline.ask("When was the bridge opened in?")
    for copy in (pickle.loads(pickle.dumps(reply)), msgspec.json.decode(msgspec.json.encode(reply), type=Reply)):
        assert copy == reply and hash(copy) == hash(reply) and copy.answers[0].passage == reply.answers[0].passage
    with pytest.raises(AttributeError):
        reply.question = "another"  # type: ignore[misc]


ranking = st.lists(st.integers(0, 20), unique=True, max_size=15).map(
    lambda ids: [(n, 1.0 / (i + 1)) for i, n in enumerate(ids)]
)


@given(ranking, ranking, st.floats(0.1, 5), st.floats(0.1, 5), st.floats(1.0, 9.0))
def test_fusion_is_its_formula(dense: Any, keyword: Any, w: float, v: float, ceiling: float) -> None:
    fused = fuse(dense, keyword, ceiling, AskSettings(dense_weight=w, keyword_weight=v))
    near, words = dict(dense), dict(keyword)
    assert {f.id for f in fused} == set(near) | set(words)
    low, high = min(near.values(), default=0.0), max(near.values(), default=0.0)
    for item in fused:
        wanted = w * (near[item.id] - low) / (high - low) if item.id in near and high > low else 0.0
        wanted += v * words.get(item.id, 0.0) / ceiling
        assert item.score == pytest.approx(wanted)
        assert item.dense == next(((r, s) for r, (n, s) in enumerate(dense, 1) if n == item.id), None)
        assert item.keyword == next(((r, s) for r, (n, s) in enumerate(keyword, 1) if n == item.id), None)
    assert [f.score for f in fused] == sorted((f.score for f in fused), reverse=True)


def test_words_count_where_passages_have_them() -> None:
    """A passage with most of the question's words goes first, one with a single common word does not."""
    dense = [(1, 0.9), (2, 0.6), (3, 0.5)]
    assert fuse(dense, [(2, 6.0), (3, 1.0)], 10.0, AskSettings())[0].id == 2
    assert fuse(dense, [(2, 0.6), (3, 0.1)], 10.0, AskSettings())[0].id == 1
    assert fuse([], [(2, 0.0)], 0.0, AskSettings())[0].score == 0.0


def test_settings_are_cast_strictly() -> None:
    for bad in (
        {"top_k": 0},
        {"top_k": 101},
        {"top_k": True},
        {"retrieve": "5"},
        {"no_answer_threshold": 1.5},
        {"dense_weight": float("nan")},
        {"dense_weight": 0, "keyword_weight": 0},
        {"keyword_weight": -1},
    ):
        with pytest.raises(SettingError):
            AskSettings(**bad)  # type: ignore[arg-type]
    for text in ("", "  ", None, 3, "x" * 513):
        with pytest.raises(SettingError):
            question_text(text)


def test_reading_one_text() -> None:
    found = answer_text(WordReader(), "When did the bridge open?", "The bridge opened in 1912. The bridge is long.")
    assert found["answer"] == "1912" and set(found) == {"answer", "start", "end", "score"}
    assert answer_text(WordReader(), "zebra", "The bridge opened in 1912.")["answer"] == ""

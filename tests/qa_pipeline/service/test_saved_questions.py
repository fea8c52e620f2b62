"""Saved questions: what changed since the last run, told once, over edits of the documents, threads and restarts."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.build import build_index
from indexing.errors import DocumentMissing, FilterError, SettingError
from indexing.store.filters import Filter
from indexing.store.index import Index
from qa_pipeline.answers import Answer, AnswerQuotation, NoAnswer, Passage, Reply, Timings, UsedModels
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.service.saved_questions import SavedQuestions, compare
from qa_pipeline.settings import AskSettings
from tests.known import SCRIPTS, WordEmbedder, WordReader

QUESTION = "When was the bridge opened?"
PASSAGE = Passage("d", "a.txt", None, "en", 0, 9, "x", None, None, None, None, 1, 0.0)
Span = tuple[str, int, str]


def answer(span: Span) -> Answer:
    document, start, text = span
    return Answer(text, start, start + len(text), 0.9, document, f"{document}.txt", None, "en", "h", PASSAGE)


def reply(spans: Sequence[Span], question: str = QUESTION) -> Reply:
    verdict = NoAnswer(0.1, 0.5, not spans)
    return Reply(
        question,
        "en",
        tuple(map(answer, spans)),
        (PASSAGE,),
        verdict,
        Timings(0.0, 0.0, 0.0, 0.0),
        UsedModels("words", "words"),
        1,
        1,
        "all",
        "none",
    )


class Script:
    """An asker that says what it is told to, one reply a question."""

    def __init__(self, *replies: Sequence[Span]) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, AskSettings, Filter | None]] = []

    def ask(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Reply:
        assert settings is not None
        self.asked.append((question, settings, filters))
        return reply(self.replies.pop(0), question)


@pytest.fixture
def saved(tmp_path: Path) -> SavedQuestions:
    return SavedQuestions(tmp_path / "service.db")


def test_what_is_saved_is_kept_and_asked_as_it_was(saved: SavedQuestions, tmp_path: Path) -> None:
    filters = {"$or": [{"language": ["de", "fr"]}, {"year": {"$gte": 1912}}]}
    first = saved.add("north", f" {QUESTION}\n", filters, {"top_k": 3})
    second = saved.add("north", SCRIPTS["ar"], None, AskSettings(retrieve=7))
    saved.add("south", "Who?")
    again = SavedQuestions(tmp_path / "service.db")
    assert again.list("north") == [second, first] and again.get(first.id, corpus="north") == first
    assert (first.question, first.filters, first.settings, first.ran) == (QUESTION, filters, {"top_k": 3}, None)
    asker = Script([], [])
    again.run(first.id, asker)
    again.run(second.id, asker)
    assert asker.asked == [
        (QUESTION, AskSettings(top_k=3), filters),
        (SCRIPTS["ar"].strip(), AskSettings(retrieve=7), None),
    ]
    assert json.loads(msgspec.json.encode(first))["filters"] == filters


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("n", " "), SettingError),
        (("n", "half \ud83d?"), SettingError),
        (("n", "q", {"$bad": 1}), FilterError),
        (("n", "q", ["language=de"]), FilterError),
        (("n", "q", None, {"top_k": 0}), SettingError),
        (("n", "q", None, {"top_k": "3"}), SettingError),
        (("n", "q", None, {"embedder": "x"}), SettingError),
    ],
)
def test_what_could_never_be_asked_is_not_saved(
    saved: SavedQuestions, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        saved.add(*arguments)
    assert saved.list("n") == []


def test_a_question_is_saved_once(saved: SavedQuestions) -> None:
    first = saved.add("n", QUESTION, {"language": "de"}, {"top_k": 3})
    assert saved.add("n", f" {QUESTION}", {"language": "de"}, {"top_k": 3}) == first
    others = [saved.add("n", QUESTION), saved.add("n", QUESTION, {"language": "de"}), saved.add("s", QUESTION)]
    assert len({one.id for one in (first, *others)}) == 4 and len(saved.list("n")) == 3


def test_only_what_changed_is_told(saved: SavedQuestions) -> None:
    number = saved.add("n", QUESTION).id
    asker = Script([("a", 5, "1912"), ("b", 0, "1913")], [("b", 0, "1913"), ("c", 7, "1914")], [], [])
    first, second, third, fourth = (saved.run(number, asker) for _ in range(4))
    assert [a.text for a in first.new] == ["1912", "1913"] and first.gone == () and first.since is None
    assert [a.text for a in second.new] == ["1914"] and second.same == 1 and second.since
    assert [(a.text, a.source, a.start) for a in second.gone] == [("1912", "a.txt", 5)]
    assert [a.text for a in third.gone] == ["1913", "1914"] and third.new == () and third.same == 0
    assert (fourth.new, fourth.gone, fourth.same) == ((), (), 0)
    assert saved.get(number).ran is not None and saved.get(number).ran >= second.since  # type: ignore[operator]


def test_a_change_stays_until_it_is_seen(saved: SavedQuestions, tmp_path: Path) -> None:
    number = saved.add("n", QUESTION).id
    asker = Script([("a", 5, "1912")], [("a", 5, "1912"), ("b", 0, "1913")], [("b", 0, "1913")], [("b", 0, "1913")])

    def state() -> tuple[list[str], ...]:
        found = SavedQuestions(tmp_path / "service.db").get(number, corpus="n")
        return tuple([one.text for one in part] for part in (found.answers, found.new, found.gone))

    assert state() == ([], [], [])
    saved.run(number, asker)
    assert state() == (["1912"], [], [])
    saved.run(number, asker)
    assert state() == (["1912", "1913"], ["1913"], [])
    saved.run(number, asker)
    saved.run(number, asker)
    assert state() == (["1913"], ["1913"], ["1912"])
    seen = saved.see(number, corpus="n")
    assert (seen.new, seen.gone) == ((), ()) and state() == (["1913"], [], [])
    with pytest.raises(DocumentMissing):
        saved.see(number, corpus="other")


def test_the_json_form(saved: SavedQuestions) -> None:
    number = saved.add("n", QUESTION).id
    change = msgspec.to_builtins(saved.run(number, Script([("a", 5, "1912")])))
    assert list(change) == ["new", "gone", "same", "since", "reply"]
    assert change["reply"] == msgspec.to_builtins(reply([("a", 5, "1912")]))
    assert json.loads(json.dumps(change))["new"][0]["text"] == "1912"


def test_a_run_that_fails_changes_nothing(saved: SavedQuestions) -> None:
    class Broken:
        def ask(self, question: str, settings: Any = None, filters: Any = None) -> Reply:
            raise FilterError("no")

    number = saved.add("n", QUESTION).id
    saved.run(number, Script([("a", 5, "1912")]))
    before = saved.get(number)
    with pytest.raises(FilterError):
        saved.run(number, Broken())
    assert saved.get(number) == before
    assert saved.run(number, Script([("a", 5, "1912")])).same == 1


def test_deleted_and_foreign_questions_are_missing(saved: SavedQuestions) -> None:
    number = saved.add("north", QUESTION).id
    asker = Script([])
    for call in (
        lambda: saved.get(number, corpus="south"),
        lambda: saved.delete(number, corpus="south"),
        lambda: saved.run(number, asker, corpus="south"),
        lambda: saved.run("nowhere", asker),
    ):
        with pytest.raises(DocumentMissing, match="No saved question has the id"):
            call()
    assert asker.asked == []
    saved.delete(number, corpus="north")
    with pytest.raises(DocumentMissing):
        saved.delete(number)


def test_a_question_deleted_while_it_is_asked_stays_deleted(saved: SavedQuestions) -> None:
    number = saved.add("n", QUESTION).id

    class Deletes:
        def ask(self, question: str, settings: Any = None, filters: Any = None) -> Reply:
            saved.delete(number)
            return reply([])

    with pytest.raises(DocumentMissing):
        saved.run(number, Deletes())
    assert saved.list("n") == []


def test_a_corpus_is_forgotten_whole(saved: SavedQuestions) -> None:
    kept = [saved.add(corpus, QUESTION, None, {"top_k": n}) for n, corpus in enumerate(("north", "north", "south"), 1)]
    assert saved.forget("north") == 2 and saved.list("north") == [] and saved.list("south") == [kept[2]]


def test_of_runs_at_the_same_time_one_tells_the_change(saved: SavedQuestions) -> None:
    number = saved.add("n", QUESTION).id
    barrier = threading.Barrier(8)
    told: list[int] = []

    class Together:
        def ask(self, question: str, settings: Any = None, filters: Any = None) -> Reply:
            barrier.wait(30)
            return reply([("a", 5, "1912")])

    threads = [threading.Thread(target=lambda: told.append(len(saved.run(number, Together()).new))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [0] * 7 + [1]


def test_after_new_documents_only_their_answers_are_new(saved: SavedQuestions, corpus: Path, tmp_path: Path) -> None:
    embedder = WordEmbedder()
    build_index(corpus, tmp_path / "i", embedder=embedder)  # type: ignore[arg-type]
    pipeline = QAPipeline(Index.open(tmp_path / "i"), embedder, WordReader(), reader_name="words")  # type: ignore[arg-type]
    number = saved.add("n", "When was the bridge opened in?", {"language": "en"}, {"no_answer_threshold": 0.9}).id
    first = saved.run(number, pipeline)
    assert "1912" in [found.text for found in first.new]
    (corpus / "second.txt").write_text("The bridge was opened again in 1950 when it was new.\n", encoding="utf-8")
    build_index(corpus, tmp_path / "i", embedder=embedder)  # type: ignore[arg-type]
    second = saved.run(number, pipeline)
    assert [found.source for found in second.new] == ["second.txt"] and second.gone == ()
    assert second.same == len(first.new)
    assert saved.run(number, pipeline).new == ()


SPANS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.sampled_from(["x", "يو", "👩‍👩‍👧"])), unique=True)


@given(SPANS, SPANS)
def test_same_and_new_are_all_same_and_gone_were_all(before: list[Span], after: list[Span]) -> None:
    last = msgspec.convert(list(map(answer, before)), list[AnswerQuotation], from_attributes=True)
    change = compare(last, reply(after), None)
    assert len(change.new) + change.same == len(after) and len(change.gone) + change.same == len(before)
    assert {(a.document_id, a.start, a.text) for a in change.new} == set(after) - set(before)
    assert {(a.document_id, a.start, a.text) for a in change.gone} == set(before) - set(after)
    assert change.reply == msgspec.structs.replace(change.reply, answers=tuple(map(answer, after)))

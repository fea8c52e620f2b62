"""Feedback: checked against the document, and exported as SQuAD 2.0 that a strict reader takes, in every script."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.build import build_index
from indexing.documents import Document, content_hash, document_id
from indexing.errors import DocumentMissing, SettingError
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder, NewDocument
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.feedback import CHANGED, NO_DOCUMENT, NO_LABEL, Feedback, FeedbackStore, squad
from tests.known import SCRIPTS, WordEmbedder

EMBEDDER = WordEmbedder()
QUESTION = "When did the bridge open?"


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "service.db")


@pytest.fixture
def folder(tmp_path: Path) -> IndexFolder:
    """An index with a document for each script, and one about a bridge, written as they are."""
    folder = IndexFolder.create(tmp_path / "i", IndexSettings(embedder="words"), EMBEDDER.facts())
    texts = {**SCRIPTS, "bridge": "The bridge opened in 1912. It is long.", "flags": "🇫🇷👩‍👩‍👧 in 1912 🌉"}
    with folder.writer():
        folder.write([NewDocument(document(name, text), (), None) for name, text in texts.items()])
    return folder


def document(name: str, text: str) -> Document:
    source = f"{name}.txt"
    return Document(document_id(source, text), source, content_hash(text), text, "en")


def id_of(folder: IndexFolder, source: str) -> str:
    return next(row[0] for row in folder.document_rows() if row[1] == source)


def strictly_read(export: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """SQuAD 2.0 as its official evaluation reads it, and no more lenient; the questions by id, with their contexts."""
    export = json.loads(json.dumps(export))
    assert export["version"] == "v2.0" and isinstance(export["data"], list)
    found: dict[str, dict[str, Any]] = {}
    for article in export["data"]:
        assert set(article) == {"title", "paragraphs"} and isinstance(article["title"], str)
        assert article["paragraphs"]
        for paragraph in article["paragraphs"]:
            assert set(paragraph) == {"context", "qas"} and isinstance(paragraph["context"], str) and paragraph["qas"]
            for qa in paragraph["qas"]:
                assert set(qa) == {"id", "question", "answers", "is_impossible"}
                assert isinstance(qa["id"], str) and qa["id"] and qa["id"] not in found
                assert isinstance(qa["question"], str) and qa["question"].strip()
                assert isinstance(qa["is_impossible"], bool) and qa["is_impossible"] == (qa["answers"] == [])
                check_answers(paragraph["context"], qa["answers"])
                found[qa["id"]] = {**qa, "context": paragraph["context"], "title": article["title"]}
    return found


def check_answers(context: str, answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        assert set(answer) == {"text", "answer_start"} and type(answer["answer_start"]) is int
        text, start = answer["text"], answer["answer_start"]
        assert text.strip() and start >= 0 and context[start : start + len(text)] == text
    assert len({(answer["text"], answer["answer_start"]) for answer in answers}) == len(answers)


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_what_is_said_is_kept(store: FeedbackStore, folder: IndexFolder, tmp_path: Path) -> None:
    bridge = id_of(folder, "bridge.txt")
    right = store.add(
        "north",
        folder,
        question=f" {QUESTION} ",
        verdict="right",
        document_id=bridge,
        start=21,
        end=25,
        text="1912",
        key="k1",
    )
    wrong = store.add("north", folder, question=QUESTION, verdict="wrong", document_id=bridge)
    store.add("south", folder, question=QUESTION, verdict="wrong")
    assert (right.question, right.text, right.key, right.corpus) == (QUESTION, "1912", "k1", "north")
    assert right.content_hash == content_hash("The bridge opened in 1912. It is long.")
    assert FeedbackStore(tmp_path / "service.db").list("north") == [wrong, right]
    assert store.list("north", limit=1) == [wrong] and store.list("nowhere") == []
    assert Feedback(**msgspec.structs.asdict(right)) == right


def test_white_space_at_the_ends_is_left_out(store: FeedbackStore, folder: IndexFolder) -> None:
    said = store.add(
        "n",
        folder,
        question=QUESTION,
        verdict="corrected",
        document_id=id_of(folder, "bridge.txt"),
        start=20,
        end=27,
        text=" 1912. ",
    )
    assert (said.start, said.end, said.text) == (21, 26, "1912.")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"verdict": "maybe"}, "must be one of right, wrong, corrected"),
    ({"question": "  "}, "question is empty"),
    ({"question": "x" * 513}, "513 characters"),
    ({"question": "half \ud83d?"}, "half of a character"),
    ({"text": "1913"}, "not the document's text from 21 to 25"),
    ({"start": 22}, "not the document's text from 22 to 25"),
    ({"start": -17, "end": -13}, "not inside"),
    ({"start": 25, "end": 21}, "not inside"),
    ({"start": 21, "end": 21, "text": ""}, "not inside"),
    ({"end": 10**30, "text": None}, "not inside"),
    ({"start": True}, "as whole numbers"),
    ({"start": 21.0}, "as whole numbers"),
    ({"start": None}, "as whole numbers"),
    ({"end": None}, "as whole numbers"),
    ({"start": None, "end": None}, "as whole numbers"),
    ({"start": None, "end": None, "text": None}, "needs a document_id, a start and an end"),
    ({"start": 26, "end": 27, "text": " "}, "nothing but white space"),
    ({"document_id": None}, "needs the document_id"),
]


@pytest.mark.parametrize(("changes", "told"), BAD, ids=[told for _, told in BAD])
def test_what_contradicts_the_document_is_refused(
    store: FeedbackStore, folder: IndexFolder, changes: dict[str, Any], told: str
) -> None:
    good = {"question": QUESTION, "verdict": "right", "document_id": id_of(folder, "bridge.txt")}
    span = {"start": 21, "end": 25, "text": "1912"}
    with pytest.raises(SettingError, match=told):
        store.add("north", folder, **{**good, **span, **changes})
    assert store.list("north") == []


def test_an_unknown_document_is_told(store: FeedbackStore, folder: IndexFolder) -> None:
    with pytest.raises(DocumentMissing):
        store.add("north", folder, question=QUESTION, verdict="wrong", document_id="nowhere")


def test_entries_are_deleted_only_with_their_corpus(store: FeedbackStore, folder: IndexFolder) -> None:
    said = [store.add(corpus, folder, question=QUESTION, verdict="wrong") for corpus in ("north", "north", "south")]
    with pytest.raises(DocumentMissing, match="No feedback has the id"):
        store.delete(said[0].id, corpus="south")
    store.delete(said[0].id, corpus="north")
    with pytest.raises(DocumentMissing):
        store.delete(said[0].id)
    assert store.forget("north") == 1 and store.list("north") == [] and store.list("south") == [said[2]]


def test_many_threads_and_processes_lose_nothing(tmp_path: Path, folder: IndexFolder) -> None:
    path = tmp_path / "service.db"
    code = (
        "import sys; from pathlib import Path; from qa_pipeline.service.feedback import FeedbackStore\n"
        "for n in range(10): FeedbackStore(Path(sys.argv[1])).add('n', None, question=f'{n}', verdict='wrong')"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]

    def add() -> None:
        for number in range(10):
            FeedbackStore(path).add("n", folder, question=str(number), verdict="wrong")

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0, 0]
    assert len({said.id for said in FeedbackStore(path).list("n")}) == 100


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "service.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(HomeFolderError, match="service.db cannot be used"):
        FeedbackStore(tmp_path / "service.db")
    with pytest.raises(HomeFolderError, match="cannot be used"):
        FeedbackStore(tmp_path / "nowhere" / "service.db")


# -- the export --------------------------------------------------------------------------------------------------------


def say(store: FeedbackStore, folder: IndexFolder, verdict: str, text: str = "", question: str = QUESTION) -> Feedback:
    """Feedback on the bridge's document; text: the span, by its first place."""
    bridge = folder.document(id_of(folder, "bridge.txt"))
    start = bridge.text.index(text) if text else None
    end = None if start is None else start + len(text)
    return store.add("n", folder, question=question, verdict=verdict, document_id=bridge.id, start=start, end=end)


def test_a_known_export(store: FeedbackStore, folder: IndexFolder) -> None:
    say(store, folder, "right", "1912")
    say(store, folder, "corrected", "in 1912")
    say(store, folder, "right", "1912")
    say(store, folder, "wrong", question="Who built it?")
    export = store.squad("n", folder)
    found = list(strictly_read(export).values())
    assert [(qa["question"], qa["is_impossible"]) for qa in found] == [(QUESTION, False), ("Who built it?", True)]
    assert found[0]["answers"] == [{"text": "1912", "answer_start": 21}, {"text": "in 1912", "answer_start": 18}]
    assert found[0]["title"] == "bridge.txt" and len(export["data"]) == 1
    assert export["docqa_skipped"] == 0 and export["docqa_skipped_because"] == {}
    assert strictly_read(store.squad("n", folder)).keys() == strictly_read(export).keys()


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        (["right 1912", "wrong 1912"], None),
        (["wrong 1912", "right 1912"], ["1912"]),
        (["right 1912", "wrong "], []),
        (["wrong ", "right 1912"], ["1912"]),
        (["wrong ", "wrong 1912"], []),
        (["right 1912", "right 1912.", "wrong 1912"], ["1912."]),
        (["wrong long", "corrected 1912"], ["1912"]),
        (["wrong long"], None),
    ],
)
def test_the_last_word_stands(store: FeedbackStore, folder: IndexFolder, said: list[str], answers: list[str] | None) -> None:
    for entry in said:
        say(store, folder, *entry.split(" ", 1))
    export = store.squad("n", folder)
    found = list(strictly_read(export).values())
    assert [[answer["text"] for answer in qa["answers"]] for qa in found] == ([] if answers is None else [answers])
    left_out = len(said) if answers is None else 0
    assert export["docqa_skipped_because"] == ({NO_LABEL: left_out} if left_out else {})


def test_what_was_said_of_another_text_is_left_out_and_counted(store: FeedbackStore, corpus: Path, tmp_path: Path) -> None:
    build_index(corpus, tmp_path / "built", embedder=EMBEDDER)  # type: ignore[arg-type]
    folder = IndexFolder.open(tmp_path / "built")
    for source in ("reports/bridge.txt", "reports/mine.txt"):
        text = folder.document(id_of(folder, source)).text
        start = text.index("19")
        store.add(
            "n", folder, question=QUESTION, verdict="right", document_id=id_of(folder, source), start=start, end=start + 4
        )
    store.add("n", folder, question=QUESTION, verdict="wrong")
    (corpus / "reports" / "bridge.txt").write_text("In short: the bridge opened in 1913.\n", encoding="utf-8")
    build_index(corpus, tmp_path / "built", embedder=EMBEDDER)  # type: ignore[arg-type]
    export = store.squad("n", folder)
    assert [qa["title"] for qa in strictly_read(export).values()] == ["reports/mine.txt"]
    assert export["docqa_skipped"] == 2 and export["docqa_skipped_because"] == {CHANGED: 1, NO_DOCUMENT: 1}


def test_the_same_id_with_another_text_is_left_out(store: FeedbackStore, folder: IndexFolder) -> None:
    said = say(store, folder, "right", "1912")
    with folder.writer(), folder.writing() as (connection, _):
        text = "The bridge opened in 1912! And later again."
        connection.execute(
            "UPDATE documents SET text = ?, content_hash = ? WHERE id = ?", (text, content_hash(text), said.document_id)
        )
    export = store.squad("n", folder)
    assert export["data"] == [] and export["docqa_skipped"] == 1


def test_nothing_said_is_an_empty_export(store: FeedbackStore, folder: IndexFolder) -> None:
    assert strictly_read(store.squad("n", folder)) == {}


@pytest.mark.parametrize("language", [*SCRIPTS, "flags"])
def test_offsets_are_code_points_in_every_script(store: FeedbackStore, folder: IndexFolder, language: str) -> None:
    whole = folder.document(id_of(folder, f"{language}.txt"))
    for start in range(0, len(whole.text) - 4, 5):
        span = {"start": start, "end": start + 4, "text": whole.text[start : start + 4]}
        store.add("n", folder, question=f"{start}?", verdict="right", document_id=whole.id, **span)  # type: ignore[arg-type]
    found = strictly_read(store.squad("n", folder))
    assert len(found) == len(range(0, len(whole.text) - 4, 5))
    assert all(qa["context"] == whole.text for qa in found.values())


class OneFolder:
    """An index folder of documents in memory."""

    def __init__(self, *documents: Document) -> None:
        self.documents = {document.id: document for document in documents}

    def document(self, id: str) -> Document:
        if id not in self.documents:
            raise DocumentMissing("gone")
        return self.documents[id]


TEXT = st.one_of(st.sampled_from(list(SCRIPTS.values())), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
SAID = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60), st.sampled_from(["right", "wrong", "corrected"])))


@given(TEXT, SAID, st.booleans())
def test_every_exported_answer_is_the_text_at_its_start(text: str, said: list[tuple[int, int, str]], lost: bool) -> None:
    kept = document("a", text)
    entries = [
        Feedback(
            str(n),
            "n",
            f"{n % 3}?",
            verdict,
            kept.id,
            kept.content_hash,
            start,
            start + length,
            text[start : start + length],
            "now",
            "",
        )
        for n, (start, length, verdict) in enumerate(said)
        if text[start : start + length].strip() == text[start : start + length] != ""
    ]
    export = squad(entries, OneFolder() if lost else OneFolder(kept))  # type: ignore[arg-type]
    found = strictly_read(export)
    assert all(qa["context"] == text for qa in found.values()) and (not lost or not found)
    assert {q.question for q in entries if q.verdict != "wrong"} >= {qa["question"] for qa in found.values()}
    if not found:
        assert export["docqa_skipped"] == len(entries)

"""Files of questions: every shape reads the same, offsets are laws, and what is wrong is reported with its place."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError, UnreadableFile
from qa_pipeline.datasets.examples import Example, Gold, find_files, nearest_occurrence, read_examples

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CONTEXT = "Die Brücke wurde 1912 eröffnet. 1912 war ein Jahr. 🎉 Seit 1950 ist sie zu."
QAS: list[dict[str, Any]] = [
    {"id": "a", "question": "Wann wurde die Brücke eröffnet?", "answers": [{"text": "1912", "answer_start": 17}]},
    {"id": "b", "question": "Seit wann ist sie zu?", "answers": [{"text": "1950", "answer_start": 58}]},
    {"id": "c", "question": "Wer hat sie gebaut?", "answers": [], "is_impossible": True},
]


def squad(qas: list[dict[str, Any]] = QAS, context: str = CONTEXT, **article: Any) -> str:
    return json.dumps(
        {"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": qas}], **article}]}
    )


def rows(qas: list[dict[str, Any]] = QAS, **more: Any) -> str:
    return "\n".join(json.dumps({**qa, "context": CONTEXT, **more}, ensure_ascii=False) for qa in qas) + "\n"


def read(tmp_path: Path, text: str | bytes, name: str = "xquad.de.json") -> tuple[list[Example], list[str]]:
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    told: list[str] = []
    return read_examples(tmp_path / name, told.append), told


def facts(examples: list[Example]) -> list[tuple[str, str, tuple[Gold, ...], str]]:
    return [(e.id, e.question, e.golds, e.language) for e in examples]


def test_squad_is_read_with_its_facts(tmp_path: Path) -> None:
    examples, told = read(tmp_path, squad())
    assert told == [] and [e.id for e in examples] == ["a", "b", "c"]
    assert examples[0] == Example("a", QAS[0]["question"], CONTEXT, (Gold("1912", 17),), "de", "de", "T", "xquad.de.json")
    assert [e.is_impossible for e in examples] == [False, False, True] and examples[1].wanted == ("1950",)
    assert CONTEXT[58:62] == "1950"


@pytest.mark.parametrize(
    "pack", [str.encode, lambda t: gzip.compress(t.encode(), mtime=0), lambda t: lzma.compress(t.encode())]
)
@pytest.mark.parametrize(
    "text",
    [
        squad(),
        "\ufeff" + squad(),
        rows(),
        rows().replace("\n", "\r\n"),
        json.dumps([{**qa, "context": CONTEXT} for qa in QAS]),
        rows([{**q, "answers": {k: [a[k] for a in q["answers"]] for k in ("text", "answer_start")}} for q in QAS]),
    ],
)
def test_every_shape_and_packing_reads_the_same(tmp_path: Path, text: str, pack: Any) -> None:
    """The name's ending is not believed: only the content tells."""
    examples, told = read(tmp_path, pack(text), "de.jsonl")
    assert facts(examples) == facts(read(tmp_path, squad())[0]) and told == []


def test_one_row_alone_is_a_file(tmp_path: Path) -> None:
    assert facts(read(tmp_path, rows(QAS[:1]))[0]) == facts(read(tmp_path, squad(QAS[:1]))[0])


@pytest.mark.parametrize(
    "name, text, language, question_language",
    [
        ("test-context-de-question-es.json", squad(), "de", "es"),
        ("xquad.de.json", squad(), "de", "de"),
        ("questions.json", rows(lang="fr"), "fr", "fr"),
        ("xquad.de.json", rows(lang="pt_BR"), "pt", "pt"),
        ("a.json", rows([{**qa, "id": f"finnish-12-{qa['id']}"} for qa in QAS]), "fi", "fi"),
        ("a.json", squad(language="de"), "de", "de"),
        ("a.json", squad([{**qa, "language": "en"} for qa in QAS], language="de"), "de", "en"),
        ("a.json", squad(), "de", "de"),
    ],
)
def test_languages(tmp_path: Path, name: str, text: str, language: str, question_language: str) -> None:
    examples, _ = read(tmp_path, text, name)
    assert {(e.language, e.question_language) for e in examples} == {(language, question_language)}


def test_without_any_word_of_it_the_language_is_detected(tmp_path: Path) -> None:
    asked = [{"id": "x", "question": "When did the old bridge over the river open to the public?", "answers": []}]
    examples, _ = read(tmp_path, squad(asked), "mine.json")
    assert (examples[0].language, examples[0].question_language) == ("de", "en")


@pytest.mark.parametrize("english, expected", [(2, "de"), (19, "de"), (20, "en"), (40, "en")])
def test_a_few_questions_detected_as_of_another_language_are_no_group(tmp_path: Path, english: int, expected: str) -> None:
    """Detection calls a name without other words anything; two such questions are no group `en→de`."""
    asked = ["When did the old bridge over the river open to the public?"] * english
    asked += ["Wann wurde die alte Brücke über den Fluss für alle geöffnet?"] * 41
    qas = [{"id": str(n), "question": question, "answers": []} for n, question in enumerate(asked)]
    examples, _ = read(tmp_path, squad(qas), "mine.json")
    assert {e.language for e in examples} == {"de"}
    assert [e.question_language for e in examples] == [expected] * english + ["de"] * 41
    told = [{**qa, "language": "en"} for qa in qas[:1]] + qas[1:]
    assert read(tmp_path, squad(told, language="de"), "mine.json")[0][0].question_language == "en"


@pytest.mark.parametrize("given_start, moved_to", [(16, 17), (30, 32), (400, 32), (0, 17)])
def test_a_wrong_offset_goes_to_the_nearest_occurrence_and_is_told(tmp_path: Path, given_start: int, moved_to: int) -> None:
    qa = {"id": "a", "question": "Wann?", "answers": [{"text": "1912", "answer_start": given_start}]}
    examples, told = read(tmp_path, squad([qa]))
    assert examples[0].golds == (Gold("1912", moved_to),) and len(told) == 1 and "1 answers" in told[0]


def test_an_answer_that_is_not_in_the_context_is_told_and_has_no_place(tmp_path: Path) -> None:
    qa = {"id": "a", "question": "Wann?", "answers": [{"text": "1913", "answer_start": 17}]}
    examples, told = read(tmp_path, squad([qa]))
    assert examples[0].golds == (Gold("1913", -1),) and "data[0].paragraphs[0].qas[0]" in told[0] and "1913" in told[0]


def test_an_answer_without_an_offset_has_no_place(tmp_path: Path) -> None:
    examples, told = read(tmp_path, squad([{"id": "a", "question": "Wann?", "answers": [{"text": "1912"}]}]))
    assert examples[0].golds == (Gold("1912", -1),) and told == []


def one(**changes: Any) -> str:
    return squad([{k: v for k, v in {**QAS[0], **changes}.items() if v is not ...}])


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("hello", "not JSON"),
        ('{"data": 1}', "no list at data"),
        ('{"data": [1]}', "data[0].paragraphs"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data[0].paragraphs[0], has no context"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', "data[0].paragraphs[0].qas"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [7]}]}]}', "qas[0], is not an object"),
        (one(id=...), "qas[0], has no id"),
        (one(question=" "), "has no question"),
        (one(answers=...), "no list of answers"),
        (one(answers=[{"answer_start": 1}]), "has no text"),
        (one(answers=[{"text": "1912", "answer_start": "17"}]), "no whole number"),
        (one(answers={"text": ["1912"], "answer_start": []}), "do not pair"),
        (rows() + "{broken\n", "line 4, is not JSON"),
        (rows() + "[]\n", "line 4, is not an object"),
        (squad([QAS[0], QAS[0]]), "more than one question"),
        (b"\xfd7zXZ\x00broken", "cannot be decompressed"),
        (gzip.compress(b"x" * 999, mtime=0)[:-9], "cannot be decompressed"),
        (b"\xff\xfe{", "not UTF-8"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_place(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(UnreadableFile) as raised:
        read(tmp_path, text)
    assert words in str(raised.value) and "xquad.de.json" in str(raised.value) and "\n" not in str(raised.value)


def test_files_of_folders_are_sorted_and_each_is_there_once(tmp_path: Path) -> None:
    names = ("b.json", "a.jsonl.xz", "deep/c.json.gz", "notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    wanted = [tmp_path / name for name in ("a.jsonl.xz", "b.json", "deep/c.json.gz")]
    assert find_files([tmp_path, tmp_path / "b.json"]) == wanted
    assert find_files([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]
    (tmp_path / "empty").mkdir()
    for missing in ("empty", "nowhere"):
        with pytest.raises(SettingError):
            find_files([tmp_path / missing])


@given(st.text("ab ", max_size=30), st.text("ab", min_size=1, max_size=3), st.integers(0, 40))
def test_the_nearest_occurrence_is_the_nearest(context: str, text: str, start: int) -> None:
    at = [n for n in range(len(context)) if context.startswith(text, n)]
    assert nearest_occurrence(context, text, start) == min(at, key=lambda n: (abs(n - start), n), default=-1)


@pytest.mark.skipif(not DATA.is_dir(), reason="the question sets of ../shared are not on this machine")
@pytest.mark.parametrize("folder, count", [("xquad", 12 * 1190), ("tydiqa-goldp-dev", 5077)])
def test_the_public_sets_are_read_whole(folder: str, count: int) -> None:
    told: list[str] = []
    examples = [e for path in find_files([DATA / folder]) for e in read_examples(path, told.append)]
    assert len(examples) == count and told == []
    assert {(e.origin.removeprefix("xquad.")[:2], e.question_language) for e in examples} == {
        (e.language, e.language) for e in examples
    }
    assert all(e.context[g.start : g.start + len(g.text)] == g.text for e in examples for g in e.golds)

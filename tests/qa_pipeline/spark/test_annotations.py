"""Answers as annotations, documents as Spark NLP cleans them, and its model names, without Spark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from indexing.errors import ModelMissing
from indexing.models.presets import PRESETS
from qa_pipeline.spark import rows
from qa_pipeline.spark.annotations import (
    ANNOTATED,
    ANNOTATION,
    MODES,
    AnnotateRows,
    clean,
    document,
    reader_of,
    to_annotations,
)
from qa_pipeline.spark.batches import texts
from qa_pipeline.spark.rows import ReadRows, read_rows
from tests.known import SCRIPTS
from tests.model_folders import one_sentence
from tests.tiny import LONG, QUESTION, UGLY, make_reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_reader("bert", tmp_path_factory.mktemp("annotations") / "bert", 4))


@pytest.mark.parametrize("top_k", [1, 4])
def test_an_annotation_quotes_its_context_and_carries_docqas_fields(folder: str, top_k: int) -> None:
    work = ReadRows(folder, "fp32", top_k, 1.0)
    found = AnnotateRows(work)([QUESTION] * len(UGLY), UGLY)
    for context, parts, told in zip(UGLY, found, work([QUESTION] * len(UGLY), UGLY), strict=True):
        assert 1 <= len(parts) <= top_k
        for n, part in enumerate(parts):
            assert list(part) == list(ANNOTATED) and part["annotatorType"] == "chunk" and part["embeddings"] == []
            assert context[part["begin"] : part["end"] + 1] == part["result"] == (part["docqa"]["answer"] or "")
            assert part["metadata"]["sentence"] == "0" and part["metadata"]["chunk"] == str(n)
            if "reason" in told:
                assert part["metadata"]["reason"] == part["docqa"]["reason"] == told["reason"] and not part["result"]
            elif told["no_answer"]:
                assert (part["result"], part["metadata"]["no_answer"]) == ("", "true") and "start" not in part["metadata"]
            else:
                places = [int(part["metadata"][name]) for name in ("start", "end")]
                assert context[slice(*places)] == part["result"] != ""
                assert float(part["metadata"]["score"]) == part["docqa"]["score"]
    pa.array(found, type=rows.arrow_type([ANNOTATED]))


def test_no_answer_is_an_empty_result_with_its_score(folder: str) -> None:
    told = AnnotateRows(ReadRows(folder, "fp32", 1, 0.0))([QUESTION], [LONG])[0]
    assert (len(told), told[0]["result"], told[0]["begin"], told[0]["end"]) == (1, "", 0, -1)
    assert told[0]["metadata"]["no_answer"] == "true" and told[0]["docqa"]["no_answer"]
    assert float(told[0]["metadata"]["score"]) == told[0]["docqa"]["score"] > 0
    assert to_annotations({"reason": "why"})[0]["docqa"]["no_answer"] is None


def test_documents_are_cleaned_as_spark_nlp_does() -> None:
    """Each mode as its documentation describes it: of real and of written line ends and tabs."""
    text = " a \n\tb\\n\\tc\\r\\n  d "
    wanted = {
        "disabled": text,
        "inplace": " a   b\\n\\tc\\r\\n  d ",
        "inplace_full": " a   b  c   d ",
        "shrink": "a b\\n\\tc\\r\\n d",
        "shrink_full": "a b  c  d",
        "each": " a  \tb\\n\\tc\\r\\n  d ".replace("a  \t", "a \t"),
        "each_full": " a \tb\\n\\tc\\r\\n  d ",
        "delete_full": "a \n\tbc  d",
    }
    assert {mode: clean(text, mode) for mode in MODES} == wanted
    assert document(None, "shrink") == {**document("", "disabled"), "end": -1}
    made = document("ab", "disabled", {"day": "1", "sentence": "x"}, 3)
    assert list(made) == list(ANNOTATION) and made["metadata"] == {"day": "1", "sentence": "3"} and made["end"] == 1


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("bert_qa_bert_multi_cased_finetuned_xquadv1", "mbert-xquad"),
        ("xlm_roberta_qa_xlm_roberta_large_squad2", "xlmr-large-squad2"),
        ("xlm_roberta_qa_xlm_roberta_base_squad2", "xlmr-squad2"),
        ("distilbert_qa_multi_finetuned_for_xqua_on_tydiqa", "distilbert-tydiqa"),
        ("distilbert_qa_distilbert_multi_finetuned_for_qa_tydiqa", "distilbert-tydiqa"),
        ("xlm_qa_xlm_multi_finetuned_xquadv1", "xlm-xquad"),
        ("bert_base_cased_qa_squad2", "bert-squad2"),
        ("xlm_roberta_base_qa_squad2", "xlmr-squad2"),
        ("builtin", "builtin"),
        ("owner/bert_qa_model", "owner/bert_qa_model"),
        ("/a/folder/bert_qa_model", "/a/folder/bert_qa_model"),
    ],
)
def test_names_of_spark_nlp_are_readers(name: str, reader: str) -> None:
    assert reader_of(name) == reader


def test_every_name_in_a_preset_is_that_preset_and_an_unknown_one_is_a_sentence() -> None:
    named = {preset.spark_nlp: name for (_, name), preset in PRESETS.items() if preset.spark_nlp}
    assert {known: reader_of(known) for known in named} == named != {}
    with pytest.raises(ModelMissing, match="hub id") as caught:
        reader_of("bert_qa_of_nobody")
    one_sentence(caught.value)


# -- the reader's view of a text -----------------------------------------------------------------------------------------


def test_case_is_ignored_by_the_reader_and_kept_in_the_answer(folder: str) -> None:
    contexts = [text for text in (*UGLY, "İSTANBUL Köprüsü İÇİN 4.6 MİLYON", LONG.upper()) if text.strip()]
    reader = rows._reader(folder, "fp32", 1).reader
    found = rows._readings(reader, [(QUESTION.upper(), context) for context in contexts], lowered=True)
    assert found == rows._readings(reader, [(rows._lower(QUESTION), rows._lower(text)) for text in contexts], lowered=False)
    told = ReadRows(folder, "fp32", 1, 1.0, lowered=True)([QUESTION] * len(contexts), contexts)
    for context, one in zip(contexts, told, strict=True):
        assert one["no_answer"] or context[one["start"] : one["end"]] == one["answer"] != ""
        assert len(rows._lower(context)) == len(context)


@pytest.mark.parametrize("tokens", [1, 96, 128, 200, 512])
def test_a_small_window_leaves_no_part_of_the_text_unread(folder: str, tokens: int) -> None:
    """The only digits stand at some place of a long text: a reader of every part finds each place the same way."""
    sizes = rows.window_of(tokens, 128)
    room = sizes["max_seq_len"] - rows.QUESTION_TOKENS
    assert 0 < sizes["doc_stride"] <= room
    text = " ".join([SCRIPTS["de"]] * 40)
    told = ReadRows(folder, "fp32", 100, 1.0, tokens)([QUESTION], [text])[0]
    places = sorted((one["start"], one["end"]) for one in told["answers"])
    assert len(places) > 1 and all(text[a:b].strip() for a, b in places)


# -- what is no text -----------------------------------------------------------------------------------------------------


def strings(*values: bytes | None) -> Any:
    """A column of strings with these bytes, as Spark sends it: nobody has looked whether they are UTF-8."""
    return pa.array(values, pa.binary()).view(pa.string())


def test_bytes_that_are_no_text_are_told_from_text() -> None:
    assert texts(strings(b"ab", None, b"", "é".encode())) == ["ab", None, "", "é"]
    assert texts(strings(b"ab", b"\xff\xfe", None)) == ["ab", b"\xff\xfe", None]
    kind = pa.list_(pa.struct([("begin", pa.int32()), ("result", pa.string())]))
    column = pa.array([[{"result": "a"}, {"result": "b"}], [], None, [{"result": "c"}], [{"result": None}]], kind)
    assert texts(column) == ["a\nb", None, None, "c", ""]
    assert texts(column.slice(1, 3)) == [None, None, "c"]


def test_a_row_that_cannot_be_read_has_a_reason_and_the_others_an_answer(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = rows._reader(folder, "fp32", 1)
    monkeypatch.setattr(rows, "MAX_CONTEXT", 1_000_000)
    questions = [QUESTION, b"\xff", QUESTION, QUESTION, QUESTION, QUESTION]
    contexts = [LONG, LONG, b"\xff\xfe", "x" * 1_000_001, "poison", LONG]

    class Failing:
        def read_pairs(self, pairs: Any) -> Any:
            if any(context == "poison" for _, context in pairs):
                raise ValueError("no such\n  thing")
            return loaded.reader.read_pairs(pairs)  # type: ignore[attr-defined]

    told = read_rows(type(loaded)(Failing(), "failing", loaded.calibration), questions, contexts, threshold=1.0)  # type: ignore[arg-type]
    assert told[0] == told[5] and told[0]["answer"]
    assert [row.get("reason") for row in told[1:5]] == [
        "The question is not text in UTF-8.",
        "The context is not text in UTF-8.",
        "The context has 1,000,001 characters; 1,000,000 are the most that are read.",
        "The reader fails on this text: no such thing",
    ]


def test_long_contexts_are_read_in_parts_with_the_same_answers(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = ReadRows(folder, "fp32", 1, 1.0)
    contexts = [LONG[n:] for n in range(0, 100, 7)]
    whole = work([QUESTION] * len(contexts), contexts)
    rows._reader.cache_clear()
    monkeypatch.setattr(rows, "READ_CHARACTERS", 2 * len(LONG))
    parts = [len(part) for part in rows._parts([(n, "", text) for n, text in enumerate(contexts)])]
    assert max(parts) == 2 and sum(parts) == len(contexts)
    for one, other in zip(work([QUESTION] * len(contexts), contexts), whole, strict=True):
        assert (one["answer"], one["start"]) == (other["answer"], other["start"])


def test_the_page_of_this_module_names_what_is_different() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "explanation" / "spark.md").read_text("utf-8")
    for name in (
        "begin",
        "metadata",
        "embeddings",
        "setMaxSentenceLength",
        "setCaseSensitive",
        "LightPipeline",
        "Scala",
        "nlu",
    ):
        assert re.search(rf"\b{name}\b", page), name

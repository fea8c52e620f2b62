"""Rows of a table answered without Spark: each value is what `docqa read` says of that row, or a reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from indexing.errors import SettingError
from indexing.models.registry import resolve
from qa_pipeline.answering.calibration import Calibration, calibration_of
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.answering.verdict import answer_text
from qa_pipeline.cli.main import main
from qa_pipeline.reading.load import load_reader
from qa_pipeline.spark.dataframe import table_format
from qa_pipeline.spark.rows import ANSWER, ReadRows, read_rows
from tests.known import SCRIPTS
from tests.tiny import LONG, QUESTION, UGLY, make_reader, make_xlm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reader("bert", tmp_path_factory.mktemp("rows") / "bert", 4)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedReader:
    model = resolve(str(folder), "reader")
    return LoadedReader(load_reader(model, precision="fp32"), model.name, calibration_of(model))


def test_a_row_is_what_reading_it_alone_says(loaded: LoadedReader) -> None:
    questions = [QUESTION, "Who?", "橋はいつ開通した"] * len(UGLY)
    contexts = [text for text in UGLY for _ in range(3)]
    for threshold in (None, 1.0):
        calibration = loaded.calibration if threshold is None else Calibration(threshold=threshold)
        for question, context, told in zip(
            questions, contexts, read_rows(loaded, questions, contexts, threshold=threshold), strict=True
        ):
            if not context.strip():
                assert told == {"reason": "The context is empty."}
                continue
            alone = answer_text(loaded.reader, question, context, calibration)
            assert told["score"] == pytest.approx(alone["score"], abs=1e-4)
            assert told["no_answer"] == (alone["answer"] == "")
            if not told["no_answer"]:
                assert {name: told[name] for name in ("answer", "start", "end")} == {
                    name: alone[name] for name in ("answer", "start", "end")
                }
                assert context[told["start"] : told["end"]] == told["answer"] != ""


def test_what_cannot_be_asked_is_a_reason_among_the_others(loaded: LoadedReader) -> None:
    questions = [None, "", " \n", "x" * 513, QUESTION, QUESTION, QUESTION]
    contexts = [LONG, LONG, LONG, LONG, None, "\t", LONG]
    told = read_rows(loaded, questions, contexts, threshold=1.0)
    assert [row.get("reason") for row in told[:3]] == ["The question is empty."] * 3
    assert "513 characters" in told[3]["reason"]
    assert [row["reason"] for row in told[4:6]] == ["The context is empty."] * 2
    assert told[6]["answer"] and "reason" not in told[6]
    assert all(set(row) <= {*ANSWER, "answers"} for row in told)
    assert read_rows(loaded, [], []) == []


def test_several_answers_of_a_row_lie_apart_the_best_first(folder: Path) -> None:
    work = ReadRows(str(folder), "fp32", 5, 1.0)
    for told, text in zip(work([QUESTION] * 2, [LONG, SCRIPTS["en"]]), (LONG, SCRIPTS["en"]), strict=True):
        found = told["answers"]
        assert 1 < len(found) <= 5 and all(told[name] == found[0][name] for name in found[0])
        assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
        assert all(text[one["start"] : one["end"]] == one["answer"] for one in found)
        places = sorted((one["start"], one["end"]) for one in found)
        assert all(end <= start for (_, end), (start, _) in zip(places, places[1:], strict=False))


def test_an_xlm_reader_reads_rows_too(tmp_path: Path) -> None:
    work = ReadRows(str(make_xlm(tmp_path / "xlm", 11, beam=True)), "auto", 1, 1.0)
    told = work([QUESTION, None], [SCRIPTS["en"], "x"])
    assert SCRIPTS["en"][told[0]["start"] : told[0]["end"]] == told[0]["answer"] != "" and told[1]["reason"]


def test_a_table_is_told_by_its_ending() -> None:
    kinds = {"a.parquet": "parquet", "s3://b/c.CSV": "csv", "x.jsonl": "json", "x.json": "json"}
    assert {name: table_format(name) for name in kinds} == kinds
    with pytest.raises(SettingError, match="must end in"):
        table_format("table.xlsx")


def test_without_spark_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert main(["spark", "read", "in.csv", "--into", "out.csv", "--reader", "builtin"]) == 2
    told = capsys.readouterr().err
    assert "pip install 'docqa[spark]'" in told and told.count("\n") == 1

"""The cluster door on two cores of this machine, with tiny readers; nothing of it is mocked."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.spark import needs_spark

needs_spark()

from indexing.build import build_index
from indexing.errors import IndexMissing, ModelMissing, SettingError
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.cli.main import main
from qa_pipeline.settings import AskSettings
from qa_pipeline.spark import dataframe, rows
from tests.known import SCRIPTS
from tests.tiny import LONG, QUESTION, UGLY, make_reader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [text for text in UGLY if "\x00" not in text]
PARTS = 5


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_reader("bert", tmp_path_factory.mktemp("spark") / "bert", 4))


@pytest.fixture(scope="module")
def table(session: SparkSession) -> DataFrame:
    """Ugly texts and questions that cannot be asked, with columns of other types beside them, in five parts."""
    questions = [QUESTION, None, "", "x" * 600, "橋はいつ開通した"]
    values = [
        (n, questions[n % 5], text, datetime.date(2026, 1, 1 + n % 28), [str(n), None], {"n": float(n)})
        for n, text in enumerate([*TEXTS, None, "", *TEXTS])
    ]
    names = "id long, question string, context string, day date, parts array<string>, facts map<string,double>"
    return session.createDataFrame(values, names).repartition(PARTS)


def collected(frame: DataFrame) -> dict[int, dict[str, Any]]:
    found = [row.asDict(recursive=True) for row in frame.collect()]
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}


@pytest.mark.parametrize("threshold", [None, 1.0])
def test_every_row_comes_back_with_what_its_text_says(table: DataFrame, reader: str, threshold: float | None) -> None:
    answered = dataframe.answer(table, reader=reader, precision="fp32", no_answer_threshold=threshold)
    assert answered.columns == [*table.columns, "answer"]
    before, after = collected(table), collected(answered)
    assert after.keys() == before.keys()
    alone = rows.ReadRows(reader, "fp32", 1, threshold)
    for n, row in after.items():
        told = row.pop("answer")
        assert row == before[n] and list(told) == list(rows.ANSWER)
        expected = alone([row["question"]], [row["context"]])[0]
        assert told["score"] == pytest.approx(expected.pop("score", None), abs=1e-4)
        assert all(told[name] == expected.get(name) for name in rows.ANSWER if name != "score")
        if told["answer"] is not None:
            assert row["context"][told["start"] : told["end"]] == told["answer"]
    assert {bool(row["question"]) for row in before.values()} == {True, False}


def test_columns_may_have_other_names_and_several_answers_may_be_wanted(session: SparkSession, reader: str) -> None:
    frame = session.createDataFrame([(QUESTION, LONG)], "q string, `the text` string")
    told = dataframe.answer(
        frame, question="q", context="the text", into="found", reader=reader, top_k=3, no_answer_threshold=1.0
    )
    row = told.select("found.answer", "found.answers").head()
    assert row is not None and len(row.answers) == 3 and row.answers[0].answer == row.answer
    assert all(LONG[one.start : one.end] == one.answer for one in row.answers)


def test_a_worker_loads_its_reader_once_for_all_its_tasks(session: SparkSession, table: DataFrame, reader: str) -> None:
    before = loaded_by_workers(session)
    for parts in (PARTS, 8):
        dataframe.answer(table.repartition(parts), reader=reader, precision="fp32", top_k=2).collect()
    after = loaded_by_workers(session)
    more = [after[worker] - before.get(worker, 0) for worker in after]
    assert set(more) <= {0, 1} and 1 in more


def loaded_by_workers(session: SparkSession) -> dict[int, int]:
    """How often each Python worker has loaded a reader; those that have, read with one thread."""
    seen = session.range(0, 8, 1, 8).mapInArrow(loads, "worker long, loads long, threads long").collect()
    assert all(row.threads == 1 for row in seen if row.loads)
    return {row.worker: row.loads for row in seen}


def loads(batches: Any) -> Iterator[Any]:
    """In a worker: its id, how often it has loaded a reader, and with how many threads it reads."""
    import pyarrow as pa

    from indexing.models.threads import thread_count

    for batch in batches:
        missed = rows._reader.cache_info().misses
        values = [[os.getpid()] * batch.num_rows, [missed] * batch.num_rows, [thread_count()] * batch.num_rows]
        yield pa.RecordBatch.from_arrays([pa.array(v, pa.int64()) for v in values], ["worker", "loads", "threads"])


def test_mistakes_are_told_before_anything_runs(session: SparkSession, table: DataFrame, reader: str) -> None:
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (SettingError, "no column 'text'", {"context": "text"}),
        (SettingError, "is bigint", {"question": "id"}),
        (SettingError, "already", {"into": "day"}),
        (SettingError, "top_k", {"top_k": 0}),
        (SettingError, "precision", {"precision": "fp4"}),
        (SettingError, "threshold", {"no_answer_threshold": 2.0}),
        (ModelMissing, "no folder", {"reader": "/nowhere/at/all"}),
    ]
    for error, words, chosen in cases:
        with pytest.raises(error, match=words):
            dataframe.answer(table, **{"reader": reader, **chosen})
    with pytest.raises(IndexMissing, match="shipped"):
        dataframe.ask(table, "no-such-index", reader=reader)


# -- an index ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("asked")
    (home / "corpus").mkdir()
    for language, text in SCRIPTS.items():
        (home / "corpus" / f"{language}.txt").write_text(text.replace("\x00", ""), encoding="utf-8")
    build_index(home / "corpus", home / "made-here", IndexSettings(embedder="builtin"))
    return home / "made-here"


QUESTIONS = ["What did the bridge cost?", None, "Wie hoch ist der Berg?", " ", "橋はいつ開通した", "x" * 600]


def check_replies(frame: DataFrame, index: Path) -> None:
    with IndexFolder.open(index) as folder:
        for row in frame.collect():
            reply = row.reply
            if not (row.question or "").strip() or len(row.question) > 512:
                assert reply.reason and reply.answers is None and reply.no_answer is None
                continue
            assert reply.answers and not reply.no_answer and reply.score == reply.answers[0].score
            for found in reply.answers:
                document = folder.document(found.document_id)
                assert document.text[found.start : found.end] == found.answer and document.source == found.source
            for passage in reply.passages:
                assert folder.document(passage.document_id).text[passage.start : passage.end] == passage.text
            assert len(reply.passages) == 2


def test_an_index_is_asked(session: SparkSession, index: Path, reader: str) -> None:
    frame = session.createDataFrame([(question,) for question in QUESTIONS], "question string").repartition(2)
    settings = AskSettings(no_answer_threshold=1.0)
    replies = dataframe.ask(frame, index, reader=reader, settings=settings, passages=2)
    assert replies.count() == len(QUESTIONS)
    check_replies(replies, index)
    session.sparkContext.addFile(str(index), recursive=True)
    check_replies(dataframe.ask(frame, index.name, reader=reader, settings=settings, passages=2), index)
    german = dataframe.ask(frame, index, reader=reader, settings=settings, filters={"language": "de"}).collect()
    assert {found.language for row in german for found in row.reply.answers or ()} == {"de"}
    silent = dataframe.ask(frame, index, reader=reader, settings=AskSettings(no_answer_threshold=0.0), passages=0).collect()
    assert all(row.reply.no_answer and row.reply.answers == [] for row in silent if not row.reply.reason)


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def same_session(session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in this session, instead of one that it starts and stops."""

    @contextmanager
    def given(_: str | None) -> Iterator[SparkSession]:
        yield session

    monkeypatch.setattr(dataframe, "spark_session", given)


@pytest.mark.usefixtures("same_session")
@pytest.mark.parametrize(("read", "written"), [("csv", "csv"), ("parquet", "jsonl"), ("jsonl", "parquet")])
def test_a_table_of_every_kind(
    session: SparkSession,
    table: DataFrame,
    reader: str,
    tmp_path: Path,
    read: str,
    written: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = tmp_path / f"in.{read}", tmp_path / f"out.{written}"
    simple = table.select("id", "question", "context")
    kind = {"jsonl": "json"}.get(read, read)
    simple.write.format(kind).options(**(dataframe.CSV if read == "csv" else {})).save(str(source))
    command = ["spark", "read", str(source), "--into", str(target), "--reader", reader, "--no-answer-threshold", "1"]
    assert main(command) == 0
    assert f"{table.count():,} rows: " in capsys.readouterr().out
    made = session.read.format({"jsonl": "json"}.get(written, written))
    found = (made.options(**dataframe.CSV) if written == "csv" else made).load(str(target)).collect()
    before = collected(simple)
    assert {int(row.id) for row in found} == before.keys()
    for row in found:
        told = json.loads(row.answer) if written == "csv" else row.answer.asDict()
        if told.get("answer") is not None:
            assert before[int(row.id)]["context"][told["start"] : told["end"]] == told["answer"]
    assert main(command) == 2
    assert main([*command, "--overwrite", "--partitions", "3"]) == 0


@pytest.mark.usefixtures("same_session")
def test_mistakes_of_the_command_are_one_sentence(table: DataFrame, tmp_path: Path, capsys: Any) -> None:
    table.select("question", "context").write.parquet(str(tmp_path / "in.parquet"))
    out = ["--into", str(tmp_path / "out.parquet"), "--reader", "builtin"]
    for arguments, words in (
        (["ask", str(tmp_path / "in.parquet"), *out], "--index"),
        (["read", str(tmp_path / "in.xlsx"), *out], "must end in"),
        (["read", str(tmp_path / "nothing.parquet"), *out], "nothing.parquet"),
        (["read", str(tmp_path / "in.parquet"), *out, "--context", "text"], "no column 'text'"),
        (["read", str(tmp_path / "in.parquet"), *out, "--partitions", "0"], "partitions is 0"),
        (["ask", str(tmp_path / "in.parquet"), *out, "--index", "nowhere"], "no index in nowhere"),
    ):
        assert main(["spark", *arguments]) == 2
        told = capsys.readouterr().err
        assert told.startswith("docqa: ") and told.count("\n") == 1 and words in told, told


def test_the_command_alone_starts_spark_and_ends_it(tmp_path: Path, index: Path, reader: str) -> None:
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps({"question": q}) + "\n" for q in QUESTIONS), encoding="utf-8")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "qa_pipeline.cli",
            "spark",
            "ask",
            "asked.jsonl",
            "--index",
            index,
            "--into",
            "out.jsonl",
            "--answer",
            "reply",
            "--reader",
            reader,
            "--master",
            "local[1]",
            "--no-answer-threshold",
            "1",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "6 rows: 3 answered, 0 without an answer in the text, 3 not asked (`reason` tells why)\n"
    lines = [line for path in (tmp_path / "out.jsonl").glob("part-*") for line in path.read_text("utf-8").splitlines()]
    assert sorted("reason" in json.loads(line)["reply"] for line in lines) == [False] * 3 + [True] * 3


def test_the_example_of_the_documentation_runs(session: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    code = (ROOT / "docs" / "explanation" / "spark.md").read_text("utf-8").split("```python", 1)[1].split("```", 1)[0]
    exec(compile(code, "docs/explanation/spark.md", "exec"), {"spark": session})
    assert "|Clara |11   |16 |" in capsys.readouterr().out

"""Question answering over a Spark DataFrame. Read `answer` and `ask`.

Both return the frame with all its rows and columns and one more column. An invalid question (null, empty, too long) or an
empty context gives a row with a reason, never a lost row or a failed job.

Rows go to Python in Arrow batches. Each Python worker of Spark loads its model once and keeps it for all its tasks. It uses
as many threads as a task has cores (`spark.task.cpus`). docqa must be installed in the executors' Python
(docs/explanation/spark.md).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from indexing.errors import DocqaError, SettingError
from indexing.models.presets import DEFAULT_READER
from indexing.settings import whole_number
from indexing.store.parts import Parts, is_parts
from qa_pipeline.settings import MAX_TOP_K, PRECISIONS, AskSettings, number_between
from qa_pipeline.spark.batches import AT_ONCE, Batches, place
from qa_pipeline.spark.parts import ask_parts
from qa_pipeline.spark.rows import ANSWER, REPLY, SPAN, AskRows, ReadRows, Values, Work

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

    from indexing.store.filters import Filter

FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".json": "json"}
SUBMITTED = "PYSPARK_GATEWAY_PORT" in os.environ
CSV = {"header": "true", "multiLine": "true", "escape": '"'}
OURS = re.compile(r"(?:indexing|qa_pipeline)\.errors\.\w+: (?P<sentence>.+)")


def answer(
    frame: DataFrame,
    *,
    question: str = "question",
    context: str = "context",
    into: str = "answer",
    reader: str = DEFAULT_READER,
    top_k: int = 1,
    precision: str = "auto",
    no_answer_threshold: float | None = None,
) -> DataFrame:
    """Answer each row's question from its own context, in a new column `into`: a struct of the shape ANSWER.

    Invariant: context[start:end] == answer, in code points. Where `no_answer` is true, answer, start and end are null and
    `score` is the no-answer score; else it is the answer's. With top_k above 1 the struct also has `answers`: the best
    top_k that do not overlap. Raises SettingError, ModelMissing, ModelRefused before any job runs.
    """
    whole_number("top_k", top_k, 1, MAX_TOP_K)
    if no_answer_threshold is not None:
        number_between("no_answer_threshold", no_answer_threshold, 0.0, 1.0)
    shape = {**ANSWER, "answers": [SPAN]} if top_k > 1 else ANSWER
    work = ReadRows(named_reader(reader, precision), precision, top_k, no_answer_threshold)
    return with_column(frame, into, shape, (question, context), work)


def ask(
    frame: DataFrame,
    index: Path | str,
    *,
    question: str = "question",
    into: str = "reply",
    reader: str = DEFAULT_READER,
    precision: str = "auto",
    settings: AskSettings | None = None,
    filters: Filter | None = None,
    passages: int = 3,
) -> DataFrame:
    """Answer each row's question from an index folder, in a new column `into`: a struct of the shape REPLY.

    A folder of parts (`docqa spark split`) is asked part by part, in parallel, and gives the replies of the whole index.

    index: a path shared by driver and executors, or the name of files shipped to them (`SparkContext.addFile`,
    `--archives index.zip#index`). passages: how many of the closest passages the struct has. Offsets are code points of
    the document. Raises SettingError, IndexMissing, ModelMissing, ModelRefused before any job runs.
    """
    whole_number("passages", passages, 0, MAX_TOP_K)
    folder = place(str(index))
    asked = settings or AskSettings()
    work = AskRows(named_reader(reader, precision), precision, str(index), place, asked, filters, passages)
    if is_parts(folder):
        check_columns(frame, into, (question,))
        return ask_parts(frame, question, into, Parts.open(folder), work, spark_type)
    return with_column(frame, into, REPLY, (question,), work)


# -- the frame, on the driver --------------------------------------------------------------------------------------


def with_column(
    frame: DataFrame,
    into: str,
    shape: Values | list[Values],
    reads: tuple[str, ...],
    work: Work,
    *,
    at_once: int = AT_ONCE,
    annotator: str | None = None,
) -> DataFrame:
    """The frame with one more column: the values of `work` for the columns `reads`, each of the shape.

    annotator: the kind of Spark NLP's annotations that the column holds. Then `reads` may be annotations too.
    Raises SettingError for a column that is missing, ambiguous or of another type, and for one that is there already.
    """
    from pyspark.sql.types import StructField, StructType

    check_columns(frame, into, reads, annotated=annotator is not None)
    kind = {} if annotator is None else {"annotatorType": annotator}
    schema = StructType([*frame.schema.fields, StructField(into, spark_type(shape), True, kind)])
    return frame.mapInArrow(Batches(work, reads, into, shape, at_once), schema)


def check_columns(frame: DataFrame, into: str, reads: tuple[str, ...], *, annotated: bool = False) -> None:
    """Raises the errors of `with_column`."""
    for name in reads:
        _check_text(frame, name, annotated=annotated)
    if into in frame.columns:
        raise SettingError(f"The frame has a column {into!r} already; name another one for the answers (`into`).")


def _check_text(frame: DataFrame, name: str, *, annotated: bool) -> None:
    from pyspark.sql.types import StringType

    kind = column_type(frame, name)
    if not isinstance(kind, StringType) and not (annotated and _are_annotations(kind)):
        other = " or annotations" if annotated else ""
        raise SettingError(f"The column {name!r} is {kind.simpleString()[:80]}; it must be string{other}.")


def column_type(frame: DataFrame, name: str) -> DataType:
    """The type of a column. Raises SettingError if there is none of that name, or several."""
    found = [field for field in frame.schema.fields if field.name == name]
    if len(found) != 1:
        what = "no column" if not found else f"{len(found)} columns"
        raise SettingError(f"The frame has {what} {name!r}; its columns are {', '.join(frame.columns)}.")
    return found[0].dataType


def _are_annotations(kind: DataType) -> bool:
    from pyspark.sql.types import ArrayType, StringType, StructType

    inner = kind.elementType if isinstance(kind, ArrayType) else None
    return isinstance(inner, StructType) and any(
        field.name == "result" and isinstance(field.dataType, StringType) for field in inner.fields
    )


def named_reader(reader: str, precision: str) -> str:
    """Return the name if the driver can resolve a reader of that name, so that mistakes fail before a job starts."""
    from indexing.models.registry import resolve

    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
    resolve(reader, "reader")
    return reader


def spark_type(shape: Any) -> DataType:
    """A shape as a Spark type: a dict is a struct, a list an array of its only item, a string a named type."""
    from pyspark.sql import types

    if isinstance(shape, dict):
        return types.StructType([types.StructField(name, spark_type(part)) for name, part in shape.items()])
    if isinstance(shape, list):
        return types.ArrayType(spark_type(shape[0]))
    simple: dict[str, DataType] = {
        "string": types.StringType(),
        "int": types.IntegerType(),
        "double": types.DoubleType(),
        "boolean": types.BooleanType(),
        "long": types.LongType(),
        "binary": types.BinaryType(),
        "floats": types.ArrayType(types.FloatType()),
        "texts": types.MapType(types.StringType(), types.StringType()),
    }
    return simple[shape]


# -- whole tables, for the command ----------------------------------------------------------------------------------


@contextmanager
def spark_session(master: str | None) -> Iterator[SparkSession]:
    """A Spark session, stopped afterwards. With a local master, its workers run the current Python."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingError("Spark is not installed here; `pip install 'docqa[spark]'` brings it.") from error
    builder = SparkSession.builder.appName("docqa")
    if master or not SUBMITTED:
        builder = builder.master(master or "local[*]")
    if not SUBMITTED and (master or "local").startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise SettingError(f"Spark does not start ({str(error)[:200]!r}); it needs Java 17 or newer.") from error
    try:
        session.sparkContext.setLogLevel("ERROR")
        yield session
    finally:
        session.stop()


@contextmanager
def sentences() -> Iterator[None]:
    """Turn Spark's errors into SettingError: docqa's message if a worker raised it, else the first line of Spark's."""
    from pyspark.errors import PySparkException

    try:
        yield
    except DocqaError:
        raise
    except PySparkException as error:
        ours = OURS.search(str(error))
        raise SettingError(ours["sentence"] if ours else f"Spark stopped: {str(error).splitlines()[0][:300]}") from error


def table_format(path: str) -> str:
    """Spark's format name for the suffix of a path. Raises SettingError."""
    found = FORMATS.get(PurePath(path).suffix.lower())
    if found is None:
        raise SettingError(f"{path} must end in {', '.join(FORMATS)}: that tells what it is.")
    return found


def load(session: SparkSession, path: str) -> DataFrame:
    """Load the table at a path, in the format of its suffix."""
    kind = table_format(path)
    reader = session.read.format(kind)
    return (reader.options(**CSV) if kind == "csv" else reader).load(path)


def repartition(session: SparkSession, frame: DataFrame, wanted: int | None) -> DataFrame:
    """The table in the wanted number of partitions; by default Spark's, but at least one per core."""
    cores = session.sparkContext.defaultParallelism
    few = wanted is None and frame.rdd.getNumPartitions() < cores
    return frame.repartition(wanted or cores) if wanted or few else frame


def write(frame: DataFrame, path: str, into: str, overwrite: bool) -> dict[str, int]:
    """Write a table with answers in `into`; the structs become JSON in CSV files.

    Returns the counts "rows", "none" (no answer) and "unasked" (rows with a reason), observed during the write.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    seen, told = Observation("docqa"), F.col(f"`{into}`")
    kind = table_format(path)
    frame = frame.observe(
        seen,
        F.count(F.lit(1)).alias("rows"),
        F.count_if(told["no_answer"]).alias("none"),
        F.count(told["reason"]).alias("unasked"),
    )
    if kind == "csv":
        frame = frame.withColumn(into, F.to_json(told))
    writer = frame.write.format(kind).mode("overwrite" if overwrite else "error")
    (writer.options(**CSV) if kind == "csv" else writer).save(path)
    return {name: int(value) for name, value in seen.get.items()}

"""Questions of a DataFrame to an index in parts: executors ask the parts in parallel, and others merge and read.

A worker that asks a part opens that part alone. One that merges opens the databases of the parts, for the passages that
are read, but no vectors and no postings. Read `ask_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from indexing.models.embedder import Embedder
from indexing.store.filters import where
from indexing.store.parts import Parts
from qa_pipeline.settings import AskSettings, question_text
from qa_pipeline.spark.batches import take_share, texts
from qa_pipeline.spark.rows import REPLY, AskRows, Values, arrow_type, asked_text, reply_values

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

    from qa_pipeline.answering.parts import PartsAnswerer
    from qa_pipeline.retrieval.parts import PartRetriever

FOUND: Values = {"question": "string", "part": "int", "found": "binary"}
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class AskPart:
    """Arrow batches of question and part -> the shape FOUND: the candidates of the part, as msgpack."""

    index: str
    find: Callable[[str], Path]
    settings: AskSettings
    filters: Mapping[str, Any] | None

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        import msgspec
        import pyarrow as pa

        take_share()
        schema = pa.schema(arrow_type(FOUND))
        for batch in batches:
            rows = []
            for question, part in zip(texts(batch.column("question")), batch.column("part").to_pylist(), strict=True):
                try:
                    text = question_text(asked_text(question, "question"))
                except SettingError:  # `MergeParts` gives the reason.
                    continue
                found = _part(self.find(self.index), part).candidates(text, self.settings, self.filters)
                rows.append({"question": question, "part": part, "found": msgspec.msgpack.encode(found)})
            yield pa.RecordBatch.from_pylist(rows, schema=schema)


@dataclass(frozen=True, slots=True)
class MergeParts:
    """Arrow batches with the column `found`, of structs of part and found -> the same with a reply in its place."""

    asked: AskRows
    question: str
    into: str

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        take_share()
        answerer = _answerer(self.asked.find(self.asked.index), self.asked.reader, self.asked.precision)
        for whole in batches:
            for first in range(0, whole.num_rows, AT_ONCE):
                batch = whole.slice(first, AT_ONCE)
                questions, found = texts(batch.column(self.question)), batch.column(self.into).to_pylist()
                made = [self._reply(answerer, one, parts) for one, parts in zip(questions, found, strict=True)]
                columns = [batch.column(name) for name in batch.schema.names if name != self.into]
                names = [name for name in batch.schema.names if name != self.into]
                replies = pa.array(made, type=arrow_type(REPLY))
                yield pa.RecordBatch.from_arrays([*columns, replies], names=[*names, self.into])

    def _reply(self, answerer: PartsAnswerer, question: str | bytes | None, found: list[Any] | None) -> Values:
        import msgspec

        from qa_pipeline.retrieval.candidates import Candidates

        try:
            text = question_text(asked_text(question, "question"))
        except SettingError as error:
            return {"reason": str(error)}
        decoder = msgspec.msgpack.Decoder(Candidates)
        parts = [decoder.decode(one["found"]) for one in sorted(found or [], key=lambda one: one["part"])]
        return reply_values(answerer.ask(text, parts, self.asked.settings, self.asked.filters), self.asked.passages)


def ask_parts(
    frame: DataFrame, question: str, into: str, parts: Parts, asked: AskRows, spark_type: Callable[[Values], DataType]
) -> DataFrame:
    """The frame with a column `into` of the shape REPLY: the replies that the whole index gives.

    Each distinct question is asked once. spark_type: gives a shape as a Spark type.
    Raises FilterError, and SettingError for `settings.words` that are no query or of a field that no document has.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructField, StructType

    from qa_pipeline.retrieval.parts import FoldersOfParts
    from qa_pipeline.retrieval.word_search import check_fields

    if asked.settings.words:
        check_fields(asked.settings.words, FoldersOfParts(parts).has_field)
    where(asked.filters)
    session, kept = frame.sparkSession, frame.columns
    questions = frame.select(F.col(f"`{question}`").alias("question")).distinct()
    numbers = session.range(parts.count).select(F.col("id").cast("int").alias("part"))
    every = questions.crossJoin(F.broadcast(numbers)).repartition(parts.count, "part").sortWithinPartitions("part")
    schema: Any = spark_type(FOUND)
    found = every.mapInArrow(AskPart(asked.index, asked.find, asked.settings, asked.filters), schema)
    gathered = found.groupBy("question").agg(F.collect_list(F.struct("part", "found")).alias(into))
    gathered = gathered.withColumnRenamed("question", "docqa question")
    joined = frame.join(gathered, F.col(f"`{question}`") == F.col("`docqa question`"), "left")
    joined = joined.select(*(F.col(f"`{name}`") for name in (*kept, into)))
    shape = StructType([*frame.schema.fields, StructField(into, spark_type(REPLY), True)])
    return joined.mapInArrow(MergeParts(asked, question, into), shape)


@lru_cache(maxsize=1)
def _part(index: Path, number: int) -> PartRetriever:
    """The part this process asks; one at a time is open."""
    from qa_pipeline.retrieval.parts import PartRetriever

    parts = Parts.open(index)
    return PartRetriever(parts, number, _embedder(parts.embedder))


@lru_cache(maxsize=1)
def _embedder(name: str) -> Embedder:
    return Embedder.load(name)


@lru_cache(maxsize=1)
def _answerer(index: Path, reader: str, precision: str) -> PartsAnswerer:
    from qa_pipeline.answering.parts import PartsAnswerer

    return PartsAnswerer.open(index, reader, precision)

"""Question answering as Spark ML stages, with the names of Spark NLP: its programs run after a change of one import.

    from qa_pipeline.spark.ml import *

`ExtractiveQA` is the one stage behind `BertForQuestionAnswering` and its siblings, which differ in their default model only.
docs/explanation/spark.md lists what is different. Importing this module needs pyspark.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from indexing.settings import whole_number
from qa_pipeline.settings import MAX_TOP_K, PRECISIONS, number_between
from qa_pipeline.spark.annotations import (
    ANNOTATED,
    BERT,
    CHUNK,
    DISTILBERT,
    XLM_ROBERTA,
    AnnotateRows,
    Annotation,
    reader_of,
)
from qa_pipeline.spark.batches import AT_ONCE
from qa_pipeline.spark.dataframe import named_reader, with_column
from qa_pipeline.spark.document_assembler import MultiDocumentAssembler
from qa_pipeline.spark.light_pipeline import LightPipeline
from qa_pipeline.spark.rows import ReadRows, Values
from qa_pipeline.spark.stage import Param, Params, Row, Stage, TypeConverters

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "Annotation",
    "BertForQuestionAnswering",
    "DistilBertForQuestionAnswering",
    "ExtractiveQA",
    "LightPipeline",
    "MultiDocumentAssembler",
    "XlmRoBertaForQuestionAnswering",
]

LONGEST_WINDOW = 512


class ExtractiveQA(Stage):
    """A column of annotations: the answers of each row's question from its own context.

    inputCols: the columns of questions and of contexts, annotations or strings. outputCol: the column made.
    reader: preset, hub id, folder, or a name of Spark NLP. topK, noAnswerThreshold, precision: as in `dataframe.answer`.
    caseSensitive: false reads in lower case. maxSentenceLength: tokens of a window, at most 512; longer texts are read in
        several windows. batchSize: rows read in one call.
    """

    DEFAULT = "xlmr-squad2"

    outputCol: Param[str] = Param(Params._dummy(), "outputCol", "column made", TypeConverters.toString)
    reader: Param[str] = Param(Params._dummy(), "reader", "preset, hub id or folder", TypeConverters.toString)
    precision: Param[str] = Param(Params._dummy(), "precision", ", ".join(PRECISIONS), TypeConverters.toString)
    topK: Param[int] = Param(Params._dummy(), "topK", "answers of a row at most", TypeConverters.toInt)
    noAnswerThreshold: Param[float] = Param(
        Params._dummy(), "noAnswerThreshold", "no answer above this score (0..1)", TypeConverters.toFloat
    )
    caseSensitive: Param[bool] = Param(Params._dummy(), "caseSensitive", "false: lower case", TypeConverters.toBoolean)
    maxSentenceLength: Param[int] = Param(Params._dummy(), "maxSentenceLength", "tokens of a window", TypeConverters.toInt)
    batchSize: Param[int] = Param(Params._dummy(), "batchSize", "rows read in one call", TypeConverters.toInt)

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._setDefault(
            inputCols=["document_question", "document_context"],
            outputCol="answer",
            reader=reader_of(self.DEFAULT),
            precision="auto",
            topK=1,
            caseSensitive=True,
            batchSize=AT_ONCE,
        )

    @classmethod
    def pretrained(cls, name: str | None = None, lang: str = "en", remote_loc: str | None = None) -> Any:
        """The stage with a published model, downloaded if necessary; `name` is one of Spark NLP's, or any reader's.

        lang, remote_loc: accepted as Spark NLP does; a name is enough to find a model. Raises ModelMissing, ModelRefused.
        """
        return cls(reader=named_reader(reader_of(name or cls.DEFAULT), "auto"))

    @classmethod
    def load(cls, path: str) -> Any:
        """A stage that `write().save(path)` has written, or the stage with the reader of a model folder."""
        if (Path(path) / "config.json").is_file():
            return cls(reader=named_reader(str(path), "auto"))
        return super().load(path)

    @classmethod
    def loadSavedModel(cls, folder: str, spark_session: Any = None) -> Any:
        """The stage with the reader of a model folder of transformers. Raises ModelMissing, ModelRefused."""
        return cls(reader=named_reader(str(Path(folder).absolute()), "auto"))

    def setOutputCol(self, value: str) -> ExtractiveQA:
        """Name the column made."""
        return self.with_params(outputCol=value)

    def getOutputCol(self) -> str:
        return str(self.value_of("outputCol"))

    def setReader(self, value: str) -> ExtractiveQA:
        """Choose the model: preset, hub id, folder, or a name of Spark NLP. Raises ModelMissing."""
        return self.with_params(reader=reader_of(value))

    def getReader(self) -> str:
        return str(self.value_of("reader"))

    def setPrecision(self, value: str) -> ExtractiveQA:
        """Choose how the reader computes."""
        return self.with_params(precision=value)

    def setTopK(self, value: int) -> ExtractiveQA:
        """Limit the answers of a row."""
        return self.with_params(topK=value)

    def setNoAnswerThreshold(self, value: float) -> ExtractiveQA:
        """Give no answer above this score of there being none, 0 to 1."""
        return self.with_params(noAnswerThreshold=value)

    def setCaseSensitive(self, value: bool) -> ExtractiveQA:
        """Choose whether the reader sees texts as they are; answers quote them as they are in any case."""
        return self.with_params(caseSensitive=value)

    def getCaseSensitive(self) -> bool:
        return bool(self.value_of("caseSensitive"))

    def setMaxSentenceLength(self, value: int) -> ExtractiveQA:
        """Set how many tokens the model sees at once. Raises SettingError above 512."""
        return self.with_params(maxSentenceLength=whole_number("maxSentenceLength", value, 1, LONGEST_WINDOW))

    def getMaxSentenceLength(self) -> int:
        return int(self.value_of("maxSentenceLength"))

    def setBatchSize(self, value: int) -> ExtractiveQA:
        """Set how many rows are read in one call. Raises SettingError below 1."""
        return self.with_params(batchSize=whole_number("batchSize", value, 1, 100_000))

    def getBatchSize(self) -> int:
        return int(self.value_of("batchSize"))

    def _work(self) -> tuple[tuple[str, str], AnnotateRows]:
        """The two input columns, and what is computed for their rows. Raises SettingError, ModelMissing, ModelRefused."""
        names = self.getInputCols()
        if len(names) != 2:
            raise SettingError(f"{type(self).__name__} needs two inputCols, question and context; it has {len(names)}.")
        top_k = whole_number("topK", self.value_of("topK"), 1, MAX_TOP_K)
        threshold = self.getOrDefault("noAnswerThreshold") if self.isDefined("noAnswerThreshold") else None
        if threshold is not None:
            number_between("noAnswerThreshold", threshold, 0.0, 1.0)
        window = self.getMaxSentenceLength() if self.isDefined("maxSentenceLength") else None
        precision = str(self.value_of("precision"))
        reader = named_reader(reader_of(self.getReader()), precision)
        read = ReadRows(reader, precision, top_k, threshold, window, not self.getCaseSensitive())
        return (names[0], names[1]), AnnotateRows(read)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        names, work = self._work()
        rows = whole_number("batchSize", self.getBatchSize(), 1, 100_000)
        return with_column(dataset, self.getOutputCol(), [ANNOTATED], names, work, at_once=rows, annotator=CHUNK)

    def annotate_row(self, row: Row) -> dict[str, list[Values]]:
        """The answers of one row, read in this process."""
        names, work = self._work()
        texts = ["\n".join(part["result"] for part in row.get(name, ())) for name in names]
        return {self.getOutputCol(): work(*([text] for text in texts))[0]}


class BertForQuestionAnswering(ExtractiveQA):
    """ExtractiveQA under the name that Spark NLP gives to BERT readers; any architecture may be named."""

    DEFAULT = BERT


class DistilBertForQuestionAnswering(ExtractiveQA):
    """ExtractiveQA under the name that Spark NLP gives to DistilBERT readers; any architecture may be named."""

    DEFAULT = DISTILBERT


class XlmRoBertaForQuestionAnswering(ExtractiveQA):
    """ExtractiveQA under the name that Spark NLP gives to XLM-R readers; any architecture may be named."""

    DEFAULT = XLM_ROBERTA

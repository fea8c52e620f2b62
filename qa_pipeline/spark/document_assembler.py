"""`MultiDocumentAssembler`: texts to Spark NLP's document annotations, by Spark itself. Importing this needs pyspark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.spark.annotations import ANNOTATION, CLEANUP, DOCUMENT, MODES, TRIM, document
from qa_pipeline.spark.dataframe import column_type, spark_type
from qa_pipeline.spark.rows import Values
from qa_pipeline.spark.stage import Param, Params, Row, Stage, TypeConverters, names_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


class MultiDocumentAssembler(Stage):
    """Columns of texts -> columns of document annotations, as Spark NLP makes them; null becomes an empty document.

    inputCols: strings, or arrays of them. outputCols: as many names. idCol, metadataCol: columns that enter `metadata`.
    """

    outputCols: Param[list[str]] = Param(Params._dummy(), "outputCols", "columns made", TypeConverters.toListString)
    idCol: Param[str] = Param(Params._dummy(), "idCol", "column of row ids, for metadata", TypeConverters.toString)
    metadataCol: Param[str] = Param(Params._dummy(), "metadataCol", "column of maps, for metadata", TypeConverters.toString)
    cleanupMode: Param[str] = Param(Params._dummy(), "cleanupMode", ", ".join(MODES), TypeConverters.toString)

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._setDefault(cleanupMode="disabled")

    def setOutputCols(self, *value: str | list[str]) -> MultiDocumentAssembler:
        """Name the columns made, as one list or as arguments."""
        return self.with_params(outputCols=names_of(value))

    def setOutputCol(self, *value: str | list[str]) -> MultiDocumentAssembler:
        """As setOutputCols: some of Spark NLP's own examples call it so."""
        return self.setOutputCols(*value)

    def getOutputCols(self) -> list[str]:
        return list(self.value_of("outputCols"))

    def setIdCol(self, value: str) -> MultiDocumentAssembler:
        """Name the column whose values become `metadata["id"]`."""
        return self.with_params(idCol=value)

    def setMetadataCol(self, value: str) -> MultiDocumentAssembler:
        """Name a column of maps from string to string, whose entries enter `metadata`."""
        return self.with_params(metadataCol=value)

    def setCleanupMode(self, value: str) -> MultiDocumentAssembler:
        """Choose how white space is replaced; answers quote the text after that. Raises SettingError."""
        mode = str(value).strip().lower()
        if mode not in MODES:
            raise SettingError(f"cleanupMode is {value!r}; it must be one of {', '.join(MODES)}.")
        return self.with_params(cleanupMode=mode)

    def getCleanupMode(self) -> str:
        return str(self.value_of("cleanupMode"))

    def _pairs(self) -> list[tuple[str, str]]:
        names, made = self.getInputCols(), self.getOutputCols()
        if len(names) != len(made):
            raise SettingError(f"MultiDocumentAssembler has {len(names)} inputCols and {len(made)} outputCols.")
        return list(zip(names, made, strict=True))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F
        from pyspark.sql.types import ArrayType, StringType

        for name, into in self._pairs():
            kind = column_type(dataset, name)
            column = F.col(_quoted(name))
            if isinstance(kind, StringType):
                made = F.array(self._document(column, F.lit("0")))
            elif isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType):
                made = F.transform(column, lambda text, n: self._document(text, n.cast("string")))
            else:
                raise SettingError(f"The column {name!r} is {kind.simpleString()[:80]}; it must be string.")
            annotated = made.cast(spark_type([ANNOTATION])).alias(into, metadata={"annotatorType": DOCUMENT})
            dataset = dataset.withColumn(into, annotated)
        return dataset

    def _document(self, text: Column, number: Column) -> Column:
        from pyspark.sql import functions as F

        text = F.coalesce(text, F.lit(""))
        if self.getCleanupMode() in CLEANUP:
            pattern, by, trimmed = CLEANUP[self.getCleanupMode()]
            text = F.regexp_replace(F.regexp_replace(text, TRIM, "") if trimmed else text, pattern, by)
        facts = F.create_map(F.lit("sentence"), number)
        if self.isDefined("idCol"):
            facts = F.map_concat(F.create_map(F.lit("id"), F.col(_quoted(self.getOrDefault("idCol"))).cast("string")), facts)
        if self.isDefined("metadataCol"):
            given = F.map_filter(
                F.col(_quoted(self.getOrDefault("metadataCol"))), lambda key, _: ~key.isin("id", "sentence")
            )
            facts = F.coalesce(F.map_concat(given, facts), facts)
        parts = (F.lit(DOCUMENT), F.lit(0), F.length(text) - 1, text, facts, F.array().cast("array<float>"))
        return F.struct(*(part.alias(name) for part, name in zip(parts, ANNOTATION, strict=True)))

    def annotate_row(self, row: Row) -> dict[str, list[Values]]:
        """The documents of one row, computed here; the row holds its texts as annotations."""
        mode = self.getCleanupMode()
        return {into: [document(text["result"], mode) for text in row.get(name, ())] for name, into in self._pairs()}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"

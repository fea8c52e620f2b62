"""`LightPipeline`: the stages of a pipeline for single rows, without a Spark job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from indexing.errors import SettingError
from qa_pipeline.spark.annotations import Annotation, as_annotations, document
from qa_pipeline.spark.rows import Values

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from qa_pipeline.spark.stage import Row


class RowStage(Protocol):
    """A stage that computes its columns of one row in this process."""

    def getInputCols(self) -> list[str]: ...

    def annotate_row(self, row: Row) -> dict[str, list[Values]]: ...


class LightPipeline:
    """The stages of a fitted pipeline for single rows, without a Spark job. The reader is loaded in this process.

    Raises SettingError for a stage that is not of docqa.
    """

    def __init__(self, pipelineModel: Any, parse_embeddings: bool = False) -> None:
        self.pipeline_model = pipelineModel
        self._stages: list[RowStage] = []
        for stage in pipelineModel.stages:
            if not hasattr(stage, "annotate_row"):
                raise SettingError(f"LightPipeline cannot run the stage {type(stage).__name__}; use transform instead.")
            self._stages.append(stage)
        if not self._stages:
            raise SettingError("LightPipeline needs a pipeline with stages.")

    def annotate(self, target: Any, optional_target: Any = "") -> Any:
        """The results of each column: a dict for a question and its context, a list of dicts for lists of them."""
        found = [
            {name: [part.result for part in parts] for name, parts in row.items()}
            for row in self.fullAnnotate(target, optional_target)
        ]
        return found[0] if isinstance(target, str) else found

    def fullAnnotate(self, target: Any, optional_target: Any = "") -> list[dict[str, list[Annotation]]]:
        """The annotations of each column, a dict for each row. target: question or questions; optional_target: contexts."""
        questions = [target] if isinstance(target, str) else list(target)
        contexts = [optional_target] * len(questions) if isinstance(optional_target, str) else list(optional_target)
        if len(questions) != len(contexts):
            raise SettingError(f"There are {len(questions)} questions and {len(contexts)} contexts; each needs one.")
        return [self._row(*pair) for pair in zip(questions, contexts, strict=True)]

    def _row(self, *texts: str) -> dict[str, list[Annotation]]:
        given = {
            name: [document(text, "disabled")] for name, text in zip(self._stages[0].getInputCols(), texts, strict=False)
        }
        row: dict[str, list[Values]] = {**given}
        for stage in self._stages:
            row |= stage.annotate_row(row)
        return {name: as_annotations(parts) for name, parts in row.items() if name not in given}

    def transform(self, dataframe: DataFrame) -> DataFrame:
        """The frame with the columns of all stages, computed by Spark."""
        found: DataFrame = self.pipeline_model.transform(dataframe)
        return found

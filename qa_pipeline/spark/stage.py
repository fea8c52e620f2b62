"""`Stage`: what the Spark ML stages of docqa share. This module alone imports pyspark.ml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from indexing.errors import SettingError
from qa_pipeline.spark.rows import Values

try:
    from pyspark.ml import Transformer
    from pyspark.ml.param import Param, Params, TypeConverters
    from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
except ImportError as missing:
    raise SettingError("Spark is not installed here; `pip install 'docqa[spark]'` brings it.") from missing

__all__ = ["Param", "Params", "Row", "Self", "Stage", "TypeConverters", "names_of"]

Self = TypeVar("Self", bound="Stage")
Row = Mapping[str, Sequence[Values]]
"""The columns of one row, each as annotations."""


class Stage(Transformer, DefaultParamsReadable[Any], DefaultParamsWritable):
    """A stage with input columns."""

    inputCols: Param[list[str]] = Param(Params._dummy(), "inputCols", "columns that are read", TypeConverters.toListString)

    def __init__(self, **params: Any) -> None:
        super().__init__()
        self.with_params(**params)

    def setInputCols(self: Self, *value: str | list[str]) -> Self:
        """Name the columns that are read, as one list or as arguments."""
        return self.with_params(inputCols=names_of(value))

    def getInputCols(self) -> list[str]:
        return list(self.value_of("inputCols"))

    def setParams(self: Self, **params: Any) -> Self:
        """Set parameters by name. Raises SettingError."""
        return self.with_params(**params)

    def with_params(self: Self, **params: Any) -> Self:
        """Set parameters, each of its type. Raises SettingError for another type or name."""
        names = [param.name for param in self.params]
        if unknown := sorted(set(params) - set(names)):
            raise SettingError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {', '.join(names)}.")
        for name, value in params.items():
            try:
                self._set(**{name: value})
            except TypeError as error:
                kind, doc = type(value).__name__, self.getParam(name).doc
                raise SettingError(f"{name} of {type(self).__name__} cannot be of type {kind} ({doc}).") from error
        return self

    def value_of(self, name: str) -> Any:
        """A parameter's value. Raises SettingError if it was never set."""
        if not self.isDefined(name):
            raise SettingError(f"{type(self).__name__} has no {name}; set it first.")
        return self.getOrDefault(name)


def names_of(value: tuple[Any, ...]) -> list[str]:
    """Names given as one list or tuple, or as arguments."""
    return list(value[0]) if len(value) == 1 and isinstance(value[0], list | tuple) else list(value)

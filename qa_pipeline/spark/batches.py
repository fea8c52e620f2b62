"""What runs in a Python worker of Spark: Arrow batches in, the same with one more column out.

A worker imports neither pyspark's SQL, torch, Haystack nor transformers for a reader that ONNX Runtime computes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexing.errors import IndexMissing
from indexing.models.threads import VARIABLE
from qa_pipeline.spark.rows import Column, Values, Work, arrow_type

AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Batches:
    """Arrow batches -> the same with the column `into`: the values of `work` for the columns `reads`.

    reads: columns of strings, or of lists of annotations, whose `result` is read. shape: of a value of `into`.
    at_once: rows given to `work` in one call.
    """

    work: Work
    reads: tuple[str, ...]
    into: str
    shape: Values | list[Values]
    at_once: int = AT_ONCE

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        take_share()
        for batch in batches:
            for first in range(0, batch.num_rows, self.at_once):
                part = batch.slice(first, self.at_once)
                made = self.work(*(texts(part.column(name)) for name in self.reads))
                column = pa.array(made, type=arrow_type(self.shape))
                yield pa.RecordBatch.from_arrays([*part.columns, column], names=[*part.schema.names, self.into])


def texts(column: Any) -> Column:
    """The texts of an Arrow column; bytes where a value is not UTF-8, which Spark allows in a string.

    Of a list of annotations it is their results, with a line break between them.
    """
    import pyarrow as pa

    if pa.types.is_list(column.type):
        lengths = [length or 0 for length in column.value_lengths().to_pylist()]
        return _joined(texts(column.flatten().field("result")), lengths)
    try:
        found: Column = column.to_pylist()
    except UnicodeDecodeError:
        found = [_decoded(value) for value in column.cast(pa.binary()).to_pylist()]
    return found


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return value if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _joined(results: Column, lengths: Sequence[int]) -> Column:
    """The results of each list, lists having these lengths; a list with bytes in it is bytes, an empty one None."""
    found: list[str | bytes | None] = []
    at = 0
    for length in lengths:
        part = results[at : at + length]
        at += length
        wrong = next((one for one in part if isinstance(one, bytes)), None)
        found.append(wrong if wrong is not None else "\n".join(str(one or "") for one in part) if part else None)
    return found


def place(index: str) -> Path:
    """The index or its parts on this machine: at that path, or among the files shipped by Spark. Raises IndexMissing."""
    from pyspark import SparkFiles

    from indexing.store.parts import is_parts
    from indexing.store.sqlite import DATABASE

    shipped: Any = SparkFiles
    for found in (lambda: index, lambda: shipped.get(index)):
        path = Path(found())
        if (path / DATABASE).is_file() or is_parts(path):
            return path
    raise IndexMissing(f"There is no index in {index}, nor was one shipped under that name (docs/explanation/spark.md).")


def take_share() -> None:
    """Limit threads to the cores of the task, so that concurrent tasks do not compete.

    torch takes the limit from the environment if it is imported later, and from here if it was imported before.
    """
    from pyspark import TaskContext

    task: Any = TaskContext.get()
    cores = task.cpus() if task else 1
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if cores > 1 else "false"
    os.environ["OMP_NUM_THREADS"] = os.environ[VARIABLE] = str(cores)
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != cores:
        torch.set_num_threads(cores)

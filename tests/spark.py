"""What the tests on Spark need: pyspark and Java; and what they look for in a worker, which imports this module alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("torch", "transformers", "haystack", "sentence_transformers", "sklearn", "scipy", "faiss")


def needs_spark() -> None:
    """Skip the calling module where pyspark or Java is missing.

    With DOCQA_SPARK_TESTS=1, as `make test-spark` sets it, what is missing is an error, not a reason to skip.
    """
    if os.environ.get("DOCQA_SPARK_TESTS") == "1":
        return
    pytest.importorskip("pyspark", reason="needs pyspark (450 MB) and Java 17: make test-spark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("needs Java 17 or newer: make test-spark", allow_module_level=True)


def worker_modules(batches: Any) -> Iterator[Any]:
    """In a worker: its process id, how many readers it holds, and the heavy libraries that it has imported."""
    import pyarrow as pa

    from qa_pipeline.spark import rows

    for batch in batches:
        heavy = [name for name in HEAVY if name in sys.modules]
        held = rows._reader.cache_info().currsize
        columns = [pa.array([value] * batch.num_rows) for value in (os.getpid(), held)]
        columns.append(pa.array([heavy] * batch.num_rows, pa.list_(pa.string())))
        yield pa.RecordBatch.from_arrays(columns, ["pid", "held", "heavy"])


@dataclass(frozen=True)
class KillsItsWorker:
    """Arrow batches as they come. Where the file `mark` is, the first worker that removes it is killed, as by the system.

    executor: kill the Java process that has started the worker's daemon, and with it all its workers.
    """

    mark: str
    executor: bool = False

    def __call__(self, batches: Any) -> Iterator[Any]:
        for batch in batches:
            with suppress(FileNotFoundError):
                os.unlink(self.mark)
                os.kill(parent_of(os.getppid()) if self.executor else os.getpid(), signal.SIGKILL)
            yield batch


def parent_of(process: int) -> int:
    """The process that has started a process."""
    return int(Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[1])

"""Executors as processes of their own: two of them, of which one is killed while it works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spark import needs_spark

needs_spark()

from indexing.build import build_index
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from tests.known import SCRIPTS

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from indexing.settings import IndexSettings
from qa_pipeline.spark import indexing
from tests.spark import KillsItsWorker

documents, into, mark, path = sys.argv[1:]
builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("docqa tests")
for name, value in {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.executorEnv.PYTHONPATH": path,
    "spark.log.level": "ERROR",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
prepare = indexing._prepare

def marked(*arguments):
    Path(mark).touch()
    prepare(*arguments)

indexing._prepare = marked
frame = session.read.format("binaryFile").load(documents)
killing = frame.mapInArrow(KillsItsWorker(mark, executor=True), frame.schema)
settings = IndexSettings(embedder="builtin", tiers="token")
report = indexing.index_documents(killing, Path(into), settings, root=f"file:{documents}")
print("indexed", report.count("indexed"), "killed", not Path(mark).exists())
session.stop()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the executor in /proc")
def test_a_killed_executor_loses_nothing(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for language, text in SCRIPTS.items():
        (documents / f"{language}.txt").write_text(text, "utf-8")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, documents, tmp_path / "spark", tmp_path / "mark", ROOT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable},
    )
    assert f"indexed {len(SCRIPTS)} killed True" in run.stdout, run.stderr[-3_000:]
    build_index(documents, tmp_path / "plain", IndexSettings(embedder="builtin", tiers="token"))
    found = []
    for name in ("spark", "plain"):
        with IndexFolder.open(tmp_path / name) as folder:
            ask = folder.connection().execute
            found.append(list(ask('SELECT id, key, start, "end", language, text, vector FROM chunks ORDER BY id')))
    assert found[0] == found[1] != []

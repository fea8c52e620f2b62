"""A standalone master with two workers, each a process of its own, as on machines of a cluster."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.spark import needs_spark

needs_spark()

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 300.0
WORKERS = 2
DEFAULTS = """
spark.ui.enabled false
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.driver.memory 512m
spark.executor.memory 512m
spark.scheduler.minRegisteredResourcesRatio 1.0
spark.scheduler.maxRegisteredResourcesWaitingTime 300s
"""


@contextmanager
def started(log: Path, *arguments: str, env: dict[str, str]) -> Iterator[None]:
    """A process of Spark's own, with its log; ended afterwards."""
    import pyspark

    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    with log.open("wb") as file:
        process = subprocess.Popen([program, *arguments], stdout=file, stderr=file, env=env)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def wait_for(log: Path, sign: str) -> None:
    end = time.monotonic() + WAIT_S
    while sign not in log.read_text("utf-8", "replace"):
        assert time.monotonic() < end, log.read_text("utf-8", "replace")[-2_000:]
        time.sleep(0.2)


@pytest.mark.slow
def test_two_workers_of_a_standalone_master_answer(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(DEFAULTS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    env["SPARK_CONF_DIR"] = str(tmp_path / "conf")
    table = [
        {"id": n, "question": "When did the bridge open?", "context": f"The bridge {n} opened in {1900 + n}."}
        for n in range(8)
    ]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    places = [tmp_path / f"worker-{number}" for number in range(WORKERS)]
    with ExitStack() as running:
        master = "org.apache.spark.deploy.master.Master"
        where = ("--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        running.enter_context(started(tmp_path / "master.log", master, *where, env=env))
        wait_for(tmp_path / "master.log", "New state: ALIVE")
        for place in places:
            worker = ("org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0")
            running.enter_context(started(place.with_suffix(".log"), *worker, "-d", str(place), url, env=env))
        for place in places:
            wait_for(place.with_suffix(".log"), "Successfully registered with master")
        command = ("spark", "read", tmp_path / "asked.jsonl", "--into", tmp_path / "out.jsonl", "--reader", "builtin")
        run = subprocess.run(
            [sys.executable, "-m", "qa_pipeline.cli", *command, "--master", url, "--partitions", "4"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=env,
        )
        assert run.returncode == 0, run.stderr[-3_000:]
    assert "8 rows: 8 answered" in run.stdout
    rows = [json.loads(line) for part in (tmp_path / "out.jsonl").glob("part-*") for line in part.read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == list(range(8))
    for row in rows:
        assert row["answer"]["answer"] == str(1900 + row["id"])
        assert row["context"][row["answer"]["start"] : row["answer"]["end"]] == row["answer"]["answer"]
    assert all(list(place.glob("app-*/*/stderr")) for place in places), "both workers had an executor"

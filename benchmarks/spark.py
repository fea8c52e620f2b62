"""What Spark costs and gives: the same rows of question and text read in one plain process, and by Spark on 1 and 2 cores.

A row is a question of examples/questions.json and four random sentences of examples/corpus in one language; no two rows
are equal. Every variant runs in its own process, with the built-in reader and as many threads as it has cores. A first run
over a few rows starts everything (`start s`); the second run is measured. CPU time includes child processes (Java and
Python workers); on a busy machine it is more reliable than the rate.

Of the Python workers it gives the memory after all rows (`worker MB`, the largest), the same with shared pages divided among
their users (`own MB`), and the time from the start of the process to its first answer (`ready s`, the slowest).

    python -m benchmarks.spark [--rows 2000] [--precision fp32] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.asking import questions
from benchmarks.corpus import EXAMPLES, material

Row = tuple[int, str, str]
Answers = dict[int, tuple[str | None, int | None]]
Run = Callable[[Sequence[Row]], Answers]
CORES = (1, 2)
SENTENCES = 4
FEW = 16
CONF = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.log.level": "ERROR"}


def rows(count: int, seed: int = 1) -> list[Row]:
    """(number, question, text); texts have SENTENCES sentences, alternating between languages."""
    draw, asked, languages = random.Random(seed), questions(10_000), material([EXAMPLES])
    texts = (" ".join(draw.sample(languages[n % len(languages)].sentences, SENTENCES)) for n in range(count))
    return [(n, draw.choice(asked), text) for n, text in enumerate(texts)]


def plain(cores: int, precision: str) -> Run:
    """Reads the rows in one process, in batches of the size that Spark's Python workers use."""
    from indexing.models.threads import VARIABLE
    from qa_pipeline.spark.batches import AT_ONCE
    from qa_pipeline.spark.rows import ReadRows

    os.environ[VARIABLE] = str(cores)
    work = ReadRows("builtin", precision, 1, None)

    def run(part: Sequence[Row]) -> Answers:
        found: Answers = {}
        for first in range(0, len(part), AT_ONCE):
            numbers, asked, texts = zip(*part[first : first + AT_ONCE], strict=True)
            found |= {n: (t.get("answer"), t.get("start")) for n, t in zip(numbers, work(asked, texts), strict=True)}
        return found

    return run


Workers = Callable[[], dict[str, float]]


def on_spark(cores: int, precision: str) -> tuple[Run, Workers]:
    """Reads the rows by Spark on this many local cores; with enough partitions that no core is idle for long at the end.

    Second, what its Python workers say of themselves.
    """
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    from qa_pipeline.spark.dataframe import answer

    builder = SparkSession.builder.master(f"local[{cores}]").appName("docqa benchmark")
    for name, value in CONF.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()

    def run(part: Sequence[Row]) -> Answers:
        frame = session.createDataFrame(list(part), "id int, question string, context string").repartition(8 * cores)
        told = answer(frame, reader="builtin", precision=precision).select("id", "answer.answer", "answer.start")
        return {row.id: (row.answer, row.start) for row in told.collect()}

    def workers() -> dict[str, float]:
        told = session.range(0, 8 * cores, 1, 8 * cores).mapInArrow(own_facts, "rss double, pss double").collect()
        return {"worker MB": max(row.rss for row in told), "own MB": max(row.pss for row in told)}

    first = session.range(0, cores, 1, cores).mapInArrow(first_answer(precision), "seconds double, cpu double").collect()
    ready = {"ready s": max(row.seconds for row in first), "ready cpu s": max(row.cpu for row in first)}
    return run, lambda: {**ready, **workers()}


def first_answer(precision: str) -> Callable[[Any], Any]:
    """In a new worker: seconds from the start of its process to its first answer, and CPU seconds."""

    def answered(batches: Any) -> Any:
        import pyarrow as pa

        from qa_pipeline.spark.batches import take_share
        from qa_pipeline.spark.rows import ReadRows

        for batch in batches:
            take_share()
            ReadRows("builtin", precision, 1, None)(["Where is the bridge?"], ["The bridge stands in Kestrel."])
            born = int(Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
            now = float(Path("/proc/uptime").read_text("utf-8").split()[0])
            values = [[now - born] * batch.num_rows, [time.process_time()] * batch.num_rows]
            yield pa.RecordBatch.from_arrays([pa.array(value) for value in values], ["seconds", "cpu"])

    return answered


def own_facts(batches: Any) -> Any:
    """In a worker: its resident memory in MB (10^6 bytes), and the same with shared pages divided among their users."""
    import pyarrow as pa

    for batch in batches:
        lines = Path("/proc/self/smaps_rollup").read_text("utf-8").splitlines()[1:]
        sizes = {line.split()[0]: int(line.split()[1]) * 1_024 / 1e6 for line in lines}
        values = [[sizes[name]] * batch.num_rows for name in ("Rss:", "Pss:")]
        yield pa.RecordBatch.from_arrays([pa.array(value) for value in values], ["rss", "pss"])


def measure(way: str, cores: int, count: int, precision: str) -> dict[str, Any]:
    """Measures one variant in this process: seconds to start, seconds for all rows, and the answers."""
    every = rows(count + FEW * cores)
    began = time.perf_counter()
    run, workers = on_spark(cores, precision) if way == "spark" else (plain(cores, precision), dict[str, float])
    run(every[count:])
    started, used = time.perf_counter(), processor_seconds()
    answers = run(every[:count])
    done, used = time.perf_counter(), processor_seconds() - used
    facts = {"start": started - began, "seconds": done - started, "cpu": used, "answers": sorted(answers.items())}
    return {**facts, "workers": workers()}


def processor_seconds() -> float:
    """CPU seconds of this process and its descendants; nan where the system does not report them."""
    used: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        used[int(path.parent.name)] = int(words[1]), sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {pid for pid, (parent, _) in used.items() if parent in ours} - ours:
        ours |= more
    return sum(used[pid][1] for pid in ours & used.keys()) if used else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rows", type=int, default=2_000, metavar="N", help="rows to read (2,000)")
    options.add_argument("--precision", default="fp32", help="how the reader computes (fp32)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write machine and figures as JSON")
    options.add_argument("--only", nargs=2, metavar=("WAY", "CORES"), help=argparse.SUPPRESS)
    chosen = options.parse_args(arguments)
    if chosen.only:
        print(json.dumps(measure(chosen.only[0], int(chosen.only[1]), chosen.rows, chosen.precision)))
        return 0
    facts = machine.facts((*machine.PACKAGES, "pyspark"))
    print(machine.line(facts), flush=True)
    table: list[dict[str, Any]] = []
    first: list[Any] = []
    for way, cores in [(way, cores) for cores in CORES for way in ("plain", "spark")]:
        how = ("--only", way, str(cores), "--rows", str(chosen.rows), "--precision", chosen.precision)
        found = machine.in_fresh_process("benchmarks.spark", *how)
        first = first or found["answers"]
        same = sum(a == b for a, b in zip(first, found["answers"], strict=True)) / max(1, len(first))
        table.append(
            {
                "way": f"local[{cores}]" if way == "spark" else f"one process, {cores} threads",
                "rows": len(first),
                "start s": found["start"],
                "rows/s": chosen.rows / found["seconds"],
                "cpu s / 1,000 rows": 1e3 * found["cpu"] / chosen.rows,
                "same answers %": 100 * same,
                **{
                    name: found["workers"].get(name, float("nan"))
                    for name in ("worker MB", "own MB", "ready s", "ready cpu s")
                },
            }
        )
        print(f"{table[-1]['way']}: {table[-1]['rows/s']:.1f} rows/s", flush=True)
    print(machine.table(table))
    machine.finish(facts, {"rows": table}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

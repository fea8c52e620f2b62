"""One large index on one machine: memory and time of indexing by stage, disk, opening, and retrieval with filters.

Documents and index stand in a folder that is kept (`--in`). Each part runs in its own process. CPU seconds stand beside
wall time, since they can be compared on a busy machine too. Before an opening, the files leave the system's page cache.
Memory is resident memory of the process and its children: `anonymous` cannot be dropped by the system, mapped files can.

    python -m benchmarks.scale --in FOLDER --passages 100000 [--vectors hnsw] [--only index retrieval words] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.corpus import write
from benchmarks.opening import questions
from indexing.settings import VectorKind

PARTS = ("index", "retrieval", "words")
SAMPLE_S = 0.1
QUESTIONS = 60
FILTERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "50 %": {"source": {"$glob": "g[0-4]*"}},
    "1 %": {"source": {"$glob": "g07/*"}},
    "0.1 %": {"source": {"$glob": "g07/*7?.txt"}},
    "language": {"language": "de"},
}


class Memory:
    """Peak memory by stage, in MB, sampled by a thread: of this process and its children."""

    def __init__(self) -> None:
        self.peaks: dict[str, dict[str, float]] = {}
        self.stages: list[str] = ["files"]
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            anonymous, mapped = _memory(os.getpid())
            most = self.peaks.setdefault(self.stages[-1], {"anonymous": 0.0, "mapped": 0.0, "children": 0.0})
            found = {"anonymous": anonymous, "mapped": mapped, "children": sum(sum(_memory(pid)) for pid in _children())}
            most.update({name: max(value, most[name]) for name, value in found.items()})
            time.sleep(SAMPLE_S)


class Stages:
    """Seconds and CPU seconds of watched functions, each without those it calls."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.spent = memory, dict[str, list[float]]()
        self._mark = self._now()

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def turn(self) -> None:
        """Count the time since the last turn for the present stage."""
        now = self._now()
        spent = self.spent.setdefault(self.memory.stages[-1], [0.0, 0.0])
        spent[0] += now[0] - self._mark[0]
        spent[1] += now[1] - self._mark[1]
        self._mark = now

    def watch(self, owner: Any, name: str, stage: str, wrap: Callable[[Any], Any] = lambda function: function) -> None:
        function = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            self.turn()
            self.memory.stages.append(stage)
            try:
                return function(*arguments, **named)
            finally:
                self.turn()
                self.memory.stages.pop()

        setattr(owner, name, wrap(timed))


def indexed(place: Path, vectors: VectorKind) -> dict[str, Any]:
    """Indexes the documents anew: time and memory by stage, and what the disk holds."""
    from indexing.build import build_index
    from indexing.settings import IndexSettings
    from indexing.store import derived_files, faiss_index
    from indexing.store.bm25 import Segment
    from indexing.store.corpus_db import IndexFolder
    from indexing.store.index import Index

    shutil.rmtree(place / "index", ignore_errors=True)
    memory = Memory()
    stages = Stages(memory)
    for owner, name, stage, wrap in (
        (IndexFolder, "write", "database", lambda function: function),
        (IndexFolder, "vectors", "vectors read", lambda function: function),
        (Index, "publish", "publish", lambda function: function),
        (faiss_index, "build_base", "FAISS", lambda function: function),
        (faiss_index, "grow_base", "FAISS", lambda function: function),
        (faiss_index, "save_base", "FAISS file", lambda function: function),
        (derived_files, "merge_into", "postings on disk", lambda function: function),
        (Segment, "merge", "postings", staticmethod),
    ):
        stages.watch(owner, name, stage, wrap)
    settings = IndexSettings(embedder="builtin", vectors=vectors, tiers="token")
    report = build_index(place / "documents", place / "index", settings)
    stages.turn()
    rows = [
        {"stage": name, "seconds": wall, "CPU s": cpu, **memory.peaks.get(name, {})}
        for name, (wall, cpu) in sorted(stages.spent.items())
    ]
    return {"stages": rows, "seconds": report.seconds, "children CPU s": _children_cpu(), **disk(place / "index")}


def disk(index: Path) -> dict[str, Any]:
    """Bytes of the files, of the text and of the vectors."""
    from indexing.store.corpus_db import IndexFolder

    with IndexFolder.open(index) as folder:
        ask = folder.connection().execute
        passages = ask("SELECT count(*) FROM chunks").fetchone()[0]
        text = ask("SELECT sum(length(CAST(text AS BLOB))) FROM documents").fetchone()[0]
        vectors = 4 * passages * int(folder.model["dimension"])
    size = {name: sum(p.stat().st_size for p in index.glob(name)) / 1e6 for name in ("corpus.db", "*.faiss", "keywords*")}
    database = size["corpus.db"]
    ratio = (database - vectors / 1e6) / (text / 1e6)
    return {
        "passages": passages,
        "text MB": text / 1e6,
        "vectors MB": vectors / 1e6,
        "database MB": database,
        "FAISS MB": size["*.faiss"],
        "BM25 MB": size["keywords*"],
        "database without vectors / text": ratio,
    }


def retrieved(place: Path) -> dict[str, Any]:
    """Opening from disk, memory, and milliseconds of dense, BM25 and whole retrieval without and with filters."""
    from indexing.models.embedder import Embedder
    from indexing.store.index import Index
    from qa_pipeline.retrieval.retriever import Retriever

    embedder = Embedder.load("builtin")
    embedder.passages(["warm"])
    _drop_from_cache(place / "index")
    before, began = sum(_memory(os.getpid())), (time.perf_counter(), time.process_time())
    with Index.open(place / "index") as index:
        cold = time.perf_counter() - began[0], time.process_time() - began[1]
        retriever = Retriever(index, embedder)
        pool = questions(index.folder, QUESTIONS * len(FILTERS))
        retriever.passages("warm")
        rows = []
        for number, (name, filters) in enumerate(FILTERS.items()):
            mine = pool[number * QUESTIONS : (number + 1) * QUESTIONS]
            vectors = embedder.passages([text for text, _ in mine])
            start = time.perf_counter(), time.process_time()
            with index.snapshot() as snapshot:
                allowed = snapshot.allowed(filters)
                first = time.perf_counter() - start[0], time.process_time() - start[1]
                dense = _timed(lambda item, f=filters: snapshot.nearest(item, 60, f), list(vectors))  # type: ignore[misc]
                words = _timed(lambda item, f=filters: snapshot.best(item[0], item[1], 100, f), mine)  # type: ignore[misc]
            whole = _timed(lambda item, f=filters: retriever.passages(item[0], filters=f), mine)  # type: ignore[misc]
            row: dict[str, Any] = {"filter": name, "passages": None if allowed is None else len(allowed)}
            row |= {"first ms": 1e3 * first[0], "first CPU ms": 1e3 * first[1]}
            for way, times in (("dense", dense), ("BM25", words), ("whole", whole)):
                row |= {f"{way} p50": machine.quantile(times[0], 0.5), f"{way} p95": machine.quantile(times[0], 0.95)}
                row[f"{way} CPU"] = machine.quantile(times[1], 0.5)
            rows.append(row)
        anonymous, mapped = _memory(os.getpid())
        return {
            "cold open s": cold[0],
            "cold open CPU s": cold[1],
            "before MB": before,
            "anonymous MB": anonymous,
            "mapped MB": mapped,
            "questions": rows,
        }


def searched(place: Path) -> dict[str, Any]:
    from benchmarks.word_search import measured

    return measured(place / "index", 30, 2, 5_000, lambda what, row: print(what, row, file=sys.stderr, flush=True))


def _timed(ask: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[float], list[float]]:
    """Milliseconds of each call: wall and CPU."""
    wall, cpu = [], []
    for item in items:
        began = time.perf_counter(), time.process_time()
        ask(item)
        wall.append(1e3 * (time.perf_counter() - began[0]))
        cpu.append(1e3 * (time.process_time() - began[1]))
    return wall, cpu


def _drop_from_cache(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _memory(pid: int) -> tuple[float, float]:
    """(anonymous, mapped) resident MB of a process; zeros if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0.0, 0.0
    found = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "Rss" in name}
    return found.get("RssAnon", 0) / 1e3, (found.get("RssFile", 0) + found.get("RssShmem", 0)) / 1e3


def _children() -> list[int]:
    try:
        return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    except OSError:
        return []


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.scale", description=(__doc__ or "").splitlines()[0])
    options.add_argument(
        "--in", type=Path, dest="place", required=True, help="folder the documents and the index are kept in"
    )
    options.add_argument("--passages", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--vectors", choices=("auto", "flat", "hnsw", "ivfpq"), default="auto")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--json", type=Path)
    options.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        ways = {"index": lambda: indexed(chosen.place, chosen.vectors), "retrieval": lambda: retrieved(chosen.place)}
        print(json.dumps((ways | {"words": lambda: searched(chosen.place)})[chosen.measure]()))
        return 0
    here = machine.facts()
    print(machine.line(here), flush=True)
    if not (chosen.place / "documents").is_dir():
        write(chosen.place / "documents", chosen.passages, chosen.seed)
    found: dict[str, Any] = {}
    for part in chosen.only:
        asked = ("--in", str(chosen.place.absolute()), "--vectors", chosen.vectors, "--measure", part)
        found[part] = machine.in_fresh_process("benchmarks.scale", *asked)
        show(found[part])
    machine.finish(here, found, chosen.json)
    return 0


def show(found: dict[str, Any]) -> None:
    """Prints single values in a table of one row, and lists of rows as tables."""
    print(machine.table([{name: value for name, value in found.items() if not isinstance(value, list | dict)}]), "\n")
    for name, value in found.items():
        if isinstance(value, list | dict):
            rows = value if isinstance(value, list) else [{name: kind, **row} for kind, row in value.items()]
            print(machine.table(rows), "\n", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())

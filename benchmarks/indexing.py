"""Passages per second from text files to a saved index, compared with stock farm-haystack on the same files and model.

docqa: `indexing.build.build_index`. Stock: files read by Python, `PreProcessor`, `FAISSDocumentStore` over SQLite,
`EmbeddingRetriever` with the same built-in model, `write_documents`, `update_embeddings`, `save`. Each side runs in its
own process and is timed twice. One time starts after models and libraries are loaded (docqa's worker processes count). The
other is the whole process, as a command costs. CPU seconds include child processes, so they can be compared on a busy
machine too. Stock needs nltk, which docqa does not: `pip install nltk`. None of its data is used; sentence boundaries are
not respected, because that needs a download.

    python -m benchmarks.indexing [--passages 2000 10000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.corpus import write

NOT_DONE = {
    "docqa": "-",
    "stock": "no keyword index, no language, no offsets into the file, no crash safety, nothing incremental",
}


class Stages:
    """Seconds spent in watched functions, without nested watched functions; summed over threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._local = threading.local()

    @property
    def _open(self) -> list[float]:
        if not hasattr(self._local, "open"):
            self._local.open = []
        inside: list[float] = self._local.open
        return inside

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Wraps `owner.name` to measure its time; iterators are timed while they are consumed."""
        function = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **named)

        setattr(owner, name, timed)

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        self._open.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - began
            inside = self._open.pop()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took - inside
            if self._open:
                self._open[-1] += took


def watched() -> Stages:
    """The stages of docqa's indexing."""
    from indexing import prepare, workers
    from indexing.files.walk import FileReader
    from indexing.models.embedder import Embedder
    from indexing.store import bm25, index
    from indexing.store.corpus_db import IndexFolder
    from indexing.store.derived_files import DerivedFiles

    stages = Stages()
    for owner, name, stage in (
        (FileReader, "read", "read"),
        (prepare, "detect_all", "language"),
        (prepare, "cut", "chunks"),
        (prepare, "count_tokens", "count tokens"),
        (Embedder, "passages_with_tokens", "embed"),
        (IndexFolder, "write", "store"),
        (index.Index, "publish", "publish"),
        (DerivedFiles, "words", "positions of words"),
        (prepare, "hashes", "keywords"),
        (index.Index, "keep_written", "keep in step"),
        (workers._OrderedBatches, "_ready", "wait for workers"),
    ):
        stages.watch(owner, name, stage)
    merge = bm25.Segment.merge
    bm25.Segment.merge = lambda *a: _in(stages, "keywords", merge, *a)  # type: ignore[assignment, method-assign]
    return stages


def _in(stages: Stages, stage: str, function: Callable[..., Any], *arguments: Any) -> Any:
    with stages.stage(stage):
        return function(*arguments)


# -- the two sides -----------------------------------------------------------------------------------------------------


def ours(documents: Path, into: Path, profile: bool) -> dict[str, Any]:
    """Indexes the folder with docqa; `profile` adds the stage times, at a small overhead."""
    from indexing.build import build_index
    from indexing.models.embedder import Embedder
    from indexing.models.word_tokenizer import count_tokens
    from indexing.settings import IndexSettings
    from indexing.text.language_id import detect

    embedder = Embedder.load("builtin")
    embedder.passages(["warm"])
    count_tokens(["warm"])
    detect("Something in a language, so that its model is loaded.")
    stages = watched() if profile else None
    began, before = time.perf_counter(), cpu_seconds()
    report = build_index(documents, into, IndexSettings(embedder="builtin"), embedder=embedder)
    took = time.perf_counter() - began, cpu_seconds() - before
    return _result(took, report.passages, documents, into, stages)


def stock(documents: Path, into: Path, words: int) -> dict[str, Any]:
    """Indexes the folder with Haystack's own classes."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    from haystack.document_stores import FAISSDocumentStore
    from haystack.nodes import EmbeddingRetriever, PreProcessor
    from haystack.schema import Document

    from indexing.models.registry import resolve

    into.mkdir()
    machine.let_stock_load_static_models()
    model = resolve("builtin", "embedder")
    store = FAISSDocumentStore(
        sql_url=f"sqlite:///{into / 'stock.db'}", embedding_dim=_dimension(model.path), similarity="cosine"
    )
    retriever = EmbeddingRetriever(
        document_store=store,
        embedding_model=str(model.path),
        model_format="sentence_transformers",
        use_gpu=False,
        progress_bar=False,
        batch_size=256,
    )
    retriever.embed_queries(["warm"])
    cutter = PreProcessor(
        split_by="word",
        split_length=words,
        split_overlap=0,
        split_respect_sentence_boundary=False,
        clean_whitespace=False,
        clean_empty_lines=False,
        clean_header_footer=False,
        progress_bar=False,
    )
    stages = Stages()
    began, before = time.perf_counter(), cpu_seconds()
    with stages.stage("read"):
        files = [
            Document(content=path.read_text("utf-8"), meta={"name": str(path.relative_to(documents))})
            for path in sorted(documents.rglob("*.txt"))
        ]
    with stages.stage("cut"):
        passages = cutter.process(files)
    with stages.stage("store"):
        store.write_documents(passages)
    with stages.stage("embed, store vectors"):
        store.update_embeddings(retriever)
    with stages.stage("publish"):
        store.save(into / "stock.faiss")
    took = time.perf_counter() - began, cpu_seconds() - before
    return _result(took, store.get_document_count(), documents, into, stages)


def cpu_seconds() -> float:
    """CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _result(took: tuple[float, float], passages: int, documents: Path, into: Path, stages: Stages | None) -> dict[str, Any]:
    """The row of one side. took: wall and CPU seconds."""
    seconds, cpu = took
    files = list(documents.rglob("*.txt"))
    characters = sum(len(path.read_text("utf-8")) for path in files)
    return {
        "files": len(files),
        "characters": characters,
        "passages": passages,
        "seconds": seconds,
        "cpu s": cpu,
        "passages/s": passages / seconds,
        "kchars/s": characters / seconds / 1e3,
        "peak MB": machine.memory_peak() + machine.memory_peak(children=True),
        "disk MB": sum(p.stat().st_size for p in into.rglob("*") if p.is_file()) / 1e6,
        "stages": None if stages is None else stages.seconds,
    }


def _dimension(model: Path) -> int:
    from sentence_transformers import SentenceTransformer

    return int(SentenceTransformer(str(model), local_files_only=True).get_embedding_dimension() or 0)


# -- comparison --------------------------------------------------------------------------------------------------------


def compare(passages: int, seed: int, repeat: int, more: Path | None) -> list[dict[str, Any]]:
    """Both sides on one corpus, alternating, the best of `repeat` runs each; then docqa once more with stage times."""
    found: dict[str, list[dict[str, Any]]] = {"docqa": [], "stock": []}
    with tempfile.TemporaryDirectory() as place:
        documents = Path(place) / "documents"
        write(documents, passages, seed, more)
        for number in range(repeat):
            found["docqa"].append(_side("ours", documents, Path(place) / f"ours{number}"))
            words = str(_words(documents) // found["docqa"][0]["passages"])
            found["stock"].append(_side("stock", documents, Path(place) / f"stock{number}", words))
        stages = _side("ours", documents, Path(place) / "stages", "profile")["stages"]
    rows = []
    for name, runs in found.items():
        least = {what: min(float(run[what]) for run in runs) for what in ("cpu s", "whole s", "whole cpu s")}
        best = min(runs, key=lambda run: float(run["seconds"]))
        rows.append({"system": name, **best, **least, "all seconds": [run["seconds"] for run in runs]})
    rows[0]["stages"] = stages
    return rows


def _words(documents: Path) -> int:
    """Words as stock counts them, between spaces. They set its passage length, so that both sides make about as many."""
    return sum(len(path.read_text("utf-8").split()) for path in documents.rglob("*.txt"))


def _side(side: str, documents: Path, into: Path, *more: str) -> dict[str, Any]:
    began, before = time.perf_counter(), cpu_seconds()
    result: dict[str, Any] = machine.in_fresh_process(
        "benchmarks.indexing", "--side", side, str(documents), str(into), *more
    )
    return {**result, "whole s": time.perf_counter() - began, "whole cpu s": cpu_seconds() - before}


def one_side(side: str, documents: Path, into: Path, more: str) -> dict[str, Any]:
    if side == "ours":
        return ours(documents, into, more == "profile")
    return stock(documents, into, int(more))


def show(rows: list[dict[str, Any]]) -> None:
    print(machine.table([{k: v for k, v in row.items() if k not in ("stages", "all seconds")} for row in rows]))
    ours, theirs = rows
    print(
        f"ratio: {ours['passages/s'] / theirs['passages/s']:.1f} times the passages per second,"
        f" {ours['kchars/s'] / theirs['kchars/s']:.1f} times the characters, {_times(ours, theirs, 'cpu s'):.1f} times the"
        f" characters per CPU second; from the start of the process: {_times(ours, theirs, 'whole s'):.1f} and"
        f" {_times(ours, theirs, 'whole cpu s'):.1f} times the characters"
    )
    for row in rows:
        whole = sum(row["stages"].values())
        print(f"{row['system']}: " + ", ".join(f"{name} {100 * s / whole:.0f} %" for name, s in row["stages"].items()))
    print()


def _times(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> float:
    return float(theirs[what] / theirs["characters"] / (ours[what] / ours["characters"]))


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.indexing", description="Indexing speed beside stock Haystack.")
    options.add_argument("--passages", type=int, nargs="+", default=[2_000, 10_000])
    options.add_argument("--repeat", type=int, default=3, help="runs of each side; the best counts (3)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--from", type=Path, dest="more", help="a folder of documents to take sentences from, too")
    options.add_argument("--json", type=Path)
    options.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.side:
        side, documents, into, *more = chosen.side
        print(json.dumps(one_side(side, Path(documents), Path(into), more[0] if more else "")))
        return 0
    here = machine.facts()
    print(machine.line(here))
    results = {}
    for passages in chosen.passages:
        rows = compare(passages, chosen.seed, chosen.repeat, chosen.more)
        results[str(passages)] = rows
        show(rows)
    print("not done by stock: " + NOT_DONE["stock"])
    machine.finish(here, {"indexing": results}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

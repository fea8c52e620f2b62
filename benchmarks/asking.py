"""Latency of questions with loaded models, by stage, compared with stock farm-haystack in the same run.

docqa: `QAPipeline.ask` over an index of examples/corpus with the built-in models, and the command `docqa ask INDEX -` fed
with 100 questions, timed by its output lines. Stock: `EmbeddingRetriever` on a `FAISSDocumentStore`, and `FARMReader`
(num_processes=0), in Haystack's `ExtractiveQAPipeline`. Both have the same passages and models, and read equally many
passages. Each runs in its own process. The questions are those of examples/questions*.json.

    python -m benchmarks.asking [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.corpus import EXAMPLES

RETRIEVE = 10
WARM = 10
STAGES = ("embed", "retrieve", "read", "total")


def questions(at_most: int) -> list[str]:
    """At most `at_most` unique questions of examples/questions*.json, evenly spread over all files."""
    found: dict[str, None] = {}
    for path in sorted(EXAMPLES.parent.glob("questions*.json")):
        found.update((text, None) for text in _asked(json.loads(path.read_text("utf-8"))))
    step = max(1.0, len(found) / at_most)
    return [text for at, text in enumerate(found) if int(at / step) != int((at - 1) / step) or not at]


def _asked(value: Any) -> Iterator[str]:
    """The values of all "question" keys in a JSON value, SQuAD-shaped or a plain list."""
    if isinstance(value, dict):
        if isinstance(value.get("question"), str):
            yield value["question"]
        for inner in value.values():
            yield from _asked(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _asked(inner)


def row(system: str, stage: str, times: Sequence[float]) -> dict[str, Any]:
    return {
        "system": system,
        "stage": stage,
        "questions": len(times),
        "p50 ms": machine.quantile(times, 0.5),
        "p95 ms": machine.quantile(times, 0.95),
        "mean ms": sum(times) / max(1, len(times)),
    }


# -- ours --------------------------------------------------------------------------------------------------------------


def ours(index: Path, asked: Sequence[str], what: str = "ours") -> list[dict[str, Any]]:
    """Stage timings from the replies, and the wall time of each call. "bare": without late interaction."""
    from qa_pipeline.pipeline import QAPipeline
    from qa_pipeline.retrieval.candidates import Tiers

    name_of = "docqa" if what == "ours" else "docqa, cosines alone"
    pipeline = QAPipeline.open(index, "builtin")
    if what == "bare":
        pipeline.retriever.tiers = Tiers()
    for question in asked[:WARM]:
        pipeline.ask(question)
    pipeline.embedder._questions.clear()
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    outside = []
    for question in asked:
        began = time.perf_counter()
        reply = pipeline.ask(question)
        outside.append(1e3 * (time.perf_counter() - began))
        for name, times in stages.items():
            times.append(getattr(reply.timings_ms, name))
    rows = [row(name_of, name, stages[name]) for name in STAGES[:-1]]
    return [*rows, row(name_of, "whole question", outside)]


def command(index: Path, count: int = 100) -> list[dict[str, Any]]:
    """`docqa ask INDEX -`: latency from question to JSON line, sequentially; then throughput with all questions piped."""
    asked = (questions(count) * count)[: count + WARM]
    words = [sys.executable, "-m", "qa_pipeline.cli", "ask", str(index), "-", "--reader", "builtin", "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=machine.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    times: list[float] = []
    first = 0.0
    for question in asked:
        sent = time.perf_counter()
        process.stdin.write(question + "\n")
        process.stdin.flush()
        if not process.stdout.readline():
            raise RuntimeError("docqa ask ended before it had answered every question")
        times.append(1e3 * (time.perf_counter() - sent))
        if len(times) == 1:
            first = 1e3 * (time.perf_counter() - began)
    process.stdin.close()
    process.wait()
    name = "command `docqa ask -`"
    return [row(name, "one by one", times[WARM:]), row(name, "start to first answer", [first]), *_piped(words, asked)]


def _piped(words: list[str], asked: Sequence[str]) -> list[dict[str, Any]]:
    """All questions at once: the times between output lines."""
    process = subprocess.Popen(
        words, cwd=machine.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    feeder = threading.Thread(target=_feed, args=(process.stdin, asked))
    feeder.start()
    arrived = [time.perf_counter() for _ in process.stdout]
    feeder.join()
    if process.wait() not in (0, 1) or len(arrived) != len(asked):
        raise RuntimeError(f"docqa ask gave {len(arrived)} lines for {len(asked)} questions")
    between = [1e3 * (later - earlier) for earlier, later in zip(arrived, arrived[1:], strict=False)]
    return [row("command `docqa ask -`", "piped, between lines", between[WARM - 1 :])]


def _feed(pipe: Any, asked: Sequence[str]) -> None:
    pipe.write("\n".join(asked) + "\n")
    pipe.close()


# -- stock -------------------------------------------------------------------------------------------------------------


def stock(index: Path, place: Path, asked: Sequence[str]) -> list[dict[str, Any]]:
    """Haystack's own classes over the passages of our index, with the same models."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    from haystack.document_stores import FAISSDocumentStore
    from haystack.nodes import EmbeddingRetriever, FARMReader
    from haystack.pipelines import ExtractiveQAPipeline
    from haystack.schema import Document

    from indexing.models.registry import resolve
    from indexing.store.corpus_db import IndexFolder

    machine.let_stock_load_static_models()
    with IndexFolder.open(index) as folder:
        dimension = int(folder.model["dimension"])
        passages = [
            Document(content=text, id=str(number), meta={"language": language})
            for number, text, language in folder.texts(folder.chunk_ids())
        ]
    store = FAISSDocumentStore(sql_url=f"sqlite:///{place / 'stock.db'}", embedding_dim=dimension, similarity="cosine")
    store.write_documents(passages)
    retriever = EmbeddingRetriever(
        document_store=store,
        embedding_model=str(resolve("builtin", "embedder").path),
        use_gpu=False,
        top_k=RETRIEVE,
        model_format="sentence_transformers",
        progress_bar=False,
    )
    store.update_embeddings(retriever)
    reader = FARMReader(
        str(resolve("builtin", "reader").path),
        use_gpu=False,
        num_processes=0,
        progress_bar=False,
        max_seq_len=384,
        doc_stride=128,
        return_no_answer=True,
        top_k=5,
    )
    pipeline = ExtractiveQAPipeline(reader, retriever)
    for question in asked[:WARM]:
        pipeline.run(query=question)
    times: dict[str, list[float]] = {"embed": [], "retrieve": [], "read": [], "whole question": []}
    for question in asked:
        began = time.perf_counter()
        result = pipeline.run(query=question, debug=False)
        times["whole question"].append(1e3 * (time.perf_counter() - began))
        del result
    for question in asked:
        began = time.perf_counter()
        retriever.embed_queries([question])
        embedded = time.perf_counter()
        found = retriever.retrieve(question)
        retrieved = time.perf_counter()
        reader.predict(question, found, top_k=5)
        times["embed"].append(1e3 * (embedded - began))
        times["retrieve"].append(max(0.0, 1e3 * (retrieved - embedded) - times["embed"][-1]))
        times["read"].append(1e3 * (time.perf_counter() - retrieved))
    return [row("stock", name, values) for name, values in times.items()]


# -- comparison --------------------------------------------------------------------------------------------------------


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.asking", description="Latency of questions beside stock Haystack.")
    options.add_argument("--questions", type=int, default=100, help="questions for either pipeline (100)")
    options.add_argument("--json", type=Path)
    options.add_argument("--measure", nargs=3, metavar=("WHAT", "INDEX", "PLACE"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        what, index, place = chosen.measure
        asked = questions(chosen.questions)
        print(json.dumps(stock(Path(index), Path(place), asked) if what == "stock" else ours(Path(index), asked, what)))
        return 0
    from indexing.build import build_index
    from indexing.settings import IndexSettings

    here = machine.facts()
    print(machine.line(here))
    with tempfile.TemporaryDirectory() as place:
        index = Path(place) / "index"
        report = build_index(EXAMPLES, index, IndexSettings(embedder="builtin"))
        print(f"{report.documents} documents, {report.passages} passages; {RETRIEVE} passages read for each question")
        rows: list[dict[str, Any]] = []
        for what in ("ours", "bare", "stock"):
            rows += machine.in_fresh_process(
                "benchmarks.asking", "--questions", str(chosen.questions), "--measure", what, str(index), place
            )
        rows += command(index)
    print(machine.table(rows))
    machine.finish(here, {"documents": report.documents, "passages": report.passages, "asking": rows}, chosen.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

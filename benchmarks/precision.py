"""What a lower precision changes: F1, the answers that stay the same, and the time, against fp32 of torch.

Every question is read in its own context, and the best span is taken, without the no-answer verdict. The first row is the
baseline: torch's model in float32. A change of F1 says little, since gains and losses cancel; so the same spans are counted.

    python -m benchmarks.precision XQUAD_FOLDER [--reader NAME] [--limit 200] [--precision fp32 int8 bf16] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from indexing.models.registry import resolve
from qa_pipeline.datasets.examples import Example, read_examples
from qa_pipeline.evaluation.metrics.scorers import SCORERS
from qa_pipeline.evaluation.runs.predictions import spread
from qa_pipeline.reading.load import load_reader, window_sizes
from qa_pipeline.reading.readings import Span, read_pairs
from qa_pipeline.reading.torch_engine import load_torch_reader
from qa_pipeline.reading.window_reader import ReadingOptions

BATCH = 64
BASELINE = "torch fp32"


def read_all(reader: Any, asked: Sequence[Example]) -> tuple[list[Span], float, float]:
    """The best span of each question, then seconds of wall clock and of CPU."""
    began, used = time.perf_counter(), time.process_time()
    found: list[Span] = []
    for at in range(0, len(asked), BATCH):
        part = asked[at : at + BATCH]
        found += [reading.spans[0] for reading in read_pairs(reader, [(one.question, one.context) for one in part])]
    return found, time.perf_counter() - began, time.process_time() - used


def scored(asked: Sequence[Example], found: Sequence[Span]) -> tuple[Any, Any]:
    """Exact match and F1 of each question, in percent, by MLQA's rules."""
    pairs = [
        SCORERS["mlqa"].score(one.context[span.start : span.end], one.wanted, one.language)
        for one, span in zip(asked, found, strict=True)
    ]
    exact, overlap = np.array(pairs, dtype=np.float64).T
    return exact * 100, overlap * 100


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.precision", description="What a precision costs and saves.")
    options.add_argument("xquad", type=Path)
    options.add_argument("--reader", default="builtin")
    options.add_argument("--limit", type=int, default=200, help="questions a language (200)")
    options.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    print(machine.line(machine.facts((*machine.PACKAGES, "onnxruntime"))))
    asked = [one for path in sorted(chosen.xquad.glob("*.json")) for one in spread(read_examples(path), chosen.limit)]
    folder = resolve(chosen.reader, "reader")
    sizes = window_sizes(folder)
    options_of = ReadingOptions(sizes["max_seq_len"], sizes["doc_stride"])
    readers: dict[str, Any] = {BASELINE: lambda: load_torch_reader(folder, options_of, precision="fp32", remember=0)}
    readers |= {p: lambda p=p: load_reader(folder, precision=p, remember=0) for p in chosen.precision}
    rows: list[dict[str, Any]] = []
    first: list[Span] = []
    base = np.zeros(0)
    for name, load in readers.items():
        reader = load()
        found, wall, cpu = read_all(reader, asked)
        exact, overlap = scored(asked, found)
        first, base = (first or found), (base if len(base) else overlap)
        change = overlap - base
        same = [(a.start, a.end) == (b.start, b.end) for a, b in zip(first, found, strict=True)]
        margins = np.array([(a.margin, b.margin) for a, b in zip(first, found, strict=True)])
        rows.append(
            {
                "precision": name,
                "questions": len(asked),
                "EM": round(float(exact.mean()), 2),
                "F1": round(float(overlap.mean()), 2),
                "change": round(float(change.mean()), 2),
                "std. error": round(float(change.std() / np.sqrt(len(change))), 2),
                "same span %": round(100 * float(np.mean(same)), 2),
                "margin error": round(float(np.sqrt(np.mean((margins[:, 0] - margins[:, 1]) ** 2))), 4),
                "seconds": round(wall, 1),
                "CPU s": round(cpu, 1),
            }
        )
        print(machine.table(rows[-1:]), flush=True)
    print(machine.table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": machine.facts(), "rows": rows}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

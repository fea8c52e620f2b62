"""A simulation of questions to an index in parts: when the slowest of many parts replies, and what merging costs.

The times of a part are drawn from a log-normal distribution with the p50 and p95 of a part, as `benchmarks.scale` measures
them for an index of its size. So the tail of a part becomes the middle of the whole: of 100 parts, one is beyond its p99.
A second request to a replica after the p95 (hedging) cuts that tail. Merging is measured, not simulated.

    python -m benchmarks.fan_out --p50 25 --p95 60 [--parts 1 10 100 1000] [--questions 20000] [--json FILE]
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from qa_pipeline.retrieval.candidates import Candidates
from qa_pipeline.retrieval.late_interaction import TokenMatch
from qa_pipeline.retrieval.retriever import combine
from qa_pipeline.settings import AskSettings

P95 = 1.6449  # standard deviations above the median
DEPTH = 60


def times(p50: float, p95: float, shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float64]:
    """Milliseconds, log-normal with this median and 95th percentile.

    >>> made = times(10.0, 30.0, (1, 200_000), np.random.default_rng(1))
    >>> round(float(np.median(made))), round(float(np.quantile(made, 0.95)))
    (10, 30)
    """
    return p50 * np.exp(random.normal(0.0, math.log(p95 / p50) / P95, shape))


def simulated(parts: int, p50: float, p95: float, questions: int, random: np.random.Generator) -> dict[str, float]:
    """Milliseconds until the last of so many parts replies: alone, and with a second request to a replica after the p95."""
    first = times(p50, p95, (questions, parts), random)
    second = p95 + times(p50, p95, (questions, parts), random)
    hedged = np.where(first > p95, np.minimum(first, second), first)
    return {
        "p50": float(np.median(first.max(axis=1))),
        "p99": float(np.quantile(first.max(axis=1), 0.99)),
        "hedged p50": float(np.median(hedged.max(axis=1))),
        "hedged p99": float(np.quantile(hedged.max(axis=1), 0.99)),
    }


def part(number: int, random: np.random.Generator) -> Candidates:
    """Candidates as a part gives them: DEPTH of each ranking, half of them in both."""
    ids = number * 10_000 + np.arange(DEPTH * 3 // 2)
    scores = np.sort(random.random((2, DEPTH)))[:, ::-1].tolist()
    near, words = ids[:DEPTH].tolist(), ids[DEPTH // 2 :].tolist()
    matches = {one: TokenMatch(float(random.random()), 60, "en") for one in ids.tolist()}
    ranked = [list(zip(some, score, strict=True)) for some, score in zip((near, words), scores, strict=True)]
    return Candidates(ranked[0], ranked[1], 30.0, [], matches, {"en": 0.0, "de": 0.1})


def merging(parts: int, random: np.random.Generator) -> float:
    """CPU milliseconds of a merge of so many parts, the best of three."""
    found = [part(number, random) for number in range(parts)]
    best = math.inf
    for _ in range(3):
        began = time.process_time()
        combine(found, "en", AskSettings())
        best = min(best, 1e3 * (time.process_time() - began))
    return best


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.fan_out", description="Simulated questions to an index in parts.")
    options.add_argument("--p50", type=float, required=True, help="milliseconds of a part")
    options.add_argument("--p95", type=float, required=True)
    options.add_argument("--parts", type=int, nargs="+", default=[1, 10, 100, 1_000])
    options.add_argument("--questions", type=int, default=2_000)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    if not 0 < chosen.p50 < chosen.p95:
        options.error("the p95 must be above the p50, and both above 0")
    here, random = machine.facts(), np.random.default_rng(5)
    print(machine.line(here))
    rows: list[dict[str, Any]] = [
        {"parts": n, **simulated(n, chosen.p50, chosen.p95, chosen.questions, random), "merge CPU ms": merging(n, random)}
        for n in chosen.parts
    ]
    print(machine.table(rows))
    machine.finish(here, {"fan-out": rows}, chosen.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Search by words in a large index: milliseconds of each kind of query, and equality with comparing passages one by one.

The index is that of `benchmarks.opening`, made once in a folder that is kept (`--in`). Queries are words, phrases, prefixes,
NEAR and Boolean combinations of words from random passages. Each kind is printed when it is done. `CPU` is the processor
time of a query, which can be compared on a busy machine.

    python -m benchmarks.word_search --in FOLDER [--passages 20000] [--queries 50] [--check 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.opening import make

KINDS = ("word", "phrase", "prefix", "near", "and", "or", "not")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--in", dest="place", type=Path)
    arguments.add_argument("--passages", type=int, default=20_000, help="texts of the corpus; most are one passage")
    arguments.add_argument("--queries", type=int, default=50, help="of each kind")
    arguments.add_argument("--check", type=int, default=5, help="queries of each kind that are compared")
    arguments.add_argument("--compared", type=int, default=5_000, help="passages they are compared with (0: all)")
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        place = options.place or Path(spare)
        make(place, options.passages, 7)
        here = machine.facts()
        print(machine.line(here), flush=True)
        found = measured(place / "index", options.queries, options.check, options.compared, shown)
    print(f"all p50 {found['p50']:.1f} ms, CPU {found['CPU']:.1f} ms; {found['passages']:,} passages")
    print(f"{found['checked']} queries compared with {found['compared']:,} passages, all equal")
    if options.json:
        options.json.write_text(json.dumps({"machine": here, **found}, indent=1) + "\n", encoding="utf-8")
    return 0


def shown(what: str, row: dict[str, Any]) -> None:
    print(f"{what:12}", "  ".join(f"{name} {machine.shown(value)}" for name, value in row.items()), flush=True)


def measured(
    index: Path, queries: int, check: int, compared: int, tell: Callable[[str, dict[str, Any]], None]
) -> dict[str, Any]:
    """Times of each kind of query. compared: how many random passages are compared with the queries; 0 is all."""
    from indexing.store.index import Index
    from indexing.text.word_query import match, parse
    from indexing.text.word_tokens import tokens
    from qa_pipeline.retrieval.word_search import WordSearcher

    opened, rng = Index.open(index), random.Random(11)
    folder = opened.folder
    searcher = WordSearcher(opened)
    ids = folder.chunk_ids()
    some = np.sort(rng.sample(ids.tolist(), min(2_000, len(ids))))
    texts = [text for _, text, _ in folder.texts(some)]
    searcher.search("zzz")
    found: dict[str, Any] = {"first prefix": _row([_timed(searcher, "zzz*")[0]], [0]), "kinds": {}}
    tell("first prefix", found["first prefix"])
    every: list[tuple[float, float]] = []
    asked = {kind: [query(kind, texts, rng) for _ in range(queries)] for kind in KINDS}
    for kind, each in asked.items():
        times, hits = zip(*(_timed(searcher, one) for one in each), strict=True)
        every += times
        found["kinds"][kind] = _row(times, hits)
        tell(kind, found["kinds"][kind])
    found |= {"passages": len(ids), "p50": float(np.median(every, axis=0)[0]), "CPU": float(np.median(every, axis=0)[1])}
    chosen = [one for each in asked.values() for one in each[:check]]
    nodes = [parse(one) for one in chosen]
    sample = np.sort(rng.sample(ids.tolist(), min(compared or len(ids), len(ids))))
    wanted: list[set[int]] = [set() for _ in chosen]
    for number, text, _ in folder.texts(sample):
        words = tokens(text)
        for node, matching in zip(nodes, wanted, strict=True):
            if match(node, words) is not None:
                matching.add(number)
    with opened.snapshot() as snapshot:
        for one, node, matching in zip(chosen, nodes, wanted, strict=True):
            assert set(np.intersect1d(searcher.matches(snapshot, node).ids, sample).tolist()) == matching, one
    found |= {"checked": len(chosen), "compared": len(sample)}
    return found


def _timed(searcher: Any, query: str) -> tuple[tuple[float, float], int]:
    """Milliseconds of a search, wall and CPU, and its number of hits."""
    began = time.perf_counter(), time.process_time()
    hits = searcher.search(query).passages
    return (1e3 * (time.perf_counter() - began[0]), 1e3 * (time.process_time() - began[1])), hits


def _row(times: Sequence[tuple[float, float]], hits: Sequence[int]) -> dict[str, Any]:
    wall, cpu = zip(*times, strict=True)
    return {
        "p50": float(np.median(wall)),
        "p95": float(np.percentile(wall, 95)),
        "CPU p50": float(np.median(cpu)),
        "median hits": int(np.median(hits)),
    }


def query(kind: str, texts: list[str], rng: random.Random) -> str:
    """A random query of a kind, of words that some passage has."""
    words: list[str] = []
    while len(words) < 4:
        words = ["".join(sign for sign in word if sign.isalnum()) for word in rng.choice(texts).split()]
        words = [word for word in words if word and not word.isupper()]
    at = rng.randrange(len(words) - 1)
    one, two = words[at], words[at + 1]
    if kind == "word":
        return one
    if kind == "phrase":
        return f'"{one} {two}"'
    if kind == "prefix":
        return f"{one[: max(3, len(one) - 2)]}*"
    other = rng.choice(words)
    return {"near": f"{one} NEAR/5 {two}", "and": f"{one} {other}", "or": f"{one} OR {other}", "not": f"{one} NOT {other}"}[
        kind
    ]


if __name__ == "__main__":
    sys.exit(main())

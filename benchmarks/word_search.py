"""Search by words in a large index: milliseconds of each kind of query, and equality with comparing every passage.

The index is that of `benchmarks.opening`, made once in a folder that is kept (`--in`). Queries are words, phrases, prefixes,
NEAR and Boolean combinations of words from random passages. The defaults end within two minutes on two cores.

    python -m benchmarks.word_search --in FOLDER [--passages 20000] [--queries 50] [--check 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
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
    arguments.add_argument("--check", type=int, default=5, help="queries of each kind compared with every passage")
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        place = options.place or Path(spare)
        make(place, options.passages, 7)
        found = measured(place / "index", options.queries, options.check)
    here = machine.facts()
    print(machine.line(here))
    print(f"{found['passages']:,} passages")
    for kind, row in found["kinds"].items():
        print(f"{kind:7} p50 {row['p50']:7.1f} ms  p95 {row['p95']:7.1f} ms  median hits {row['hits']:,}")
    print(f"all p50 {found['p50']:.1f} ms; first prefix {found['vocabulary_ms']:,.0f} ms")
    print(f"{found['checked']} queries compared with every passage, all equal")
    if options.json:
        options.json.write_text(json.dumps({"machine": here, **found}, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(index: Path, queries: int, check: int) -> dict[str, Any]:
    from indexing.store.index import Index
    from indexing.text.word_query import match, parse
    from indexing.text.word_tokens import tokens
    from qa_pipeline.retrieval.word_search import WordSearcher

    opened, rng = Index.open(index), random.Random(11)
    folder = opened.folder
    searcher = WordSearcher(opened)
    ids = folder.chunk_ids()
    texts = [text for _, text, _ in folder.texts(np.sort(rng.sample(ids.tolist(), min(2_000, len(ids)))))]
    searcher.search("zzz")
    began = time.perf_counter()
    searcher.search("zzz*")
    found: dict[str, Any] = {"vocabulary_ms": 1e3 * (time.perf_counter() - began), "kinds": {}, "passages": len(ids)}
    every: list[float] = []
    asked = {kind: [query(kind, texts, rng) for _ in range(queries)] for kind in KINDS}
    for kind, each in asked.items():
        times, hits = [], []
        for one in each:
            began = time.perf_counter()
            hits.append(searcher.search(one).passages)
            times.append(1e3 * (time.perf_counter() - began))
        every += times
        found["kinds"][kind] = {
            "p50": float(np.median(times)),
            "p95": float(np.percentile(times, 95)),
            "hits": int(np.median(hits)),
        }
    found["p50"] = float(np.median(every))
    chosen = [one for each in asked.values() for one in each[:check]]
    nodes = [parse(one) for one in chosen]
    wanted: list[set[int]] = [set() for _ in chosen]
    for number, text, _ in folder.texts(ids):
        words = tokens(text)
        for node, matching in zip(nodes, wanted, strict=True):
            if match(node, words) is not None:
                matching.add(number)
    with opened.snapshot() as snapshot:
        for one, node, matching in zip(chosen, nodes, wanted, strict=True):
            assert set(searcher.matches(snapshot, node).ids.tolist()) == matching, one
    found["checked"] = len(chosen)
    return found


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

"""Opening time, memory and latency of a large index; BM25 compared with two other engines.

An index of 100,000 passages is created once in a folder that is kept (`--in`). `Index.open` is timed in new processes.
Dense, keyword and fused retrieval are timed without a filter and with filters that allow 50, 10 and 1 %. docqa's BM25 is
compared with tantivy and bm25s on the same terms (`pip install tantivy bm25s`; omitted if not installed). Results
are checked against a brute-force computation of every passage's score.

    python -m benchmarks.opening --in FOLDER [--passages 100000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.corpus import write

FILTERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "50 %": {"source": {"$glob": "g[0-4]*"}},
    "10 %": {"source": {"$glob": "g0*"}},
    "1 %": {"source": {"$glob": "g07/*"}},
}
QUESTIONS = 100
TOP = 10
K1, B = 1.2, 0.75

Result = list[tuple[int, float]]
Search = Callable[[Sequence[str], str], Result]


def make(place: Path, passages: int, seed: int) -> float | None:
    """Creates the documents and their index if missing; returns the seconds of indexing, None if they existed."""
    index = place / "index"
    if (index / "derived.json").is_file():
        return None
    write(place / "documents", passages, seed)
    from indexing.build import build_index
    from indexing.settings import IndexSettings

    return build_index(place / "documents", index, IndexSettings(embedder="builtin")).seconds


def questions(folder: Any, count: int, seed: int = 5) -> list[tuple[str, str]]:
    """(question, language): a few consecutive words of random passages, without punctuation."""
    rng = random.Random(seed)
    ids = folder.chunk_ids()
    chosen = np.sort(rng.sample(ids.tolist(), min(count, len(ids))))
    found = [(_piece(text, rng), language) for _, text, language in folder.texts(chosen)]
    rng.shuffle(found)
    return found


def _piece(text: str, rng: random.Random) -> str:
    words = text.split()
    if len(words) < len(text) / 20:
        at = rng.randrange(max(1, len(text) - 20))
        return text[at : at + rng.randint(8, 20)].strip() or text[:20]
    at = rng.randrange(max(1, len(words) - 10))
    return " ".join(word.strip(".,;:!?()") for word in words[at : at + rng.randint(4, 10)]) or text[:20]


# -- docqa, in new processes -------------------------------------------------------------------------------------------


def opened(path: Path) -> dict[str, Any]:
    """Opens the index once: seconds, and MB of memory before and after."""
    from indexing.store.index import Index

    before = machine.memory_now()
    began = time.perf_counter()
    with Index.open(path) as index:
        seconds = time.perf_counter() - began
        passages = len(index.folder.chunk_ids())
        kind = json.loads((path / "derived.json").read_text("utf-8"))["kind"]
        return {
            "seconds": seconds,
            "before MB": before,
            "after MB": machine.memory_now(),
            "passages": passages,
            "kind": kind,
            "disk MB": index.folder.size() / 1e6,
        }


def asked(path: Path) -> list[dict[str, Any]]:
    """Latencies of dense, keyword and fused retrieval with each filter; every question is asked once for each."""
    from indexing.models.embedder import Embedder
    from indexing.store.index import Index
    from qa_pipeline.haystack.retriever import FusedRetriever

    embedder = Embedder.load("builtin")
    rows = []
    with Index.open(path) as index:
        retriever = FusedRetriever(index, embedder)
        pool = questions(index.folder, QUESTIONS * len(FILTERS))
        retriever.passages("warm")
        for number, (name, filters) in enumerate(FILTERS.items()):
            mine = pool[number * QUESTIONS : (number + 1) * QUESTIONS]
            vectors = embedder.passages([text for text, _ in mine])
            began = time.perf_counter()
            with index.snapshot() as snapshot:
                allowed = snapshot.allowed(filters)
                first = time.perf_counter() - began
                share = 1.0 if allowed is None else len(allowed) / len(index.folder.chunk_ids())
                dense = _timed(lambda item, f=filters: snapshot.nearest(item, 60, f), list(vectors))  # type: ignore[misc]
                keyword = _timed(lambda item, f=filters: snapshot.best(item[0], item[1], 60, f), mine)  # type: ignore[misc]
            fused = _timed(lambda item, f=filters: retriever.passages(item[0], filters=f), mine)  # type: ignore[misc]
            for way, times in (("dense", dense), ("keyword", keyword), ("fused, with embedding", fused)):
                rows.append(
                    {
                        "filter": name,
                        "allowed %": 100 * share,
                        "way": way,
                        "p50 ms": machine.quantile(times, 0.5),
                        "p95 ms": machine.quantile(times, 0.95),
                        "filter's first use ms": 1e3 * first,
                    }
                )
    return rows


def _timed(ask: Callable[[Any], Any], items: Sequence[Any]) -> list[float]:
    """Milliseconds of each call."""
    times = []
    for item in items:
        began = time.perf_counter()
        ask(item)
        times.append(1e3 * (time.perf_counter() - began))
    return times


# -- keyword engines on the same terms ---------------------------------------------------------------------------------


class Ours:
    """`indexing.store.bm25`, with questions of unknown language, because the other engines ignore languages."""

    name = "docqa"

    def __init__(self, ids: list[int], passages: list[list[str]], groups: list[str]) -> None:
        from indexing.store.bm25 import KeywordIndex, Segment

        self.index = KeywordIndex.of([Segment.build(zip(ids, passages, strict=True))])
        self.allowed = {name: _allowed(ids, groups, name) for name in FILTERS}

    def search(self, terms: Sequence[str], which: str) -> Result:
        return self.index.search(terms, TOP, self.allowed[which])


class Tantivy:
    """tantivy with its own BM25; the filter is an indexed field, its fastest way."""

    name = "tantivy, filter field"
    by_ids = False

    def __init__(self, ids: list[int], passages: list[list[str]], groups: list[str]) -> None:
        import tantivy

        self._tantivy = tantivy
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
        builder.add_text_field("filter", tokenizer_name="whitespace", index_option="basic")
        builder.add_integer_field("id", stored=True, indexed=True, fast=True)
        self.schema = builder.build()
        index = tantivy.Index(self.schema)
        writer = index.writer(heap_size=256_000_000, num_threads=1)
        for number, terms, group in zip(ids, passages, groups, strict=True):
            filters = " ".join(name.replace(" ", "") for name in FILTERS if _allows(group, name))
            writer.add_document(tantivy.Document(id=number, terms=" ".join(terms), filter=filters))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self.searcher = index.searcher()
        self.allowed = {name: _allowed(ids, groups, name) for name in FILTERS}

    def search(self, terms: Sequence[str], which: str) -> Result:
        query, occur = self._tantivy.Query, self._tantivy.Occur
        words = [
            (occur.Should, query.boost_query(query.term_query(self.schema, "terms", term), float(count)))
            for term, count in Counter(terms).items()
        ]
        asked = query.boolean_query(words)
        if which != "none":
            only = query.const_score_query(self._filter(which), 0.0)
            asked = query.boolean_query([(occur.Must, asked), (occur.Must, only)])
        found = self.searcher.search(asked, TOP, count=False).hits
        return [(self.searcher.doc(address)["id"][0], score) for score, address in found]

    def _filter(self, which: str) -> Any:
        if self.by_ids:
            return self._tantivy.Query.term_set_query(self.schema, "id", self.allowed[which].tolist())
        return self._tantivy.Query.term_query(self.schema, "filter", which.replace(" ", ""))


class TantivyByIds(Tantivy):
    """tantivy filtered by a set of ids, as an SQL filter gives them."""

    name = "tantivy, set of ids"
    by_ids = True


class Bm25s:
    """bm25s with Lucene's formula; the filter is a mask over all passages."""

    name = "bm25s"

    def __init__(self, ids: list[int], passages: list[list[str]], groups: list[str]) -> None:
        import bm25s

        self.ids = np.array(ids)
        self.model = bm25s.BM25(method="lucene", k1=K1, b=B)
        self.model.index(passages, show_progress=False)
        self.masks = {
            name: None if name == "none" else np.array([_allows(group, name) for group in groups], dtype=np.float32)
            for name in FILTERS
        }

    def search(self, terms: Sequence[str], which: str) -> Result:
        known = [term for term in terms if term in self.model.vocab_dict]
        if not known:
            return []
        rows, scores = self.model.retrieve([known], k=TOP, show_progress=False, weight_mask=self.masks[which])
        return [(int(self.ids[row]), float(score)) for row, score in zip(rows[0], scores[0], strict=True) if score > 0]


def _allows(group: str, which: str) -> bool:
    return {"none": True, "50 %": group < "g50", "10 %": group < "g10", "1 %": group == "g07"}[which]


def _allowed(ids: list[int], groups: list[str], which: str) -> Any:
    if which == "none":
        return None
    return np.array([number for number, group in zip(ids, groups, strict=True) if _allows(group, which)], dtype=np.int64)


def every_score(asked: Sequence[Sequence[str]], ids: list[int], passages: list[list[str]]) -> list[dict[int, float]]:
    """BM25 of every passage that shares a term with the question, computed directly from the formula."""
    wanted = {term for terms in asked for term in terms}
    found: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for number, words in zip(ids, passages, strict=True):
        for term, count in Counter(word for word in words if word in wanted).items():
            found[term].append((number, count, len(words)))
    mean = sum(map(len, passages)) / len(passages)
    results = []
    for terms in asked:
        scores: defaultdict[int, float] = defaultdict(float)
        for term, weight in Counter(terms).items():
            idf = math.log(1 + (len(ids) - len(found[term]) + 0.5) / (len(found[term]) + 0.5))
            for number, count, length in found[term]:
                scores[number] += weight * idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))
        results.append(dict(scores))
    return results


def right(found: Result, scores: dict[int, float], allowed: set[int] | None) -> tuple[int, int]:
    """(correct hits, expected hits): a hit is correct if at most TOP - 1 allowed passages score higher."""
    may = {n: score for n, score in scores.items() if allowed is None or n in allowed}
    best = sorted(may.values(), reverse=True)[:TOP]
    if not best:
        return 0, 0
    good = sum(number in may and may[number] >= best[-1] - 1e-9 for number, _ in found)
    return good, len(best)


def engines(path: Path, count: int = QUESTIONS) -> list[dict[str, Any]]:
    """Each engine on the terms of the index: build time, latency and accuracy for each filter."""
    from indexing.store.corpus_db import IndexFolder
    from indexing.text.search_terms import terms

    with IndexFolder.open(path) as folder:
        rows = (
            folder.connection()
            .execute(
                "SELECT c.id, c.text, c.language, substr(d.source, 1, 3) FROM chunks AS c"
                " JOIN documents AS d ON d.id = c.document_id ORDER BY c.id"
            )
            .fetchall()
        )
        asked = [terms(*question) for question in questions(folder, count)]
    ids, groups = [row[0] for row in rows], [row[3] for row in rows]
    passages = [[sys.intern(term) for term in terms(row[1], row[2])] for row in rows]
    truth = every_score(asked, ids, passages)
    result = []
    for kind in (Ours, Tantivy, TantivyByIds, Bm25s):
        try:
            before, began = machine.memory_now(), time.perf_counter()
            engine = kind(ids, passages, groups)
            build, grown = time.perf_counter() - began, machine.memory_now() - before
        except ImportError as error:
            print(f"left out: {kind.name} ({error})", file=sys.stderr)
            continue
        for which in FILTERS:
            about = {"engine": kind.name, "build s": build, "grew MB": grown}
            result.append(about | _engine_row(engine, which, asked, truth))
        del engine
    return result


def _engine_row(engine: Any, which: str, asked: list[list[str]], truth: list[dict[int, float]]) -> dict[str, Any]:
    for warm in asked[:5]:
        engine.search(warm, which)
    found: list[Result] = []
    times = _timed(lambda question: found.append(engine.search(question, which)), asked)
    allowed = _allowed_by(engine, which)
    places = [right(one, scores, allowed) for one, scores in zip(found, truth, strict=True)]
    return {
        "filter": which,
        "p50 ms": machine.quantile(times, 0.5),
        "p95 ms": machine.quantile(times, 0.95),
        "right %": 100 * sum(good for good, _ in places) / max(1, sum(there for _, there in places)),
    }


def _allowed_by(engine: Any, which: str) -> set[int] | None:
    if which == "none":
        return None
    if isinstance(engine, Bm25s):
        return set(engine.ids[np.asarray(engine.masks[which]) > 0].tolist())
    return set(engine.allowed[which].tolist())


# -- comparison --------------------------------------------------------------------------------------------------------


def _measured(what: str, place: Path) -> Any:
    return machine.in_fresh_process("benchmarks.opening", "--measure", what, str(place / "index"))


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.opening", description="Opening and searching a large index.")
    options.add_argument("--in", type=Path, dest="place", help="folder the documents and the index are kept in")
    options.add_argument("--passages", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", type=Path)
    options.add_argument("--measure", nargs=2, metavar=("WHAT", "INDEX"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        what, path = chosen.measure
        print(json.dumps({"opened": opened, "asked": asked, "engines": engines}[what](Path(path))))  # type: ignore[operator]
        return 0
    here = machine.facts((*machine.PACKAGES, "tantivy", "bm25s"))
    print(machine.line(here))
    place = chosen.place or Path(tempfile.mkdtemp(prefix="docqa-opening-"))
    seconds = make(place, chosen.passages, chosen.seed)
    print(f"index in {place}" + (f", made in {seconds:.0f} s" if seconds else " (made before)"))
    rows, others = _measured("asked", place), _measured("engines", place)
    opening = sorted((_measured("opened", place) for _ in range(5)), key=lambda one: float(one["seconds"]))
    print(machine.table([opening[2] | {"fastest": opening[0]["seconds"], "slowest": opening[4]["seconds"]}]), "\n")
    print(machine.table(rows), "\n")
    print(machine.table(others))
    machine.finish(here, {"made in": seconds, "opening": opening, "asking": rows, "engines": others}, chosen.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

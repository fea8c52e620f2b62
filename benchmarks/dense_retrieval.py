"""Dense retrieval of paragraphs: cosine alone, and with late interaction, in the same language and across languages.

Every question of parallel question files (the same ids in each language) is ranked against all paragraphs of every
language. Paragraphs are whole, without an index and without BM25. "vectors" ranks by cosine. "vectors and tokens" reranks
the top 100 by cosine and MaxSim; `docs/explanation/retrieval.md` describes that dense score. Reported is recall at 1, 5 and
10; across languages, the mean over all pairs.

    python -m benchmarks.dense_retrieval XQUAD_FILES [--embedder builtin] [--limit N]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import machine
from indexing.errors import DocqaError
from indexing.models.embedder import Embedder
from qa_pipeline.datasets.examples import Example, find_files, read_examples
from qa_pipeline.retrieval.dense_score import dense_score

DEPTH = 100
CUTS = (1, 5, 10)
WAYS = ("vectors", "vectors and tokens")


def by_language(paths: Sequence[Path]) -> dict[str, list[Example]]:
    """The questions that all languages have, by language of the context, in the same order."""
    found: dict[str, dict[str, Example]] = defaultdict(dict)
    for path in find_files(paths):
        for example in read_examples(path):
            found[example.language][example.id] = example
    shared = set.intersection(*(set(examples) for examples in found.values()))
    return {language: [found[language][id] for id in sorted(shared)] for language in sorted(found)}


def places(embedder: Embedder, asked: Sequence[Example], there: Sequence[Example], limit: int) -> Mapping[str, list[int]]:
    """By method, the 1-based rank of each question's own paragraph among all of `there`."""
    paragraphs = list(dict.fromkeys(example.context for example in there))
    number = {context: n for n, context in enumerate(paragraphs)}
    vectors = embedder.passages(paragraphs)
    held = embedder.tokens.distinct(paragraphs) if embedder.tokens else []
    ranks: dict[str, list[int]] = {way: [] for way in WAYS}
    step = max(1, len(asked) // limit) if limit else 1
    for one, other in list(zip(asked, there, strict=True))[::step][: limit or None]:
        cosines = vectors @ embedder.questions([one.question])[0]
        nearest = np.argsort(-cosines, kind="stable")
        order = {"vectors": nearest}
        if embedder.tokens:
            best = nearest[:DEPTH]
            shares = embedder.tokens.max_sim(one.question, [held[n] for n in best.tolist()])
            near = np.array([dense_score(cosines[n], share, len(held[n])) for n, share in zip(best, shares, strict=True)])
            order["vectors and tokens"] = np.concatenate([best[np.argsort(-near, kind="stable")], nearest[DEPTH:]])
        for way, numbers in order.items():
            ranks[way].append(int(np.flatnonzero(numbers == number[other.context])[0]) + 1)
    return ranks


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.dense_retrieval", description="Paragraphs found by meaning alone.")
    options.add_argument("files", nargs="+", type=Path)
    options.add_argument("--embedder", default="builtin")
    options.add_argument("--limit", type=int, default=0, help="questions of each language (all)")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    here = machine.facts()
    print(machine.line(here))
    embedder = Embedder.load(chosen.embedder)
    examples = by_language(chosen.files)
    recalls: dict[tuple[str, str, str], dict[int, float]] = {}
    for asked_in, asked in examples.items():
        for language, there in examples.items():
            for way, ranks in places(embedder, asked, there, chosen.limit).items():
                recalls[way, asked_in, language] = {cut: 100 * float(np.mean([r <= cut for r in ranks])) for cut in CUTS}
    rows = []
    for way in WAYS:
        pairs = [(a, b) for w, a, b in recalls if w == way]
        for name, some in (
            *((language, [(language, language)]) for language in examples),
            ("own", [(a, b) for a, b in pairs if a == b]),
            ("across", [(a, b) for a, b in pairs if a != b]),
            ("across, asked in English", [(a, b) for a, b in pairs if a == "en" != b]),
        ):
            if pairs and some:
                means = {f"@{cut}": float(np.mean([recalls[way, a, b][cut] for a, b in some])) for cut in CUTS}
                rows.append({"by": way, "questions": name, "pairs": len(some), **means})
    print(machine.table(rows))
    machine.finish(here, {"recall %": rows}, chosen.json)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DocqaError as error:
        raise SystemExit(f"dense_retrieval: {error}") from None

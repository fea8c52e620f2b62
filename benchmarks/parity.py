"""Parity of docqa's reader with farm-haystack's FARMReader: compares every answer, for each calling method.

Stock: `FARMReader.predict(question, [passage])` in float32, sequentially. docqa: `Reader` over the same folder with the
same settings, called sequentially, in batches (`predict_batch`) and from 8 threads. In bfloat16 and int8 answers may
differ; the loss of F1 is reported. Then questions with ten passages each: the own one and nine others of its language.

    python -m benchmarks.parity XQUAD_FOLDER --keep STOCK.jsonl [--limit N] [--precision fp32 int8 bf16]

STOCK.jsonl caches stock's answers, one line per question, so that an interrupted run resumes and later runs skip stock.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine

PASSAGES = 10
SCORE_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Question:
    """A question, its passages, and its right answers in the first passage."""

    id: str
    language: str
    question: str
    texts: tuple[str, ...]
    golds: tuple[str, ...]


def questions(paths: Sequence[Path], limit: int) -> list[Question]:
    """Every question over its own passage; limit: questions per language."""
    from qa_pipeline.datasets.examples import find_files, read_examples

    found: list[Question] = []
    for path in find_files(paths):
        examples = read_examples(path)
        step = max(1, len(examples) // limit) if limit else 1
        found += [
            Question(f"{e.language}/{e.id}", e.language, e.question, (e.context,), tuple(gold.text for gold in e.golds))
            for e in examples[::step][: limit or None]
        ]
    return found


def with_others(asked: Sequence[Question], count: int) -> list[Question]:
    """`count` questions, each over its own passage and nine others of its language."""
    rng = random.Random(7)
    chosen = rng.sample(list(asked), min(count, len(asked)))
    texts: dict[str, list[str]] = {}
    for one in asked:
        texts.setdefault(one.language, []).append(one.texts[0])
    return [
        Question(
            f"{one.id}/10",
            one.language,
            one.question,
            (*one.texts, *_others(rng, texts[one.language], one.texts[0])),
            one.golds,
        )
        for one in chosen
    ]


def _others(rng: random.Random, texts: Sequence[str], but: str) -> list[str]:
    different = sorted(set(texts) - {but})
    return rng.sample(different, min(PASSAGES - 1, len(different)))


# -- answers of the readers --------------------------------------------------------------------------------------------


def documents(asked: Question) -> list[Any]:
    from haystack import Document

    return [Document(content=text, id=f"{n}") for n, text in enumerate(asked.texts)]


def told(result: dict[str, Any]) -> dict[str, Any]:
    """The top answer of `predict`, and the no-answer margin."""
    return top(result["answers"], result["no_ans_gap"])


def top(answers: Sequence[Any], margin: float) -> dict[str, Any]:
    if not answers:
        return {"answer": "", "start": -1, "document": None, "score": 0.0, "gap": margin}
    best = answers[0]
    place = best.offsets_in_document[0] if best.offsets_in_document else None
    return {
        "answer": best.answer,
        "start": place.start if place else -1,
        "end": place.end if place else -1,
        "document": (best.document_ids or [None])[0],
        "score": float(best.score),
        "gap": float(margin),
    }


def stock_says(folder: Path, sizes: dict[str, int], asked: Sequence[Question], keep: Path) -> dict[str, dict[str, Any]]:
    """Stock's answers, from the cache `keep` where it has them."""
    known = {line["id"]: line for line in _lines(keep)}
    missing = [one for one in asked if one.id not in known]
    if missing:
        from haystack.nodes import FARMReader

        reader = FARMReader(str(folder), num_processes=0, progress_bar=False, use_gpu=False, **sizes)
        began = time.perf_counter()
        with keep.open("a", encoding="utf-8") as file:
            for n, one in enumerate(missing, start=1):
                line = {"id": one.id, **told(reader.predict(one.question, documents(one)))}
                known[one.id] = line
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                if n % 500 == 0:
                    file.flush()
                    print(f"stock {n} of {len(missing)}, {n / (time.perf_counter() - began):.1f}/s", flush=True)
    return known


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return


def alone(reader: Any, asked: Sequence[Question]) -> list[dict[str, Any]]:
    return [told(reader.predict(one.question, documents(one))) for one in asked]


def batched(reader: Any, asked: Sequence[Question], at_once: int = 64) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for at in range(0, len(asked), at_once):
        part = asked[at : at + at_once]
        result = reader.predict_batch([one.question for one in part], [documents(one) for one in part])
        found += [top(answers, margin) for answers, margin in zip(result["answers"], result["no_ans_gaps"], strict=True)]
    return found


def from_threads(reader: Any, asked: Sequence[Question]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda one: told(reader.predict(one.question, documents(one))), asked))


WAYS: dict[str, Callable[[Any, Sequence[Question]], list[dict[str, Any]]]] = {
    "alone": alone,
    "batched": batched,
    "8 threads": from_threads,
}


# -- the comparison ----------------------------------------------------------------------------------------------------


def compare(asked: Sequence[Question], stock: dict[str, dict[str, Any]], ours: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The share of top answers with equal text and offset, the largest score difference, and F1 and EM of both."""
    from qa_pipeline.evaluation.metrics.mlqa import exact_match, f1

    rows = [(one, stock[one.id], said) for one, said in zip(asked, ours, strict=True)]
    same = [_same(theirs, said) for _, theirs, said in rows]
    apart = [abs(theirs["score"] - said["score"]) for (_, theirs, said), equal in zip(rows, same, strict=True) if equal]
    means = {
        f"{name} {who}": 100
        * sum(metric(said["answer"], one.golds, one.language) for one, said in pairs)
        / max(1, len(rows))
        for name, metric in (("F1", f1), ("EM", exact_match))
        for who, pairs in (("stock", [(r[0], r[1]) for r in rows]), ("ours", [(r[0], r[2]) for r in rows]))
    }
    return {
        "questions": len(rows),
        "same %": 100 * sum(same) / max(1, len(rows)),
        "different": len(rows) - sum(same),
        "score apart at most": max(apart, default=0.0),
        **means,
        "list": [{"id": r[0].id, "stock": r[1], "ours": r[2]} for r, equal in zip(rows, same, strict=True) if not equal],
    }


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("answer", "start", "document"))


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.parity", description="Our reader's answers beside FARMReader's.")
    options.add_argument("files", nargs="+", type=Path)
    options.add_argument("--keep", type=Path, required=True, help="where stock's answers are kept")
    options.add_argument("--reader", default="builtin")
    options.add_argument("--limit", type=int, default=0, help="questions of each language (all)")
    options.add_argument("--ten", type=int, default=200, help="questions over ten passages (200)")
    options.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    options.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    options.add_argument("--stock-only", action="store_true", help="ask stock and stop")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    print(machine.line(machine.facts()))

    from indexing.models.registry import resolve
    from qa_pipeline.haystack.load import load_farm_reader

    model = resolve(chosen.reader, "reader")
    sizes = {"max_seq_len": 384, "doc_stride": 128}
    if model.preset is not None:
        sizes = {"max_seq_len": model.preset.max_seq_len, "doc_stride": model.preset.doc_stride}
    single = questions(chosen.files, chosen.limit)
    sets = {"one passage": single, "ten passages": with_others(single, chosen.ten)}
    stock = stock_says(model.path, sizes, [one for asked in sets.values() for one in asked], chosen.keep)
    if chosen.stock_only:
        return 0
    results = []
    for precision in chosen.precision:
        reader = load_farm_reader(model, precision=precision, remember=0, use_gpu=False)
        for name, asked in sets.items():
            for way in chosen.ways if precision == "fp32" else ["batched"]:
                began = time.perf_counter()
                row = {"precision": precision, "set": name, "way": way, **compare(asked, stock, WAYS[way](reader, asked))}
                row["seconds"] = time.perf_counter() - began
                results.append(row)
                print(
                    {key: round(v, 6) if isinstance(v, float) else v for key, v in row.items() if key != "list"}, flush=True
                )
                for difference in row["list"][:20] if precision == "fp32" else []:
                    print("  ", json.dumps(difference, ensure_ascii=False))
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"machine": machine.line(machine.facts()), "results": results}, ensure_ascii=False, indent=1)
        )
    exact = [row for row in results if row["precision"] == "fp32"]
    return int(any(row["different"] or row["score apart at most"] > SCORE_DIFFERENCE for row in exact))


if __name__ == "__main__":
    raise SystemExit(main())

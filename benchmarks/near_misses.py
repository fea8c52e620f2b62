"""Near misses: questions that differ from an answerable twin in a number, year, code or name that nothing states.

Every question is asked twice: of its own text alone (as `docqa read`), and of an index of all texts (as `docqa ask`). A near
miss that is answered is a fault, and so is a twin that is not answered any more.

    python -m benchmarks.near_misses [FILE.jsonl ...] [--reader NAME] [--each] [--json FILE]

Each line of a file has language, context, question, answer, near_miss. A near miss alone has question null; a case with
"answer": null and a question is a near miss too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from indexing.build import build_index
from indexing.settings import IndexSettings
from qa_pipeline.answering.answerer import Answerer
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.answering.verdict import answer_text
from qa_pipeline.evaluation.metrics.mlqa import f1

OWN = Path(__file__).resolve().parent / "data" / "near_misses.jsonl"
RIGHT = 0.5

Ask = Callable[["Asked"], str]
"""Answers a question; "" for no answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question. answer: None for a near miss."""

    language: str
    kind: str
    context: str
    question: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said. fault: a near miss answered, or a twin without its answer; lost: a twin told unanswerable."""

    asked: Asked
    said: str

    @property
    def fault(self) -> bool:
        return bool(self.said) if self.asked.answer is None else not self.right

    @property
    def lost(self) -> bool:
        return self.asked.answer is not None and not self.said

    @property
    def right(self) -> bool:
        return bool(self.said) and f1(self.said, [self.asked.answer or ""], self.asked.language) >= RIGHT


def read_cases(path: Path) -> Iterator[Asked]:
    """The questions of a file of JSON lines."""
    for line in path.read_text("utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        about = (row.get("language", ""), row.get("kind", ""), row["context"])
        if row.get("question"):
            yield Asked(*about, row["question"], row.get("answer"))
        if row.get("near_miss"):
            yield Asked(*about, row["near_miss"], None)


def of_texts(reader: LoadedReader) -> Ask:
    """Asks each question of its own text."""
    return lambda asked: str(answer_text(reader.reader, asked.question, asked.context, reader.calibration)["answer"])


def of_index(folder: Path, reader: str, asked: Sequence[Asked]) -> Ask:
    """Asks every question of an index of all texts, made in `folder`."""
    texts = folder / "texts"
    texts.mkdir()
    for number, context in enumerate(dict.fromkeys(one.context for one in asked)):
        (texts / f"text{chr(97 + number // 26)}{chr(97 + number % 26)}.txt").write_text(context + "\n", "utf-8")
    build_index(texts, folder / "index", IndexSettings(embedder="builtin"))
    answerer = Answerer.open(folder / "index", reader)

    def ask(one: Asked) -> str:
        reply = answerer.ask(one.question)
        return reply.answers[0].text if reply.answers else ""

    return ask


def measure(name: str, asked: Sequence[Asked], ask: Ask, each: bool) -> dict[str, Any]:
    """Asks all questions and prints a table by language."""
    found = [Outcome(one, ask(one)) for one in asked]
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        groups[outcome.asked.language or "-"].append(outcome)
    print(f"\n{name:<12}{'near misses':>12}{'answered':>10}{'twins':>8}{'lost':>7}{'right':>7}")
    for language, some in [*sorted(groups.items()), ("all", found)]:
        misses, twins = _sides(some)
        print(
            f"{language:<12}{len(misses):>12}{sum(o.fault for o in misses):>10}{len(twins):>8}"
            f"{sum(o.lost for o in twins):>7}{sum(o.right for o in twins):>7}"
        )
    if each:
        for outcome in found:
            if outcome.fault:
                print(f"  [{outcome.asked.language}] {outcome.asked.question}  ->  {outcome.said or 'no answer'}")
    misses, twins = _sides(found)
    return {
        "way": name,
        "near_misses": len(misses),
        "answered": sum(o.fault for o in misses),
        "twins": len(twins),
        "lost": sum(o.lost for o in twins),
        "right": sum(o.right for o in twins),
    }


def _sides(found: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    return [o for o in found if o.asked.answer is None], [o for o in found if o.asked.answer is not None]


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.near_misses", description="Near misses answered, twins lost.")
    options.add_argument("files", type=Path, nargs="*", default=[OWN])
    options.add_argument("--reader", default="builtin")
    options.add_argument("--each", action="store_true", help="print each question that went wrong")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    print(machine.line(machine.facts((*machine.PACKAGES, "onnxruntime"))))
    asked = [one for path in chosen.files or [OWN] for one in read_cases(path)]
    rows = [measure("text alone", asked, of_texts(LoadedReader.load(chosen.reader)), chosen.each)]
    with tempfile.TemporaryDirectory(prefix="docqa-near-misses-") as folder:
        rows.append(measure("index", asked, of_index(Path(folder), chosen.reader, asked), chosen.each))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

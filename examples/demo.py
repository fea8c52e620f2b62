"""The script of `make demo`: indexes the example corpus, asks one question per language, and evaluates all questions.

It uses the built-in models, so nothing is downloaded. The index stays in .demo/index for `docqa ask`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexing.build import build_index
from indexing.deepen import deepen_index
from indexing.errors import DocqaError, IndexMismatch
from indexing.report import Report
from indexing.settings import IndexSettings
from qa_pipeline.answers import Reply
from qa_pipeline.cli.output import printable
from qa_pipeline.evaluation.metrics.mlqa import exact_match, f1
from qa_pipeline.pipeline import QAPipeline

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
INDEX = HERE.parent / ".demo" / "index"


@dataclass(frozen=True)
class Question:
    """A question of examples/questions.json with its document and answer span; answer: "" if it is unanswerable."""

    text: str
    language: str
    source: str
    answer: str
    start: int
    cross: bool


def questions() -> Iterator[Question]:
    data = json.loads((HERE / "questions.json").read_text("utf-8"))["data"]
    for article in data:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                found: dict[str, Any] = qa["answers"][0] if qa["answers"] else {"text": "", "answer_start": 0}
                cross = qa["language"] != article["language"]
                yield Question(qa["question"], qa["language"], article["title"], found["text"], found["answer_start"], cross)


def main() -> int:
    began = time.monotonic()
    report = indexed()
    print(
        f"Indexed {report.documents} documents ({report.passages} passages, {len(report.languages)} languages) "
        f"in {report.seconds:.1f} s."
    )
    deepened = deepen_index(INDEX)
    print(f"Added {deepened.added} sentence vectors in {deepened.seconds:.1f} s.\n")
    pipeline = QAPipeline.open(INDEX, "builtin")
    asked = list(questions())
    replies = [pipeline.ask(question.text) for question in asked]
    for language in sorted({question.language for question in asked}):
        show_best(language, asked, replies)
    print_table(asked, replies)
    p50 = sorted(reply.timings_ms.total for reply in replies)[len(replies) // 2]
    print(f"\n{len(asked)} questions; per question p50 {p50:.0f} ms; all of it {time.monotonic() - began:.0f} s.")
    print('\nAsk your own:  .venv/bin/docqa ask .demo/index "When did Kestrel Bridge open?" --reader builtin')
    print(f"\n{computed(pipeline)}")
    return 0


def computed(pipeline: QAPipeline) -> str:
    """How the reader computed; figures differ slightly in another precision or instruction set."""
    facts: dict[str, Any] = getattr(pipeline.reader, "facts", dict)()
    return f"The reader computed in {facts['precision']} ({facts['instruction_set']})."


def indexed() -> Report:
    """Indexes the corpus into INDEX; first removes an index of an older docqa with other vectors."""
    settings = IndexSettings(embedder="builtin")
    try:
        return build_index(CORPUS, INDEX, settings)
    except IndexMismatch:
        shutil.rmtree(INDEX)
        return build_index(CORPUS, INDEX, settings)


def show_best(language: str, asked: list[Question], replies: list[Reply]) -> None:
    """Shows the question of a language with the highest answer score, right or wrong."""
    own = [(q, r) for q, r in zip(asked, replies, strict=True) if q.language == language and not q.cross and q.answer]
    question, reply = max(own, key=lambda pair: pair[1].answers[0].score if pair[1].answers else 0.0)
    print(f"[{language}] {question.text}")
    for answer in reply.answers[:1]:
        page = f", page {answer.page}" if answer.page else ""
        print(f"     {printable(answer.text)}")
        print(f"     {answer.source}{page}, characters {answer.start}-{answer.end}, score {answer.score:.2f}\n")


def print_table(asked: list[Question], replies: list[Reply]) -> None:
    """Figures by question language; every question counts, also those answered wrongly or not at all."""
    print("Same-language questions, by language (EM and F1 as MLQA scores them, in %):")
    print(f"{'':<6}{'questions':>10}{'hit@10':>8}{'EM':>7}{'F1':>7}   {'unanswerable':>12} {'said so':>8}")
    pairs = list(zip(asked, replies, strict=True))
    for language in sorted({question.language for question in asked}):
        print_row(language, [pair for pair in pairs if pair[0].language == language and not pair[0].cross])
    print_row("all", [pair for pair in pairs if not pair[0].cross])
    print("\nQuestions in one language whose answer is only in another:")
    print_row("cross", [pair for pair in pairs if pair[0].cross])


def print_row(label: str, pairs: list[tuple[Question, Reply]]) -> None:
    has = [(q, r) for q, r in pairs if q.answer]
    none = [r for q, r in pairs if not q.answer]
    given = [(r.answers[0].text if r.answers else "", q) for q, r in has]
    count = max(len(has), 1)
    hits = 100 * sum(is_hit(q, r) for q, r in has) / count
    exact = 100 * sum(exact_match(text, [q.answer], q.language) for text, q in given) / count
    overlap = 100 * sum(f1(text, [q.answer], q.language) for text, q in given) / count
    said = f"{len(none):>12} {sum(not r.answers for r in none):>8}" if none else ""
    print(f"{label:<6}{len(has):>10}{hits:>8.1f}{exact:>7.1f}{overlap:>7.1f}   {said}")


def is_hit(question: Question, reply: Reply) -> bool:
    """Whether a retrieved passage contains the answer at its offset."""
    end = question.start + len(question.answer)
    return any(p.source == question.source and p.start <= question.start and end <= p.end for p in reply.passages[:10])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DocqaError as error:
        print(f"docqa: {error}", file=sys.stderr)
        sys.exit(2)

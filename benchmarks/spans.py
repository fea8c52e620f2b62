"""Signs and units: how many numbers a reader answers whole, end to end.

    python -m benchmarks.spans [FILE ...] [--reader NAME]

FILE has a question, context and answer a line (JSON lines); by default the cases of the tests that have a question.
Right means that the answer is given and contains the number with its sign, currency and unit. The reader's own span is
judged beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from indexing.models.registry import resolve
from qa_pipeline.answering.calibration import calibration_of
from qa_pipeline.answering.verdict import answer_text
from qa_pipeline.reading.load import load_reader

CASES = Path(__file__).resolve().parent.parent / "tests" / "qa_pipeline" / "answering" / "span_boundaries.jsonl"


def cases(files: list[Path]) -> Iterator[dict[str, str]]:
    """The cases of the files that have a question and a right answer."""
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            case = json.loads(line)
            if case.get("question") and case.get("answer"):
                yield case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=[CASES], metavar="FILE")
    parser.add_argument("--reader", default="builtin", metavar="NAME")
    options = parser.parse_args()
    folder = resolve(options.reader, "reader")
    reader, calibration = load_reader(folder), calibration_of(folder)
    asked = given = raw = right = 0
    for case in cases(options.files):
        question, context = case["question"], case["context"]
        said = str(answer_text(reader, question, context, calibration)["answer"])
        span = next(iter(reader.read(question, [context])[0].spans), None)
        asked, given = asked + 1, given + bool(said)
        raw += bool(said) and span is not None and case["answer"] in context[span.start : span.end]
        right += case["answer"] in said
        if case["answer"] not in said:
            print(f"{said or 'no answer'!r} instead of {case['answer']!r}: {question}")
    print(
        f"{options.reader}: {asked} questions, {given} answered; number, sign and unit whole: {right}, reader's span: {raw}"
    )


if __name__ == "__main__":
    main()

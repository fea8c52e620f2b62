"""The terminal's verbs of measuring: `stats`. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qa_pipeline.evaluation.datasets import Example


def add_verbs(verbs: Any) -> None:
    """The verbs of measuring with their options."""
    stats = verbs.add_parser("stats", help="what question sets are made of: tokens per language")
    _add_files(stats)
    stats.add_argument("--json", action="store_true", help="one object a language")
    stats.set_defaults(run=_stats)


def _add_files(verb: Any) -> None:
    verb.add_argument(
        "files", metavar="FILES", type=Path, nargs="+", help="SQuAD-shaped JSON or jsonl, plain, .gz or .xz; folders of them"
    )


def _examples(paths: Sequence[Path]) -> list[Example]:
    """The questions of all files; what was mended in them is told on standard error."""
    from qa_pipeline.evaluation.datasets import find_files, read_examples

    return [example for path in find_files(paths) for example in read_examples(path, _tell)]


def _tell(sentence: str) -> None:
    print(f"docqa: {sentence}", file=sys.stderr)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


# -- stats -------------------------------------------------------------------------------------------------------------


def _stats(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from qa_pipeline.evaluation.stats import statistics

    rows = statistics(_examples(options.files))
    if options.json:
        for row in rows:
            _print_json(asdict(row))
        return 0
    print(f"{'':<10}{'paragraphs':>12}{'questions':>12}{'unanswerable':>14}{'tokens of a: paragraph':>25}", end="")
    print(f"{'question':>10}{'answer':>8}")
    for row in rows:
        print(
            f"{row.language:<10}{row.paragraphs:>12,}{row.questions:>12,}{row.unanswerable:>14,}"
            f"{row.paragraph_tokens:>25.1f}{row.question_tokens:>10.1f}{row.answer_tokens:>8.1f}"
        )
    print("Tokens: means; Chinese by jieba, others by the Moses tokenizer (sacremoses; Hindi as the Perl script splits it).")
    return 0

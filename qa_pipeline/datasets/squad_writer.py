"""Writes `Example`s as SQuAD JSON or as JSON lines."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexing.atomic_files import open_atomic
from qa_pipeline.datasets.examples import Example, find_files, read_examples


@dataclass(frozen=True, slots=True)
class GeneratedExample:
    """A generated example. how: the method, in a word; made_from: file and id of its source examples."""

    example: Example
    how: str
    made_from: tuple[str, ...]


def read_all(paths: Sequence[Path]) -> list[Example]:
    """The questions of all given files and folders, file by file."""
    return [example for path in find_files(paths) for example in read_examples(path)]


def squad(examples: Sequence[Example]) -> dict[str, Any]:
    """The examples as SQuAD 2.0. An id that several files use is prefixed with its file's name, so that ids are unique."""
    uses = Counter(example.id for example in examples)
    articles: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = {}
    for example in examples:
        id = example.id if uses[example.id] == 1 else f"{example.origin}:{example.id}"
        article = articles.setdefault(example.title, {})
        article.setdefault((example.context, example.language), []).append({**_question(example), "id": id})
    return {
        "version": "v2.0",
        "data": [
            {
                "title": title,
                "paragraphs": [{"context": c, "language": lang, "qas": qas} for (c, lang), qas in paragraphs.items()],
            }
            for title, paragraphs in articles.items()
        ],
    }


def row(made: GeneratedExample) -> dict[str, Any]:
    """One question as a flat object, with its method and source examples."""
    example = made.example
    return {
        "id": example.id,
        "language": example.language,
        "question_language": example.question_language,
        "title": example.title,
        "question": example.question,
        "context": example.context,
        "answers": _answers(example),
        "how": made.how,
        "made_from": list(made.made_from),
    }


def write_squad(examples: Sequence[Example], path: Path) -> None:
    """Writes one SQuAD file atomically."""
    _write(path, [json.dumps(squad(examples), ensure_ascii=False)])


def write_rows(made: Iterable[GeneratedExample], path: Path) -> None:
    """Writes JSON lines atomically, xz-compressed if the name ends in .xz."""
    _write(path, (json.dumps(row(one), ensure_ascii=False) for one in made))


def _question(example: Example) -> dict[str, Any]:
    return {
        "question": example.question,
        "language": example.question_language,
        "is_impossible": example.is_impossible,
        "answers": _answers(example),
    }


def _answers(example: Example) -> list[dict[str, Any]]:
    return [{"text": gold.text, "answer_start": gold.start} for gold in example.golds]


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomic(path) as file, lzma.open(file, "wb") if path.suffix == ".xz" else nullcontext(file) as out:
        out.writelines((line + "\n").encode("utf-8") for line in lines)


def unique(examples: Iterable[Example]) -> Iterator[Example]:
    """Removes exact duplicates of question and context; keeps the first."""
    seen: set[tuple[str, str]] = set()
    for example in examples:
        if (example.question, example.context) not in seen:
            seen.add((example.question, example.context))
            yield example

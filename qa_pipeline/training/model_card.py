"""Writes the model card of a reader: data with licences, recipe, figures before and after."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_pipeline.datasets.examples import Example
from qa_pipeline.training.loop.recipes import Recipe
from qa_pipeline.training.reader.validation import POOLED, Change, Row

NOT_STATED = "not stated"
CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file of a run: question counts, and the licence stated in the README.md beside it."""

    name: str
    languages: tuple[str, ...]
    train: int
    held_out: int
    licence: str


@dataclass(frozen=True, slots=True)
class Run:
    """The facts on a card. seconds: of training; before: () if the base model was no reader."""

    name: str
    base: str
    recipe: Recipe
    seed: int
    files: tuple[DataFile, ...]
    windows: int
    left_out: int
    updates: int
    tokens: int
    seconds: float
    loss: float
    machine: str
    teacher: str
    before: tuple[Row, ...]
    after: tuple[Row, ...]
    change: Change | None
    version: str


def card(run: Run) -> str:
    """The text of README.md."""
    parts = [_front(run), _head(run), _data(run), _recipe(run), _figures(run), _use(run)]
    return "\n\n".join(parts) + "\n"


def data_files(paths: Iterable[Path], train: Sequence[Example], held_out: Sequence[Example]) -> tuple[DataFile, ...]:
    """One entry per file, sorted by name."""
    learned, kept = (Counter(e.origin for e in part) for part in (train, held_out))
    return tuple(
        DataFile(
            path.name,
            tuple(sorted({e.language for e in (*train, *held_out) if e.origin == path.name})),
            learned[path.name],
            kept[path.name],
            licence_of(path),
        )
        for path in paths
    )


def licence_of(path: Path) -> str:
    """The licence column for this file in a README.md beside it or one folder up; else "not stated"."""
    for readme in (path.parent / "README.md", path.parent.parent / "README.md"):
        try:
            lines = readme.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        found = _licence_in(lines, path.name)
        if found:
            return found
    return NOT_STATED


def _licence_in(lines: Sequence[str], name: str) -> str:
    column = -1
    for line in lines:
        cells = [cell.strip() for cell in CELL.split(line.strip().strip("|"))] if line.startswith("|") else []
        heads = [n for n, cell in enumerate(cells) if cell.lower() in ("licence", "license")]
        column = heads[0] if heads else column if cells else -1
        if 0 < column < len(cells) and cells[0].strip("`") == name:
            return cells[column]
    return ""


def _front(run: Run) -> str:
    languages = sorted({language for file in run.files for language in file.languages})
    return "\n".join(
        [
            "---",
            "pipeline_tag: question-answering",
            "library_name: transformers",
            f"language: [{', '.join(languages)}]",
            "tags: [docqa, extractive-question-answering]",
            "---",
        ]
    )


def _head(run: Run) -> str:
    return f"# {run.name}\n\nA reader: it marks the answer to a question in a text. Fine-tuned by docqa from {run.base}."


def _data(run: Run) -> str:
    rows = [
        f"| {file.name} | {' '.join(file.languages)} | {file.train:,} | {file.held_out:,} | {file.licence} |"
        for file in run.files
    ]
    note = (
        f"\n\n{run.left_out:,} questions whose answer has no place, or fits no window, were left out."
        if run.left_out
        else ""
    )
    head = "| file | languages | questions learned from | held out | licence |\n|---|---|--:|--:|---|"
    return "\n".join(["## Data", "", head, *rows]) + note


def _recipe(run: Run) -> str:
    recipe = run.recipe
    embeddings = {0.0: "left as they were", 1.0: "trained at the same rate"}.get(
        recipe.embeddings_rate, f"trained at {recipe.embeddings_rate:g} times that rate"
    )
    if recipe.frozen:
        embeddings = f"and the {recipe.frozen} lowest layers left as they were"
    empty = "" if recipe.empty_windows is None else f" (of those without the answer {recipe.empty_windows:g} a question)"
    unanswerable = (
        f" {recipe.silent:.0%} of the questions were also paired with a similar passage that does not answer them."
        if recipe.silent
        else ""
    )
    dropout = "as in the model" if recipe.dropout is None else f"{recipe.dropout:g}"
    asked = (
        f"Preset `{recipe.name}`: windows of {recipe.max_seq_len} tokens, stride {recipe.doc_stride}{empty},"
        f" {recipe.batch} a batch, {recipe.epochs} epochs at most; AdamW, learning rate {recipe.learning_rate:g} after a"
        f" warm-up of {recipe.warmup:.0%}, then falling to 0, weight decay {recipe.weight_decay:g}, gradients clipped at"
        f" {recipe.clip:g}; dropout {dropout}; token embeddings {embeddings}.{unanswerable} Seed {run.seed}."
    )
    done = (
        f"Done: {run.updates:,} updates over {run.windows:,} windows ({run.tokens:,} tokens) in"
        f" {run.seconds / 60:.1f} minutes of {run.machine}; loss at the end {run.loss:.3f}."
    )
    teacher = f" Teacher: {run.teacher}." if run.teacher else ""
    return "\n\n".join(["## Recipe", asked, done + teacher, f"Made with docqa {run.version}."])


def _figures(run: Run) -> str:
    if not run.after:
        return "## Figures\n\nNo questions were held out, so nothing was measured."
    before = {row.language: row for row in run.before}
    rows = [_figure_row(row, before.get(row.language)) for row in run.after]
    text = (
        "## Figures\n\nOn the held-out questions, whose paragraphs were not learned from; each is read over its own"
        " paragraph. F1 and exact match (EM) in percent, by MLQA's rules, of the best span to questions with an"
        " answer; AUROC tells questions with an answer from those without by the reader's score.\n\n"
        "| language | questions | EM before | EM | F1 before | F1 | AUROC before | AUROC |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|\n" + "\n".join(rows)
    )
    return text + (f"\n\n{change_in_words(run.change)}" if run.change and run.before else "")


def change_in_words(change: Change) -> str:
    """One sentence on the change in F1 and its confidence interval."""
    return (
        f"F1 over all questions changed by {change.mean:+.1f} points (95 % confidence interval {change.low:+.1f} to"
        f" {change.high:+.1f}, paired bootstrap over questions)."
    )


def _figure_row(row: Row, before: Row | None) -> str:
    def both(name: str, digits: int) -> list[str]:
        return [_number(getattr(of, name) if of else None, digits) for of in (before, row)]

    cells = [row.language if row.language != POOLED else "all", f"{row.questions:,}"]
    return "| " + " | ".join([*cells, *both("exact", 1), *both("f1", 1), *both("auroc", 3)]) + " |"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _use(run: Run) -> str:
    return (
        '## Use\n\n```\ndocqa read "question" --context FILE --reader FOLDER\n'
        'docqa ask INDEX "question" --reader FOLDER\n```\n\n'
        f"FOLDER is this folder; it is an ordinary transformers one. Its licence follows from those of the data above and of"
        f" {run.base}. `checkpoint.pt` is only needed to go on with the training."
    )

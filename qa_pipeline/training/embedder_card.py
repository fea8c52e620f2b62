"""Writes the model card of an embedder."""

from __future__ import annotations

from typing import Any

CARD = """---
library_name: sentence-transformers
tags: [docqa, sentence-similarity]
---

# {name}

An embedder: questions find passages by it. Fine-tuned by docqa from {base}.

## Data

| file | languages | questions learned from | held out | licence |
|---|---|--:|--:|---|
{file_rows}

{pairs:,} pairs of texts in all: questions with their passages, and sentences with their translations.

## Recipe

Preset `{preset}`: {batch} pairs a batch, a symmetric in-batch softmax over the whole vector
and over its first 128 numbers; AdamW, learning rate {learning_rate:g}. Seed {seed}. {updates:,} updates in {minutes:.1f}
minutes of {machine}; loss {loss:.3f}.

Made with docqa {version}.

## Figures

Held-out questions whose own context comes first, or among the first ten, of all contexts of its language (2,000 at most), by
vectors alone, in percent.

| language | questions | recall@1 before | recall@1 | recall@10 before | recall@10 |
|---|--:|--:|--:|--:|--:|
{figure_rows}

## Use

```
docqa index DOCUMENTS --into INDEX --embedder FOLDER
```

FOLDER is this folder; it is an ordinary sentence-transformers one. Its licence follows from those of the data above and of
{base}. `checkpoint.pt` is only needed to go on with the training.
"""


def card(facts: dict[str, Any]) -> str:
    """The card of a run, from the facts that `train_embedder` returns."""
    recipe = facts["recipe"]
    return CARD.format(
        **facts,
        preset=recipe["name"],
        batch=recipe["batch"],
        learning_rate=recipe["learning_rate"],
        minutes=facts["seconds"] / 60,
        file_rows="\n".join(_files(facts)),
        figure_rows="\n".join(_figures(facts)),
    )


def _files(facts: dict[str, Any]) -> list[str]:
    return [
        f"| {file['name']} | {' '.join(file['languages'])} | {file['train']:,} | {file['held_out']:,} | {file['licence']} |"
        for file in facts["files"]
    ]


def _figures(facts: dict[str, Any]) -> list[str]:
    before = {row["language"]: row for row in facts["before"]}
    names = ("recall@1", "recall@10")
    return [
        f"| {row['language']} | {row['questions']:,} | "
        + " | ".join(f"{of[name]:.1f}" for name in names for of in (before[row["language"]], row))
        + " |"
        for row in facts["after"]
    ]

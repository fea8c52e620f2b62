"""Training recipes: base model and hyperparameters, those of the model card where it states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from indexing.errors import SettingError
from indexing.models.presets import BUILTIN, Kind

NOT_ON_CARD = "its card states no rates; those of the same author's run_squad fine-tunings are taken"

QUESTION_TOKENS = 65
E5 = "intfloat/multilingual-e5-small"


@dataclass(frozen=True, slots=True)
class Mix:
    """Sampling weights of the sources in `pair_sources`, renormalised over those available.

    others: translations with neither side in English.
    """

    questions: float = 0.25
    switched: float = 0.25
    translations: float = 0.25
    others: float = 0.1
    lines: float = 0.15
    switched_lines: float = 0.0


@dataclass(frozen=True, slots=True)
class NewVectors:
    """New dimensions that a static embedder learns from scratch, appended to its old ones.

    numbers: dimensions per token. kept: how many leading old dimensions stay (None: all, 0: none).
    counted: initialise from co-occurrence vectors (`cooccurrence`), else at random. mix: sampling weights of the sources.
    mixed: share of the updates whose batch mixes sources and languages; parts: number of draws in such a batch.
    """

    numbers: int
    kept: int | None = None
    counted: bool = True
    mixed: float = 0.3
    parts: int = 4
    mix: Mix = Mix()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of fine-tuning a reader or an embedder. An embedder has no windows; its batch is text pairs.

    batch: windows per update, accumulated over as many forward passes as memory requires.
    max_seq_len, doc_stride: tokens; the stride is between the first passage tokens of consecutive windows.
    learning_rate: the peak, reached after the share `warmup` of the run, then linear decay to zero.
    embeddings_rate: the token embeddings' learning rate as a multiple of it; 0 freezes them.
    empty_windows: mean number of windows without the answer kept per question (None: all).
    dropout: None for the base model's own. clip: maximum gradient norm.
    `anew`: for a static embedder with new dimensions, see `static_task`.
    frozen: number of lowest layers that are frozen, together with the embeddings.
    english: share of English if questions are sampled (0: all languages equally).
    silent: share of the questions that give one more unanswerable example with a hard negative (`unanswerable`).
    """

    name: str
    base: str
    about: str
    batch: int
    epochs: int
    max_seq_len: int
    doc_stride: int
    learning_rate: float
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float | None = None
    embeddings_rate: float = 1.0
    empty_windows: float | None = None
    anew: NewVectors | None = None
    frozen: int = 0
    english: float = 0.0
    silent: float = 0.0
    kind: Kind = "reader"

    def __post_init__(self) -> None:
        for field in ("batch", "epochs", "doc_stride", "learning_rate"):
            if not getattr(self, field) > 0:
                raise SettingError(f"{field} is {getattr(self, field)}; it must be more than 0.")
        if self.max_seq_len < self.doc_stride + QUESTION_TOKENS:
            raise SettingError(f"max_seq_len is {self.max_seq_len}; it must be {QUESTION_TOKENS} more than doc_stride.")


_ALL = (
    Recipe(
        "xlmr-squad2",
        "FacebookAI/xlm-roberta-base",
        "As deepset/xlm-roberta-base-squad2: SQuAD 2.0, batches of 22 x 4.",
        88,
        2,
        256,
        128,
        2e-5,
    ),
    Recipe(
        "distilbert-tydiqa",
        "distilbert/distilbert-base-multilingual-cased",
        "As mrm8488's distilbert-multi for TyDi QA GoldP.",
        24,
        5,
        384,
        128,
        3e-5,
        warmup=0.0,
        weight_decay=0.0,
    ),
    Recipe(
        "mbert-xquad",
        "google-bert/bert-base-multilingual-cased",
        f"As mrm8488/bert-multi-cased-finetuned-xquadv1, on XQuAD-like data in 11 languages ({NOT_ON_CARD}).",
        24,
        2,
        256,
        128,
        3e-5,
        warmup=0.0,
        weight_decay=0.0,
    ),
    Recipe(
        "xlm-xquad",
        "FacebookAI/xlm-mlm-100-1280",
        f"As mrm8488/xlm-multi-finetuned-xquadv1, on XQuAD-like data in 11 languages ({NOT_ON_CARD}).",
        24,
        2,
        256,
        128,
        3e-5,
        warmup=0.0,
        weight_decay=0.0,
    ),
    Recipe(
        "builtin",
        BUILTIN,
        "On from the built-in reader: for labels of one's own, on a processor, in minutes.",
        8,
        2,
        256,
        96,
        2e-4,
        empty_windows=0.3,
    ),
    Recipe(
        "builtin-short",
        E5,
        "How the built-in reader begins, once it is cut: many questions in short windows.",
        12,
        4,
        144,
        64,
        2e-4,
        warmup=0.06,
        dropout=0.0,
        embeddings_rate=0.0,
        empty_windows=0.12,
        frozen=2,
        english=0.4,
        silent=0.12,
    ),
    Recipe(
        "builtin-reader",
        BUILTIN,
        "How it goes on: the same in windows as it reads them.",
        12,
        4,
        256,
        96,
        1e-4,
        warmup=0.06,
        dropout=0.0,
        embeddings_rate=0.0,
        empty_windows=0.12,
        frozen=2,
        english=0.4,
        silent=0.12,
    ),
    Recipe(
        "embedder",
        BUILTIN,
        "On from the built-in embedder: questions with their passages, sentence pairs.",
        512,
        10,
        256,
        96,
        1e-2,
        weight_decay=0.0,
        kind="embedder",
    ),
    Recipe(
        "builtin-embedder",
        BUILTIN,
        "How the built-in embedder begins: numbers for each token, from what stands near what.",
        1024,
        1,
        256,
        96,
        2e-2,
        warmup=0.02,
        weight_decay=0.0,
        anew=NewVectors(256, kept=0),
        kind="embedder",
    ),
    Recipe(
        "builtin-beside",
        BUILTIN,
        "How it is made better: beside those numbers, others from nothing, learned from many languages at a time.",
        1024,
        1,
        256,
        96,
        2e-2,
        warmup=0.02,
        weight_decay=0.0,
        anew=NewVectors(192, counted=False, mixed=1.0, parts=16),
        kind="embedder",
    ),
    Recipe(
        "builtin-third",
        BUILTIN,
        "And a third time, from more of what is in two languages: plain text switched, too.",
        1024,
        2,
        256,
        96,
        2e-2,
        warmup=0.02,
        weight_decay=0.0,
        kind="embedder",
        anew=NewVectors(192, counted=False, mixed=1.0, parts=16, mix=Mix(0.1, 0.3, 0.25, 0.1, 0.05, 0.2)),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _ALL})


def recipe(name: str, **changes: Any) -> Recipe:
    """The named recipe with the changes that are not None. Raises SettingError.

    >>> recipe("xlmr-squad2").batch, recipe("builtin", epochs=3, base=None).epochs
    (88, 3)
    """
    if name not in RECIPES:
        raise SettingError(f"There is no recipe called {name!r}; choose from {', '.join(RECIPES)}.")
    return replace(RECIPES[name], **{field: value for field, value in changes.items() if value is not None})

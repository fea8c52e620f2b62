"""The training loop: AdamW, learning rate warm-up and linear decay, gradient clipping.

Weights are float32; matrix products are float32 or bfloat16. A killed run resumes from its last checkpoint and ends with
exactly the weights of an uninterrupted run. This holds for one thread and without a limit of minutes, as the limit makes
the learning rate depend on the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from indexing.models.hardware import Hardware
from qa_pipeline.training.loop import checkpoints
from qa_pipeline.training.loop.checkpoints import Position
from qa_pipeline.training.loop.recipes import Recipe

MEMORY = 0.98
PRECISIONS = ("fp32", "bf16", "auto")


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of a run. minutes: limit of training time, None for all epochs. key: identifies the run of a checkpoint."""

    recipe: Recipe
    seed: int
    folder: Path
    key: str
    minutes: float | None = None
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Reported after each update. share: completed part of the run, in (0, 1]."""

    done: int
    share: float
    loss: float
    tokens_per_second: float
    seconds_left: float


class Task(Protocol):
    """A model and its training items; computes the gradients of the mean loss of a batch.

    tokens: the token embeddings, which have a learning rate of their own.
    """

    model: Any
    tokens: torch.nn.Parameter

    def groups(self, size: int, seed: int, epoch: int) -> list[list[int]]:
        """The items of each update of an epoch; deterministic in seed and epoch."""
        ...

    def backward(self, rows: Sequence[int]) -> tuple[float, int]:
        """Adds the gradients of the items' mean loss; returns the loss and the number of tokens."""
        ...


UpdateReporter = Callable[[Progress], None]


def fit(task: Task, plan: Plan, tell: UpdateReporter) -> Position:
    """Trains `task.model` in place, resuming from the folder's checkpoint of this run if there is one."""
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        return _Run(task, plan).go(tell)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def matmul_dtype(precision: str, hardware: Hardware) -> torch.dtype:
    """The dtype of matrix products; weights and optimiser are always float32.

    precision: one of PRECISIONS; "auto" is bfloat16 if the hardware supports it, else float32.
    """
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and hardware.bfloat16) else torch.float32


def rate(share: float, warmup: float) -> float:
    """The learning rate, as a share of the peak, at a share of the run.

    >>> rate(0.05, 0.1), rate(0.1, 0.1), round(rate(0.55, 0.1), 9), rate(1.0, 0.1)
    (0.5, 1.0, 0.5, 0.0)
    """
    if share < warmup:
        return share / warmup
    return max(0.0, (1.0 - share) / (1.0 - warmup))


def autocast(where: torch.device, kind: torch.dtype) -> AbstractContextManager[Any]:
    """An autocast context; a null context in float32."""
    return nullcontext() if kind == torch.float32 else torch.autocast(where.type, dtype=kind)


class _Run:
    """State of one run of the loop."""

    def __init__(self, task: Task, plan: Plan) -> None:
        self._plan, self._task = plan, task
        self._optimiser = _optimiser(task, plan.recipe)
        self._checkpoint = plan.folder / checkpoints.NAME
        self._at = checkpoints.restore(self._checkpoint, plan.key, task.model, self._optimiser) or Position()
        self._total = plan.recipe.epochs * len(task.groups(plan.recipe.batch, plan.seed, 0))

    def go(self, tell: UpdateReporter) -> Position:
        saved = begun = time.monotonic()
        seconds_before, tokens_before = self._at.seconds, self._at.tokens
        for rows in self._rows():
            self._update(rows)
            now = time.monotonic()
            self._at.seconds = seconds_before + now - begun
            tell(self._progress((self._at.tokens - tokens_before) / max(now - begun, 1e-9)))
            if now - saved >= self._plan.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        self._save()
        self._task.model.eval().cpu()
        return self._at

    def _rows(self) -> Iterator[list[int]]:
        """The items of each update from the current position to the end."""
        recipe, at = self._plan.recipe, self._at
        while at.epoch < recipe.epochs:
            order = self._task.groups(recipe.batch, self._plan.seed, at.epoch)
            while at.update < len(order):
                if self._share(at.done) >= 1:
                    return
                yield order[at.update]
            at.epoch, at.update = at.epoch + 1, 0

    def _share(self, done: float) -> float:
        by_clock = self._at.seconds / (60 * self._plan.minutes) if self._plan.minutes else 0.0
        return max(done / self._total, by_clock)

    def _update(self, rows: Sequence[int]) -> None:
        """One optimiser step over these items; advances the position."""
        recipe, at = self._plan.recipe, self._at
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * rate(self._share(at.done + 0.5), recipe.warmup)
        loss, tokens = self._task.backward(rows)
        torch.nn.utils.clip_grad_norm_(self._task.model.parameters(), recipe.clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        memory = min(MEMORY, at.done / (at.done + 1))
        at.loss = memory * at.loss + (1 - memory) * loss
        at.update, at.done, at.tokens = at.update + 1, at.done + 1, at.tokens + tokens

    def _progress(self, speed: float) -> Progress:
        at, share = self._at, min(1.0, self._share(self._at.done))
        return Progress(at.done, share, at.loss, speed, at.seconds * (1 - share) / share)

    def _save(self) -> None:
        checkpoints.save(self._checkpoint, self._plan.key, self._at, self._task.model, self._optimiser)


def _optimiser(task: Task, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with four groups: token embeddings or not, weight decay or not. Embeddings with rate 0 are frozen."""
    tokens = task.tokens
    tokens.requires_grad_(tokens.requires_grad and recipe.embeddings_rate > 0)
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for parameter in task.model.parameters():
        if parameter.requires_grad:
            plain = parameter.ndim < 2
            groups.setdefault((parameter is tokens, plain), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": 0.0 if plain else recipe.weight_decay,
                "highest": recipe.learning_rate * (recipe.embeddings_rate if embeddings else 1.0),
            }
            for (embeddings, plain), parameters in groups.items()
        ],
        lr=recipe.learning_rate,
        fused=True,
    )

"""The training loop: AdamW, learning rate warm-up and linear decay, gradient clipping.

In float32, or in bfloat16 where that was asked for. A run that was killed goes on from its last checkpoint to the very
weights it would have had (one thread, and no limit of minutes: with one, the rate follows the clock).
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
    """What a run does. minutes: of training at most, None for all epochs. key: marks what the checkpoint is one of."""

    recipe: Recipe
    seed: int
    folder: Path
    key: str
    minutes: float | None = None
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Told after each update. share: how much of the run is done, in (0, 1]."""

    done: int
    share: float
    loss: float
    tokens_per_second: float
    seconds_left: float


class Task(Protocol):
    """What is trained, and on what: items by number, and the gradients of the mean loss of some of them.

    tokens: the token embeddings, which have a rate of their own.
    """

    model: Any
    tokens: torch.nn.Parameter

    def groups(self, size: int, seed: int, epoch: int) -> list[list[int]]:
        """The items of each update of an epoch; always the same for the same seed and epoch."""
        ...

    def backward(self, rows: Sequence[int]) -> tuple[float, int]:
        """Adds the gradients of the mean loss of these items; the loss, and how many tokens there were."""
        ...


UpdateReporter = Callable[[Progress], None]


def fit(task: Task, plan: Plan, tell: UpdateReporter) -> Position:
    """Train `task.model` in place; where the folder holds this run's checkpoint, on from there."""
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        return _Run(task, plan).go(tell)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def matmul_dtype(precision: str, hardware: Hardware) -> torch.dtype:
    """What matrices are multiplied in; weights and the optimiser are float32 always.

    precision: of PRECISIONS; "auto" is bfloat16 where the hardware computes in it, else float32.
    """
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and hardware.bfloat16) else torch.float32


def rate(share: float, warmup: float) -> float:
    """The learning rate at a share of the run, as a share of the highest.

    >>> rate(0.05, 0.1), rate(0.1, 0.1), round(rate(0.55, 0.1), 9), rate(1.0, 0.1)
    (0.5, 1.0, 0.5, 0.0)
    """
    if share < warmup:
        return share / warmup
    return max(0.0, (1.0 - share) / (1.0 - warmup))


def autocast(where: torch.device, kind: torch.dtype) -> AbstractContextManager[Any]:
    """Nothing in float32."""
    return nullcontext() if kind == torch.float32 else torch.autocast(where.type, dtype=kind)


class _Run:
    """One run of the loop."""

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
        """The windows of each update from where the run stands to its end."""
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
        """One step of the optimiser over these windows, and the position after it."""
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
    """AdamW over four groups: token embeddings or not, decayed or not. Embeddings with the rate 0 are not trained."""
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

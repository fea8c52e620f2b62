"""Batches of training windows; their order is deterministic in seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from qa_pipeline.training.reader.windows import Window

POOL = 32


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows padded to the longest, all int64 on one device: inputs [windows, L]; starts, ends [windows]."""

    inputs: dict[str, torch.Tensor]
    starts: torch.Tensor
    ends: torch.Tensor
    tokens: int

    @property
    def mask(self) -> torch.Tensor:
        """1 where there is a token, 0 for padding, [windows, L]."""
        return self.inputs["attention_mask"]


def updates(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Length-bucketed batches of `size` windows (the last may be smaller), each window once.

    Windows are shuffled, sorted by length within pools of 32 batches, and the batches are shuffled. This gives little
    padding, and other batches in each epoch.

    >>> sorted(sum(updates([5, 1, 9, 2, 7], 2, seed=1, epoch=0), []))
    [0, 1, 2, 3, 4]
    """
    draw = np.random.default_rng([seed, epoch])
    order = draw.permutation(len(lengths))
    cut: list[list[int]] = []
    for at in range(0, len(order), size * POOL):
        pool = sorted(order[at : at + size * POOL].tolist(), key=lambda n: lengths[n])
        cut += [pool[n : n + size] for n in range(0, len(pool), size)]
    return [cut[n] for n in draw.permutation(len(cut))]


def collate(windows: Sequence[Window], pad: int, device: torch.device) -> Batch:
    """Collates windows into one padded batch."""
    length = max(len(window.ids) for window in windows)
    inputs = {
        "input_ids": _padded([window.ids for window in windows], length, pad),
        "attention_mask": _padded([np.ones(len(window.ids)) for window in windows], length, 0),
    }
    for name, field in (("token_type_ids", "kinds"), ("langs", "langs")):
        rows = [getattr(window, field) for window in windows]
        if rows[0] is not None:
            inputs[name] = _padded(rows, length, 0)
    starts = torch.tensor([window.start for window in windows], device=device)
    ends = torch.tensor([window.end for window in windows], device=device)
    tokens = sum(len(window.ids) for window in windows)
    return Batch({name: tensor.to(device) for name, tensor in inputs.items()}, starts, ends, tokens)


def _padded(rows: Sequence[np.ndarray], length: int, value: int) -> torch.Tensor:
    padded = np.full((len(rows), length), value, dtype=np.int64)
    for n, row in enumerate(rows):
        padded[n, : len(row)] = row
    return torch.from_numpy(padded)

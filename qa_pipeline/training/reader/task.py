"""The training task of a reader: span labels per window, and optionally a teacher.

An update accumulates gradients until it has the recipe's batch size, however few windows fit into memory at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional

from indexing.errors import SettingError
from indexing.models.sentence_transformer import batches
from qa_pipeline.training.loop.trainer import autocast, device
from qa_pipeline.training.reader.batching import Batch, collate, updates
from qa_pipeline.training.reader.model import Encoder
from qa_pipeline.training.reader.windows import Window

PADDED_TOKENS = {"cpu": 4_096, "cuda": 49_152}


class TeacherLoss(Protocol):
    """The distillation loss of each window of a batch, [windows]."""

    def __call__(self, windows: Sequence[Window], batch: Batch, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor: ...


class ReaderTask:
    """The `Task` of a reader: labelled windows, and optionally a teacher.

    frozen: number of lowest layers that are frozen together with the embeddings. kind: dtype of matrix products. Raises
    SettingError.
    """

    def __init__(
        self,
        encoder: Encoder,
        windows: Sequence[Window],
        teacher: TeacherLoss | None = None,
        frozen: int = 0,
        kind: torch.dtype = torch.float32,
    ) -> None:
        self._device, self._kind = device(), kind
        self.model = encoder.model.to(self._device).train()
        self.tokens = self.model.get_input_embeddings().weight
        self.lengths = [len(window.ids) for window in windows]
        self._windows, self._teacher = windows, teacher
        self._pad = encoder.tokeniser.pad
        if frozen:
            freeze(self.model, frozen)

    def groups(self, size: int, seed: int, epoch: int) -> list[list[int]]:
        """Length-bucketed batches."""
        return updates(self.lengths, size, seed, epoch)

    def backward(self, rows: Sequence[int]) -> tuple[float, int]:
        """Accumulates gradients over as many batches as memory requires."""
        loss, tokens = 0.0, 0
        lengths = [self.lengths[row] for row in rows]
        for part in batches(lengths, PADDED_TOKENS[self._device.type]):
            windows = [self._windows[rows[n]] for n in part]
            batch = collate(windows, self._pad, self._device)
            share = self._loss(windows, batch).sum() / len(rows)
            share.backward()  # type: ignore[no-untyped-call]
            loss, tokens = loss + float(share.detach()), tokens + batch.tokens
        return loss, tokens

    def _loss(self, windows: Sequence[Window], batch: Batch) -> torch.Tensor:
        with autocast(self._device, self._kind):
            output = self.model(**batch.inputs)
        if self._teacher is None:
            return span_loss(output.start_logits, output.end_logits, batch)
        return self._teacher(windows, batch, output.start_logits, output.end_logits)


def freeze(model: Any, layers: int) -> None:
    """Freezes the embeddings and the lowest layers. Raises SettingError for an unsupported architecture."""
    base = model.base_model
    stack = getattr(getattr(base, "encoder", None), "layer", ())
    if len(stack) < layers or not hasattr(base, "embeddings"):
        raise SettingError(f"This recipe needs a BERT-like model of {layers} layers or more.")
    for part in (base.embeddings, *stack[:layers]):
        part.requires_grad_(False)


def span_loss(start: torch.Tensor, end: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean of the start and end cross-entropies over the real tokens of each window: float32 [windows]."""
    padding = batch.mask == 0
    losses = [
        functional.cross_entropy(logits.float().masked_fill(padding, float("-inf")), wanted, reduction="none")
        for logits, wanted in ((start, batch.starts), (end, batch.ends))
    ]
    return (losses[0] + losses[1]) / 2

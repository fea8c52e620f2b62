"""Embedders computed by sentence-transformers with torch: any model that it loads, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from indexing.arrays import Matrix
from indexing.errors import ModelRefused, one_line
from indexing.models.hardware import this_machine
from indexing.models.registry import ModelFolder

BATCH_TOKENS = 8_192
BYTES_A_TOKEN = 4


class SentenceTransformerModel:
    """Any model that sentence-transformers loads, in batches of about BATCH_TOKENS padded tokens at most."""

    def __init__(self, folder: ModelFolder, bfloat16: bool | None = None) -> None:
        """bfloat16: whether to compute in it; None: if the machine has it in hardware. Raises ModelRefused."""
        try:
            self._model = load_sentence_transformer(str(folder.path))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            where = f"The embedder {folder.name} cannot be loaded from {folder.path}"
            raise ModelRefused(f"{where}: {one_line(error)}") from error
        if this_machine(self._model.device.type).bfloat16 if bfloat16 is None else bfloat16:
            self._model.bfloat16()
        self.dimension = int(self._model.get_embedding_dimension())

    def encode(self, texts: Sequence[str]) -> Matrix:
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows in batches([1 + len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN for text in texts], BATCH_TOKENS):
            vectors = self._model.encode(
                [texts[row] for row in rows], batch_size=len(rows), convert_to_tensor=True, show_progress_bar=False
            )
            result[rows] = vectors.float().cpu().numpy()
        return result


def load_sentence_transformer(folder: str, device: str | None = None) -> Any:
    """The SentenceTransformer of a local folder, without a default prompt. device: None lets it choose."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device=device, trust_remote_code=False, local_files_only=True)
    model.default_prompt_name = None
    return model


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows sorted by length, in groups of a padded size (rows x longest) up to `budget`; at least one row each.

    >>> list(batches([5, 1, 9, 2], 10))
    [[1, 3], [0], [2]]
    """
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if group and (len(group) + 1) * lengths[row] > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group

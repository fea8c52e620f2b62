"""Contrastive training of the built-in static embedder.

In-batch softmax as in `contrastive_task`, over the sources of `pair_sources`. A batch has one source and one language
(pair), or mixes several independent draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from indexing.errors import SettingError
from indexing.models.registry import ModelFolder
from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences
from qa_pipeline.training.alignment.token_lexicon import Encode
from qa_pipeline.training.embedder.contrastive_task import SHORT, contrastive_loss, load_embedder, save_static
from qa_pipeline.training.embedder.pair_sources import Sides, Source, mix
from qa_pipeline.training.loop.recipes import NewVectors
from qa_pipeline.training.loop.trainer import device


class StaticTask:
    """The `Task` of a static embedder; trains the vectors `begun`, float32 [V, d].

    They are trained alone, then appended to the kept dimensions of `folder` with equal weight per dimension. The two parts
    make different errors, so together they retrieve better than one vector of their total size.

    sources: with their sampling weights. count: number of pairs before code-switching.
    """

    def __init__(
        self,
        folder: ModelFolder,
        begun: NDArray[np.float32],
        sources: Sequence[tuple[Source, float]],
        updates: int,
        anew: NewVectors,
    ) -> None:
        self._whole: Any = load_embedder(folder)
        _static(self._whole, folder.name)
        vectors = torch.from_numpy(begun)
        fresh = torch.nn.EmbeddingBag.from_pretrained(vectors, freeze=False, mode="mean", include_last_offset=True)
        self.model: Any = fresh.to(device())
        self.tokens: Any = fresh.weight
        self._sources = [source for source, _ in sources]
        weights = np.array([weight for _, weight in sources])
        self._chances = weights / weights.sum()
        self._updates, self._anew = updates, anew
        self._short = SHORT if anew.kept == 0 else anew.numbers  # only leading dimensions are ever truncated to
        self.count = sum(source.count for source in self._sources)

    def groups(self, size: int, seed: int, epoch: int) -> list[list[int]]:
        """Batch sizes only; `backward` draws the pairs of each update."""
        return [[size]] * self._updates

    def backward(self, rows: Sequence[int]) -> tuple[float, int]:
        draw = np.random.default_rng(int(torch.randint(1 << 62, ())))
        asked, found = self._drawn(rows[0], draw)
        loss = contrastive_loss(self._vectors(asked), self._vectors(found), self._short)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), len(asked.words) + len(found.words)

    def save(self, folder: Path) -> None:
        """Saves a standard sentence-transformers folder, the new dimensions last."""
        kept = self._whole[0].embedding.weight.detach()[:, : self._anew.kept]
        parts = [_even(part) for part in (kept, self.tokens.detach().cpu()) if part.shape[1]]
        save_static(self._whole[0].tokenizer, torch.cat(parts, dim=1).numpy(), folder)

    def _drawn(self, size: int, draw: np.random.Generator) -> Sides:
        if draw.random() >= self._anew.mixed:
            return self._source(draw).draw(size, draw)
        parts = self._anew.parts
        sides = [self._source(draw).draw(max(1, size // parts), draw) for _ in range(parts)]
        return mix([one for one, _ in sides]), mix([other for _, other in sides])

    def _source(self, draw: np.random.Generator) -> Source:
        return self._sources[draw.choice(len(self._sources), p=self._chances)]

    def _vectors(self, texts: RaggedSentences) -> torch.Tensor:
        words, begins = (torch.from_numpy(part).to(self.tokens.device) for part in (texts.words, texts.begins))
        return functional.embedding_bag(words, self.tokens, begins, mode="mean", include_last_offset=True)


def encode(folder: ModelFolder) -> Encode:
    """The tokenizer of a static model, as a function. Raises SettingError for another kind of model."""
    model = load_embedder(folder)
    _static(model, folder.name)
    tokenizer = model[0].tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [found.ids for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def vocabulary(folder: ModelFolder) -> int:
    """The vocabulary size of a static model. Raises SettingError for another kind of model."""
    return _static(load_embedder(folder), folder.name)


def static_vectors(model: Any, name: str) -> NDArray[np.float32]:
    """The token vectors of a static model, float32 [V, d]. Raises SettingError for another kind of model."""
    _static(model, name)
    vectors: NDArray[np.float32] = model[0].embedding.weight.detach().cpu().float().numpy()
    return vectors


def _even(vectors: torch.Tensor) -> torch.Tensor:
    """Scales the vectors to a root mean square of 1; zero vectors stay."""
    return vectors / vectors.square().mean().sqrt().clamp_min(1e-12)


def _static(model: Any, name: str) -> int:
    """The vocabulary size; raises SettingError for another kind of model."""
    if type(model[0]).__name__ != "StaticEmbedding":
        raise SettingError(f"This is for vectors of tokens; {name} is another kind of model.")
    return int(model[0].embedding.weight.shape[0])

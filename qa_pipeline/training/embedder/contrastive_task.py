"""Contrastive training of an embedder with in-batch negatives.

Symmetric in-batch softmax over cosines, as in "Efficient Natural Language Response Suggestion" (Henderson et al. 2017).
The loss is computed on the whole vector and on its first 128 dimensions ("Matryoshka Representation Learning", Kusupati
et al. 2022).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from indexing.errors import ModelRefused, one_line
from indexing.models.registry import ModelFolder
from qa_pipeline.datasets.examples import Example
from qa_pipeline.training.alignment.word_dictionary import parallel_files, sentence_pairs
from qa_pipeline.training.loop.trainer import device

SCALE = 20.0
SHORT = 128
PASSAGE = 800
OPEN = 64


@dataclass(frozen=True, slots=True)
class Pair:
    """A positive pair: a question and a passage that answers it, or a sentence and its translation."""

    asked: str
    found: str


class ContrastiveTask:
    """The `Task` of an embedder."""

    def __init__(self, folder: ModelFolder, pairs: Sequence[Pair]) -> None:
        self.model: Any = load_embedder(folder).to(device()).train()
        self.tokens = _token_embeddings(self.model)
        self._pairs, self._prefixes = pairs, folder.prefixes
        self.count = len(pairs)

    def groups(self, size: int, seed: int, epoch: int) -> list[list[int]]:
        """Batches without repeated texts: the second positive of a repeated text would count as a negative."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self._pairs)).tolist()
        return distinct_groups(order, [(pair.asked, pair.found) for pair in self._pairs], size)

    def backward(self, rows: Sequence[int]) -> tuple[float, int]:
        """Backward pass over the whole batch at once, since its other pairs are the negatives."""
        pairs = [self._pairs[row] for row in rows]
        asked, a = self._vectors([self._prefixes[0] + pair.asked for pair in pairs])
        found, b = self._vectors([self._prefixes[1] + pair.found for pair in pairs])
        loss = contrastive_loss(asked, found)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), a + b

    def save(self, folder: Path) -> None:
        """Saves a standard sentence-transformers folder."""
        self.model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)

    def _vectors(self, texts: list[str]) -> tuple[torch.Tensor, int]:
        """The vectors, [texts, d], and the number of tokens."""
        features = {
            name: value.to(device())
            for name, value in self.model.preprocess(texts).items()
            if isinstance(value, torch.Tensor)
        }
        vectors: torch.Tensor = self.model(features)["sentence_embedding"]
        return vectors, int(features.get("attention_mask", torch.ones_like(features["input_ids"])).sum())


def contrastive_loss(asked: torch.Tensor, found: torch.Tensor, short: int = SHORT) -> torch.Tensor:
    """In-batch softmax loss of aligned rows, [n, d], averaged over both directions and both sizes (d and `short`).

    A cosine is at most 1, so subtracting SCALE prevents overflow; no row maximum is needed, and both softmaxes share one
    exponential.
    """
    losses = []
    for size in dict.fromkeys((asked.shape[1], min(short, asked.shape[1]))):
        a, b = (functional.normalize(side[:, :size].float(), dim=1) for side in (asked, found))
        below = SCALE * (a @ b.T) - SCALE
        likely = below.exp()
        losses.append(torch.log(likely.sum(0)) + torch.log(likely.sum(1)) - 2 * below.diagonal())
    return torch.stack(losses).mean() / 2


def distinct_groups(order: Sequence[int], texts: Sequence[tuple[str, str]], size: int) -> list[list[int]]:
    """Batches of at most `size` pairs without repeated texts; a new batch is opened if none of the last OPEN fits.

    >>> distinct_groups([0, 1, 2], [("a", "x"), ("b", "x"), ("c", "y")], 2)
    [[0, 2], [1]]
    """
    groups: list[list[int]] = []
    open_: list[tuple[list[int], set[str]]] = []
    for n in order:
        place = next((held for held in open_ if held[1].isdisjoint(texts[n])), None)
        if place is None:
            place = ([], set())
            groups.append(place[0])
            open_ = [*open_[-OPEN + 1 :], place]
        place[0].append(n)
        place[1].update(texts[n])
        if len(place[0]) == size:
            open_.remove(place)
    return groups


def question_pairs(examples: Sequence[Example]) -> Iterator[Pair]:
    """Answerable questions, each with the passage around its answer."""
    for example in examples:
        if not example.is_impossible:
            middle = max(0, example.golds[0].start)
            begin = max(0, min(middle - PASSAGE // 2, len(example.context) - PASSAGE))
            yield Pair(example.question, example.context[begin : begin + PASSAGE])


def translations(folder: Path, limit: int | None, seed: int) -> list[Pair]:
    """A sample of at most `limit` sentence pairs from a folder of parallel files. Raises SettingError, UnreadableFile."""
    pairs = [Pair(*columns) for path, *_ in parallel_files(folder) for columns in sentence_pairs(path)]
    return pairs if limit is None or limit >= len(pairs) else random.Random(seed).sample(pairs, limit)


def load_embedder(folder: ModelFolder) -> Any:
    """Loads a sentence-transformers model on the CPU. Raises ModelRefused."""
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder.path), device="cpu", trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelRefused(f"The embedder {folder.name} cannot be loaded for training: {one_line(error)}") from error


def save_static(tokenizer: Any, vectors: NDArray[np.float32], folder: Path) -> None:
    """Saves a sentence-transformers StaticEmbedding with these token vectors, [V, d]; texts are mean-pooled."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding

    made: Any = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")
    made.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)


def _token_embeddings(model: Any) -> torch.nn.Parameter:
    """The token embedding matrix: the one with the most rows."""
    embeddings: list[Any] = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding | torch.nn.EmbeddingBag)]
    found: torch.nn.Parameter = max(embeddings, key=len)
    return found

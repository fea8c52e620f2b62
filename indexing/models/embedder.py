"""Text embedding of passages and questions; the only module that computes vectors.

Any sentence-transformers model works. The model's preset gives the prefixes of questions and passages (E5: "query: ",
"passage: "). Vectors are float32 of unit length; a text without content keeps the zero vector. Static models, such as the
built-in one, are computed by `indexing.models.static_embeddings` without importing torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from indexing.arrays import Matrix
from indexing.errors import ModelRefused, one_line
from indexing.lru_cache import LRUCache
from indexing.models.hardware import this_machine
from indexing.models.registry import ModelFolder, resolve
from indexing.models.static_embeddings import static_model

BATCH_TOKENS = 8_192
BYTES_A_TOKEN = 4
CACHED_QUESTIONS = 1_024


class Encoder(Protocol):
    """Computes vectors of any length: float32 [n, dimension] for n texts, in order. Thread-safe."""

    dimension: int

    def encode(self, texts: Sequence[str]) -> Matrix: ...


class Embedder:
    """A loaded embedding model. Thread-safe; a question changes only a bounded cache."""

    def __init__(self, folder: ModelFolder, *, bfloat16: bool | None = None) -> None:
        """bfloat16: whether to compute in it; None: if the machine has it in hardware. Static models never do.

        static: the folder of a static model, which is cheap enough for every process to load its own; else None.
        tokens: the static model itself, which can do late interaction; else None.
        dense_score_name: identifies the dense score. Only the same weights with the same scoring share a name.
        """
        self.name = folder.name
        self.fingerprint = folder.fingerprint
        self._prefixes = folder.prefixes
        static = static_model(folder)
        self.static = folder if static is not None else None
        self.tokens = static
        self.dense_score_name = dense_score_name(self.fingerprint, static=static is not None)
        self._encoder: Encoder = static or SentenceTransformerModel(folder, bfloat16)
        self.dimension = self._encoder.dimension
        self._questions: LRUCache[Matrix] = LRUCache(CACHED_QUESTIONS)

    @classmethod
    def load(cls, name: str) -> Embedder:
        """Load by preset, hub id or folder. Raises ModelMissing, ModelRefused."""
        return cls(resolve(name, "embedder"))

    def facts(self) -> dict[str, Any]:
        """The facts about this model that an index stores: name, fingerprint and dimension."""
        return {"name": self.name, "fingerprint": self.fingerprint, "dimension": self.dimension}

    def passages(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of passages, float32 [n, d], in order."""
        return self._encode([self._prefixes[1] + text for text in texts])

    def questions(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of questions, float32 [n, d], in order; recent ones come from an LRU cache."""
        known = self._questions.get_many(dict.fromkeys(texts))
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        made = dict(zip(missing, self._encode([self._prefixes[0] + text for text in missing]), strict=True))
        self._questions.put_many(made)
        known |= made
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, self.dimension), dtype=np.float32)

    def _encode(self, texts: Sequence[str]) -> Matrix:
        return unit(self._encoder.encode(texts))


def dense_score_name(fingerprint: str, *, static: bool) -> str:
    """`Embedder.dense_score_name` of a model with this fingerprint.

    >>> dense_score_name("1a2b", static=True), dense_score_name("1a2b", static=False)
    ('1a2b and tokens, languages level', '1a2b')
    """
    return f"{fingerprint} and tokens, languages level" if static else fingerprint


class SentenceTransformerModel:
    """Any model that sentence-transformers loads, in batches of about BATCH_TOKENS padded tokens at most."""

    def __init__(self, folder: ModelFolder, bfloat16: bool | None = None) -> None:
        """bfloat16: as for `Embedder`. Raises ModelRefused."""
        self._model = _load(folder)
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


def unit(matrix: Matrix) -> Matrix:
    """Scale rows to unit length; zero rows and non-finite values become zero.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    clean = np.nan_to_num(matrix.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(clean, axis=1, keepdims=True)
    return np.ascontiguousarray(np.divide(clean, lengths, out=np.zeros_like(clean), where=lengths > 0))


def _load(folder: ModelFolder) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(folder.path), device=None, trust_remote_code=False, local_files_only=True)
        model.default_prompt_name = None
        return model
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelRefused(f"The embedder {folder.name} cannot be loaded from {folder.path}: {one_line(error)}") from error

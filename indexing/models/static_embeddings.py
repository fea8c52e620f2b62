"""Static embedding models in numpy: one vector per token; the vector of a text is their mean.

The vectors equal those of sentence-transformers' `StaticEmbedding`, bit by bit where that sums in order. But torch is not
imported: a command that needs only such a model starts in a tenth of the time and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Matrix
from indexing.models.registry import TOKENIZER, ModelFolder, builtin_tokenizer_file, load_tokenizer
from indexing.models.safety import modules_of
from indexing.models.weights import float32_tensor
from indexing.models.word_tokenizer import word_tokens

NAMES = ("embedding.weight", "embeddings")
BLOCK = 1_024
PART = 256
WEIGHT = 0.75  # exponent of a token vector's squared length
ONE_THREAD = 1 << 18  # multiplications; above this OpenBLAS starts threads

Ids = NDArray[np.int32]
Tokens = Callable[[Sequence[str]], list[bytes]]


class StaticModel:
    """A static embedding model. Thread-safe.

    rows: float32 [vocabulary, d]. tokens: returns the int32 token ids of each text, as bytes.
    """

    def __init__(self, rows: Matrix, tokens: Tokens) -> None:
        self._rows = rows
        self._tokens = tokens
        self.vocabulary, self.dimension = int(rows.shape[0]), int(rows.shape[1])

    def encode(self, texts: Sequence[str]) -> Matrix:
        """The mean token vector of each text, float32 [n, d], in order; zero for a text without tokens."""
        return self._means([np.frombuffer(mine, dtype=np.int32) for mine in self._tokens(texts)])

    def encode_with_tokens(self, texts: Sequence[str]) -> tuple[Matrix, list[Ids]]:
        """What `encode` and `distinct` return, with each text tokenized once."""
        tokens = [np.frombuffer(mine, dtype=np.int32) for mine in self._tokens(texts)]
        return self._means(tokens), [_distinct(ids) for ids in tokens]

    def _means(self, tokens: Sequence[Ids]) -> Matrix:
        result = np.zeros((len(tokens), self.dimension), dtype=np.float32)
        space = np.empty((BLOCK + 1, self.dimension), dtype=np.float32)
        for row, ids in zip(result, tokens, strict=True):
            if len(ids):
                self._sum(ids, space, row)
                row /= np.float32(len(ids))
        return result

    def distinct(self, texts: Sequence[str]) -> list[Ids]:
        """The distinct tokens of each text, int32 [k], ascending."""
        return [_distinct(np.frombuffer(mine, dtype=np.int32)) for mine in self._tokens(texts)]

    def max_sim(self, question: str, held: Sequence[Ids]) -> NDArray[np.float32]:
        """Late interaction (MaxSim) of a question with texts: float32 [n], -1 to 1; 0 if either side has no tokens.

            m(q, p) = sum over tokens t of q of w(t) * max over tokens u of p of cos(v(t), v(u)), over the sum of w(t)
            w(t) = |v(t)|^1.5

        Source: Khattab and Zaharia (2020, "ColBERT"), here with context-free token vectors. Training shortens the vectors of
        uninformative tokens, so the length of a vector measures its token's importance.
        held: the distinct tokens of each text, as `distinct` returns them.
        """
        asked = self.tokens(question)
        weights = self.weights(asked)
        best: NDArray[np.float32] = self.max_cosines(asked, held) @ weights / (float(weights.sum()) or 1.0)
        return best

    def tokens(self, text: str) -> Ids:
        """The tokens of a text in order, int32 [k]."""
        return np.frombuffer(self._tokens([text])[0], dtype=np.int32)

    def weights(self, ids: Ids) -> NDArray[np.float32]:
        """The weight w(t) of each token in `max_sim`, float32 [k]."""
        if len(ids):
            self._known(ids)
        rows = self._rows[ids]
        weights: NDArray[np.float32] = np.einsum("nd,nd->n", rows, rows) ** WEIGHT
        return weights

    def max_cosines(self, asked: Ids, held: Sequence[Ids]) -> Matrix:
        """For each text, each question token's cosine to its nearest token: float32 [n, k]; 0 for an empty text."""
        result = np.zeros((len(held), len(asked)), dtype=np.float32)
        filled = [n for n, ids in enumerate(held) if len(ids)]
        if not len(asked) or not filled:
            return result
        flat = np.concatenate([held[n] for n in filled])
        known = _distinct(flat)
        place = np.empty(int(known[-1]) + 1, dtype=np.int32)
        place[known] = np.arange(len(known), dtype=np.int32)
        self._known(asked)
        self._known(known)
        wanted = self._rows[asked]
        likeness = self._cosines(wanted * _inverse_lengths(wanted)[:, None], known)
        begins = np.cumsum([0, *(len(held[n]) for n in filled[:-1])])
        result[filled] = np.maximum.reduceat(likeness[place[flat]], begins, axis=0)
        return result

    def _cosines(self, asked: Matrix, ids: Ids) -> Matrix:
        """Cosines of the unit vectors `asked` with the rows of `ids`, float32 [len(ids), len(asked)].

        Blocks are so small that BLAS multiplies them in one thread. Its other threads would spin while waiting for work,
        compete with the reader's threads, and make reading take half as long again.
        """
        result = np.empty((len(ids), len(asked)), dtype=np.float32)
        count = max(4, ONE_THREAD // (len(asked) * self.dimension))
        space, columns = np.empty((min(len(ids), PART), self.dimension), dtype=np.float32), np.ascontiguousarray(asked.T)
        for start in range(0, len(ids), PART):
            part = ids[start : start + PART]
            rows = self._rows.take(part, axis=0, out=space[: len(part)], mode="clip")
            mine = result[start : start + len(part)]
            for at in range(0, len(part), count):
                np.matmul(rows[at : at + count], columns, out=mine[at : at + count])
            mine *= _inverse_lengths(rows)[:, None]
        return result

    def _known(self, ids: Ids) -> None:
        if int(ids.max()) >= len(self._rows):
            raise IndexError(f"token {int(ids.max())} has no vector: the model has {len(self._rows)}")

    def _sum(self, ids: NDArray[np.int32], space: Matrix, into: Matrix) -> None:
        """Add the rows of `ids` to `into` in order, one block at a time."""
        self._known(ids)
        for start in range(0, len(ids), BLOCK):
            part = ids[start : start + BLOCK]
            space[0] = into
            self._rows.take(part, axis=0, out=space[1 : len(part) + 1], mode="clip")
            np.add.reduce(space[: len(part) + 1], axis=0, out=into)


def _distinct(ids: Ids) -> Ids:
    """The distinct ids, ascending. Marking them in an array as long as the vocabulary is faster than sorting."""
    there = np.zeros(int(ids.max()) + 1 if len(ids) else 0, dtype=np.bool_)
    there[ids] = True
    return np.flatnonzero(there).astype(np.int32)


def _inverse_lengths(rows: Matrix) -> NDArray[np.float32]:
    """1 / length of each row; 0 for a zero row."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    inverse: NDArray[np.float32] = np.divide(np.float32(1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


def static_model(folder: ModelFolder) -> StaticModel | None:
    """The static embedding model in a folder; None if it has other modules or no float32 vectors.

    Raises ModelRefused if its tokenizer cannot be read.
    """
    if not is_static(folder):
        return None
    place = folder.path / modules_of(folder.path, folder.name)[0][0]
    rows = float32_tensor(place, NAMES)
    return None if rows is None else StaticModel(rows, _tokens(place / TOKENIZER, folder.name))


def is_static(folder: ModelFolder) -> bool:
    """Whether a folder's modules are one StaticEmbedding, and normalization at most."""
    kinds = [kind for _, kind in modules_of(folder.source, folder.name)]
    return kinds[:1] == ["StaticEmbedding"] and all(kind == "Normalize" for kind in kinds[1:])


def _tokens(file: Path, name: str) -> Tokens:
    """The tokenization function of a model; with the word cache if it has the built-in tokenizer."""
    if file.read_bytes() == builtin_tokenizer_file().read_bytes():
        return word_tokens().ids
    tokenizer = load_tokenizer(file, name)

    def ids(texts: Sequence[str]) -> list[bytes]:
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32).tobytes() for encoding in encodings]

    return ids

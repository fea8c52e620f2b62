"""Static embedding models in numpy: one vector per token, a text is their weighted mean.

The vectors are those of sentence-transformers' `StaticEmbedding`, to the last bit where that adds up in order, but no torch
is imported for them: a command that needs only such a model starts in a tenth of the time, in a tenth of the memory.
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
WEIGHT = 0.75  # power of a token's squared length
ONE_THREAD = 1 << 18  # multiplications; OpenBLAS uses threads for more

Ids = NDArray[np.int32]
Tokens = Callable[[Sequence[str]], list[bytes]]


class StaticModel:
    """rows: float32 [vocabulary, d]. tokens: the int32 token ids of each text, as bytes. Safe in several threads."""

    def __init__(self, rows: Matrix, tokens: Tokens) -> None:
        self._rows = rows
        self._tokens = tokens
        self.dimension = int(rows.shape[1])

    def encode(self, texts: Sequence[str]) -> Matrix:
        """The mean vector of each text's tokens, float32 [n, d], in order; zero for a text without tokens."""
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        space = np.empty((BLOCK + 1, self.dimension), dtype=np.float32)
        for row, mine in zip(result, self._tokens(texts), strict=True):
            ids = np.frombuffer(mine, dtype=np.int32)
            if len(ids):
                self._sum(ids, space, row)
                row /= np.float32(len(ids))
        return result

    def distinct(self, texts: Sequence[str]) -> list[Ids]:
        """The different tokens of each text, int32 [k], ascending."""
        return [_distinct(np.frombuffer(mine, dtype=np.int32)) for mine in self._tokens(texts)]

    def max_sim(self, question: str, held: Sequence[Ids]) -> NDArray[np.float32]:
        """How much of a question texts have, by their tokens: float32 [n], -1 to 1; 0 for a text, or question, without any.

        m(q, p) = sum over tokens t of q of w(t) * max over tokens u of p of cos(v(t), v(u)), over the sum of w(t)
        w(t) = |v(t)|^1.5

        That is the late interaction of Khattab and Zaharia (2020, "ColBERT"), with vectors that know no context; training
        makes those of tokens that tell little short, so that their length says what a token counts for. held: tokens of
        each text, as `distinct` has them.
        """
        asked = self.tokens(question)
        weights = self.weights(asked)
        best: NDArray[np.float32] = self.max_cosines(asked, held) @ weights / (float(weights.sum()) or 1.0)
        return best

    def tokens(self, text: str) -> Ids:
        """The tokens of a text in order, int32 [k]."""
        return np.frombuffer(self._tokens([text])[0], dtype=np.int32)

    def weights(self, ids: Ids) -> NDArray[np.float32]:
        """w(t) of `max_sim` for each token, float32 [k]."""
        if len(ids):
            self._known(ids)
        rows = self._rows[ids]
        weights: NDArray[np.float32] = np.einsum("nd,nd->n", rows, rows) ** WEIGHT
        return weights

    def max_cosines(self, asked: Ids, held: Sequence[Ids]) -> Matrix:
        """The cosine of each of the tokens `asked` to the likest token of each text, float32 [n, k]; 0 for an empty text."""
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
        """Of rows of unit length with the rows of `ids`, float32 [len(ids), len(asked)].

        So many rows at a time that BLAS multiplies them in one thread: its others would wait spinning for more, where the
        reader's want to run, and make reading half as long again.
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
        """The sum of the rows of `ids`, added up one after the other, a block of them at a time."""
        self._known(ids)
        for start in range(0, len(ids), BLOCK):
            part = ids[start : start + BLOCK]
            space[0] = into
            self._rows.take(part, axis=0, out=space[1 : len(part) + 1], mode="clip")
            np.add.reduce(space[: len(part) + 1], axis=0, out=into)


def _distinct(ids: Ids) -> Ids:
    """The different ids, ascending; ids of a vocabulary are marked in a list of it, which is faster than sorting them."""
    there = np.zeros(int(ids.max()) + 1 if len(ids) else 0, dtype=np.bool_)
    there[ids] = True
    return np.flatnonzero(there).astype(np.int32)


def _inverse_lengths(rows: Matrix) -> NDArray[np.float32]:
    """1 / length of each row; 0 of a zero row."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    inverse: NDArray[np.float32] = np.divide(np.float32(1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


def static_model(folder: ModelFolder) -> StaticModel | None:
    """The model of a folder, if it is nothing but a static embedding in float32; else None.

    Raises ModelRefused where its tokenizer cannot be read.
    """
    modules = modules_of(folder.path, folder.name)
    kinds = [kind for _, kind in modules]
    if kinds[:1] != ["StaticEmbedding"] or any(kind != "Normalize" for kind in kinds[1:]):
        return None
    place = folder.path / modules[0][0]
    rows = float32_tensor(place, NAMES)
    return None if rows is None else StaticModel(rows, _tokens(place / TOKENIZER, folder.name))


def _tokens(file: Path, name: str) -> Tokens:
    """How texts become tokens: word by word with what is remembered of words, where the tokenizer is the built-in one."""
    if file.read_bytes() == builtin_tokenizer_file().read_bytes():
        return word_tokens().ids
    tokenizer = load_tokenizer(file, name)

    def ids(texts: Sequence[str]) -> list[bytes]:
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32).tobytes() for encoding in encodings]

    return ids

"""Initial token vectors from co-occurrence counts (PPMI and SVD), over all languages at once.

Positive pointwise mutual information with context smoothing, then SVD (Levy, Goldberg and Dagan 2015, "Improving
distributional similarity with lessons learned from word embeddings"). The SVD is randomised (Halko, Martinsson and Tropp
2011, "Finding structure with randomness"). Each context token also counts as its English translations by a lexicon, so
that words of similar meaning are close across languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences
from qa_pipeline.training.alignment.token_lexicon import Lexicon

NEAR = 5
LIKELY = 0.03
LINKED = 4.0
FEWEST = 0.5
SMOOTHED = 0.75
MORE, ROUNDS = 30, 4

Counts = Any


def count_neighbours(texts: RaggedSentences, size: int) -> Counts:
    """Co-occurrences of two tokens within a window of five in one text, float32 [size, size], symmetric."""
    words, text = texts.words.astype(np.int64), np.repeat(np.arange(len(texts)), texts.lengths)
    keys = [
        words[:-apart][same] * size + words[apart:][same]
        for apart in range(1, NEAR + 1)
        for same in (text[:-apart] == text[apart:],)
    ]
    found, seen = np.unique(np.concatenate(keys), return_counts=True)
    one_way = sparse.csr_matrix((seen.astype(np.float32), (found // size, found % size)), shape=(size, size))
    return one_way + one_way.T


def cooccurrence_vectors(
    texts: Mapping[str, Iterable[RaggedSentences]], lexicons: Mapping[str, Lexicon], size: int, dimension: int, seed: int
) -> NDArray[np.float32]:
    """A vector for each of `size` tokens, float32 [size, dimension], scaled to a median norm of 1.

    texts: by language. lexicons: of English with each other language, English first.
    """
    none: Counts = sparse.csr_matrix((size, size), dtype=np.float32)
    total = none
    for language, parts in texts.items():
        counts = sum((count_neighbours(part, size) for part in parts), start=none)
        if language in lexicons:
            counts = counts + counts @ _into_english(lexicons[language])
        total = total + counts
    for found in lexicons.values():
        linked = _linked(found)
        total = total + linked + linked.T
    return _vectors(_information(total), dimension, np.random.default_rng(seed))


def random_vectors(size: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Random normal vectors of the same shape, with a mean squared norm of 1."""
    vectors: NDArray[np.float32] = np.random.default_rng(seed).standard_normal((size, dimension), dtype=np.float32)
    vectors /= np.float32(dimension**0.5)
    return vectors


def _into_english(found: Lexicon) -> Counts:
    """P(English | other), sparse [other, English]."""
    sure = found.back > LIKELY
    rows, columns = found.key[sure] % found.size, found.key[sure] // found.size
    return sparse.csr_matrix((found.back[sure], (rows, columns)), shape=(found.size, found.size))


def _linked(found: Lexicon) -> Counts:
    """Extra co-occurrence counts for translations of each other."""
    weights = LINKED * found.seen * np.maximum(found.forth, found.back)
    shape = (found.size, found.size)
    return sparse.csr_matrix((weights.astype(np.float32), (found.key // found.size, found.key % found.size)), shape=shape)


def _information(total: Counts) -> Counts:
    """PPMI: max(0, log(P(token, context) / (P(token) * P(context) ** 0.75))), with P(context) ** 0.75 renormalised."""
    total = total.tocoo()
    often = total.data >= FEWEST
    rows, columns, counts = total.row[often], total.col[often], total.data[often].astype(np.float64)
    size = total.shape[0]
    tokens = np.bincount(rows, counts, size)
    contexts = np.bincount(columns, counts, size) ** SMOOTHED
    contexts *= tokens.sum() / max(contexts.sum(), 1e-12)
    information = np.log(counts * tokens.sum() / (tokens[rows] * contexts[columns]))
    sure = information > 0
    return sparse.csr_matrix((information[sure].astype(np.float32), (rows[sure], columns[sure])), shape=total.shape)


def _vectors(information: Counts, dimension: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Left singular vectors, scaled by the square roots of the singular values."""
    size = information.shape[0]
    basis = draw.normal(size=(size, min(size, dimension + MORE))).astype(np.float32)
    for _ in range(ROUNDS):
        basis = np.linalg.qr(information @ (information.T @ basis))[0].astype(np.float32)
    left, values, _ = np.linalg.svd((information.T @ basis).T, full_matrices=False)
    vectors = (basis @ left)[:, :dimension] * np.sqrt(values[:dimension])
    norms = np.linalg.norm(vectors, axis=1)
    whole: NDArray[np.float32] = np.zeros((size, dimension), dtype=np.float32)
    whole[:, : vectors.shape[1]] = vectors / max(float(np.median(norms[norms > 0])) if (norms > 0).any() else 1.0, 1e-9)
    return whole

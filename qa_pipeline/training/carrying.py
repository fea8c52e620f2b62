"""What an embedder knows of words, carried over to a reader with the same tokens, without training.

A reader's body understands the tokens it met in questions; most tokens of most languages it met seldom. An embedder learned
from far more text which tokens mean the same. So a token that is rare in English becomes, as far as the embedder is sure,
half what it was and half a mixture of the English tokens nearest to it: tokens of other languages begin where the body
knows its way. The idea is that of "WECHSEL" (Minixhofer, Paischer, Rekabsaz 2022), there for a model made anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FREQUENT = 300
FOREIGN = 0.2
NEIGHBOURS = 8
TEMPERATURE = 0.05
HALF = 0.5
LEAST_ALIKE, ALIKE = 0.3, 0.5
AT_ONCE = 2_048

Rows = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


def rare(pivot: Counts, others: Counts) -> NDArray[np.bool_]:
    """Which tokens are rare in English, [V]: those that come less than a fifth as often there as elsewhere.

    pivot, others: how often each token is in English text and in all other text, [V].
    """
    found: NDArray[np.bool_] = (others > 0) & (pivot < others * FOREIGN)
    return found


def carried(embeddings: Rows, vectors: Rows, pivot: Counts, others: Counts) -> Rows:
    """The reader's new token embeddings, float32 [V, hidden].

    vectors: the embedder's, [V, d]. pivot, others: as `rare` takes them. English tokens come 300 times or more in English
    and half as often as elsewhere; changed are the rare ones.
    """
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    known = np.flatnonzero((pivot >= FREQUENT) & (pivot > others / 2))
    changed = np.flatnonzero(rare(pivot, others))
    result: Rows = embeddings.copy()
    if len(known) < NEIGHBOURS:
        return result
    length = float(np.linalg.norm(embeddings[changed], axis=1).mean()) if len(changed) else 0.0
    for at in range(0, len(changed), AT_ONCE):
        rows = changed[at : at + AT_ONCE]
        mixed, sure = _mixed(embeddings[known], directions[rows] @ directions[known].T, length)
        share = HALF * sure[:, None]
        result[rows] = (1 - share) * embeddings[rows] + share * mixed
    return result


def _mixed(known: Rows, cosines: Rows, length: float) -> tuple[Rows, Rows]:
    """Mixtures of the nearest known rows, half way to the usual length, and how sure they are, 0 to 1."""
    nearest = np.argpartition(-cosines, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    alike = np.take_along_axis(cosines, nearest, axis=1)
    best = alike.max(axis=1, keepdims=True)
    weights = np.exp((alike - best) / TEMPERATURE)
    weights /= weights.sum(axis=1, keepdims=True)
    mixed = np.einsum("nk,nkh->nh", weights, known[nearest])
    mixed *= np.sqrt(length / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-6))
    sure = np.clip((best[:, 0] - LEAST_ALIKE) / (ALIKE - LEAST_ALIKE), 0, 1)
    return mixed.astype(np.float32), sure.astype(np.float32)

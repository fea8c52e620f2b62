"""PCA of static embeddings: token vectors of fewer dimensions.

Parts trained separately learn overlapping features, so fewer dimensions hold most of the information. Components are
sorted by eigenvalue, so that a vector can be truncated. Language-specific directions can be removed first, because they
bias similarity towards passages in the question's own language.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing.errors import SettingError
from indexing.models.registry import resolve
from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences
from qa_pipeline.training.embedder.contrastive_task import load_embedder, save_static
from qa_pipeline.training.embedder.pair_sources import plain_text
from qa_pipeline.training.embedder.static_task import encode, static_vectors
from qa_pipeline.training.loop.run_folder import new_folder, save

LINES = 1_500


def reduce(name: str, numbers: int, into: Path, text: Path | None = None) -> float:
    """Writes the embedder `name` with `numbers` dimensions per token into `into`; returns the share of squares retained.

    text: folder of plain text, one file per language. With it, language-specific directions are removed first
    (`without_languages`); they do not count in the share. Raises SettingError if the model is not static or has no more
    dimensions than `numbers`, UnreadableFile, ModelError.
    """
    new_folder(into)
    folder = resolve(name, "embedder")
    model = load_embedder(folder)
    vectors = static_vectors(model, folder.name)
    if not 1 <= numbers < vectors.shape[1]:
        raise SettingError(f"{folder.name} has {vectors.shape[1]} numbers a token; --dim must be from 1 to fewer than that.")
    if text is not None:
        vectors = without_languages(vectors, list(plain_text(text, encode(folder), LINES).values()))
    rows, share = components(vectors, numbers)
    into.mkdir(parents=True, exist_ok=True)
    save(lambda target: save_static(model[0].tokenizer, rows, target), into, "modules.json")
    return share


def components(vectors: NDArray[np.float32], numbers: int) -> tuple[NDArray[np.float32], float]:
    """Projects float32 [V, d] to [V, numbers] on the top eigenvectors of the uncentred covariance.

    Returns the rows and the share of the sum of squares they retain. The projection changes dot products of rows least.

    >>> rows, share = components(np.array([[3, 4, 0], [6, 8, 0.1]], dtype=np.float32), 1)
    >>> abs(rows).round(2).tolist(), round(share, 3)
    ([[5.0], [10.0]], 1.0)
    """
    exact = vectors.astype(np.float64)
    values, directions = np.linalg.eigh(exact.T @ exact)
    rows = exact @ directions[:, ::-1][:, :numbers]
    return rows.astype(np.float32), float(values[::-1][:numbers].sum() / values.sum())


def without_languages(vectors: NDArray[np.float32], languages: Sequence[RaggedSentences]) -> NDArray[np.float32]:
    """Removes from float32 [V, d] the at most L - 1 directions in which the mean vectors of L languages differ.

    A language's mean is that of its lines' unit vectors; one language leaves the vectors unchanged. A simple form of "A
    simple and effective method to eliminate the self language bias in multilingual representations" (Yang et al. 2021).
    They remove principal components of each language instead.

    >>> from qa_pipeline.training.alignment.ibm_model1 import to_ragged
    >>> rows = np.array([[1, 5], [2, 5], [1, -5], [2, -5]], dtype=np.float32)
    >>> without_languages(rows, [to_ragged([[0, 1]]), to_ragged([[2, 3]])]).round(3).tolist()
    [[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    """
    means = np.stack([_mean(vectors, some) for some in languages])
    _, sizes, directions = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    apart = directions[sizes > 1e-6 * max(float(sizes.max()), 1e-12)].astype(np.float32)
    rest: NDArray[np.float32] = vectors - (vectors @ apart.T) @ apart
    return rest


def _mean(vectors: NDArray[np.float32], lines: RaggedSentences) -> NDArray[np.float64]:
    """The mean of the lines' unit vectors, float64 [d]."""
    begins = lines.begins[:-1][lines.lengths > 0]
    if not len(begins):
        return np.zeros(vectors.shape[1])
    sums = np.add.reduceat(vectors[lines.words].astype(np.float64), begins, axis=0)
    mean: NDArray[np.float64] = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).mean(axis=0)
    return mean

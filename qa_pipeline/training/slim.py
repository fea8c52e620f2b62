"""An embedder of token vectors -> one with fewer numbers for each token, the principal components of what it had.

Parts that learned apart find much the same things, so that most of what they know lies in fewer directions. The components
come in the order of what they hold, so that the first numbers of a vector can be used alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing.errors import SettingError
from indexing.models import resolve
from qa_pipeline.training.embedder_task import load_embedder, save_static
from qa_pipeline.training.run_folder import new_folder, save
from qa_pipeline.training.static_task import static_vectors


def slim(name: str, numbers: int, into: Path) -> float:
    """The embedder `name` with `numbers` numbers a token, in `into`; the share of the squares that is left.

    Raises SettingError where it is another kind of model or has no more numbers than that, ModelError.
    """
    new_folder(into)
    folder = resolve(name, "embedder")
    model = load_embedder(folder)
    vectors = static_vectors(model, folder.name)
    if not 1 <= numbers < vectors.shape[1]:
        raise SettingError(
            f"{folder.name} has {vectors.shape[1]} numbers a token; --numbers must be from 1 to fewer than that."
        )
    rows, share = components(vectors, numbers)
    into.mkdir(parents=True, exist_ok=True)
    save(lambda target: save_static(model[0].tokenizer, rows, target), into, "modules.json")
    return share


def components(vectors: NDArray[np.float32], numbers: int) -> tuple[NDArray[np.float32], float]:
    """float32 [V, d] -> [V, numbers], their products with the first eigenvectors of the uncentred covariance, and the share
    of the squares that these hold; products of the rows with one another change as little as they can.

    >>> rows, share = components(np.array([[3, 4, 0], [6, 8, 0.1]], dtype=np.float32), 1)
    >>> abs(rows).round(2).tolist(), round(share, 3)
    ([[5.0], [10.0]], 1.0)
    """
    exact = vectors.astype(np.float64)
    values, directions = np.linalg.eigh(exact.T @ exact)
    rows = exact @ directions[:, ::-1][:, :numbers]
    return rows.astype(np.float32), float(values[::-1][:numbers].sum() / values.sum())

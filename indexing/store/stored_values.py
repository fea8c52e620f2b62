"""Values as the corpus database stores them, parsed so that a damaged one is none and fails nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from indexing.arrays import Ids, Matrix

logger = logging.getLogger(__name__)

UNIT = 1e-3
ZERO = 1e-6


def is_unit(vector: Matrix) -> bool:
    """Whether a vector [d] is finite and of unit length, or zero."""
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return length <= ZERO or abs(length - 1) <= UNIT


def sound_vectors(ids: Sequence[int], blobs: Sequence[Any], dimension: int) -> tuple[Ids, Matrix]:
    """The ids whose stored vectors are `dimension` finite numbers, and those vectors, float32 [n, d].

    Others are left out, and a warning says how many.
    """
    size = 4 * dimension
    kept = [at for at, blob in enumerate(blobs) if isinstance(blob, bytes) and len(blob) == size]
    numbers = np.array([ids[at] for at in kept], dtype=np.int64)
    matrix = np.frombuffer(b"".join(blobs[at] for at in kept), dtype="<f4").reshape(len(kept), dimension)
    finite = np.isfinite(matrix).all(axis=1)
    if len(kept) < len(ids) or not finite.all():
        logger.warning("%s damaged vectors are left out; `docqa doctor` names them", len(ids) - int(finite.sum()))
        numbers, matrix = numbers[finite], matrix[finite]
    return numbers, matrix.astype(np.float32, copy=False)


def parsed_pages(stored: Any) -> tuple[int, ...]:
    """The page offsets of a stored document; () if they are damaged."""
    pages = _parsed(stored)
    return tuple(pages) if isinstance(pages, list) and all(type(page) is int for page in pages) else ()


def parsed_headings(stored: Any) -> list[list[int]]:
    """The headings of a stored document, (start, end, level) each; [] if they are damaged."""
    found = _parsed(stored)
    whole = isinstance(found, list) and all(isinstance(h, list) and [type(n) for n in h] == [int, int, int] for h in found)
    return found if whole else []


def parsed_meta(stored: Any) -> dict[str, Any]:
    """The meta fields of a stored document; {} if they are damaged."""
    found = _parsed(stored)
    return found if isinstance(found, dict) else {}


def _parsed(stored: Any) -> Any:
    try:
        return json.loads(stored)
    except (ValueError, TypeError):
        return None

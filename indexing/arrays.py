"""Array types of vector and keyword search, token ids as stored, and top-k selection of scored ids."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

Ids = NDArray[np.int64]
Scores = NDArray[np.float64]
TokenIds = NDArray[np.int32]

CHECKSUM = 4
ZIP_HEADER = 30  # bytes of an entry's header before its name; the last four are the lengths of what follows
TOKEN_TYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<u2"), 4: np.dtype("<u4")}


def top_scores(ids: Ids, scores: Scores, top_k: int) -> list[tuple[int, float]]:
    """The `top_k` highest (id, score), best first, equal scores by ascending id.

    >>> top_scores(np.array([3, 1, 2]), np.array([0.5, 0.5, 0.9]), 2)
    [(2, 0.9), (1, 0.5)]
    """
    if len(ids) > top_k:
        threshold = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        keep = scores >= threshold
        ids, scores = ids[keep], scores[keep]
    order = np.lexsort((ids, -scores))[:top_k]
    return [(int(ids[i]), float(scores[i])) for i in order]


def mapped_array(path: Path, name: str) -> NDArray[Any]:
    """An array [n] of an uncompressed .npz file, read by the system when needed. Raises ValueError, OSError, KeyError."""
    with ZipFile(path) as archive, path.open("rb") as file:
        entry = archive.getinfo(f"{name}.npy")
        if entry.compress_type != ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        file.seek(entry.header_offset + ZIP_HEADER - 4)
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 1 or dtype.hasobject or file.tell() + shape[0] * dtype.itemsize > path.stat().st_size:
            raise ValueError(f"{name} is no array of the file")
        return np.memmap(path, dtype, "r", file.tell(), shape) if shape[0] else np.empty(0, dtype)


def pack_tokens(tokens: TokenIds) -> bytes:
    """Distinct token ids, ascending, as stored: size of an id in bytes (2 or 4), ids, CRC-32 of both; little endian.

    >>> pack_tokens(np.array([3, 500], dtype=np.int32))[:5]
    b'\\x02\\x03\\x00\\xf4\\x01'
    """
    size = 2 if not len(tokens) or int(tokens[-1]) < 1 << 16 else 4
    held = bytes([size]) + tokens.astype(TOKEN_TYPES[size]).tobytes()
    return held + zlib.crc32(held).to_bytes(CHECKSUM, "little")


def unpack_tokens(stored: object, vocabulary: int) -> TokenIds | None:
    """The token ids, int32 [k]; None if their checksum does not hold, or one is not below `vocabulary`."""
    if not isinstance(stored, bytes) or len(stored) <= CHECKSUM or stored[0] not in TOKEN_TYPES:
        return None
    held, checksum = stored[:-CHECKSUM], stored[-CHECKSUM:]
    if zlib.crc32(held).to_bytes(CHECKSUM, "little") != checksum:
        return None
    tokens: TokenIds = np.frombuffer(held, dtype=TOKEN_TYPES[held[0]], offset=1).astype(np.int32)
    return tokens if not len(tokens) or int(tokens[-1]) < vocabulary else None

"""Postings merged on disk: segments of any size become one file, with the memory of a part of it.

Term hashes are spread evenly over 64 bits. So a merge takes one range of hashes after the other, of about
MERGED_AT_ONCE postings, and writes each to the file.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from indexing.arrays import Ids
from indexing.store.bm25 import ARRAYS, Segment

MERGED_AT_ONCE = 4_000_000
SPOOLED = 8_000_000
HASHES = 2**64
NO_IDS: Ids = np.empty(0, np.int64)


def merge_into(path: Path, segments: Sequence[Segment], dead: Ids) -> None:
    """Write `Segment.merge(segments, dead)` as `Segment.save` does. Raises OSError."""
    folder = path.parent
    with tempfile.TemporaryFile(dir=folder) as rows, tempfile.TemporaryFile(dir=folder) as counts:
        terms, starts, first = [], [np.zeros(1, np.int64)], 0
        for merged in _merged(segments, dead):
            terms.append(merged.terms)
            starts.append(merged.starts[1:] + first)
            first += len(merged.rows)
            rows.write(merged.rows.tobytes())
            counts.write(merged.counts.tobytes())
        arrays = {name: getattr(merged, name) for name in ARRAYS}
        arrays |= {"terms": np.concatenate(terms), "starts": np.concatenate(starts)}
        with ZipFile(path, "w", ZIP_STORED) as file:
            for name in ARRAYS:
                with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    spooled = {"rows": rows, "counts": counts}.get(name)
                    write_array(entry, arrays[name], spooled, first)


def _merged(segments: Sequence[Segment], dead: Ids) -> Iterator[Segment]:
    """The merged segment in ranges of terms, at least one; each has all ids, lengths and languages."""
    count = max(1, math.ceil(sum(len(segment.rows) for segment in segments) / MERGED_AT_ONCE))
    splits = np.array([number * HASHES // count for number in range(1, count)], dtype=np.uint64)
    cuts = [[0, *np.searchsorted(segment.terms, splits).tolist(), len(segment.terms)] for segment in segments]
    for number in range(count):
        yield Segment.merge([_part(s, *at[number : number + 2]) for s, at in zip(segments, cuts, strict=True)], dead)


def _part(segment: Segment, begin: int, end: int) -> Segment:
    """The postings of the terms `begin` to `end` of a segment."""
    starts = segment.starts[begin : end + 1]
    rows = slice(int(starts[0]), int(starts[-1]))
    return replace(
        segment,
        terms=segment.terms[begin:end],
        starts=starts - starts[0],
        rows=segment.rows[rows],
        counts=segment.counts[rows],
    )


def write_array(entry: IO[bytes], array: Any, spooled: Any, count: int) -> None:
    """An array as a .npy file; spooled: the file of its content, `count` items, or None."""
    header = np.lib.format.header_data_from_array_1_0(array)
    if spooled is None:
        np.lib.format.write_array_header_1_0(entry, header)
        entry.write(array.tobytes())
    else:
        np.lib.format.write_array_header_1_0(entry, header | {"shape": (count,)})
        spooled.seek(0)
        shutil.copyfileobj(spooled, entry, 1 << 20)


class SegmentSpool:
    """Segments in order, with ascending ids. Beyond SPOOLED postings they are merged into files of a folder.

    The files are removed at once and stay mapped; where the system forbids that, with `close`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[Path] = []
        self._merged: list[Segment] = []
        self._new: list[Segment] = []
        self._size = 0

    def add(self, segment: Segment) -> None:
        """Raises OSError if a file cannot be written."""
        self._new.append(segment)
        self._size += len(segment.rows)
        if self._size > SPOOLED:
            path = self._folder / f"keywords-spool-{os.urandom(4).hex()}.npz"
            self._files.append(path)
            merge_into(path, self._new, NO_IDS)
            self._merged.append(Segment.load(path, mapped=True))
            self._new.clear()
            self._size = 0
            if os.name == "posix":
                path.unlink()

    def segments(self) -> list[Segment]:
        return [*self._merged, *self._new]

    def close(self) -> None:
        """Forget all segments."""
        self._merged.clear()
        self._new.clear()
        self._size = 0
        for path in self._files:
            path.unlink(missing_ok=True)
        self._files.clear()

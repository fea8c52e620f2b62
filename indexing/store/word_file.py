"""The file of word positions of an index folder: written when an index is published, opened at the first search by words.

An id is never reused, and the text of a passage never changes. So what the file says of a passage holds in every
generation, and the newest file serves any of them. Passages that it lacks are compared by their text.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Ids
from indexing.atomic_files import file_checksum
from indexing.errors import IndexDamaged
from indexing.store.postings_merge import write_array
from indexing.store.word_positions import ARRAYS, GAP, Mask, WordPositions, ends_of, packed, place_type, rows_of
from indexing.text.search_terms import VERSION as TERMS

logger = logging.getLogger(__name__)

WORDS = "words"
TEXTS_AT_ONCE = 10_000
MERGED_AT_ONCE = 1_000_000  # places
NO_IDS: Ids = np.empty(0, np.int64)
IN_MEMORY = 16_000_000  # places


def write(path: Path, base: WordPositions | None, dead: Ids, passages: Iterator[tuple[int, str]]) -> None:
    """Write the positions of `base` without dead ids, and of further passages, with ascending ids above those of `base`.

    Beyond IN_MEMORY words, what is new is merged into files beside it that are removed at once. Raises OSError.
    """
    parts = [] if base is None else [base]
    new = list[WordPositions]()
    spooled = list[Path]()
    try:
        while some := list(islice(passages, TEXTS_AT_ONCE)):
            new.append(WordPositions.build(some))
            if sum(len(part.places) for part in new) > IN_MEMORY:
                spooled.append(path.with_name(f"{WORDS}-spool-{os.urandom(4).hex()}.npz"))
                _merge(spooled[-1], new, NO_IDS)
                parts.append(WordPositions.load(spooled[-1]))
                new.clear()
        _merge(path, [*parts, *new], dead)
    finally:
        parts.clear()
        for one in spooled:
            one.unlink(missing_ok=True)


def merged_words(parts: Sequence[WordPositions]) -> tuple[list[str], list[NDArray[np.int64]]]:
    """The distinct words of all parts, in order, and the number of each part's words among them."""
    each = [part.words() for part in parts]
    if len(each) == 1:
        return each[0], [np.arange(len(each[0]))]
    words = sorted(set().union(*each))
    number = {word: at for at, word in enumerate(words)}
    return words, [np.fromiter(map(number.__getitem__, one), np.int64, len(one)) for one in each]


def _merge(path: Path, parts: Sequence[WordPositions], dead: Ids) -> None:
    """Write parts as one, in ranges of words of about MERGED_AT_ONCE places."""
    words, numbers = merged_words(parts)
    alive = [~np.isin(part.ids, dead, assume_unique=True) for part in parts]
    firsts, shifts = _moved(parts, alive)
    total, sizes = np.zeros(len(words), np.int64), np.zeros(len(words), np.int64)
    for part, number in zip(parts, numbers, strict=True):
        total[number] += np.diff(part.starts)
    kind = place_type(int(firsts[-1]))
    with tempfile.TemporaryFile(dir=path.parent) as spool:
        for begin, end in _ranges(total):
            columns = zip(parts, numbers, alive, shifts, strict=True)
            found = [_moved_places(part, number, kept, shift, begin, end) for part, number, kept, shift in columns]
            places, of_words = (np.concatenate(column) for column in zip(*found, strict=True))
            order = np.argsort(of_words, kind="stable") if len(parts) > 1 else slice(None)
            spool.write(places[order].astype(kind).tobytes())
            sizes += np.bincount(of_words, minlength=len(words))
        ids = np.concatenate([NO_IDS, *(part.ids[kept] for part, kept in zip(parts, alive, strict=True))])
        letters, ends = packed([word for word, size in zip(words, sizes.tolist(), strict=True) if size])
        made = WordPositions(ids, firsts, letters, ends, ends_of(sizes[sizes > 0]), np.empty(0, kind))
        with ZipFile(path, "w", ZIP_STORED) as file:
            for name in ARRAYS:
                with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    write_array(entry, getattr(made, name), spool if name == "places" else None, int(sizes.sum()))


def _moved(parts: Sequence[WordPositions], alive: Sequence[Mask]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The first positions of the passages that are kept, and how far each passage of each part moves."""
    lengths = [np.diff(part.firsts) for part in parts]
    kept = [length[mask] for length, mask in zip(lengths, alive, strict=True)]
    firsts = GAP + ends_of(np.concatenate([NO_IDS, *kept]))
    shifts, at = [], 0
    for part, mask in zip(parts, alive, strict=True):
        shift, count = np.zeros(len(mask), np.int64), int(mask.sum())
        shift[mask] = firsts[at : at + count] - part.firsts[:-1][mask]
        shifts.append(shift)
        at += count
    return firsts, shifts


def _moved_places(
    part: WordPositions, number: NDArray[np.int64], kept: Mask, shift: NDArray[np.int64], begin: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of the words `begin` to `end` in the merged stream, and the word of each. number: of the part's words."""
    low, high = np.searchsorted(number, (begin, end))
    places = np.asarray(part.places[part.starts[low] : part.starts[high]]).astype(np.int64)
    of_words = np.repeat(number[low:high], np.diff(part.starts[low : high + 1]))
    if kept.all():
        return places + 2 * (shift[0] if len(shift) else 0), of_words
    rows = rows_of(part.firsts, places)
    return (places + 2 * shift[rows])[kept[rows]], of_words[kept[rows]]


def _ranges(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of words with about MERGED_AT_ONCE places each."""
    ends, begin = np.cumsum(sizes), 0
    while begin < len(sizes):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + MERGED_AT_ONCE, side="right")))
        yield begin, end
        begin = end


def restricted(part: WordPositions, ids: Ids) -> WordPositions:
    """The positions of some of the passages only; ids: ascending."""
    kept = np.isin(part.ids, ids, assume_unique=True)
    firsts, (shift,) = _moved([part], [kept])
    words, (number,) = merged_words([part])
    places, of_words = _moved_places(part, number, kept, shift, 0, len(words))
    sizes = np.bincount(of_words, minlength=len(words))
    letters, ends = packed([word for word, size in zip(words, sizes.tolist(), strict=True) if size])
    kind = place_type(int(firsts[-1]))
    return WordPositions(part.ids[kept], firsts, letters, ends, ends_of(sizes[sizes > 0]), places.astype(kind))


def read(folder: Path, manifest: Any) -> WordPositions | None:
    """The positions that a manifest names; None if it names none, or of other rules. Raises IndexDamaged."""
    entry = manifest.get(WORDS) if isinstance(manifest, dict) and manifest.get("terms") == TERMS else None
    if entry is None:
        return None
    name = entry.get("file") if isinstance(entry, dict) else None
    if not isinstance(name, str) or (folder / name).parent != folder:
        raise IndexDamaged("The manifest names no file of word positions.")
    if file_checksum(folder / name) != entry.get("checksum"):
        raise IndexDamaged(f"{name} is not the file that was written")
    return WordPositions.load(folder / name)


class WordFile:
    """The newest positions of an index folder, opened when they are needed first. Thread-safe."""

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self._guard = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._found: WordPositions | None = None

    def newest(self) -> WordPositions | None:
        """None if there are none, or damaged ones; then words are compared with the texts."""
        seen: tuple[int, ...] = ()
        with suppress(OSError):
            stat = self._manifest.stat()
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        with self._guard:
            if seen != self._seen:
                self._seen, self._found = seen, self._read() if seen else None
            return self._found

    def problems(self) -> Iterator[str]:
        """Whether the file is damaged, as a sentence. A manifest that cannot be parsed is the keyword index's problem."""
        try:
            self._checked()
        except IndexDamaged as error:
            yield f"The positions of words cannot be used, so search by words is slow: {str(error).rstrip('.')}."
        except (OSError, ValueError):
            return

    def _read(self) -> WordPositions | None:
        try:
            return self._checked()
        except (IndexDamaged, OSError, ValueError) as error:
            logger.info("search by words in %s reads the texts: %s", self._manifest.parent, error)
            return None

    def _checked(self) -> WordPositions | None:
        return read(self._manifest.parent, json.loads(self._manifest.read_bytes()))

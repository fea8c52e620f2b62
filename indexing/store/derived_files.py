"""The derived files of an index folder, written beside those of earlier generations, and the manifest that names them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexing.arrays import Ids
from indexing.atomic_files import file_checksum, remove_leftovers, store, sync_file
from indexing.errors import IndexDamaged
from indexing.store import faiss_index as faiss_file
from indexing.store.bm25 import Segment
from indexing.store.faiss_index import VectorIndex
from indexing.store.postings_merge import SegmentSpool, merge_into
from indexing.store.word_file import WORDS, read, write
from indexing.text.search_terms import VERSION as TERMS

if TYPE_CHECKING:
    from typing_extensions import Self

MANIFEST = "derived.json"
VECTORS, SENTENCES = "vectors", "sentences"
PARTIAL = "partial"
PATTERNS = (f"{VECTORS}-*.faiss", f"{SENTENCES}-*.faiss", "keywords-*.npz", f"{WORDS}-*.npz")


class DerivedFiles:
    """The derived files of one generation in the making. The caller holds the writer lock.

    Around its block, files that the stored manifest does not name are removed: of a process that was stopped before, and of
    this one if it fails. So they do not take the room on a full disk that the next try needs.
    The manifest's entry of the vectors is the manifest itself, and that of the sentence vectors its field `sentences`. An
    entry without "vectors" is partial: its file holds a part of the vectors, and the next one goes on from it.
    """

    def __init__(self, folder: Path, generation: int) -> None:
        self._folder = folder
        self._stamp = f"{generation:08d}-{os.urandom(4).hex()}"
        self._manifest: dict[str, Any] = {"generation": generation, "terms": TERMS}

    def __enter__(self) -> Self:
        self._sweep(self._stored())
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            with suppress(OSError):
                self._sweep(self._stored())

    def begin(self, name: str, facts: dict[str, Any]) -> None:
        self._manifest[name] = facts

    def keywords(self, segments: Iterable[Segment], dead: Ids) -> Segment:
        """Write the segments as one, without dead ids."""
        spool, path = SegmentSpool(self._folder), self._folder / f"keywords-{self._stamp}.npz"
        for segment in segments:
            spool.add(segment)
        merge_into(path, spool.segments(), dead)
        spool.close()
        self._manifest["keywords"] = self._entry(path)
        return Segment.load(path, mapped=True)

    def words(
        self, ids: Ids, texts: Callable[[Ids], Iterator[tuple[int, str, str]]], *, afresh: bool, later: bool = False
    ) -> None:
        """Write the positions of the words of these passages, from what the stored file has of them and from texts.

        ids: ascending. afresh: from the texts alone. Where nothing changed, the stored file stays. later: new passages wait
        for the next call. Words of deleted ones never do.
        """
        stored = self._stored()
        try:
            base = None if afresh else read(self._folder, stored)
        except IndexDamaged:
            base = None
        known = ids[:0] if base is None else base.ids
        new, dead = np.setdiff1d(ids, known, assume_unique=True), np.setdiff1d(known, ids, assume_unique=True)
        if len(new) and len(known) and new[0] < known[-1]:
            base, new, dead = None, ids, ids[:0]
        if not len(dead) and (later or (base is not None and not len(new))):
            self._manifest |= {WORDS: stored[WORDS]} if base is not None else {}
            return
        path = self._folder / f"{WORDS}-{self._stamp}.npz"
        write(path, base, dead, ((number, text) for number, text, _ in texts(new)))
        self._manifest[WORDS] = self._entry(path)

    def vectors(self, name: str, index: VectorIndex) -> None:
        """Write a vector index whose additions are all in its base."""
        entry = self._entry_of(name)
        entry.pop(PARTIAL, None)
        entry |= {"kind": index.kind, "dead": index.dead.tolist(), "vectors": None}
        if index.base is not None:
            entry["vectors"] = self._save(f"{name}-{self._stamp}.faiss", index.base)

    def partial(self, name: str) -> Callable[[Any, Ids], None]:
        """Called with an HNSW base in the making and its dead ids: publishes it for readers and for the next run."""
        turns = iter(range(1_000_000))

        def publish(base: Any, dead: Ids) -> None:
            entry = self._entry_of(name)
            entry |= {"kind": "hnsw", "dead": dead.tolist()}
            entry[PARTIAL] = self._save(f"{name}-{self._stamp}-{next(turns)}.faiss", base)
            self.publish()

        return publish

    def publish(self) -> None:
        """Swap: the manifest names the files written so far, and the others go."""
        store(self._folder / MANIFEST, json.dumps(self._manifest).encode("utf-8"))
        self._sweep(self._manifest)

    def _stored(self) -> Any:
        """The manifest in the folder; None if there is none, or a damaged one, which names nothing."""
        try:
            return json.loads((self._folder / MANIFEST).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def _sweep(self, manifest: Any) -> None:
        entries = [entry.get(key) for entry in _levels(manifest) for key in (VECTORS, PARTIAL, "keywords", WORDS)]
        keep = {entry.get("file") for entry in entries if isinstance(entry, dict)}
        remove_leftovers(self._folder / MANIFEST)
        for pattern in PATTERNS:
            for path in self._folder.glob(pattern):
                if path.name not in keep:
                    path.unlink(missing_ok=True)

    def _entry_of(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._manifest if name == VECTORS else self._manifest[name]
        return found

    def _save(self, file: str, base: Any) -> dict[str, str]:
        faiss_file.save_base(base, self._folder / file)
        return self._entry(self._folder / file)

    def _entry(self, path: Path) -> dict[str, str]:
        sync_file(path)
        return {"file": path.name, "checksum": file_checksum(path)}


def _levels(manifest: Any) -> list[dict[str, Any]]:
    """The manifest and its entry of the sentence vectors, as far as they are objects."""
    if not isinstance(manifest, dict):
        return []
    return [level for level in (manifest, manifest.get(SENTENCES)) if isinstance(level, dict)]

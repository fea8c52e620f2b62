"""One searchable index: the corpus database with its vector index and BM25 index at one generation.

The database is the source of truth. The derived files name the generation they were made from. Opening a folder loads and
checks them, and applies later changes of the database in memory. A missing, damaged or foreign file is replaced by
a rebuild from the database.

So readers need no write access, a crash costs only the rebuild of a cache, and every question sees one whole generation.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from indexing.arrays import Ids
from indexing.atomic_files import file_checksum
from indexing.errors import IndexDamaged, IndexFolderError
from indexing.lru_cache import LRUCache
from indexing.store.bm25 import KeywordIndex, Segment
from indexing.store.checked_sqlite import files_written
from indexing.store.corpus_db import IndexFolder
from indexing.store.database_checks import damaged_files, database_problems
from indexing.store.derived_files import MANIFEST, PARTIAL, SENTENCES, VECTORS, DerivedFiles
from indexing.store.faiss_index import VectorIndex
from indexing.store.filters import Filter, where
from indexing.store.index_checks import different_vectors, keyword_problems, vector_problems, word_problems
from indexing.store.postings_merge import SegmentSpool
from indexing.store.sentence_vectors import SentenceVectors
from indexing.store.snapshot import Snapshot, State
from indexing.store.term_hashes import hashes
from indexing.store.vector_column import VectorColumn
from indexing.store.word_file import WordFile
from indexing.text.search_terms import VERSION as TERMS

logger = logging.getLogger(__name__)

SEGMENTS_AT_MOST = 8
SEGMENT_PART = 2_000
NO_IDS: Ids = np.empty(0, np.int64)
UNREADABLE = (IndexDamaged, OSError, ValueError, KeyError, TypeError)
CACHED_FILTERS = 64


@dataclass(frozen=True, slots=True)
class StoredState:
    """The derived files. current: False, and no keywords, if those are of another `search_terms.VERSION`."""

    state: State
    current: bool


class Index:
    """An opened index folder. Thread-safe; questions do not change it."""

    def __init__(self, folder: IndexFolder) -> None:
        self.folder = folder
        self.sentences = SentenceVectors(folder)
        self.words = WordFile(folder.path / MANIFEST)
        self._guard = threading.Lock()
        self._allowed: LRUCache[Ids] = LRUCache(CACHED_FILTERS)
        self._written = SegmentSpool(folder.path)
        with folder.reading():
            self._state = self._load()

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Index:
        """Open a folder. Raises IndexMissing, IndexMismatch, IndexDamaged."""
        return cls(IndexFolder.open(path, writable=writable))

    def close(self) -> None:
        self.folder.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- questions -------------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A snapshot of the newest generation; every question in the block sees that generation."""
        while True:
            with self.folder.reading():
                state = self._state_at(self.folder.generation())
                if state is not None:
                    yield Snapshot(self, state)
                    return

    def _state_at(self, generation: int) -> State | None:
        """The state at a generation, updated if necessary; None if another thread has a newer one already."""
        with self._guard:
            if self._state.generation < generation:
                self._state = self._advance(self._state, generation)
            return self._state if self._state.generation == generation else None

    def allowed(self, generation: int, filters: Filter | None) -> Ids | None:
        """The ids that match a filter, ascending, cached per generation; None for no filter. Raises FilterError."""
        condition = where(filters)
        if condition is None:
            return None
        key = (generation, condition)
        found = self._allowed.get(key)
        if found is None:
            found = self.folder.chunk_ids(condition)
            self._allowed.put(key, found)
        return found

    def keep_written(self, generation: int, words: Segment) -> None:
        """Keep the postings that this process wrote at `generation`, so that an update need not analyse the texts again.

        words: of all passages of the generation, numbered from 0 in the order of writing.
        """
        ids = self.folder.chunk_ids(after=generation - 1)
        if len(ids) == len(words.ids):
            with self._guard:
                try:
                    self._written.add(replace(words, ids=ids))
                except OSError as error:
                    logger.info("the postings of %s will be computed from the texts again: %s", self.folder.path, error)
                    self._written.close()

    # -- updating --------------------------------------------------------------------------------------------------

    def _load(self) -> State:
        """The newest state, from the derived files if they are valid, else from the database."""
        generation = self.folder.generation()
        try:
            stored = self._read_derived()
        except UNREADABLE as error:
            logger.info("derived files of %s are rebuilt: %s", self.folder.path, error)
            stored = None
        if stored is None or stored.state.generation > generation:
            return self._empty() if self.folder.writable else self._rebuild(generation)
        if self.folder.writable and stored.current and stored.state.generation < generation:
            return stored.state
        state = self._advance(stored.state, generation)
        if not stored.current:
            logger.info("the keyword index of %s is rebuilt, since its terms are of another version", self.folder.path)
            return replace(state, keywords=KeywordIndex.of([self._segment(self.folder.chunk_ids())]))
        return state

    def _read_derived(self) -> StoredState | None:
        """What the derived files hold; None without them. Raises IndexDamaged and what reading and parsing raise.

        A writer may replace them meanwhile; then the new ones are read.
        """
        path = self.folder.path / MANIFEST
        while path.is_file():
            content = path.read_bytes()
            try:
                return self._of_manifest(json.loads(content))
            except UNREADABLE:
                if path.read_bytes() == content:
                    raise
        return None

    def _of_manifest(self, manifest: dict[str, Any]) -> StoredState:
        keywords = self._verified(manifest["keywords"])
        segment = Segment.load(keywords, mapped=True)
        vectors = self._loaded(self._column(), manifest, segment.ids)
        current = manifest.get("terms") == TERMS
        state = State(int(manifest["generation"]), vectors, KeywordIndex.of([segment]) if current else KeywordIndex())
        column, deeper = self._sentence_column(), manifest.get("sentences")
        if column is not None and deeper is not None and deeper["since"] == self._since():
            sentences = self._loaded(column, deeper, self.sentences.ids())
            state = replace(state, sentences=sentences, since=deeper["since"])
        return StoredState(state, current)

    def _loaded(self, column: VectorColumn, entry: dict[str, Any], ids: Ids) -> VectorIndex:
        """A vector index. ids: what it shall hold, in case its base was still being made; then the rest is exact."""
        partial = entry.get(PARTIAL)
        file = partial or entry["vectors"]
        # FAISS does not align vectors in its file, so numpy would copy those of a flat index for each filtered search.
        mapped = entry["kind"] == "hnsw" and not self.folder.writable
        found = column.load(None if file is None else self._verified(file), entry, mapped)
        return found if partial is None else column.advanced(found, *column.missing(found, ids), NO_IDS)

    def _verified(self, entry: dict[str, str]) -> Path:
        """The path of a derived file, after verifying its checksum; FAISS never reads an unverified file."""
        path = self.folder.path / entry["file"]
        if path.parent != self.folder.path or file_checksum(path) != entry["checksum"]:
            raise IndexDamaged(f"{entry['file']} is not the file that was written")
        return path

    def _column(self) -> VectorColumn:
        dimension = int(self.folder.model["dimension"])
        return VectorColumn("vectors", dimension, self.folder.settings.vectors, self.folder.vectors)

    def _sentence_column(self) -> VectorColumn | None:
        model = self.sentences.model()
        if model is None:
            return None
        return VectorColumn("sentences", int(model["dimension"]), self.folder.settings.vectors, self.sentences.vectors)

    def _since(self) -> int:
        model = self.sentences.model()
        return -1 if model is None else int(model["since"])

    def _advance(self, state: State, generation: int) -> State:
        """Apply all changes of the database after `state`."""
        if state.generation == generation and state.since == self._since():
            return state
        new = self.folder.chunk_ids(after=state.generation)
        gone = self.folder.deleted_ids(after=state.generation)
        keywords = self._with_keywords_of(state.keywords, self._words(new), gone)
        column = self._column()
        if column.overgrown(state.vectors, len(new)):
            vectors = column.rebuilt(self.folder.chunk_ids())
        else:
            vectors = column.advanced(state.vectors, *self.folder.vectors(new), gone)
        return State(generation, vectors, keywords, *self._advanced_sentences(state, gone))

    def _advanced_sentences(self, state: State, gone: Ids) -> tuple[VectorIndex | None, int]:
        """The sentence vectors after all changes, and the generation at which their model began."""
        column, since = self._sentence_column(), self._since()
        if column is None:
            return None, -1
        if state.sentences is None or state.since != since:
            return column.rebuilt(self.sentences.ids()), since
        new = self.sentences.ids(after=state.generation)
        if column.overgrown(state.sentences, len(new)):
            return column.rebuilt(self.sentences.ids()), since
        return column.advanced(state.sentences, *self.sentences.vectors(new), gone), since

    def _words(self, new: Ids) -> Segment:
        """The postings of new passages: those kept in memory, or from the texts."""
        segments = self._taken(new)
        return self._segment(new) if segments is None else Segment.merge(segments, NO_IDS)

    def _taken(self, new: Ids) -> list[Segment] | None:
        """The segments that were kept, if they are those of `new`; afterwards none is kept."""
        segments = self._written.segments()
        self._written.close()
        held = np.concatenate([NO_IDS, *(segment.ids for segment in segments)])
        return segments if np.array_equal(held, new) else None

    def _with_keywords_of(self, keywords: KeywordIndex, new: Segment, gone: Ids) -> KeywordIndex:
        """Add a segment of new passages and drop deleted ones; many small segments are merged."""
        keywords = KeywordIndex.of((*keywords.segments, new), np.union1d(keywords.dead, gone))
        if len(keywords.segments) <= SEGMENTS_AT_MOST:
            return keywords
        merged = Segment.merge(keywords.segments[1:], keywords.dead)
        return KeywordIndex.of([keywords.segments[0], merged], keywords.dead)

    def _rebuild(self, generation: int) -> State:
        """Rebuild the state from the database alone."""
        ids = self.folder.chunk_ids()
        column = self._sentence_column()
        return State(
            generation,
            self._column().rebuilt(ids),
            KeywordIndex.of([self._segment(ids)]),
            None if column is None else column.rebuilt(self.sentences.ids()),
            self._since(),
        )

    def _empty(self) -> State:
        """The state before the first generation."""
        return State(0, VectorIndex(self._column().dimension), KeywordIndex())

    def _segment(self, ids: Ids) -> Segment:
        """The postings of these passages, from their texts."""
        return Segment.merge(list(self._segments(ids)), NO_IDS)

    def _segments(self, ids: Ids) -> Iterator[Segment]:
        """The same in parts, to limit the size of each sort."""
        for start in range(0, len(ids), SEGMENT_PART):
            found = list(self.folder.texts(ids[start : start + SEGMENT_PART]))
            numbers = np.array([number for number, _, _ in found], dtype=np.int64)
            columns = [hashes(text, language) for _, text, language in found]
            yield Segment.of_hashes(numbers, columns, [language for _, _, language in found])

    # -- writing the derived files ---------------------------------------------------------------------------------

    def publish(self, *, words_later: bool = False) -> State:
        """Write the derived files of the newest generation next to the old ones, then swap. Needs the writer lock.

        words_later: another call follows, which may write the positions of the words of new passages.

        Postings are merged on disk, and vectors read in slices. While HNSW is made, what is done is published now and then:
        a reader searches it, and the rest exactly; a run that is stopped goes on from there.

        Raises IndexFolderError; DiskFull.
        """
        with files_written(self.folder.path), self.folder.reading():
            generation = self.folder.generation()
            with self._guard:
                state = self._state
                new = self.folder.chunk_ids(after=state.generation)
                words = self._taken(new)
            gone = self.folder.deleted_ids(after=state.generation)
            added = self._segments(new) if words is None else words
            with DerivedFiles(self.folder.path, generation) as files:
                keywords = files.keywords(chain(state.keywords.segments, added), np.union1d(state.keywords.dead, gone))
                files.words(self.folder.chunk_ids(), self.folder.texts, afresh=not state.generation, later=words_later)
                vectors = self._column().published(state.vectors, new, gone, files.partial(VECTORS))
                files.vectors(VECTORS, vectors)
                sentences, since = self._published_sentences(state, gone, files)
                files.publish()
        published = State(generation, vectors, KeywordIndex.of([keywords]), sentences, since)
        with self._guard:
            self._state = published
        return published

    def _published_sentences(self, state: State, gone: Ids, files: DerivedFiles) -> tuple[VectorIndex | None, int]:
        column, since = self._sentence_column(), self._since()
        if column is None:
            return None, -1
        known = state.sentences is not None and state.since == since
        before = state.sentences if known and state.sentences is not None else VectorIndex(column.dimension)
        fresh = self.sentences.ids(after=state.generation if known else -1)
        files.begin(SENTENCES, {"since": since})
        found = column.published(before, fresh, gone, files.partial(SENTENCES))
        files.vectors(SENTENCES, found)
        return found, since

    # -- checking --------------------------------------------------------------------------------------------------

    def problems(self, sample: int = 2_000) -> Iterator[str]:
        """All problems, one sentence each: in the database, in the derived files, and between them. Raises nothing.

        sample: the number of passages, evenly spread, whose keywords are recomputed. All vectors are compared.
        """
        yield from database_problems(self.folder)
        yield from self._file_problems()
        try:
            yield from self._derived_problems(sample)
        except IndexFolderError as error:
            yield str(error)

    def _derived_problems(self, sample: int) -> Iterator[str]:
        with self.snapshot() as snapshot:
            ids = self.folder.chunk_ids()
            embedded, matrix = self.folder.vectors(ids)
            state = snapshot.state
            if not np.array_equal(state.keywords.ids(), ids):
                yield "The keyword index does not hold the passages of the database."
            yield from vector_problems(state.vectors, embedded, matrix, "vector index")
            if state.sentences is not None:
                deepened = self.sentences.vectors(self.sentences.ids())
                yield from vector_problems(state.sentences, *deepened, "index of sentence vectors")
            if len(embedded) != len(ids):
                yield f"{len(ids) - len(embedded)} passages have no sound vector; `docqa doctor --repair` embeds them."
            chosen = ids[np.linspace(0, len(ids) - 1, min(sample, len(ids))).astype(int)] if len(ids) else ids
            yield from keyword_problems(state.keywords, chosen, self._segment(chosen))
            words = self.words.newest()
            if words is not None:
                yield from word_problems(words, [(number, text) for number, text, _ in self.folder.texts(chosen)])

    def differing(self) -> list[int]:
        """Ids of passages whose stored vector is not that of the vector index, which has a checksum."""
        with self.snapshot() as snapshot:
            embedded, matrix = self.folder.vectors(self.folder.chunk_ids())
            return [int(number) for number in different_vectors(snapshot.state.vectors, embedded, matrix)]

    def _file_problems(self) -> Iterator[str]:
        try:
            found = self._read_derived()
            if found is not None and not found.current:
                yield "The keyword index has the terms of another version and is rebuilt in memory at each start."
        except (IndexDamaged, OSError, ValueError, KeyError, TypeError) as error:
            yield f"The derived files cannot be used and are rebuilt in memory at each start: {str(error).rstrip('.')}."
        yield from self.words.problems()

    def repair(self) -> list[str]:
        """Rebuild the derived files from the database, and remove damaged documents, so that the next run reads them again.

        Returns the files (sources) whose documents were removed because their text broke an invariant.
        """
        with self.folder.writer():
            damaged = damaged_files(self.folder)
            if damaged:
                self.folder.write([], drop=damaged)
            with self._guard:
                self._state = self._empty()
            self.publish()
            self.folder.erase_deleted()
        return damaged

    def compact(self) -> bool:
        """Erase deleted text and vectors from the disk. Returns False if readers keep SQLite's log in use.

        Raises IndexBusy, IndexFolderError.
        """
        with self.folder.writer():
            with self._guard:
                self._state = self._empty()
            self.publish()
            return self.folder.compact()

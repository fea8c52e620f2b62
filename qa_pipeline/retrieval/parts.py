"""Questions to an index in parts: each part gives its candidates, and these together give what the whole index gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from indexing.documents import Document
from indexing.errors import IndexMismatch
from indexing.models.embedder import Embedder
from indexing.store.copies import MOST_NAMED, Twins, sketches_of, twins_of
from indexing.store.corpus_db import IndexFolder, StoredChunk
from indexing.store.filters import Filter, where, with_known_paths
from indexing.store.index import Index
from indexing.store.parts import SAMPLE, STATISTICS, Parts, WholeStatistics
from indexing.text.language_id import detect_question
from indexing.text.text_sketch import copies
from qa_pipeline.retrieval.candidates import Candidates, Tiers, candidates
from qa_pipeline.retrieval.retriever import RetrievedPassages, combine, distinct, retrieved
from qa_pipeline.settings import AskSettings

if TYPE_CHECKING:
    from qa_pipeline.retrieval.word_search import WordSearcher


class PartRetriever:
    """Gives the candidates of one part. Thread-safe."""

    def __init__(self, parts: Parts, number: int, embedder: Embedder) -> None:
        self._parts, self._embedder, self._folders = parts, embedder, FoldersOfParts(parts)
        self._index, self._sample = Index.open(parts.folder(number)), Index.open(parts.path / SAMPLE)
        if embedder.fingerprint != self._index.folder.model["fingerprint"]:
            raise IndexMismatch(f"The parts in {parts.path} were made with another version of {parts.embedder}.")
        self._statistics = WholeStatistics(parts.path / STATISTICS)
        self._tiers = Tiers.of(embedder)

    @cached_property
    def _words(self) -> WordSearcher:
        from qa_pipeline.retrieval.word_search import WordSearcher

        return WordSearcher(self._index, self._folders.has_field)

    def candidates(self, question: str, settings: AskSettings, filters: Filter | None = None) -> Candidates:
        """The candidates for a question. Raises FilterError, and SettingError for words of a field that no document has."""
        filters = self._folders.of_whole(filters)
        vector = self._embedder.questions([question])[0]
        language = detect_question(question, self._parts.languages)
        with self._index.snapshot() as snapshot, self._sample.snapshot() as sample:
            if settings.words:
                snapshot = self._words.within(snapshot, settings.words, filters)
            keywords = replace(snapshot.state.keywords, statistics=self._statistics)
            part = replace(snapshot, state=replace(snapshot.state, keywords=keywords))
            return candidates(part, self._tiers, question, vector, language, settings, filters, sample)


class FoldersOfParts:
    """The databases of all parts, opened when needed: documents, headings and passages. Thread-safe."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._folder: Callable[[int], IndexFolder] = lru_cache(lambda number: IndexFolder.open(parts.folder(number)))

    def of_whole(self, filters: Filter | None) -> Filter | None:
        """A filter that means in each part what it means in the whole index. Raises FilterError."""
        return None if filters is None else with_known_paths(filters, self._has_source)

    def has_field(self, name: str) -> bool:
        """Whether any document of any part has a field of this name in its metadata."""
        return any(self._folder(number).has_field(name) for number in range(self.parts.count))

    def _has_source(self, source: str) -> bool:
        return any(self._folder(number).existing_sources([source]) for number in range(self.parts.count))

    def document(self, document_id: str) -> Document:
        """The document with this id. Raises DocumentMissing, IndexDamaged."""
        return self._of(document_id).document(document_id)

    def existing(self, ids: Iterable[str]) -> set[str]:
        return {found for id in ids for found in self._of(id).existing([id])}

    def headings_above(self, document_id: str, offset: int) -> list[str]:
        return self._of(document_id).headings_above(document_id, offset)

    def chunks(self, ids: Iterable[tuple[int, int]]) -> list[StoredChunk]:
        """Passages by id and the part that each is in."""
        mine: dict[int, list[int]] = {}
        for id, number in ids:
            mine.setdefault(number, []).append(id)
        return [chunk for number in sorted(mine) for chunk in self._folder(number).chunks(mine[number])]

    def twins(self, chunks: Sequence[StoredChunk], filters: Filter | None) -> list[Twins]:
        """As `copies.twins_of`, over all parts. Raises FilterError."""
        filters = self.of_whole(filters)
        parts = [self._twins_in(self._folder(number), chunks, filters) for number in range(self.parts.count)]
        found = (chain.from_iterable(of_one) for of_one in zip(*parts, strict=True))
        return [tuple(sorted(twins, key=lambda twin: twin[1])[:MOST_NAMED]) for twins in found]

    @staticmethod
    def _twins_in(folder: IndexFolder, chunks: Sequence[StoredChunk], filters: Filter | None) -> list[Twins]:
        """The filter is applied only where there are twins, since that reads all passages of the part."""
        found = twins_of(folder, chunks, None)
        return twins_of(folder, chunks, folder.chunk_ids(where(filters))) if filters is not None and any(found) else found

    def copies(self, document_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """As `copies.copies_among`."""
        ids = list(dict.fromkeys(document_ids))
        found = {id: sketch for one in ids for id, sketch in sketches_of(self._of(one), [one]).items()}
        return copies(found) if len(ids) > 1 else ()

    def _of(self, document_id: str) -> IndexFolder:
        return self._folder(self.parts.part_of(document_id))


@dataclass(frozen=True, slots=True)
class PartsRetriever:
    """Merges the candidates of all parts."""

    folders: FoldersOfParts

    @classmethod
    def open(cls, path: Path) -> PartsRetriever:
        """Raises IndexMissing, IndexMismatch, IndexDamaged."""
        return cls(FoldersOfParts(Parts.open(path)))

    def passages(
        self, question: str, found: Sequence[Candidates], settings: AskSettings, filters: Filter | None = None
    ) -> RetrievedPassages:
        """The passages that `Retriever.passages` gives for the whole index. found: of each part, in order.

        filters: with which the candidates were found. Where copies fill the rankings, there are fewer passages.
        """
        began = time.perf_counter()
        parts = self.folders.parts
        language = detect_question(question, parts.languages)
        ranked = combine(found, language, settings)
        place = {id: number for number, one in enumerate(found) for id in _ids(one)}
        ordered = distinct(ranked.fused, lambda ids: self.folders.chunks((id, place[id]) for id in ids), settings.retrieve)
        same = self.folders.copies(chunk.document_id for chunk, _ in ordered)
        return retrieved(
            ranked,
            ordered,
            self.folders.twins([chunk for chunk, _ in ordered], filters),
            question,
            language,
            settings,
            self.folders,
            parts.generation,
            0.0,
            lambda: 1e3 * (time.perf_counter() - began),
            parts.deepened,
            same,
        )


def _ids(found: Candidates) -> set[int]:
    numbers = {number for number, _ in (*found.nearest, *found.keyword, *found.others)}
    return numbers | (found.matches or {}).keys()

"""Questions to an index in parts: each part gives its candidates, and these together give what the whole index gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from indexing.documents import Document
from indexing.errors import IndexMismatch, SettingError
from indexing.models.embedder import Embedder
from indexing.store.copies import sketches_of
from indexing.store.corpus_db import IndexFolder, StoredChunk
from indexing.store.filters import Filter
from indexing.store.index import Index
from indexing.store.parts import SAMPLE, STATISTICS, Parts, WholeStatistics
from indexing.text.language_id import detect_question
from indexing.text.text_sketch import copies
from qa_pipeline.retrieval.candidates import Candidates, Tiers, candidates
from qa_pipeline.retrieval.retriever import RetrievedPassages, combine, retrieved
from qa_pipeline.settings import AskSettings


class PartRetriever:
    """Gives the candidates of one part. Thread-safe."""

    def __init__(self, parts: Parts, number: int, embedder: Embedder) -> None:
        self._parts, self._embedder = parts, embedder
        self._index, self._sample = Index.open(parts.folder(number)), Index.open(parts.path / SAMPLE)
        if embedder.fingerprint != self._index.folder.model["fingerprint"]:
            raise IndexMismatch(f"The parts in {parts.path} were made with another version of {parts.embedder}.")
        self._statistics = WholeStatistics(parts.path / STATISTICS)
        self._tiers = Tiers.of(embedder)

    def candidates(self, question: str, settings: AskSettings, filters: Filter | None = None) -> Candidates:
        """The candidates for a question. Raises FilterError, SettingError for `settings.words`."""
        if settings.words:
            raise SettingError("An index in parts cannot be asked with `words`; ask the whole index.")
        vector = self._embedder.questions([question])[0]
        language = detect_question(question, self._parts.languages)
        with self._index.snapshot() as snapshot, self._sample.snapshot() as sample:
            keywords = replace(snapshot.state.keywords, statistics=self._statistics)
            part = replace(snapshot, state=replace(snapshot.state, keywords=keywords))
            return candidates(part, self._tiers, question, vector, language, settings, filters, sample)


class FoldersOfParts:
    """The databases of all parts, opened when needed: documents, headings and passages. Thread-safe."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._folder: Callable[[int], IndexFolder] = lru_cache(lambda number: IndexFolder.open(parts.folder(number)))

    def document(self, document_id: str) -> Document:
        """The document with this id. Raises DocumentMissing, IndexDamaged."""
        return self._of(document_id).document(document_id)

    def existing(self, ids: Iterable[str]) -> set[str]:
        return {found for id in ids for found in self._of(id).existing([id])}

    def headings_above(self, document_id: str, offset: int) -> list[str]:
        return self._of(document_id).headings_above(document_id, offset)

    def chunks(self, ids: Mapping[int, int]) -> dict[int, StoredChunk]:
        """Passages by id. ids: the part that each is in."""
        numbers = sorted(set(ids.values()))
        mine = {number: [id for id, part in ids.items() if part == number] for number in numbers}
        return {chunk.id: chunk for number in numbers for chunk in self._folder(number).chunks(mine[number])}

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

    def passages(self, question: str, found: Sequence[Candidates], settings: AskSettings) -> RetrievedPassages:
        """The passages that `Retriever.passages` gives for the whole index. found: of each part, in order."""
        began = time.perf_counter()
        parts = self.folders.parts
        language = detect_question(question, parts.languages)
        ranked = combine(found, language, settings)
        place = {id: number for number, one in enumerate(found) for id in _ids(one)}
        chunks = self.folders.chunks({item.id: place[item.id] for item in ranked.fused[: settings.retrieve]})
        ordered = [chunks[item.id] for item in ranked.fused[: settings.retrieve] if item.id in chunks]
        same = self.folders.copies(chunk.document_id for chunk in ordered)
        return retrieved(
            ranked,
            chunks,
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

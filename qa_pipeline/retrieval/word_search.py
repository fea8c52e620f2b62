"""Search by words: the passages that match a query of `indexing.text.word_query`, all of them, with the places of its words.

Two phases. The keyword index gives candidates: a superset of the passages that match. Then the text of each candidate is
compared with the query. So the result equals that of comparing every passage, which tests hold on random queries.
The places of the words are computed for the hits that are returned only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from indexing.arrays import Ids
from indexing.errors import SettingError
from indexing.lru_cache import LRUCache
from indexing.store.corpus_db import IndexFolder, StoredChunk
from indexing.store.filters import COLUMNS, Filter, where
from indexing.store.index import Index
from indexing.store.snapshot import Snapshot
from indexing.store.vocabulary import Vocabulary
from indexing.text.search_terms import DENSE, terms_of_pair
from indexing.text.word_query import And, Field, Near, Node, Not, Or, Phrase, Span, match, matches, parse
from indexing.text.word_tokens import tokens
from qa_pipeline.answers import DocumentHits, WordHit, WordHits

NO_IDS: Ids = np.empty(0, np.int64)
MOST_DOCUMENTS = 1_000
MANY = 100  # candidates that are worth a pattern
# An id takes 8 bytes in an array, and about eight times as many in a set. A query takes some kilobytes, also without hits.
CACHED_IDS, SIZE_IN_SET, SIZE_OF_QUERY = 2_000_000, 8, 1_000
ALIASES = {"type": "file_type", "file": "source"}


@dataclass(frozen=True, slots=True)
class Matches:
    """The passages that match a query: ids, ascending. fields: the ids of the passages that have each field of it."""

    ids: Ids
    node: Node
    fields: Mapping[Field, AbstractSet[int]]

    def spans(self, number: int, text: str) -> list[Span]:
        """The places of the query's words in the text of a passage that matches."""
        return match(self.node, tokens(text), lambda field: number in self.fields[field]) or []


class WordSearcher:
    """Searches one index by words. Thread-safe."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.vocabulary = Vocabulary()
        self._recent: LRUCache[Matches] = LRUCache(CACHED_IDS, _size)

    def search(self, query: str, filters: Filter | None = None, offset: int = 0, limit: int = 10) -> WordHits:
        """Search. Raises SettingError for a query that is not of the language, FilterError."""
        began = time.perf_counter()
        node = parse(query)
        with self.index.snapshot() as snapshot:
            found = self.matches(snapshot, node, filters)
            ranked = _ranked(snapshot, node, found.ids)
            part = dict(ranked[offset : offset + limit])
            chunks = snapshot.chunks(list(part))
            documents = Counter(self.index.folder.documents_of(found.ids))
        hits = tuple(_hit(chunk, found.spans(chunk.id, chunk.text), part[chunk.id]) for chunk in chunks)
        by_document = tuple(DocumentHits(*document, count) for document, count in documents.most_common(MOST_DOCUMENTS))
        ms = round(1e3 * (time.perf_counter() - began), 2)
        return WordHits(query, len(found.ids), len(documents), hits, by_document, snapshot.generation, ms)

    def within(self, snapshot: Snapshot, query: str, filters: Filter | None = None) -> Snapshot:
        """The snapshot with only the passages that match the query. Raises SettingError, FilterError."""
        return replace(snapshot, within=self.matches(snapshot, parse(query), filters).ids)

    def matches(self, snapshot: Snapshot, node: Node, filters: Filter | None = None) -> Matches:
        """All passages that match and that the filter allows; recent ones of a generation come from an LRU cache."""
        key = (snapshot.generation, node, where(filters))
        found = self._recent.get(key) if snapshot.within is None else None
        if found is None:
            found = self._matches(snapshot, node, filters)
            if snapshot.within is None:
                self._recent.put(key, found)
        return found

    def _matches(self, snapshot: Snapshot, node: Node, filters: Filter | None) -> Matches:
        folder = self.index.folder
        fields = {field: set(_field_ids(folder, field).tolist()) for field in _fields(node)}
        candidates, allowed = self._candidates(snapshot, node), snapshot.allowed(filters)
        if candidates is None:
            candidates = snapshot.state.keywords.ids() if allowed is None else allowed
        elif allowed is not None:
            candidates = np.intersect1d(candidates, allowed, assume_unique=True)
        many = len(candidates) > MANY
        found = [
            number
            for number, text, _ in folder.texts(candidates)
            if matches(node, text, lambda field, number=number: number in fields[field], by_pattern=many)  # type: ignore[misc]
        ]
        return Matches(np.array(found, dtype=np.int64), node, fields)

    def _candidates(self, snapshot: Snapshot, node: Node) -> Ids | None:
        """The ids of a superset of the passages that match, ascending; None for all passages."""
        if isinstance(node, Phrase):
            return _all_of([snapshot.state.keywords.holding(terms) for terms in self._needed(node)])
        if isinstance(node, Near):
            return _all_of([self._candidates(snapshot, node.left), self._candidates(snapshot, node.right)])
        if isinstance(node, Field):
            return _field_ids(self.index.folder, node)
        if isinstance(node, Not):
            return None
        found = [self._candidates(snapshot, part) for part in node.parts]
        if isinstance(node, And):
            return _all_of(found)
        known = [part for part in found if part is not None]
        return reduce(np.union1d, known, NO_IDS) if len(known) == len(found) else None

    def _needed(self, phrase: Phrase) -> list[Sequence[str] | set[str]]:
        """Terms that a passage with the phrase has: at least one of each of these."""
        words, needed = phrase.words, list[Sequence[str] | set[str]]()
        for at, word in enumerate(words):
            follows = at + 1 < len(words) and words[at + 1].joined
            if follows:
                needed.append(terms_of_pair(word.key + words[at + 1].key))
            elif DENSE.match(word.key) is None:
                is_prefix = phrase.prefix and at == len(words) - 1
                needed.append(self._vocabulary().words(word.key) if is_prefix else (word.key,))
            elif not word.joined:
                needed.append(self._vocabulary().pairs(word.key))
        return needed

    def _vocabulary(self) -> Vocabulary:
        return self.vocabulary.update(self.index.folder)


def _size(found: Matches) -> int:
    return SIZE_OF_QUERY + len(found.ids) + sum(SIZE_IN_SET * len(ids) for ids in found.fields.values())


def _all_of(found: Sequence[Ids | None]) -> Ids | None:
    known = sorted((part for part in found if part is not None), key=len)
    return reduce(lambda a, b: np.intersect1d(a, b, assume_unique=True), known) if known else None


def _fields(node: Node) -> set[Field]:
    if isinstance(node, Field):
        return {node}
    if isinstance(node, Not):
        return _fields(node.part)
    if isinstance(node, And | Or):
        return {field for part in node.parts for field in _fields(part)}
    return set()


def _field_ids(folder: IndexFolder, field: Field) -> Ids:
    """The ids of passages whose document has a field with this value. Raises SettingError for a field nobody has."""
    return folder.chunk_ids(where(field_filter(folder, field)))


def field_filter(folder: IndexFolder, field: Field) -> Filter:
    """The filter of a field and its value; a number is also compared as one."""
    name = ALIASES.get(field.name, field.name)
    if name not in COLUMNS and not folder.has_field(name):
        raise SettingError(f"No document has a field {field.name!r}; put the words in quotes to search for them.")
    if name == "page":
        if not field.value.isascii() or not field.value.isdigit() or len(field.value) > 15:
            raise SettingError(f"{field.value!r} is no page; write a number, such as page:3.")
        return {"page": int(field.value)}
    value = field.value.lower() if name == "language" else field.value
    if "*" in value:
        return {name: {"$glob": value.replace("[", "[[]").replace("?", "[?]")}}
    if name not in COLUMNS and value.isascii() and value.isdigit() and len(value) <= 15:
        return {"$or": [{name: value}, {name: int(value)}]}
    return {name: value}


def _ranked(snapshot: Snapshot, node: Node, ids: Ids) -> list[tuple[int, float]]:
    """(id, BM25 score of the words) of passages, best first, then by id."""
    words = " ".join(token.key for phrase in _phrases(node) for token in phrase.words)
    keywords = snapshot.state.keywords
    scored = keywords.find(snapshot.weigh(words, ""), max(1, len(ids)), ids) if words else []
    known = {number for number, _ in scored}
    return [*scored, *((number, 0.0) for number in ids.tolist() if number not in known)]


def _phrases(node: Node) -> list[Phrase]:
    """The phrases whose presence makes a passage match."""
    if isinstance(node, Phrase):
        return [node]
    if isinstance(node, Near):
        return [node.left, node.right]
    return [phrase for part in node.parts for phrase in _phrases(part)] if isinstance(node, And | Or) else []


def _hit(chunk: StoredChunk, spans: Sequence[Span], score: float) -> WordHit:
    marks = tuple((chunk.start + start, chunk.start + end) for start, end in spans)
    where_ = (chunk.document_id, chunk.source, chunk.page, chunk.language, chunk.start, chunk.end, chunk.text)
    return WordHit(*where_, marks, round(score, 4), chunk.recognised)

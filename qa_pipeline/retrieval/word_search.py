"""Search by words: the passages that match a query of `indexing.text.word_query`, all of them, with the places of its words.

The positions of words, which are stored with the index, prove most matches: no text is read. Passages that they lack are
those written since, or all in an index of an earlier docqa. For those there are two phases. The keyword index gives
candidates: a superset of the passages that match. Then the text of each candidate is compared with the query.

So the result equals that of comparing every passage, which tests hold on random queries. The places of the words are
computed for the hits that are returned only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from indexing.arrays import Ids
from indexing.errors import SettingError
from indexing.lru_cache import LRUCache
from indexing.store.corpus_db import StoredChunk
from indexing.store.filters import COLUMNS, Filter, where
from indexing.store.index import Index
from indexing.store.snapshot import Snapshot
from indexing.store.vocabulary import Vocabulary
from indexing.store.word_positions import Mask, WordPositions
from indexing.text.search_terms import DENSE, terms_of_pair
from indexing.text.word_query import And, Field, Near, Node, Not, Or, Phrase, Span, match, matches, parse
from indexing.text.word_tokens import tokens
from qa_pipeline.answers import WordHit, WordHits
from qa_pipeline.retrieval.document_counts import DocumentCounts

NO_IDS: Ids = np.empty(0, np.int64)
MOST_DOCUMENTS = 1_000
MANY = 100  # candidates that are worth a pattern
# An id takes 8 bytes. A query takes some kilobytes, also without hits.
CACHED_IDS, SIZE_OF_QUERY = 2_000_000, 1_000
ALIASES = {"type": "file_type", "file": "source"}


@dataclass(frozen=True, slots=True)
class Matches:
    """The passages that match a query: ids, ascending. fields: the ids of the passages that have each field of it."""

    ids: Ids
    node: Node
    fields: Mapping[Field, Ids]

    def spans(self, number: int, text: str) -> list[Span]:
        """The places of the query's words in the text of a passage that matches."""
        return match(self.node, tokens(text), lambda field: _is_in(number, self.fields[field])) or []


@dataclass(frozen=True, slots=True)
class Among:
    """The passages of a generation.

    alive: which of the positions' passages are left, a mask [n]. rest: ids that the positions lack, ascending.
    """

    generation: int
    words: WordPositions | None
    alive: Mask
    rest: Ids
    documents: DocumentCounts


class WordSearcher:
    """Searches one index by words. Thread-safe."""

    def __init__(self, index: Index, has_field: Callable[[str], bool] | None = None) -> None:
        """has_field: whether any document has a field; None asks the index. The whole knows it, where this is a part."""
        self.index = index
        self._has_field = has_field or index.folder.has_field
        self.vocabulary = Vocabulary()
        self._newest: Among | None = None
        self._recent: LRUCache[Matches] = LRUCache(CACHED_IDS, _size)

    def search(self, query: str, filters: Filter | None = None, offset: int = 0, limit: int = 10) -> WordHits:
        """Search. Raises SettingError for a query that is not of the language, FilterError."""
        began = time.perf_counter()
        node = parse(query)
        with self.index.snapshot() as snapshot:
            found = self.matches(snapshot, node, filters)
            part = dict(_ranked(snapshot, node, found.ids, offset + limit)[offset:])
            chunks = snapshot.chunks(list(part))
            documents, by_document = self._among(snapshot).documents.of(found.ids, MOST_DOCUMENTS)
        hits = tuple(_hit(chunk, found.spans(chunk.id, chunk.text), part[chunk.id]) for chunk in chunks)
        ms = round(1e3 * (time.perf_counter() - began), 2)
        return WordHits(query, len(found.ids), documents, hits, tuple(by_document), snapshot.generation, ms)

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
        fields = {field: self._field_ids(field) for field in _fields(node)}
        among, allowed = self._among(snapshot), snapshot.allowed(filters)
        proved, rest = NO_IDS, among.rest
        if among.words is not None:
            proved = among.words.ids[_mask(node, among.words, fields) & among.alive]
        if allowed is not None:
            proved, rest = (np.intersect1d(part, allowed, assume_unique=True) for part in (proved, rest))
        if not len(rest):
            return Matches(proved, node, fields)
        return Matches(np.union1d(proved, self._compared(snapshot, node, fields, rest)), node, fields)

    def _field_ids(self, field: Field) -> Ids:
        """The ids of passages whose document has a field with this value. Raises SettingError for a field nobody has."""
        return self.index.folder.chunk_ids(where(field_filter(field, self._has_field)))

    def _among(self, snapshot: Snapshot) -> Among:
        """The passages of a snapshot, by whether the positions have them; kept for the newest generation."""
        words, among = self.index.words.newest(), self._newest
        if among is None or among.generation != snapshot.generation or among.words is not words:
            ids, known = snapshot.state.keywords.ids(), NO_IDS if words is None else words.ids
            alive = np.isin(known, ids, assume_unique=True)
            rest = np.setdiff1d(ids, known, assume_unique=True)
            counts = DocumentCounts(self.index.folder, ids)
            among = self._newest = Among(snapshot.generation, words, alive, rest, counts)
        return among

    def _compared(self, snapshot: Snapshot, node: Node, fields: Mapping[Field, Ids], ids: Ids) -> Ids:
        """Those of the passages whose text matches, ascending."""
        candidates = self._candidates(snapshot, node, ids)
        candidates = ids if candidates is None else np.intersect1d(candidates, ids, assume_unique=True)
        many = len(candidates) > MANY
        found = [
            number
            for number, text, _ in self.index.folder.texts(candidates)
            if matches(node, text, lambda field, number=number: _is_in(number, fields[field]), by_pattern=many)  # type: ignore[misc]
        ]
        return np.array(found, dtype=np.int64)

    def _candidates(self, snapshot: Snapshot, node: Node, ids: Ids) -> Ids | None:
        """The ids of a superset of those of `ids` that match, ascending; None for all."""
        if isinstance(node, Phrase):
            return _all_of([snapshot.state.keywords.holding(terms) for terms in self._needed(node, ids)])
        if isinstance(node, Near):
            return _all_of([self._candidates(snapshot, phrase, ids) for phrase in (node.left, node.right)])
        if isinstance(node, Field):
            return self._field_ids(node)
        if isinstance(node, Not):
            return None
        found = [self._candidates(snapshot, part, ids) for part in node.parts]
        if isinstance(node, And):
            return _all_of(found)
        known = [part for part in found if part is not None]
        return reduce(np.union1d, known, NO_IDS) if len(known) == len(found) else None

    def _needed(self, phrase: Phrase, ids: Ids) -> list[Sequence[str] | set[str]]:
        """Terms that a passage with the phrase has: at least one of each of these."""
        words, needed = phrase.words, list[Sequence[str] | set[str]]()
        for at, word in enumerate(words):
            follows = at + 1 < len(words) and words[at + 1].joined
            if follows:
                needed.append(terms_of_pair(word.key + words[at + 1].key))
            elif DENSE.match(word.key) is None:
                is_prefix = phrase.prefix and at == len(words) - 1
                needed.append(self._vocabulary(ids).words(word.key) if is_prefix else (word.key,))
            elif not word.joined:
                needed.append(self._vocabulary(ids).pairs(word.key))
        return needed

    def _vocabulary(self, ids: Ids) -> Vocabulary:
        return self.vocabulary.update(self.index.folder, ids)


def _size(found: Matches) -> int:
    return SIZE_OF_QUERY + len(found.ids) + sum(len(ids) for ids in found.fields.values())


def _is_in(number: int, ids: Ids) -> bool:
    """Whether an id is among ascending ones."""
    at = int(np.searchsorted(ids, number))
    return at < len(ids) and int(ids[at]) == number


def _mask(node: Node, words: WordPositions, fields: Mapping[Field, Ids]) -> Mask:
    """Of each passage of the positions, whether it matches."""
    if isinstance(node, Phrase):
        return words.having(node)
    if isinstance(node, Near):
        return words.near(node)
    if isinstance(node, Field):
        return np.isin(words.ids, fields[node], assume_unique=True)
    if isinstance(node, Not):
        return ~_mask(node.part, words, fields)
    join = np.logical_and if isinstance(node, And) else np.logical_or
    return reduce(join, (_mask(part, words, fields) for part in node.parts))


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


def check_fields(query: str, has_field: Callable[[str], bool]) -> None:
    """Raises SettingError for a query that is not of the language, or with a field that no document has."""
    for field in _fields(parse(query)):
        field_filter(field, has_field)


def field_filter(field: Field, has_field: Callable[[str], bool]) -> Filter:
    """The filter of a field and its value; a number is also compared as one. Raises SettingError for a field nobody has."""
    name = ALIASES.get(field.name, field.name)
    if name not in COLUMNS and not has_field(name):
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


def _ranked(snapshot: Snapshot, node: Node, ids: Ids, most: int) -> list[tuple[int, float]]:
    """(id, BM25 score of the words) of the best `most` passages, best first, then by id."""
    words = " ".join(token.key for phrase in _phrases(node) for token in phrase.words)
    keywords = snapshot.state.keywords
    scored = keywords.find(snapshot.weigh(words, ""), most, ids) if words else []
    without = np.setdiff1d(ids, [number for number, _ in scored], assume_unique=True) if len(scored) < most else NO_IDS
    return [*scored, *((number, 0.0) for number in without[: most - len(scored)].tolist())]


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

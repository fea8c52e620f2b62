"""An index in parts: each part is an index folder with some of the documents, chosen by a hash of their id.

Beside the parts stand what their scores need of the whole: BM25 statistics, and a sample of passages for the language
bias, which is an index folder too. Passages keep their ids. Parts are written once; a changed index is split again.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from indexing.arrays import mapped_array
from indexing.atomic_files import store
from indexing.errors import IndexBusy, IndexDamaged, IndexFolderError, IndexMismatch, IndexMissing, os_reason
from indexing.store.bm25 import KeywordIndex, Segment
from indexing.store.copies import BY_CONTENT
from indexing.store.copies import SCHEMA as SKETCHES
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from indexing.store.passage_tokens import SCHEMA as TOKENS
from indexing.store.sentence_vectors import MODEL
from indexing.store.sentence_vectors import SCHEMA as SENTENCES
from indexing.store.sqlite import DATABASE

FILE, STATISTICS, SAMPLE = "parts.json", "statistics.npz", "sample"
FORMAT = 1
AT_ONCE = 4_000_000
OPTIONAL = {"passage_tokens": (TOKENS,), "sketches": (SKETCHES,), "sentence_vectors": SENTENCES}


@dataclass(frozen=True, slots=True)
class Parts:
    """A folder of parts. languages: of the passages. deepened: as in `deepen.coverage`."""

    path: Path
    count: int
    generation: int
    embedder: str
    languages: tuple[str, ...]
    deepened: float | None

    @classmethod
    def open(cls, path: Path) -> Parts:
        """Raises IndexMissing, IndexMismatch (another format), IndexDamaged."""
        try:
            facts = json.loads((path / FILE).read_text("utf-8"))
        except OSError as error:
            raise IndexMissing(f"There are no parts of an index in {path}; make them with `docqa spark split`.") from error
        except ValueError as error:
            raise _damaged(path) from error
        if not isinstance(facts, dict):
            raise _damaged(path)
        if facts.pop("format", None) != FORMAT:
            raise IndexMismatch(f"The parts in {path} have another format; this docqa reads format {FORMAT}.")
        try:
            return msgspec.convert({**facts, "path": path}, cls)
        except msgspec.ValidationError as error:
            raise _damaged(path) from error

    def folder(self, number: int) -> Path:
        return self.path / f"part-{number:04d}"

    def part_of(self, document_id: str) -> int:
        """The number of the part that has a document."""
        return part_of(document_id, self.count)


def _damaged(path: Path) -> IndexDamaged:
    return IndexDamaged(f"The file {FILE} in {path} is damaged; split the index again.")


def part_of(document_id: str, count: int) -> int:
    """0 to count - 1, the same on every machine.

    >>> part_of("bc915370993ebd33b7a586fedf9a4f1b", 4)
    2
    """
    return zlib.crc32(document_id.encode("utf-8", "surrogatepass")) % count


def is_parts(path: Path) -> bool:
    return (path / FILE).is_file()


# -- splitting ---------------------------------------------------------------------------------------------------------


def split_index(path: Path, into: Path, count: int, sample: int, deepened: float | None) -> Parts:
    """Split an index folder into `count` parts, in a new or empty folder. Raises IndexFolderError and its subclasses.

    sample: passages of each language that the language bias is estimated from. deepened: as in `deepen.coverage`.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise IndexFolderError(f"{into} holds other files; name an empty or new folder for the parts.")
    with Index.open(path) as whole, whole.snapshot() as snapshot, _emptied_if_stopped(into):
        sampled = [number for ids in whole.folder.spread(sample).values() for number in ids]
        write_statistics(into / STATISTICS, snapshot.state.keywords)
        _copy(whole.folder, into / SAMPLE, "1", json.dumps(sampled))
        facts = {
            "format": FORMAT,
            "count": count,
            "generation": snapshot.generation,
            "embedder": str(whole.folder.model["name"]),
            "languages": list(whole.folder.counts()["languages"]),
            "deepened": deepened,
        }
        for number in range(count):
            _copy(whole.folder, into / f"part-{number:04d}", f"part_of(id, {count}) = {number}", None)
        store(into / FILE, json.dumps(facts).encode("utf-8"))
    return Parts.open(into)


@contextmanager
def _emptied_if_stopped(folder: Path) -> Iterator[None]:
    """Make a folder, and remove what is in it if the block fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFolderError(f"No parts can be made in {folder} ({os_reason(error)}).") from error
    try:
        yield
    except BaseException as error:
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if isinstance(error, OSError):
            raise IndexFolderError(f"No parts can be made in {folder} ({os_reason(error)}).") from error
        raise


def _copy(whole: IndexFolder, into: Path, documents: str, passages: str | None) -> None:
    """A new index folder of documents (an SQL condition), with all their passages or those in a JSON list of ids."""
    chosen = "1" if passages is None else "id IN (SELECT value FROM json_each(:passages))"
    among = f"SELECT document_id FROM whole.chunks WHERE {chosen}"
    given = {} if passages is None else {"passages": passages}
    with IndexFolder.create(into, whole.settings, whole.model) as folder, folder.writer():
        connection = folder.connection()
        connection.create_function("part_of", 2, part_of, deterministic=True)
        connection.execute("ATTACH DATABASE ? AS whole", (f"file:{quote(str((whole.path / DATABASE).absolute()))}?mode=ro",))
        there = {row[0] for row in connection.execute("SELECT name FROM whole.sqlite_master WHERE type = 'table'")}
        optional = [name for name in OPTIONAL if name in there]
        for statement in (statement for name in optional for statement in OPTIONAL[name]):
            connection.execute(statement)
        connection.execute(BY_CONTENT)
        connection.execute("BEGIN IMMEDIATE")
        try:
            seen = connection.execute("SELECT value FROM whole.meta WHERE name = 'generation'").fetchone()
            if seen != (str(whole.generation()),):
                raise IndexBusy(f"The index in {whole.path} was changed while it was split; split it again.")
            limit = "" if passages is None else f" AND id IN ({among})"
            connection.execute(f"INSERT INTO main.documents SELECT * FROM whole.documents WHERE {documents}{limit}", given)
            mine = "document_id IN (SELECT id FROM main.documents)"
            connection.execute(f"INSERT INTO main.chunks SELECT * FROM whole.chunks WHERE {mine} AND {chosen}", given)
            for name in optional:
                which = mine if name == "sketches" else "id IN (SELECT id FROM main.chunks)"
                connection.execute(f"INSERT INTO main.{name} SELECT * FROM whole.{name} WHERE {which}")
            facts = {"generation": whole.generation(), MODEL: whole.fact_or(MODEL, None)}
            rows = [(name, json.dumps(value)) for name, value in facts.items() if value is not None]
            connection.executemany("INSERT OR REPLACE INTO main.meta VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("DETACH DATABASE whole")
        Index(folder).publish()


# -- statistics --------------------------------------------------------------------------------------------------------


def write_statistics(path: Path, keywords: KeywordIndex) -> None:
    """Write the statistics of an index, as `WholeStatistics` reads them."""
    alone = len(keywords.segments) == 1 and not len(keywords.dead)
    whole = keywords.segments[0] if alone else Segment.merge(keywords.segments, keywords.dead)
    codes, place = np.unique(whole.languages, return_inverse=True)
    parts = list(_frequencies(whole, place, len(codes)))
    none: Any = np.empty(0, np.int64)
    np.savez(
        path,
        terms=whole.terms,
        starts=np.concatenate([[0], np.cumsum(np.concatenate([none, *(counts for counts, _, _ in parts)]))]).astype(
            np.int64
        ),
        languages=np.concatenate([none, *(languages for _, languages, _ in parts)]).astype(np.uint16),
        counts=np.concatenate([none, *(found for _, _, found in parts)]).astype(np.int32),
        codes=codes.astype(np.uint32),
        passages=np.bincount(place, minlength=len(codes)).astype(np.int64),
        words=np.array([whole.lengths.sum(dtype=np.int64)]),
    )


def _frequencies(whole: Segment, place: NDArray[Any], languages: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """Of runs of terms: the languages that each is in, how many; which; and the number of passages in each."""
    begin = 0
    while begin < len(whole.terms):
        end = int(np.searchsorted(whole.starts, whole.starts[begin] + AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), len(whole.terms))
        rows = whole.rows[whole.starts[begin] : whole.starts[end]]
        terms = np.repeat(np.arange(end - begin), np.diff(whole.starts[begin : end + 1]))
        pairs, counts = np.unique(terms * languages + place[rows], return_counts=True)
        yield np.bincount(pairs // languages, minlength=end - begin), pairs % languages, counts
        begin = end


class WholeStatistics:
    """`bm25.Statistics` of the index that was split. Thread-safe. Raises IndexDamaged if the file is something else."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self._terms, self._starts = arrays["terms"], arrays["starts"]
                self._passages = dict(zip(arrays["codes"].tolist(), arrays["passages"].tolist(), strict=True))
                self._place = {code: number for number, code in enumerate(arrays["codes"].tolist())}
                self._words = int(arrays["words"][0])
            self._languages, self._counts = mapped_array(path, "languages"), mapped_array(path, "counts")
        except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile) as error:
            raise IndexDamaged(f"The statistics {path} cannot be read; split the index again.") from error

    def passages(self, language: int | None) -> int:
        return sum(self._passages.values()) if language is None else int(self._passages.get(language, 0))

    def words(self) -> int:
        return self._words

    def frequency(self, hashed: int, language: int | None) -> int:
        at = int(np.searchsorted(self._terms, np.uint64(hashed)))
        if at == len(self._terms) or int(self._terms[at]) != hashed:
            return 0
        span = slice(int(self._starts[at]), int(self._starts[at + 1]))
        counts = self._counts[span]
        return int(
            counts.sum() if language is None else counts[self._languages[span] == self._place.get(language, -1)].sum()
        )

"""An index built on a cluster: executors prepare files, the driver loads them. Read `index_paths` and `index_documents`.

Files go to the executors in groups. Each group becomes Parquet, and then part of the index; so a stopped run continues
with the group it was at, and a group that was prepared is not prepared again. The index is the one that `docqa index`
builds of the same files: the same ids, passages, search terms and vectors.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.build import Progress, embedder_name, index_files
from indexing.changed_files import KnownFiles
from indexing.errors import IndexFolderError, SettingError, UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.hidden_names import is_hidden
from indexing.files.walk import FoundFile, check_size, source_of
from indexing.models.embedder import Embedder
from indexing.prepare import Batch, ReadFile
from indexing.report import FileReport, Report
from indexing.settings import IndexSettings
from indexing.store.bm25 import EMPTY
from indexing.store.corpus_db import IndexFolder, now_ns
from indexing.store.sentence_vectors import SentenceVectors, second_tier
from qa_pipeline.spark.dataframe import column_type, spark_type
from qa_pipeline.spark.prepared import FILE, Model, PrepareFiles, loaded_batches

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)

__all__ = ["FileReport", "index_documents", "index_paths", "loaded_batches"]

GROUP_BYTES, GROUP_FILES = 512_000_000, 20_000
FILES_AT_ONCE = 8
GROUP = re.compile("[0-9a-f]{32}")
IN_A_GLOB = re.compile(r"([\[\]{}*?\\])")
BATCH_SIZE = "spark.sql.execution.arrow.maxRecordsPerBatch"

Content = Callable[[Sequence[int]], "DataFrame"]
"""The frame of path and content that has the files of these numbers, and perhaps others."""


Found = tuple[str, int, int]
"""A file: its path as Spark names it, its size in bytes, and its modification time in microseconds."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Files of a frame. paths: as Spark names each, in the order of `files`."""

    files: list[FoundFile]
    paths: list[str]


def index_paths(
    session: SparkSession,
    paths: Sequence[str],
    into: Path,
    settings: IndexSettings | None = None,
    *,
    work: str | None = None,
    limits: FileLimits | None = None,
    progress: Progress | None = None,
    emptied: bool = False,
) -> Report:
    """Index the files below folders that Spark reads, such as `s3a://bucket/documents`, into a local folder `into`.

    Sources are paths below their folder; of several folders, the folder's name comes first.
    work: where executors write Parquet that the driver reads; by default beside `into`, which all machines must share.
    The other arguments are those of `build_index`. Raises what it raises, and IndexFolderError for a path that is missing.
    """
    roots = [_root(session, path) for path in paths]
    frame = session.read.format("binaryFile").option("recursiveFileLookup", "true").load([_escaped(root) for root in roots])
    listed = _listed([*_files_of(frame), *_left_out(session, roots, frame)], roots)

    def content(numbers: Sequence[int]) -> DataFrame:
        return session.read.format("binaryFile").load([_escaped(listed.paths[number]) for number in numbers])

    name = ", ".join(roots)
    return _index(session, listed, content, name, into, settings, work, limits, progress, emptied, GROUP_FILES)


def index_documents(
    frame: DataFrame,
    into: Path,
    settings: IndexSettings | None = None,
    *,
    root: str = "",
    work: str | None = None,
    limits: FileLimits | None = None,
    progress: Progress | None = None,
    emptied: bool = False,
) -> Report:
    """Index the files of a frame: columns `path` (string) and `content` (binary), as Spark's `binaryFile` has them.

    modificationTime and length are used where the frame has them; without a time, every file is read and compared by its
    hash. root: a prefix that sources leave out.
    All files to be read are prepared in one job. The other arguments are those of `index_paths`.
    Raises SettingError for another frame, or one that has a path twice.
    """
    from pyspark.sql.types import BinaryType, StringType

    for column, kind in (("path", StringType), ("content", BinaryType)):
        if not isinstance(found := column_type(frame, column), kind):
            raise SettingError(f"The column {column!r} is {found.simpleString()[:80]}; it must be {kind().simpleString()}.")
    listed = _listed(_files_of(frame), [root])
    name = root or "a table of Spark"
    session = frame.sparkSession
    return _index(
        session, listed, lambda _: frame.select("path", "content"), name, into, settings, work, limits, progress, emptied, 0
    )


# -- which files -----------------------------------------------------------------------------------------------------------


def _root(session: SparkSession, path: str) -> str:
    """A path as Spark names the files below it. Raises IndexFolderError if there is nothing."""
    try:
        place, files = _place(session, path)
        there = files.exists(place)
    except Exception as error:
        raise IndexFolderError(f"{path} cannot be opened: {str(error).splitlines()[0][:200]}") from error
    if not there:
        raise IndexFolderError(f"{path} cannot be opened (no such file or folder); name a folder of documents.")
    return str(files.makeQualified(place).toString())


def _place(session: SparkSession, path: str) -> tuple[Any, Any]:
    """A path of Hadoop, and its file system."""
    jvm: Any = session._jvm
    hadoop: Any = session._jsc.hadoopConfiguration()  # type: ignore[attr-defined]
    place = jvm.org.apache.hadoop.fs.Path(path)
    return place, place.getFileSystem(hadoop)


def _escaped(path: str) -> str:
    """A path in which Spark finds no pattern."""
    return IN_A_GLOB.sub(r"\\\1", path)


def _files_of(frame: DataFrame) -> Iterator[Found]:
    """The files of a frame, without their content. Files of Spark's own listing are never empty."""
    from pyspark.sql import functions as F

    names = frame.columns
    size = F.col("length") if "length" in names else F.length("content")
    time = F.unix_micros("modificationTime") if "modificationTime" in names else F.lit(now_ns() // 1_000)
    for row in frame.select("path", F.coalesce(size, F.lit(0)).alias("size"), time.alias("time")).toLocalIterator():
        yield row.path, row.size, row.time


def _left_out(session: SparkSession, roots: Sequence[str], frame: DataFrame) -> list[Found]:
    """The files below the roots that Spark does not list: empty ones, and those with a name that begins with "_".

    Names that begin with "." or "~$" are left out, as everywhere in docqa.
    """
    places = [_place(session, root) for root in roots]
    if sum(files.getContentSummary(place).getFileCount() for place, files in places) == frame.select("path").count():
        return []
    found: list[Found] = []
    for place, files in places:
        each = files.listFiles(place, True)
        while each.hasNext():
            status = each.next()
            path = str(status.getPath().toString())
            below = path[len(place.toString()) :].split("/")
            if not is_hidden("/".join(below)) and (not status.getLen() or _unlisted(below)):
                found.append((path, status.getLen(), 1_000 * status.getModificationTime()))
    return found


def _unlisted(names: Sequence[str]) -> bool:
    """Whether Spark reads no file of that name, or below a folder of it: a convention of Hadoop."""
    return any(name.startswith("_") and "=" not in name for name in names)


def _listed(files: Iterable[Found], roots: Sequence[str]) -> Listed:
    """Files sorted by source, without hidden ones. Raises SettingError for a source that comes twice."""
    found = sorted((_source(path, roots), path, size, time) for path, size, time in files)
    found = [one for one in found if not is_hidden(one[0])]
    for one, other in zip(found, found[1:], strict=False):
        if one[0] == other[0]:
            raise SettingError(f"Two files have the source {one[0]!r}; an index has each source once.")
    return Listed(
        [FoundFile(Path(path), source, size, 1_000 * time) for source, path, size, time in found],
        [path for _, path, _, _ in found],
    )


def _source(path: str, roots: Sequence[str]) -> str:
    for root in sorted(roots, key=len, reverse=True):
        folder, _, last = root.rstrip("/").rpartition("/")
        if path == root:
            return source_of(last)
        if path.startswith(f"{root.rstrip('/')}/"):
            below = path[len(root.rstrip("/")) + 1 :]
            return source_of(f"{last}/{below}" if len(roots) > 1 else below)
    return source_of(path)


# -- preparing and loading -------------------------------------------------------------------------------------------------


def _index(
    session: SparkSession,
    listed: Listed,
    content: Content,
    name: str,
    into: Path,
    settings: IndexSettings | None,
    work: str | None,
    limits: FileLimits | None,
    progress: Progress | None,
    emptied: bool,
    group_files: int,
) -> Report:
    limits = limits or FileLimits()
    embedder = Embedder.load(embedder_name(into, settings))
    numbers = {file.source: number for number, file in enumerate(listed.files)}
    work = work or f"{into.absolute()}.parts"

    @contextmanager
    def prepare(folder: IndexFolder, changed: Sequence[FoundFile], known: KnownFiles) -> Iterator[Iterator[Batch]]:
        tier = second_tier(folder)
        deeper = embedder.sentence_embedder() if tier else None
        if deeper is not None:
            SentenceVectors(folder).begin(deeper.facts())
        models = Model(embedder.name, embedder.fingerprint), Model(tier, deeper.fingerprint) if deeper else None
        chosen = replace(limits, hidden_text=folder.settings.hidden_text)
        job = PrepareFiles(folder.settings.chunks, chosen, *models)
        reasons = {file.source: why for file in changed if (why := _why_not(file, limits))}
        unread = [file for file in changed if file.source in reasons]
        numbered = [numbers[file.source] for file in changed if file.source not in reasons]
        groups = _groups(numbered, listed.files, group_files)
        rest = _batches(session, groups, listed, content, known, job, work, folder, embedder.dimension)
        yield chain(_unread(unread, reasons, known), rest)
        _clean(session, work)

    return index_files(
        listed.files, name, into, prepare, settings, limits=limits, embedder=embedder, progress=progress, emptied=emptied
    )


def _why_not(file: FoundFile, limits: FileLimits) -> str:
    """Why no executor is given this file; "" if one is."""
    try:
        check_size(file.size, limits.max_bytes)
    except UnreadableFile as error:
        return str(error)
    return "Spark reads no file with a name that begins with _" if _unlisted(file.source.split("/")) else ""


def _unread(files: Sequence[FoundFile], reasons: Mapping[str, str], known: KnownFiles) -> Iterator[Batch]:
    """Files without their content, as one batch with the reasons. What the index holds of an equal file is kept."""
    read = []
    for file in files:
        record = known.get(file.source)
        same = record is not None and not record.reason and (record.size, record.mtime_ns) == (file.size, file.mtime_ns)
        digest = record.content_hash if record and same else ""
        read.append(ReadFile(file, digest, reason=reasons[file.source], keep=same))
    if read:
        yield Batch([(one, []) for one in read], EMPTY, None)


def _groups(numbers: Sequence[int], files: Sequence[FoundFile], group_files: int) -> list[list[int]]:
    """Runs of files of about GROUP_BYTES and at most `group_files` files; one run if that is 0."""
    groups: list[list[int]] = []
    size = 0
    for number in numbers:
        if not groups or (group_files and (size >= GROUP_BYTES or len(groups[-1]) >= group_files)):
            groups.append([])
            size = 0
        groups[-1].append(number)
        size += files[number].size
    return groups


def _batches(
    session: SparkSession,
    groups: Sequence[Sequence[int]],
    listed: Listed,
    content: Content,
    known: KnownFiles,
    job: PrepareFiles,
    work: str,
    folder: IndexFolder,
    dimension: int,
) -> Iterator[Batch]:
    """The batches of all groups. The sentence vectors of each are written once its passages are."""
    tier = SentenceVectors(folder)
    for group in groups:
        hashed = [_known_hash(known, listed.files[number].source) for number in group]
        parts = f"{work}/{_digest(group, hashed, listed, job)}"
        if not _exists(session, f"{parts}/_SUCCESS"):
            _prepare(session, content(group), group, hashed, listed, job, parts)
        rows = session.read.parquet(_escaped(parts)).orderBy("number").toLocalIterator(prefetchPartitions=True)
        for loaded in loaded_batches(rows, listed.files, dimension):
            before = folder.generation()
            yield loaded.batch
            ids = folder.chunk_ids(after=before)
            if loaded.sentences is not None and len(ids) == len(loaded.sentences):
                tier.write(ids.tolist(), loaded.sentences)
        _remove(session, parts)


def _known_hash(known: KnownFiles, source: str) -> str | None:
    record = known.get(source)
    return None if record is None or record.reason else record.content_hash


def _prepare(
    session: SparkSession,
    frame: DataFrame,
    group: Sequence[int],
    hashed: Sequence[str | None],
    listed: Listed,
    job: PrepareFiles,
    parts: str,
) -> None:
    """Write the files of a group, prepared by the executors, as Parquet."""
    from pyspark.sql import functions as F

    wanted = [(listed.paths[n], n, listed.files[n].source, known) for n, known in zip(group, hashed, strict=True)]
    names = session.createDataFrame(wanted, "path string, number long, source string, known string")
    joined = frame.select("path", "content").join(F.broadcast(names), "path").select("number", "source", "known", "content")
    schema: Any = spark_type(FILE)
    few, spread = session.conf.get(BATCH_SIZE), session.sparkContext.defaultParallelism
    session.conf.set(BATCH_SIZE, str(FILES_AT_ONCE))
    try:
        made = joined.repartition(max(spread, min(len(group), 4 * spread))).mapInArrow(job, schema)
        made.write.mode("overwrite").parquet(parts)
    finally:
        session.conf.set(BATCH_SIZE, str(few))


def _digest(group: Sequence[int], hashed: Sequence[str | None], listed: Listed, job: PrepareFiles) -> str:
    """Names what a group's Parquet holds: the files as they are now, and how they are prepared."""
    files = [(listed.paths[n], listed.files[n].size, listed.files[n].mtime_ns) for n in group]
    value = repr((FILE, asdict(job), list(group), files, list(hashed)))
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _exists(session: SparkSession, path: str) -> bool:
    place, files = _place(session, path)
    return bool(files.exists(place))


def _remove(session: SparkSession, path: str) -> None:
    place, files = _place(session, path)
    files.delete(place, True)


def _clean(session: SparkSession, work: str) -> None:
    """Remove what interrupted runs have left in `work`, and `work` itself if nothing else is in it."""
    place, files = _place(session, work)
    if files.exists(place):
        for entry in files.listStatus(place):
            if GROUP.fullmatch(entry.getPath().getName()):
                files.delete(entry.getPath(), True)
        if not len(files.listStatus(place)):
            files.delete(place, False)

"""Recognises the pages without text of a run, after all other files: several files and pages at once, with its progress.

A first pass reads all files and counts such pages, so that their number is known before the first of them is recognised.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from indexing.files.file_text import FileLimits
from indexing.files.recognition import OcrPlan, Recogniser, UnreadPages
from indexing.files.walk import FileReader, FoundFile
from indexing.prepare import Batch, Embed, ReadFile, batches_of, read_file, read_files
from indexing.settings import ChunkSettings
from indexing.store.corpus_db import FileRecord

TELL_S = 0.5


@dataclass(frozen=True, slots=True)
class RecognitionProgress:
    """Pages that are recognised, and all of them, as far as known; the mean seconds of one; and the seconds still to go.

    seconds_a_page, seconds_left: None before the first page is recognised.
    """

    done: int
    total: int
    workers: int
    seconds_a_page: float | None = None
    seconds_left: float | None = None

    def words(self) -> str:
        """The progress in words.

        >>> RecognitionProgress(1, 121, 2, 3.0, 180.0).words()
        'recognising text: page 1 of 121, 3.0 s a page, about 3 min left'
        """
        if not self.done:
            return f"recognising text on {self.total:,} page{'s' * (self.total != 1)}"
        said = f"recognising text: page {self.done:,} of {self.total:,}"
        if self.seconds_a_page is None or self.seconds_left is None:
            return said
        minutes = self.seconds_left / 60
        left = f"{minutes:.0f} min" if minutes >= 1.5 else f"{self.seconds_left:.0f} s"
        return f"{said}, {self.seconds_a_page:.1f} s a page, about {left} left"


Tell = Callable[[RecognitionProgress], None]


@contextmanager
def reader_of(limits: FileLimits, plan: OcrPlan | None) -> Iterator[FileReader]:
    """A reader for the first pass: it leaves the pages to recognise, or tells what would recognise them."""
    active = plan is not None and plan.active
    scans = UnreadPages(plan.settings) if plan is not None and active else None
    with FileReader(limits, scans, "" if plan is None else plan.why_not) as reader:
        yield reader


def without_unread(batches: Iterator[Batch], waiting: list[ReadFile]) -> Iterator[Batch]:
    """The batches without the files that have pages to recognise; those are added to `waiting`."""
    for batch in batches:
        waiting += [read for read, _ in batch.files if read.unread]
        files = [(read, part) for read, part in batch.files if not read.unread]
        if files:
            yield replace(batch, files=files)


class ScanRun:
    """The recognition of a run. folder: where recognised pages are kept until its end. tell: called from one thread."""

    def __init__(self, plan: OcrPlan, folder: Path, tell: Tell | None = None, *, workers: int = 0) -> None:
        self.plan, self._folder, self._tell, self._workers = plan, folder, tell or (lambda progress: None), workers

    def batches(
        self,
        waiting: Sequence[ReadFile],
        large: Sequence[FoundFile],
        known: Mapping[str, FileRecord],
        limits: FileLimits,
        settings: ChunkSettings,
        embed: Embed | None = None,
    ) -> Iterator[Batch]:
        """The batches of files with pages to recognise, then of large files: mailboxes, whose pages are not known before."""
        if not waiting and not large:
            return
        progress = _Progress(sum(read.unread for read in waiting))
        with Recogniser(self.plan, limits, self._folder, workers=self._workers, told=progress.add) as recogniser:
            reads = self._reads([read.file for read in waiting], known, limits, recogniser, progress)
            yield from batches_of(reads, settings, embed)
            with FileReader(limits, recogniser) as reader:
                yield from batches_of(read_files(reader, large, known), settings, embed)

    def _reads(
        self,
        files: Sequence[FoundFile],
        known: Mapping[str, FileRecord],
        limits: FileLimits,
        recogniser: Recogniser,
        progress: _Progress,
    ) -> Iterator[ReadFile]:
        """Each file, in order, as many at once as there are processes that recognise."""
        if not files:
            return
        self._tell(progress.now(recogniser.workers))
        free: queue.SimpleQueue[FileReader] = queue.SimpleQueue()
        with ExitStack() as kept:
            for _ in range(min(recogniser.workers, len(files))):
                free.put(kept.enter_context(FileReader(limits, recogniser)))
            pool = ThreadPoolExecutor(recogniser.workers, thread_name_prefix="scans")
            kept.callback(pool.shutdown, cancel_futures=True)
            ahead: deque[Future[ReadFile]] = deque()
            try:
                for file in files:
                    ahead.append(pool.submit(_read_with, free, file, known.get(file.source)))
                    if len(ahead) > recogniser.workers:
                        yield self._result(ahead.popleft(), recogniser, progress)
                while ahead:
                    yield self._result(ahead.popleft(), recogniser, progress)
            except BaseException:
                recogniser.stop()
                raise

    def _result(self, future: Future[ReadFile], recogniser: Recogniser, progress: _Progress) -> ReadFile:
        """A file when it is read; meanwhile the progress is reported."""
        while True:
            wait([future], TELL_S)
            if progress.changed():
                self._tell(progress.now(recogniser.workers))
            if future.done():
                return future.result()


def _read_with(free: queue.SimpleQueue[FileReader], file: FoundFile, record: FileRecord | None) -> ReadFile:
    reader = free.get()
    try:
        return read_file(reader, file, record)
    finally:
        free.put(reader)


class _Progress:
    """Counts pages as they are recognised, in any thread."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._timed, self._seconds, self._told = total, 0, 0, 0.0, 0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self._done += 1
            self._timed += seconds > 0
            self._seconds += seconds

    def changed(self) -> bool:
        """Whether a page was recognised since `now` was called."""
        return self._done > self._told

    def now(self, workers: int) -> RecognitionProgress:
        with self._lock:
            self._told = self._done
            total = max(self._total, self._done)
            if not self._timed:
                return RecognitionProgress(self._done, total, workers)
            mean = self._seconds / self._timed
            left = total - self._done
            return RecognitionProgress(self._done, total, workers, mean, left * mean / max(1, min(workers, left)))

"""Prefetching worker processes: they prepare batches of files, in order, ahead of the process that writes.

The files are split into groups. Each worker has up to PREFETCHED_GROUPS groups assigned and gets another after it
finishes one. While no batch is ready, the writing process prepares a group itself.

Batches keep the order of the files, whichever process prepared them. A worker is a `ChildProcess`; it blocks while its
next batch is not needed yet. If a worker dies, its unfinished files are prepared again by others. Parsing still happens
in separate sandboxed processes (`files.sandbox`).
"""

from __future__ import annotations

import logging
import multiprocessing.connection
import os
import pickle
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any

from indexing.child_process import ChildProcess, code_to_serve, parent
from indexing.documents import Chunk, Document
from indexing.files.file_text import FileLimits
from indexing.files.walk import FoundFile
from indexing.models.embedder import Embedder
from indexing.models.registry import ModelFolder
from indexing.prepare import Batch, Embed, ReadFile, prepare_batches
from indexing.scans import ScanRun, reader_of, without_unread
from indexing.settings import ChunkSettings
from indexing.store.corpus_db import FileRecord, NewDocument
from indexing.store.page_words import PageWords

logger = logging.getLogger(__name__)

BYTES_FOR_WORKERS = 1_000_000
GROUP_BYTES, GROUP_FILES = 500_000, 400
MAX_WORKERS = 3
PREFETCHED_GROUPS = 2
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

Group = Sequence[FoundFile]
PrepareGroup = Callable[[Group], Iterator[Batch]]


@contextmanager
def prefetch_batches(
    files: Sequence[FoundFile],
    known: Mapping[str, FileRecord],
    limits: FileLimits,
    settings: ChunkSettings,
    embed: Embed | None = None,
    static: ModelFolder | None = None,
    scans: ScanRun | None = None,
) -> Iterator[Iterator[Batch]]:
    """The batches of `prepare.prepare_batches`. Workers help if the files have at least BYTES_FOR_WORKERS bytes in all.

    embed: computes vectors during preparation; None leaves embedding to the caller.
    static: the static embedding model that workers load to compute them.
    scans: recognises pages without text, after all other files; None leaves them out.
    """
    plan = None if scans is None else scans.plan
    with reader_of(limits, plan) as reader, ExitStack() as kept:
        # Mailboxes, batch by batch, so none waits.
        apart = {file for file in files if file.size > limits.max_bytes or (reader.scans and reader.is_mailbox(file))}
        large = [file for file in files if file in apart]
        files = [file for file in files if file not in apart]
        groups = _groups(files)
        count = _worker_count(files, groups)
        request = (limits, settings, static, plan)
        started = [kept.enter_context(WorkerProcess(request)) for _ in range(count)]
        here = partial(prepare_batches, reader, known=known, settings=settings, embed=embed)
        batches = _OrderedBatches(groups, known, started, here).batches()
        if scans is None or not scans.plan.active:
            yield chain(batches, here(large))
        else:
            waiting: list[ReadFile] = []
            yield chain(without_unread(batches, waiting), scans.batches(waiting, large, known, limits, settings, embed))


def _groups(files: Sequence[FoundFile]) -> list[list[FoundFile]]:
    """Split the files into runs of about GROUP_BYTES, or smaller ones if there would be too few to share."""
    size = min(GROUP_BYTES, max(1, sum(file.size for file in files) // 8))
    groups: list[list[FoundFile]] = []
    room = 0
    for file in files:
        if room <= 0 or len(groups[-1]) >= GROUP_FILES:
            groups.append([])
            room = size
        groups[-1].append(file)
        room -= file.size
    return groups


def _worker_count(files: Sequence[FoundFile], groups: Sequence[Group]) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    worth = sum(file.size for file in files) >= BYTES_FOR_WORKERS
    return min(cores - 1, MAX_WORKERS, len(groups) - 1) if worth else 0


class _OrderedBatches:
    """Assigns groups of files to processes and returns their batches in the order of the groups."""

    def __init__(
        self,
        groups: list[list[FoundFile]],
        known: Mapping[str, FileRecord],
        workers: list[WorkerProcess],
        here: PrepareGroup,
    ) -> None:
        self._groups, self._known, self._workers, self._here = groups, known, workers, here
        self._todo = deque(range(len(groups)))
        self._kept: dict[int, list[Batch]] = {}
        self._ended: set[int] = set()
        self._handed_in: set[str] = set()

    def batches(self) -> Iterator[Batch]:
        """All batches, in the order of the groups."""
        for number in range(len(self._groups)):
            while number not in self._ended or self._kept.get(number):
                yield from self._kept.pop(number, ())
                if number not in self._ended:
                    yield from self._go_on(number)

    def _go_on(self, number: int) -> Iterator[Batch]:
        """Receive finished batches, else prepare a group here, or wait. Yields batches of group `number`, keeps others."""
        mine = None
        if self._todo and (self._todo[0] == number or (len(self._kept) <= PREFETCHED_GROUPS and not self._ready(0.0))):
            mine = self._todo.popleft()
        self._deal()
        if mine is None:
            for worker in self._ready(None):
                self._receive(worker)
            return
        for batch in self._here(self._groups[mine]):
            if mine == number:
                yield batch
            else:
                self._kept.setdefault(mine, []).append(batch)
        self._ended.add(mine)

    def _deal(self) -> None:
        for worker in list(self._workers):
            while self._todo and len(worker.given) < PREFETCHED_GROUPS:
                number = self._todo[0]
                group = self._groups[number]
                known = {file.source: self._known[file.source] for file in group if file.source in self._known}
                worker.given.append(self._todo.popleft())
                try:
                    _send(worker.child.connection, (number, group, known))
                except OSError as error:
                    self._gone(worker, error)
                    break

    def _ready(self, wait: float | None) -> list[WorkerProcess]:
        """Workers that have sent something or have exited."""
        busy = [worker for worker in self._workers if worker.given]
        ready = multiprocessing.connection.wait([worker.child.connection for worker in busy], wait) if busy else []
        return [worker for worker in busy if worker.child.connection in ready]

    def _receive(self, worker: WorkerProcess) -> None:
        try:
            number, batch = _receive(worker.child.connection)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._gone(worker, error)
            return
        if batch is None:
            worker.given.remove(number)
            self._ended.add(number)
        else:
            self._handed_in.update(read.file.source for read, _ in batch[0] if read.done)
            self._kept.setdefault(number, []).append(_with_all_texts(batch))

    def _gone(self, worker: WorkerProcess, error: Exception) -> None:
        """Assign the unfinished files of a dead worker again."""
        logger.warning("A process that prepares passages ended (%s); the rest of its part is prepared again.", error)
        self._workers.remove(worker)
        for number in worker.given:
            self._groups[number] = [file for file in self._groups[number] if file.source not in self._handed_in]
        self._todo = deque(sorted([*worker.given, *self._todo]))


# -- a worker process --------------------------------------------------------------------------------------------------


class WorkerProcess:
    """Parent's side of a process that prepares groups of files, in the order in which it receives them."""

    def __init__(self, request: Any) -> None:
        self.child = _started()
        self.given: list[int] = []
        with suppress(OSError):  # it has exited already; the next send to it will notice
            _send(self.child.connection, request)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close()


def _started() -> ChildProcess:
    return ChildProcess(code_to_serve("indexing.workers"), ONE_THREAD)


def serve() -> None:
    """Worker's main loop: receive the settings, then prepare groups until the connection closes."""
    connection = parent()
    limits, settings, static, plan = _receive(connection)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, waiting), daemon=True).start()
    embed = None if static is None else Embedder(static).passages_with_tokens
    with reader_of(limits, plan) as reader:
        while (given := waiting.get()) is not None:
            number, group, known = given
            for batch in prepare_batches(reader, group, known, settings, embed):
                _send(connection, (number, _without_texts(batch)))
            _send(connection, (number, None))


def _listen(connection: Connection, waiting: queue.SimpleQueue[Any]) -> None:
    """Queue incoming groups at once; else parent and worker could block, each waiting for the other to receive."""
    try:
        while True:
            waiting.put(_receive(connection))
    except (OSError, EOFError, pickle.UnpicklingError):
        waiting.put(None)


def _without_texts(batch: Batch) -> Any:
    """A batch as sent: passages are offsets only, since the documents contain their texts."""
    files = [
        (
            read,
            [
                (new.document, new.file, [(c.start, c.end, c.language, c.page) for c in new.chunks], new.recognised)
                for new in part
            ],
        )
        for read, part in batch.files
    ]
    return files, batch.words, batch.vectors, batch.tokens


def _with_all_texts(sent: Any) -> Batch:
    files, words, vectors, tokens = sent
    return Batch([(read, [_with_texts(*new) for new in part]) for read, part in files], words, vectors, tokens)


def _with_texts(
    document: Document, file: str, places: Sequence[tuple[int, int, str, int | None]], recognised: PageWords
) -> NewDocument:
    text = document.text
    chunks = tuple(Chunk(start, end, text[start:end], language, page) for start, end, language, page in places)
    return NewDocument(document, chunks, None, file, recognised=recognised)


# -- messages ----------------------------------------------------------------------------------------------------------


def _send(connection: Connection, value: Any) -> None:
    connection.send_bytes(pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))


def _receive(connection: Connection) -> Any:
    """Receive one message. Raises EOFError when the other side has closed the connection."""
    return pickle.loads(connection.recv_bytes())

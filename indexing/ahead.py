"""Preparing one batch ahead of writing, in a process of its own, where there is enough to do.

The process is a fresh interpreter (no fork) that gets one request over a socket, its standard input, and sends batches,
each with the words whose tokens it met first; it blocks while its next batch is not wanted yet. Files are still parsed
in a worker process of its own (`isolation`). Should it die, what it had not sent is prepared here.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from indexing.files import FileLimits, FileReader, FoundFile
from indexing.folder import FileRecord
from indexing.isolation import import_path
from indexing.prepare import Batch, prepared
from indexing.settings import ChunkSettings
from indexing.words import word_tokens

logger = logging.getLogger(__name__)

WORTH_A_PROCESS = 3_000_000
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from indexing.ahead import serve; serve()"


@contextmanager
def prepared_ahead(
    files: Sequence[FoundFile], known: dict[str, FileRecord], limits: FileLimits, settings: ChunkSettings
) -> Iterator[Iterator[Batch]]:  # fmt: skip
    """The batches of `prepare.prepared`; from a process of its own when the files have over WORTH_A_PROCESS bytes."""
    with FileReader(limits) as reader:
        if sum(file.size for file in files) < WORTH_A_PROCESS or (os.cpu_count() or 1) < 2:
            yield prepared(reader, files, known, settings)
            return
        process, connection = _started()
        try:
            yield _batches(connection, reader, files, known, settings)
        finally:
            connection.close()
            process.kill()
            process.wait()


def _batches(
    connection: socket.socket, reader: FileReader, files: Sequence[FoundFile], known: dict[str, FileRecord],
    settings: ChunkSettings,
) -> Iterator[Batch]:  # fmt: skip
    done: set[str] = set()
    try:
        _send(connection, (files, known, reader.limits, settings))
        while True:
            batch, learned = _receive(connection)
            if not batch:
                return
            word_tokens().learn(learned)
            done.update(read.file.source for read, _ in batch)
            yield batch
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        logger.warning("The process that prepares passages ended (%s); the rest is prepared here.", error)
        yield from prepared(reader, [file for file in files if file.source not in done], known, settings)


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _CODE, *import_path()],
        stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=True,
    )  # fmt: skip
    theirs.close()
    return process, ours


def serve() -> None:
    """The life of the process: a request, its batches, an empty one."""
    connection = socket.socket(fileno=os.dup(0))
    files, known, limits, settings = _receive(connection)
    since = 0
    with FileReader(limits) as reader:
        for batch in prepared(reader, files, known, settings):
            learned, since = word_tokens().learned(since)
            _send(connection, (batch, learned))
    _send(connection, ([], {}))


def _send(connection: socket.socket, value: Any) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    connection.sendall(len(data).to_bytes(8, "big") + data)


def _receive(connection: socket.socket) -> Any:
    """What the other side sent. Raises EOFError when it is gone."""
    return pickle.loads(_exactly(connection, int.from_bytes(_exactly(connection, 8), "big")))


def _exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        count = connection.recv_into(view[at:])
        if not count:
            raise EOFError("the other side is gone")
        at += count
    return data

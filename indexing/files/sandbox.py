"""Sandboxed worker process for parsing: a crash, a hang or too much memory costs one file, and names the reason.

The worker is a fresh interpreter (no fork, so threads and locks of ours are not copied) that speaks over one socket, its
standard input: a header line of JSON and the file's bytes go in, one line of JSON comes back. What comes back is only
ever parsed as JSON, so a parser that was taken over can give wrong text but not run code here.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText

logger = logging.getLogger(__name__)

FILES_PER_WORKER = 1_000
_GRACE = 2.0
_START = 30.0
_LARGEST = 2**33
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from indexing.files.sandbox import serve; serve()"


class Worker:
    """A parsing process, started when first needed and again after it died; for one thread."""

    def __init__(self, limits: FileLimits) -> None:
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._files = 0

    def close(self) -> None:
        """End the process, if there is one."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._socket = None
        self._files = 0

    def parse(self, data: bytes, kind: str, source: str) -> list[FileText]:
        """The texts of a file of that kind. Raises UnreadableFile, also when the process dies over it."""
        if self._files >= FILES_PER_WORKER or (self._process is not None and self._process.poll() is not None):
            self.close()
        connection = self._started()
        self._files += 1
        began = time.monotonic()
        try:
            reply = self._ask(connection, data, kind)
        except TimeoutError:
            self.close()
            raise UnreadableFile(
                f"not read within the {self.limits.seconds:g} seconds allowed for one file (--seconds)"
            ) from None
        except (OSError, ValueError):
            raise UnreadableFile(self._why_it_died(time.monotonic() - began)) from None
        except BaseException:
            self.close()
            raise
        logger.debug("%s was parsed in %.3f s.", source, time.monotonic() - began)
        return self._texts(reply)

    def _ask(self, connection: socket.socket, data: bytes, kind: str) -> dict[str, Any]:
        """One request and its reply. Raises TimeoutError, or another OSError when the connection breaks."""
        deadline = time.monotonic() + self.limits.seconds
        connection.settimeout(self.limits.seconds)
        connection.sendall(json.dumps({"kind": kind, "size": len(data)}).encode() + b"\n")
        connection.sendall(data)
        size = int.from_bytes(_exactly(connection, 8, deadline), "big")
        if size > _LARGEST:
            raise ConnectionError
        return dict(json.loads(_exactly(connection, size, deadline)))

    def _texts(self, reply: dict[str, Any]) -> list[FileText]:
        if reply.get("memory"):
            self.close()
            raise UnreadableFile(_memory(self.limits))
        if "reason" in reply:
            raise UnreadableFile(str(reply["reason"]))
        return [_text(values) for values in reply["texts"]]

    def _started(self) -> socket.socket:
        """The connection to a living worker."""
        if self._socket is not None:
            return self._socket
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CODE, *import_path()],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=True,
        )
        theirs.close()
        self._socket = ours
        ours.settimeout(_START)
        try:
            ours.sendall(json.dumps(asdict(self.limits)).encode() + b"\n")
            _exactly(ours, 1, time.monotonic() + _START)
        except OSError:
            self.close()
            raise UnreadableFile("the process that parses files could not be started") from None
        return ours

    def _why_it_died(self, seconds: float) -> str:
        """The reason after the connection broke, by how the process ended; it is closed."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        if seconds >= self.limits.seconds:
            return f"not read within the {self.limits.seconds:g} seconds allowed for one file (--seconds)"
        memory = f"it needs more than {self.limits.memory_mb:,} MB of memory (memory_mb)"
        return f"the parser crashed on it (exit {code}): it is damaged, or {memory}"


def import_path() -> list[str]:
    """Where the worker finds its modules: where we do, never the current folder, which may hold the documents."""
    root = str(Path(__file__).resolve().parents[2])
    path = [entry for entry in sys.path if entry and os.path.isabs(entry)]
    return path if root in path else [*path, root]


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytearray:
    """`size` bytes. Raises TimeoutError after `deadline`, ConnectionError when the other side is gone."""
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        count = connection.recv_into(view[at:])
        if not count:
            raise ConnectionError
        at += count
    return data


def _memory(limits: FileLimits) -> str:
    return f"needs more than the {limits.memory_mb:,} MB of memory allowed to parse one file (memory_mb)"


def _text(values: dict[str, Any]) -> FileText:
    """A text as it came over the wire."""
    headings = tuple((int(start), int(end), int(level)) for start, end, level in values["headings"])
    return FileText(
        str(values["text"]),
        tuple(map(int, values["pages"])),
        dict(values["meta"]),
        headings,
        tuple(map(str, values["notes"])),
        str(values["record"]),
    )


# -- in the worker -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """The worker's life: limits, then one file after the other until the other side hangs up."""
    connection = socket.socket(fileno=os.dup(0))
    stream = connection.makefile("rb")
    limits = FileLimits(**json.loads(stream.readline()))
    connection.sendall(b".")
    while line := stream.readline():
        request = json.loads(line)
        data = stream.read(request["size"])
        _arm(limits)
        reply = json.dumps(_answer(data, request["kind"], limits), ensure_ascii=False).encode("utf-8", "replace")
        del data
        connection.sendall(len(reply).to_bytes(8, "big") + reply)
        _disarm()


def _answer(data: bytes, kind: str, limits: FileLimits) -> dict[str, Any]:
    """What is sent back for one file: its texts, or why there are none."""
    from indexing.files.formats import parse

    try:
        return {"texts": [asdict(text) for text in parse(data, kind, limits)]}
    except UnreadableFile as error:
        return {"reason": str(error).encode("utf-8", "replace").decode()}
    except MemoryError:
        return {"memory": True}


def _arm(limits: FileLimits) -> None:
    """Bound this process while it parses: memory, no core dump, and its own end should our parent be gone."""
    import resource
    import signal

    signal.setitimer(signal.ITIMER_REAL, limits.seconds + _GRACE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = _address_space() + limits.memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
    except (OSError, ValueError):
        logger.debug("This system holds no limit on memory.")


def _disarm() -> None:
    import signal

    signal.setitimer(signal.ITIMER_REAL, 0)


def _address_space() -> int:
    """Bytes of address space of this process now; where that cannot be known, a generous 4 GB."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 2**32

"""Sandboxed worker process for parsing: a crash, a hang or too much memory costs one file, and names the reason.

The worker is a `ChildProcess`: a file's kind and its bytes go in, one JSON comes back. What comes back is only ever parsed
as JSON, so a parser that was taken over can give wrong text but not run code here.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexing.child_process import ChildProcess, code_to_serve, parent
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText

logger = logging.getLogger(__name__)

FILES_PER_WORKER = 1_000
_GRACE = 2.0
_START = 30.0
_LARGEST = 2**33
_CODE = code_to_serve("indexing.files.sandbox")


class Worker:
    """A parsing process, started when first needed and again after it died; for one thread."""

    def __init__(self, limits: FileLimits) -> None:
        self.limits = limits
        self._child: ChildProcess | None = None
        self._files = 0

    def close(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            self._child.close()
        self._child = None
        self._files = 0

    def parse(self, data: bytes, kind: str, source: str) -> list[FileText]:
        """The texts of a file of that kind. Raises UnreadableFile, also when the process dies over it."""
        if self._files >= FILES_PER_WORKER or (self._child is not None and self._child.process.poll() is not None):
            self.close()
        child = self._started()
        self._files += 1
        began = time.monotonic()
        try:
            reply = self._ask(child, data, kind)
        except TimeoutError:
            self.close()
            raise UnreadableFile(
                f"not read within the {self.limits.seconds:g} seconds allowed for one file (--seconds)"
            ) from None
        except (OSError, EOFError, ValueError):
            raise UnreadableFile(self._why_it_died(child)) from None
        except BaseException:
            self.close()
            raise
        logger.debug("%s was parsed in %.3f s.", source, time.monotonic() - began)
        return self._texts(reply)

    def _ask(self, child: ChildProcess, data: bytes, kind: str) -> dict[str, Any]:
        """One request and its reply. Raises TimeoutError; OSError or EOFError when the connection breaks; ValueError."""
        with child.within(self.limits.seconds):
            child.connection.send_bytes(kind.encode())
            child.connection.send_bytes(data)
            reply = json.loads(child.connection.recv_bytes(_LARGEST))
        if not isinstance(reply, dict):
            raise ValueError("no object")
        return reply

    def _texts(self, reply: dict[str, Any]) -> list[FileText]:
        if reply.get("memory"):
            self.close()
            raise UnreadableFile(_memory(self.limits))
        if "reason" in reply:
            raise UnreadableFile(str(reply["reason"]))
        return [_text(values) for values in reply["texts"]]

    def _started(self) -> ChildProcess:
        """A living worker."""
        if self._child is not None:
            return self._child
        child = self._child = ChildProcess(_CODE)
        try:
            with child.within(_START):
                child.connection.send_bytes(json.dumps(asdict(self.limits)).encode())
                child.connection.recv_bytes(1)
        except (OSError, EOFError):
            self.close()
            raise UnreadableFile("the process that parses files could not be started") from None
        return child

    def _why_it_died(self, child: ChildProcess) -> str:
        """The reason after the connection broke, by how the process ended; it is closed."""
        try:
            code = child.process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        memory = f"it needs more than {self.limits.memory_mb:,} MB of memory (memory_mb)"
        return f"the parser crashed on it (exit {code}): it is damaged, or {memory}"


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
    connection = parent()
    limits = FileLimits(**json.loads(connection.recv_bytes()))
    connection.send_bytes(b".")
    with suppress(EOFError, ConnectionError):
        while True:
            kind, data = connection.recv_bytes().decode(), connection.recv_bytes()
            _arm(limits)
            reply = json.dumps(_answer(data, kind, limits), ensure_ascii=False).encode("utf-8", "replace")
            del data
            connection.send_bytes(reply)
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

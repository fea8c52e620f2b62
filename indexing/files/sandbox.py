"""Sandboxed worker process for parsing: a crash, a timeout or too much memory fails one file, with the reason.

The worker is a `ChildProcess`. It receives a file's kind and bytes, and replies with one JSON message. The reply is only
parsed as JSON, so a compromised parser can return wrong text but not run code in this process.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexing.child_process import ChildProcess, code_to_serve, parent
from indexing.errors import UnreadableFile
from indexing.files.file_text import Contents, FileLimits, FileText, Member

logger = logging.getLogger(__name__)

FILES_PER_WORKER = 1_000
_GRACE = 2.0
_START = 30.0
_LARGEST = 2**33
_CODE = code_to_serve("indexing.files.sandbox")


class Worker:
    """A parsing process, started when first needed and restarted after it died. Not thread-safe."""

    def __init__(self, limits: FileLimits) -> None:
        self.limits = limits
        self._child: ChildProcess | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def close(self) -> None:
        """End the process, if it is running, and remove the files that it left."""
        if self._child is not None:
            self._child.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._child = self._folder = None
        self._files = 0

    def parse(self, data: bytes, kind: str, source: str) -> list[FileText]:
        """The texts of a file of this kind, without those of files inside it. Raises UnreadableFile."""
        return self.contents(data, kind, source).texts

    def contents(self, data: bytes, kind: str, source: str) -> Contents:
        """What is in a file of this kind. Raises UnreadableFile, also when the process dies."""
        if self._files >= FILES_PER_WORKER or (self._child is not None and self._child.process.poll() is not None):
            self.close()
        child = self._started()
        self._files += 1
        began = time.monotonic()
        try:
            reply, pieces = self._ask(child, data, kind)
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
        return self._contents(reply, pieces)

    def _ask(self, child: ChildProcess, data: bytes, kind: str) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request; receive its reply and the bytes of members. Raises TimeoutError, OSError, EOFError or ValueError.

        OSError and EOFError mean that the connection broke; ValueError, that the reply is no JSON object.
        """
        with child.within(self.limits.seconds):
            child.connection.send_bytes(kind.encode())
            child.connection.send_bytes(data)
            reply = json.loads(child.connection.recv_bytes(_LARGEST))
            if not isinstance(reply, dict):
                raise ValueError("no object")
            pieces = [child.connection.recv_bytes(_LARGEST) for _ in reply.get("members", ())]
        return reply, pieces

    def _contents(self, reply: dict[str, Any], pieces: list[bytes]) -> Contents:
        if reply.get("memory"):
            self.close()
            raise UnreadableFile(_memory(self.limits))
        if "reason" in reply:
            raise UnreadableFile(str(reply["reason"]))
        members = [Member(str(name), data, str(why)) for (name, why), data in zip(reply["members"], pieces, strict=True)]
        return Contents([_text(values) for values in reply["texts"]], members)

    def _started(self) -> ChildProcess:
        """The running worker, started if necessary."""
        if self._child is not None:
            return self._child
        child = self._child = ChildProcess(_CODE)
        try:
            with child.within(_START):
                child.connection.send_bytes(
                    json.dumps({"limits": asdict(self.limits), "folder": self._temporary()}).encode()
                )
                child.connection.recv_bytes(1)
        except (OSError, EOFError):
            self.close()
            raise UnreadableFile("the process that parses files could not be started") from None
        return child

    def _temporary(self) -> str:
        """A folder for the temporary files of the process; "" if the disk refuses it, which most formats do not need."""
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="docqa-", ignore_cleanup_errors=True)
        except OSError:
            return ""
        return self._folder.name

    def _why_it_died(self, child: ChildProcess) -> str:
        """The reason why the connection broke, from the exit code; closes the process."""
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
    """Convert a text received as JSON."""
    headings = tuple((int(start), int(end), int(level)) for start, end, level in values["headings"])
    return FileText(
        str(values["text"]),
        tuple(map(int, values["pages"])),
        dict(values["meta"]),
        headings,
        tuple(map(str, values["notes"])),
        str(values["record"]),
        unread=tuple(map(int, values["unread"])),
    )


# -- in the worker -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Worker's main loop: receive the limits, then parse files until the connection closes."""
    connection = parent()
    request = json.loads(connection.recv_bytes())
    limits = FileLimits(**request["limits"])
    if request["folder"]:
        os.environ["TMPDIR"] = request["folder"]
    connection.send_bytes(b".")
    with suppress(EOFError, ConnectionError):
        while True:
            kind, data = connection.recv_bytes().decode(), connection.recv_bytes()
            arm(limits)
            answer, members = _answer(data, kind, limits)
            reply = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
            del data
            connection.send_bytes(reply)
            for member in members:
                connection.send_bytes(member.data)
            disarm()
    if request["folder"]:  # The parent removes it, unless it was killed.
        shutil.rmtree(request["folder"], ignore_errors=True)


def _answer(data: bytes, kind: str, limits: FileLimits) -> tuple[dict[str, Any], list[Member]]:
    """The reply for one file: its texts and members, or why there are none."""
    from indexing.files.formats import contents

    try:
        found = contents(data, kind, limits)
        names = [(member.name, member.reason) for member in found.members]
        return {"texts": [asdict(text) for text in found.texts], "members": names}, found.members
    except UnreadableFile as error:
        return {"reason": str(error).encode("utf-8", "replace").decode()}, []
    except MemoryError:
        return {"memory": True}, []


def arm(limits: FileLimits) -> None:
    """Limit this process while it parses: memory, no core dump, and a timer that ends it even if the parent is gone."""
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


def disarm() -> None:
    """End the timer of `arm`."""
    import signal

    signal.setitimer(signal.ITIMER_REAL, 0)


def _address_space() -> int:
    """This process's address space in bytes; 4 GB if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 2**32

"""Parses a question file in a child process with limits on time and memory, so that no file can stop the service.

The child is a fresh interpreter for each file. Its reply is parsed as JSON, so a compromised parser can give wrong questions
but run no code here.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from indexing.child_process import ChildProcess, code_to_serve, parent
from indexing.errors import FilterError, SettingError
from indexing.files.file_text import FileLimits
from indexing.files.sandbox import arm
from qa_pipeline.errors import TooBusy
from qa_pipeline.service.question_files import BatchQuestion, read_questions

LIMITS = FileLimits(seconds=30, memory_mb=512)
AT_ONCE = 2
LARGEST = 2**31

_CODE = code_to_serve("qa_pipeline.service.question_worker")
_places = threading.BoundedSemaphore(AT_ONCE)


def parse_questions(
    path: Path, name: str, limit: int, *, corpus: str = "", limits: FileLimits = LIMITS, wait: bool = False
) -> list[BatchQuestion]:
    """`read_questions` in a child process.

    wait: wait for a place if AT_ONCE files are being parsed. Raises TooBusy otherwise, and SettingError, also for a file
    that takes too long or too much memory.
    """
    if not _places.acquire(blocking=wait):
        raise TooBusy("Other question files are being read; send this one again in a moment.", 5)
    child = None
    try:
        child = ChildProcess(_CODE)
        request = {"path": str(path), "name": name, "limit": limit, "corpus": corpus, "limits": asdict(limits)}
        with child.within(limits.seconds):
            child.connection.send_bytes(json.dumps(request).encode())
            reply = json.loads(child.connection.recv_bytes(LARGEST))
    except TimeoutError:
        raise SettingError(
            f"The file was not read within {limits.seconds:g} seconds; split it, or save it as CSV."
        ) from None
    except (OSError, EOFError, ValueError):
        raise SettingError(f"The file needs more than {limits.memory_mb:,} MB of memory, or is damaged; split it.") from None
    finally:
        if child is not None:
            child.close()
        _places.release()
    if "error" in reply:
        raise SettingError(str(reply["error"]))
    return [BatchQuestion(**row) for row in reply["questions"]]


# -- in the child ------------------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer one request: the questions of a file, or the sentence that says why there are none."""
    connection = parent()
    request = json.loads(connection.recv_bytes())
    arm(FileLimits(**request["limits"]))
    try:
        found = read_questions(Path(request["path"]), request["name"], request["limit"], corpus=request["corpus"])
        reply = json.dumps({"questions": [asdict(row) for row in found]})
    except (SettingError, FilterError) as error:
        reply = json.dumps({"error": str(error)})
    with suppress(BrokenPipeError, ConnectionError):
        connection.send_bytes(reply.encode())

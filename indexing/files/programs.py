"""Other programs that read files: started in the parsing process, within its limits on memory, time and output."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from indexing.child_process import bounded
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits

_SHARE = 0.9
_GRACE_S = 5.0
_FILE_BYTES = 100_000_000


def run_program(command: Sequence[str], name: str, limits: FileLimits) -> bytes:
    """The output of a program, which is killed with its children after `_SHARE` of the time for a file, or with its parent.

    Raises UnreadableFile, also if it prints too much.
    """
    environment = {**os.environ, "HOME": str(Path(command[-1]).parent)}
    output = Path(command[-1]).with_suffix(".output")
    with output.open("wb") as out:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=output.parent,
                start_new_session=True,
                preexec_fn=bounded(limits.seconds, 4 * limits.max_chars + _FILE_BYTES),
            )
        except OSError:
            raise UnreadableFile(f"{name} could not be started") from None
        try:
            process.wait(limits.seconds * _SHARE)
        except subprocess.TimeoutExpired:
            raise UnreadableFile(
                f"not read by {name} within {limits.seconds * _SHARE:g} of the {limits.seconds:g} seconds allowed for one"
                " file (--seconds)"
            ) from None
        finally:
            _end(process)
    size = output.stat().st_size
    if size > 4 * limits.max_chars:
        raise UnreadableFile(f"{size:,} bytes of text, more than the {limits.max_chars:,} characters allowed (--max-chars)")
    return output.read_bytes()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a program and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait(_GRACE_S)

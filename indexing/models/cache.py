"""The model cache: converted model folders, and stored digests of large files.

Everything in it can be rebuilt: missing, truncated or changed content is made again. A converted folder contains
`made.json` with the digest of every file in it. `digests/` has one small file for each large file ever hashed, with its
path, size and change times. A file is hashed again only after these change.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from indexing.atomic_files import pieces_of, replace_folder, store
from indexing.errors import ModelMissing

logger = logging.getLogger(__name__)

MANIFEST = "made.json"
SMALL = 1_000_000
SETTLED_NS = 2_000_000_000
LOCK_SECONDS = 900
_temporary: list[tuple[int, Path]] = []
_guard = threading.Lock()


def configured_folder() -> Path | None:
    """DOCQA_CACHE, else XDG_CACHE_HOME/docqa, else ~/.cache/docqa; None where there is no home."""
    if os.environ.get("DOCQA_CACHE"):
        return Path(os.environ["DOCQA_CACHE"]).absolute()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]).absolute() / "docqa"
    try:
        return Path.home() / ".cache" / "docqa"
    except RuntimeError:
        return None


def cache_folder() -> Path:
    """The configured folder, created if necessary; a private one for this process if that is not writable."""
    wanted = configured_folder()
    return wanted if wanted is not None and _writable(wanted) else _private_folder(wanted)


def digest(path: Path) -> str:
    """BLAKE2b-128 of a file's content, hex; for large files, stored until the size or change times differ."""
    if path.stat().st_size < SMALL:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    known = _stored_digest(path)
    return known if known is not None else _hashed(path)


def fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """BLAKE2b-128 over names and contents of files, hex; their order does not matter."""
    whole = hashlib.blake2b(digest_size=16)
    for name, path in sorted(files):
        whole.update(f"{name}\0{digest(path)}\n".encode())
    return whole.hexdigest()


def make_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` ("a" or "a/b") in the cache; `make` fills it if it is missing or damaged.

    A new folder is built next to its target and renamed, by one process at a time. It replaces a truncated or changed one.
    A read-only cache is used as it is. Raises ModelMissing if the folder cannot be written, as on a full disk.
    """
    wanted = configured_folder()
    if wanted is not None and is_sound(wanted / name):
        return wanted / name
    target = cache_folder() / name
    try:
        return _make_locked(target, make)
    except OSError as error:
        reason = error.strerror or error
        raise ModelMissing(f"A model cannot be prepared in {target.parent}: {reason}.") from error


def is_sound(folder: Path) -> bool:
    """Whether a folder contains exactly the files that were made, unchanged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return bool(manifest) and manifest == _contents(folder)
    except (OSError, ValueError):
        return False


def _make_locked(target: Path, make: Callable[[Path], None]) -> Path:
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(str(target) + ".lock", timeout=LOCK_SECONDS):
            if not is_sound(target):
                _make_and_swap(target, make)
    except Timeout as error:
        raise ModelMissing(f"Another process prepares {target} for too long; end it and try again.") from error
    return target


def _make_and_swap(target: Path, make: Callable[[Path], None]) -> None:
    if target.exists():
        logger.warning("%s is damaged or changed; it is rebuilt", target)
    with replace_folder(target) as beside:
        make(beside)
        (beside / MANIFEST).write_text(json.dumps(_contents(beside), indent=1), encoding="utf-8")


def _contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _note_for(path: Path) -> Path | None:
    wanted = configured_folder()
    key = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=16).hexdigest()
    return wanted / "digests" / f"{key}.json" if wanted is not None else None


def _stored_digest(path: Path) -> str | None:
    note = _note_for(path)
    try:
        known = json.loads(note.read_bytes()) if note is not None else {}
        return str(known["digest"]) if known["stamp"] == _stamp(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hashed(path: Path) -> str:
    before, whole = _stamp(path), hashlib.blake2b(digest_size=16)
    for block in pieces_of(path, 1 << 20):
        whole.update(block)
    settled = time.time_ns() - max(before[1:3]) > SETTLED_NS
    if settled and before == _stamp(path):
        _store_digest(path, before, whole.hexdigest())
    return whole.hexdigest()


def _store_digest(path: Path, stamp: list[int], found: str) -> None:
    """Store a digest atomically. If the cache is not writable, the file is hashed again at the next start."""
    note = _note_for(path)
    if note is None:
        return
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"path": os.fspath(path), "stamp": stamp, "digest": found})
        store(note, text.encode("utf-8"), 0o600, durable=False)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private_folder(wanted: Path | None) -> Path:
    """A private cache folder of this process, removed when the process ends."""
    with _guard:
        for process, folder in _temporary:
            if process == os.getpid() and folder.is_dir():
                return folder
        folder = Path(tempfile.mkdtemp(prefix="docqa-"))
        _temporary.append((os.getpid(), folder))
        atexit.register(_remove, os.getpid(), folder)
        logger.warning("%s cannot be written; models are prepared in %s until docqa ends", wanted, folder)
        return folder


def _remove(process: int, folder: Path) -> None:
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)

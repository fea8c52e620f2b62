"""The home folder of a service: corpora, each with its uploaded files and its index.

    HOME/
      docqa-home.json      marks the folder
      keys.json            API keys, hashed                 qa_pipeline/service/api_keys.py
      service.db           jobs, feedback, saved questions  in this folder
      corpora/NAME/        corpus.json, documents/, index/, incoming/ (incomplete files)
      uploads/             files of queued jobs
      processes/           locks of running processes       qa_pipeline/service/process_locks.py
      evaluations/NAME/    runs of `docqa evaluate` that the page shows    qa_pipeline/service/evaluation_runs.py

Invariants, each tested:

* A corpus exists completely or not at all, also after kill -9.
* No file name leads out of the corpus's documents.

Any number of processes may use one home.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.atomic_files import make_folder, move, pieces_of, remove, store, temporary_file
from indexing.errors import DocumentMissing, SettingError, os_reason
from qa_pipeline.errors import CorpusExists, CorpusMissing, HomeFolderError, HomeMissing
from qa_pipeline.service.service_db import SERVICE_DATABASE, now
from qa_pipeline.service.uploaded_files import (
    find_by_walk,
    leaves,
    may_be_spelled_otherwise,
    move_in,
    plain_file,
    remove_if_empty,
    safe_name,
)
from qa_pipeline.service.zip_archives import PutReport, UploadLimits, unpack

__all__ = ["Corpus", "Home", "PutReport", "UploadLimits", "corpus_name", "safe_name"]

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder

logger = logging.getLogger(__name__)

FORMAT = 1
MARKER = "docqa-home.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TITLE = 200
LEFTOVER_S = 24 * 3600.0
DELETE_WAIT_S = 30.0
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Corpus:
    """One corpus. embedder: name of the model of its index. created: ISO 8601, UTC."""

    name: str
    title: str
    embedder: str
    created: str
    path: Path

    @property
    def documents(self) -> Path:
        """The folder of the original files, in their subfolders."""
        return self.path / "documents"

    @property
    def index(self) -> Path:
        """The index folder of the documents."""
        return self.path / "index"

    @property
    def incoming(self) -> Path:
        """The folder of incomplete files, on the same file system as the documents, so that a rename is atomic."""
        return self.path / "incoming"


class Home:
    """A home folder. Safe from any thread and any process.

    embedder: name -> loaded model, to share models. The home itself loads one only to create a corpus.
    """

    def __init__(self, path: Path, embedder: Callable[[str], Embedder] | None = None) -> None:
        self.path = path
        self.embedder: Callable[[str], Embedder] = embedder or _load_embedder

    @classmethod
    def open(cls, path: Path, *, create: bool = False, embedder: Callable[[str], Embedder] | None = None) -> Home:
        """Open the home in `path`; with `create`, create it if the folder is missing or empty.

        Raises HomeMissing; HomeFolderError where it cannot be created or used.
        """
        try:
            if create and not (path / MARKER).is_file():
                _make_home(path)
            _check_marker(path)
        except (OSError, ValueError) as error:
            raise HomeFolderError(f"The home folder {path} cannot be used ({_words(error)}).") from error
        home = cls(path, embedder)
        home._sweep()
        return home

    @property
    def database(self) -> Path:
        """The database of jobs, feedback and saved questions."""
        return self.path / SERVICE_DATABASE

    @property
    def keys(self) -> Path:
        """The file of API keys."""
        return self.path / "keys.json"

    @property
    def uploads(self) -> Path:
        """The folder of uploaded files that wait for a job."""
        return self.path / "uploads"

    @property
    def evaluations(self) -> Path:
        """The folder of runs of `docqa evaluate`; it may not exist."""
        return self.path / "evaluations"

    # -- corpora ---------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The name of every corpus, also of those that cannot be read. Raises HomeFolderError."""
        try:
            return sorted(name for name in os.listdir(self.path / "corpora") if NAME.fullmatch(name))
        except OSError as error:
            raise HomeFolderError(f"The corpora cannot be listed ({_words(error)}).") from error

    def corpora(self) -> list[Corpus]:
        """Every corpus, by name. A corpus with an unreadable corpus.json is skipped and logged."""
        found = []
        for name in self.names():
            try:
                found.append(self.corpus(name))
            except HomeFolderError as error:
                logger.warning("%s", error)
        return found

    def corpus(self, name: str) -> Corpus:
        """The corpus of that name. Raises CorpusMissing; HomeFolderError where its corpus.json cannot be read."""
        path = self._path(name)
        try:
            facts = json.loads((path / "corpus.json").read_text("utf-8"))
            return Corpus(name, str(facts["title"]), str(facts["embedder"]), str(facts["created"]), path)
        except (FileNotFoundError, NotADirectoryError):
            raise CorpusMissing(f"There is no corpus {name!r}; create it first, or choose an existing one.") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HomeFolderError(f"The facts of the corpus {name!r} cannot be read ({_words(error)}).") from error

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise CorpusMissing(f"There is no corpus {str(name)[:80]!r}; create it first, or choose an existing one.")
        return self.path / "corpora" / name

    def create(self, name: str, *, title: str = "", embedder: str = "builtin") -> Corpus:
        """Create a corpus with an empty index; it accepts questions at once.

        Raises SettingError, CorpusExists, ModelError and its subclasses.
        """
        path = self.path / "corpora" / corpus_name(name)
        if path.exists():
            raise _exists(name)
        facts = {"name": name, "title": _title(title), "embedder": embedder, "created": now()}
        beside = path.with_name(f".new-{name}-{os.urandom(4).hex()}")
        try:
            self._make(beside, facts)
            _rename_unless_there(beside, path)
        except FileExistsError:
            raise _exists(name) from None
        except OSError as error:
            raise HomeFolderError(f"The corpus {name!r} cannot be made ({_words(error)}).") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return self.corpus(name)

    def _make(self, path: Path, facts: dict[str, Any]) -> None:
        """Write all parts of a corpus into a folder that no reader sees yet."""
        from indexing.settings import IndexSettings
        from indexing.store.corpus_db import IndexFolder
        from indexing.store.index import Index

        settings = IndexSettings(embedder=facts["embedder"])
        model = self.embedder(settings.embedder).facts()
        for folder in ("documents", "incoming"):
            make_folder(path / folder)
        with IndexFolder.create(path / "index", settings, model) as index, index.writer():
            Index(index).publish()
        store(path / "corpus.json", json.dumps(facts).encode("utf-8"))

    def delete(self, name: str, *, wait_s: float = DELETE_WAIT_S) -> None:
        """Delete a corpus with its files and index, atomically for readers.

        Raises CorpusMissing; IndexBusy where another process still writes to its index after `wait_s` seconds (cancel its
        jobs first); HomeFolderError.
        """
        path = self._path(name)
        if not path.is_dir():
            raise CorpusMissing(f"There is no corpus {name!r}; it may have been deleted already.")
        aside = path.with_name(f".deleted-{name}-{os.urandom(4).hex()}")
        try:
            with _nobody_writing(path / "index", wait_s):
                move(path, aside)
        except FileNotFoundError:
            raise CorpusMissing(f"There is no corpus {name!r}; it may have been deleted already.") from None
        except OSError as error:
            raise HomeFolderError(f"The corpus {name!r} cannot be deleted ({_words(error)}).") from error
        shutil.rmtree(aside, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove leftovers of killed processes: deleted corpora, and incomplete corpora and files older than a day."""
        for path in (self.path / "corpora").glob(".deleted-*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.path / "corpora").glob(".new-*"):
            if _is_old(path):
                shutil.rmtree(path, ignore_errors=True)
        for path in (self.path / "corpora").glob("*/incoming/*.part"):
            if _is_old(path):
                with contextlib.suppress(OSError):
                    path.unlink()

    # -- files -----------------------------------------------------------------------------------------------------

    def put(self, corpus: Corpus, name: str, content: Path | bytes) -> str:
        """Store one file atomically, replacing an older one of that name. Returns its source.

        Raises SettingError for an invalid name or one that leads out of the corpus; CorpusMissing; HomeFolderError.
        """
        if leaves(name):
            raise SettingError(f"The file name {name[:80]!r} leads out of the corpus; give it a name inside.")
        return self._put(corpus, name, [content] if isinstance(content, bytes) else pieces_of(content))

    def _put(self, corpus: Corpus, name: str, pieces: Iterable[bytes]) -> str:
        source = safe_name(name)
        try:
            with temporary_file(pieces, corpus.incoming) as file:
                move_in(file, corpus.documents, source)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise SettingError(
                f"{source!r} cannot be a file: a folder has its name, or a file that of its folder."
            ) from None
        except OSError as error:
            if not corpus.documents.is_dir():
                raise CorpusMissing(f"The corpus {corpus.name!r} was deleted meanwhile.") from None
            raise HomeFolderError(f"{source!r} cannot be kept ({_words(error)}).") from error
        return source

    def put_zip(
        self,
        corpus: Corpus,
        archive: Path,
        limits: UploadLimits | None = None,
        *,
        name: str = "",
        taken: dict[str, str] | None = None,
    ) -> list[PutReport]:
        """Store the files of a zip archive. Returns one report per file, or one for `name` if the archive cannot be read.

        Never raises for the content of the archive; raises CorpusMissing and HomeFolderError as `put` does.
        """
        return unpack(archive, partial(self._put, corpus), limits or UploadLimits(), name, taken)

    def remove(self, corpus: Corpus, file: str) -> None:
        """Delete an original file, and folders that become empty. Raises DocumentMissing, HomeFolderError."""
        path = self.original(corpus, file)
        try:
            remove(path)
        except FileNotFoundError:
            raise _no_file(file) from None
        except OSError as error:
            raise HomeFolderError(f"{file!r} cannot be deleted ({_words(error)}).") from error
        for folder in path.parents:
            if folder == corpus.documents or not remove_if_empty(folder):
                break

    def original(self, corpus: Corpus, file: str) -> Path:
        """The path of an original file, by its source; never outside the documents, never through a symbolic link.

        Raises DocumentMissing.
        """
        path = plain_file(corpus.documents, file.split("/"))
        if path is None and may_be_spelled_otherwise(file):
            path = find_by_walk(corpus.documents, file)
        if path is None:
            raise _no_file(file)
        return path


# -- names -------------------------------------------------------------------------------------------------------------


def corpus_name(name: object) -> str:
    """Return `name` if it is a valid corpus name. Raises SettingError.

    >>> corpus_name("reports-2024")
    'reports-2024'
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingError(
            f"The corpus name {str(name)[:80]!r} cannot be used; take 1 to 63 of the letters a to z, digits, - and _,"
            " a letter or digit first."
        )
    return name


def _title(title: object) -> str:
    if not isinstance(title, str) or len(title) > TITLE:
        raise SettingError(f"The title must be a text of at most {TITLE} characters.")
    return " ".join("".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in title).split())


def _exists(name: str) -> CorpusExists:
    return CorpusExists(f"There is a corpus {name!r} already; choose another name, or delete it first.")


def _no_file(file: str) -> DocumentMissing:
    return DocumentMissing(f"The corpus has no file {file[:200]!r}.")


def _words(error: BaseException) -> str:
    """An error's message without paths of this machine."""
    return os_reason(error) if isinstance(error, OSError) else str(error)


# -- on disk -----------------------------------------------------------------------------------------------------------


def _make_home(path: Path) -> None:
    """Create the folder and its parts, the marker last, so that an interrupted creation can be continued."""
    names = {p.name for p in path.iterdir() if p.suffix != ".part"} if path.is_dir() else set()
    if MARKER in names:
        return
    if names - {"corpora", "uploads"}:
        raise HomeFolderError(f"{path} holds other files; name an empty or new folder for the home.")
    make_folder(path, PRIVATE)
    for folder in ("corpora", "uploads"):
        make_folder(path / folder, PRIVATE)
    store(path / MARKER, json.dumps({"format": FORMAT}).encode("utf-8"))


def _check_marker(path: Path) -> None:
    if not (path / MARKER).is_file():
        raise HomeMissing(f"There is no docqa home in {path}; `docqa serve --home` creates one in an empty or new folder.")
    found = json.loads((path / MARKER).read_text("utf-8"))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise HomeFolderError(f"The home in {path} is not of format {FORMAT}, which this docqa reads; use a newer docqa.")
    for folder in ("corpora", "uploads"):
        (path / folder).mkdir(exist_ok=True)


def _rename_unless_there(folder: Path, target: Path) -> None:
    """Rename a non-empty folder. Raises FileExistsError instead of replacing."""
    try:
        move(folder, target)
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(str(target)) from None
        raise


@contextlib.contextmanager
def _nobody_writing(index: Path, wait_s: float) -> Iterator[None]:
    """Hold the writer lock of an index, if the folder still exists."""
    if not index.is_dir():
        yield
        return
    from indexing.store.corpus_db import IndexFolder

    with IndexFolder(index, writable=True).writer(wait_s):
        yield


def _is_old(path: Path) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - LEFTOVER_S
    except OSError:
        return False


def _load_embedder(name: str) -> Embedder:
    from indexing.models.embedder import Embedder

    return Embedder.load(name)

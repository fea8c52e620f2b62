"""The pool of open corpora: each is opened once and shared by all questions; the least recently used ones are closed.

If any process deletes or recreates a corpus, later questions do not use the old open one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from indexing.errors import IndexMissing
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from indexing.store.sqlite import DATABASE
from qa_pipeline.answering.answerer import Answerer
from qa_pipeline.service.home import Corpus
from qa_pipeline.service.model_pool import ModelPool
from qa_pipeline.service.settings import ServerSettings

Answering = Callable[..., Answerer]
"""Makes the Answerer of a corpus; its arguments are those of Answerer."""


def answering(settings: ServerSettings) -> Answering:
    """How the service answers: by its own Haystack pipeline, by that of a file, or by plain functions (`lean`).

    The file is loaded here, once for all corpora. Raises SettingError for a file that cannot be used.
    """
    if settings.lean:
        return Answerer
    from qa_pipeline.haystack.nodes import load_pipeline
    from qa_pipeline.pipeline import QAPipeline

    return partial(QAPipeline, pipeline=load_pipeline(Path(settings.pipeline))) if settings.pipeline else QAPipeline


class OpenCorpus:
    """One open corpus. The folder is opened at once, the pipeline at the first question."""

    def __init__(self, corpus: Corpus, models: ModelPool, answering: Answering = Answerer) -> None:
        self.corpus = corpus
        self.folder = IndexFolder.open(corpus.index)
        self.users = 0
        self._models = models
        self._answering = answering
        self._guard = threading.Lock()
        self._pipeline: Answerer | None = None
        self._counts: tuple[int, dict[str, Any]] = (-1, {})

    def pipeline(self) -> Answerer:
        """Retriever and reader over this corpus. Raises ModelError and its subclasses, IndexMismatch, IndexDamaged."""
        with self._guard:
            if self._pipeline is None:
                loaded = self._models.reader()
                embedder = self._models.embedder(str(self.folder.model["name"]))
                self._pipeline = self._answering(
                    Index(self.folder),
                    embedder,
                    loaded.reader,
                    reader_name=loaded.name,
                    calibration=loaded.calibration,
                )
            return self._pipeline

    def counts(self) -> dict[str, Any]:
        """`IndexFolder.counts` with their generation; counted once per generation."""
        with self.folder.reading():
            generation = self.folder.generation()
            known, counts = self._counts
            if known != generation:
                counts = {**self.folder.counts(), "generation": generation}
                self._counts = (generation, counts)
        return counts


class CorpusPool:
    """The open corpora. `using` opens a corpus if needed, and closes a deleted or replaced one after its last use.

    capacity: how many stay open; beyond it the least recently used one without users is closed.
    """

    def __init__(self, models: ModelPool, answering: Answering = Answerer, capacity: int = 64) -> None:
        self.capacity = capacity
        self._models = models
        self._answering = answering
        self._guard = threading.Lock()
        self._open: dict[str, tuple[object, OpenCorpus]] = {}

    @contextmanager
    def using(self, corpus: Corpus) -> Iterator[OpenCorpus]:
        """Keep the corpus open for the duration of the block. Raises IndexMissing and other kinds of IndexFolderError."""
        opened = self._take(corpus)
        try:
            yield opened
        finally:
            self._give_back(opened)

    def opened(self) -> list[Corpus]:
        """The corpora that are open now."""
        with self._guard:
            return [opened.corpus for _, opened in self._open.values()]

    def forget(self, name: str) -> None:
        """Drop a deleted corpus, and close it once it is unused."""
        with self._guard:
            _, opened = self._open.pop(name, (None, None))
            if opened is not None and not opened.users:
                opened.folder.close()

    def close(self) -> None:
        """Close every corpus; none may be in use."""
        with self._guard:
            for _, opened in self._open.values():
                opened.folder.close()
            self._open.clear()

    def _take(self, corpus: Corpus) -> OpenCorpus:
        mark = (corpus.created, _mark(corpus.index / DATABASE))
        opened = self._found(corpus, mark)
        if opened is not None:
            return opened
        fresh = OpenCorpus(corpus, self._models, self._answering)
        opened = self._found(corpus, mark)
        if opened is not None:
            fresh.folder.close()
            return opened
        with self._guard:
            _, old = self._open.pop(corpus.name, (None, None))
            self._open[corpus.name] = (mark, fresh)
            fresh.users += 1
            closing = self._beyond()
            if old is not None and not old.users:
                closing.append(old)
        for one in closing:
            one.folder.close()
        return fresh

    def _found(self, corpus: Corpus, mark: object) -> OpenCorpus | None:
        """The open corpus, used once more, if it is that of `mark`."""
        with self._guard:
            known, opened = self._open.get(corpus.name, (None, None))
            if opened is None or known != mark:
                return None
            self._open[corpus.name] = self._open.pop(corpus.name)
            opened.users += 1
            opened.corpus = corpus
            return opened

    def _beyond(self) -> list[OpenCorpus]:
        """Take the least recently used corpora without users out of the pool, down to its capacity; to be closed."""
        idle = [name for name, (_, opened) in self._open.items() if not opened.users]
        names = idle[: max(0, len(self._open) - self.capacity)]
        return [self._open.pop(name)[1] for name in names]

    def _give_back(self, opened: OpenCorpus) -> None:
        with self._guard:
            opened.users -= 1
            _, current = self._open.get(opened.corpus.name, (None, None))
            if not opened.users and current is not opened:
                opened.folder.close()


def _mark(path: Path) -> tuple[int, int]:
    """The identity of a file (device, inode), which differs from a later file of the same name. Raises IndexMissing."""
    try:
        facts = path.stat()
    except OSError:
        raise IndexMissing(f"The corpus {path.parent.parent.name!r} has no index; delete it and create it again.") from None
    return facts.st_dev, facts.st_ino

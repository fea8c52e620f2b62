"""The model pool: each model is loaded once, when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from indexing.models.embedder import Embedder
from qa_pipeline.answering.loaded_reader import LoadedReader


class ModelPool:
    """One reader, and one embedder for each name, loaded lazily. Thread-safe."""

    def __init__(
        self,
        reader_name: str,
        reader: Callable[[str], LoadedReader] = LoadedReader.load,
        embedder: Callable[[str], Embedder] = Embedder.load,
    ) -> None:
        self.reader_name = reader_name
        self._load = {"reader": reader, "embedder": embedder}
        self._guard = threading.Lock()
        self._loading: dict[tuple[str, str], threading.Lock] = {}
        self._loaded: dict[tuple[str, str], Any] = {}

    def reader(self) -> LoadedReader:
        """The reader. Raises ModelError and its subclasses."""
        loaded: LoadedReader = self._get("reader", self.reader_name)
        return loaded

    def reader_facts(self) -> dict[str, Any]:
        """The reader's facts for monitoring; {} before it is loaded, and for a reader without facts."""
        loaded = self._loaded.get(("reader", self.reader_name))
        facts = getattr(loaded.reader, "facts", None) if loaded else None
        return dict(facts()) if facts else {}

    def embedder(self, name: str) -> Embedder:
        """The embedder of that name. Raises ModelError and its subclasses."""
        loaded: Embedder = self._get("embedder", name)
        return loaded

    def _get(self, kind: str, name: str) -> Any:
        with self._guard:
            if (kind, name) in self._loaded:
                return self._loaded[kind, name]
            loading = self._loading.setdefault((kind, name), threading.Lock())
        with loading:
            if (kind, name) not in self._loaded:
                self._loaded[kind, name] = self._load[kind](name)
        return self._loaded[kind, name]

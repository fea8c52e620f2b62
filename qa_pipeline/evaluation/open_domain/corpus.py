"""The corpus of an open-domain run: the contexts of question files, indexed, with their passages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexing.atomic_files import store
from indexing.build import build_index
from indexing.deepen import deepen_index
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from indexing.store.sentence_vectors import second_tier
from qa_pipeline.datasets.examples import NOWHERE, Example, nearest_occurrence

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder

PART = 500


@dataclass(frozen=True, slots=True)
class AnswerPlace:
    """A passage by chunk id, with its offsets into the document in code points."""

    id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """The indexed contexts. sources: (language, context) -> source; texts, passages: by source."""

    index: Index
    sources: dict[tuple[str, str], str]
    texts: dict[str, str]
    passages: dict[str, list[AnswerPlace]]

    def right(self, example: Example) -> tuple[int, ...]:
        """Ids of the passages that contain a gold answer at its offset, or, if none contains it whole, a part of it."""
        source = self.sources[example.language, example.context]
        text, lies = self.texts[source], self.passages[source]
        shift = len(example.context) - len(text)
        spans = []
        for gold in example.golds:
            start = nearest_occurrence(text, gold.text, max(0, gold.start - shift)) if gold.start != NOWHERE else NOWHERE
            if start != NOWHERE:
                spans.append((start, start + len(gold.text)))
        whole = {lie.id for lie in lies for start, end in spans if lie.start <= start and end <= lie.end}
        return tuple(
            sorted(whole or {lie.id for lie in lies for start, end in spans if lie.start < end and start < lie.end})
        )


def make_corpus(
    contexts: Sequence[tuple[str, str]], folder: Path, embedder: Embedder, progress: Callable[[int, int], None] | None = None
) -> Corpus:
    """Writes every context below folder/corpus/LANGUAGE and indexes it into folder/index; existing work is reused.

    With an embedder of two tiers the index is deepened. contexts: (language, context). progress: bytes done and total bytes.
    """
    sources: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = defaultdict(int)
    for language, context in dict.fromkeys(contexts):
        sources[language, context] = f"{language}/{counts[language]:06}.txt"
        counts[language] += 1
    for (_, context), source in sources.items():
        _write(folder / "corpus" / source, context)
    build_index(
        folder / "corpus",
        folder / "index",
        IndexSettings(embedder=embedder.name),
        embedder=embedder,
        progress=(lambda _, done, total: progress(done, total)) if progress else None,
    )
    with IndexFolder.open(folder / "index") as made:
        has_second = bool(second_tier(made))
    if has_second:
        deepen_index(folder / "index", embedder=embedder.sentence_embedder())
    index = Index.open(folder / "index")
    return Corpus(index, sources, *_passages(index))


def _write(path: Path, context: str) -> None:
    data = context.encode("utf-8", "surrogatepass")
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        store(path, data)


def _passages(index: Index) -> tuple[dict[str, str], dict[str, list[AnswerPlace]]]:
    """Text and passages of every source in the index."""
    texts = {row[1]: index.folder.document(row[0]).text for row in list(index.folder.document_rows())}
    passages: dict[str, list[AnswerPlace]] = {source: [] for source in texts}
    ids = index.folder.chunk_ids().tolist()
    for first in range(0, len(ids), PART):
        for chunk in index.folder.chunks(ids[first : first + PART]):
            passages[chunk.source].append(AnswerPlace(chunk.id, chunk.start, chunk.end))
    return texts, passages

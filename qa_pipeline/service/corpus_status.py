"""The status of a corpus: facts and counts of an open one, and what can be said of one that cannot be opened."""

from __future__ import annotations

from typing import Any

from indexing.deepen import coverage
from indexing.errors import DocqaError
from indexing.store.filters import Filter
from indexing.store.listing import visible_counts
from qa_pipeline.service.corpus_pool import OpenCorpus
from qa_pipeline.service.home import Corpus, Home


def corpus_status(opened: OpenCorpus, *, skipped: bool = False, allowed: Filter | None = None) -> dict[str, Any]:
    """Facts and counts of a corpus; with `skipped`, also the files that could not be read, each with the reason.

    allowed: the filter of a key, which the counts and files obey; bytes are then 0, and no file is named.
    """
    counts = opened.counts() if allowed is None else visible_counts(opened.folder, allowed)
    facts = _facts(opened.corpus)
    facts |= {key: counts[key] for key in ("documents", "passages", "languages", "generation")}
    facts["bytes"] = opened.folder.size() if allowed is None else 0
    facts["deepened"] = coverage(opened.folder)
    if skipped:
        records = opened.folder.file_records().values() if allowed is None else ()
        facts["skipped"] = [{"source": r.source, "reason": r.reason} for r in records if r.reason]
    return facts


def broken_status(home: Home, name: str, error: DocqaError) -> dict[str, Any]:
    """The status of a corpus that cannot be read, with the reason."""
    try:
        facts = _facts(home.corpus(name))
    except DocqaError:
        facts = {"name": name, "title": "", "embedder": "", "created": ""}
    counts = {"documents": 0, "passages": 0, "languages": {}, "generation": 0, "bytes": 0, "deepened": None}
    return {**facts, **counts, "broken": str(error)}


def last_change(corpus: Corpus) -> float:
    """When the index of a corpus was changed last, in seconds since the epoch; 0 if that is not known."""
    try:
        return max(path.stat().st_mtime for path in corpus.index.iterdir())
    except (OSError, ValueError):
        return 0.0


def _facts(corpus: Corpus) -> dict[str, Any]:
    return {name: getattr(corpus, name) for name in ("name", "title", "embedder", "created")}

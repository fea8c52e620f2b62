"""What can be said of a corpus without opening its index."""

from __future__ import annotations

from typing import Any

from indexing.errors import DocqaError
from qa_pipeline.service.home import Corpus, Home


def broken_status(home: Home, name: str, error: DocqaError) -> dict[str, Any]:
    """The status of a corpus that cannot be read, with the reason, without paths of this machine."""
    try:
        corpus = home.corpus(name)
        facts = {"title": corpus.title, "embedder": corpus.embedder, "created": corpus.created}
    except DocqaError:
        facts = {"title": "", "embedder": "", "created": ""}
    counts = {"documents": 0, "passages": 0, "languages": {}, "generation": 0, "bytes": 0, "deepened": None}
    return {"name": name, **facts, **counts, "broken": str(error).replace(str(home.path), "HOME")}


def last_change(corpus: Corpus) -> float:
    """When the index of a corpus was changed last, in seconds since the epoch; 0 if that is not known."""
    try:
        return max(path.stat().st_mtime for path in corpus.index.iterdir())
    except (OSError, ValueError):
        return 0.0

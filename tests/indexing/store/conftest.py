"""What tests of the store share."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing.build import build_index
from tests.known import WordEmbedder


@pytest.fixture
def path(tmp_path: Path, corpus: Path) -> Path:
    """An index of the files of `corpus`."""
    build_index(corpus, tmp_path / "index", embedder=WordEmbedder())  # type: ignore[arg-type]
    return tmp_path / "index"

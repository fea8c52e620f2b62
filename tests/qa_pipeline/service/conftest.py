"""A home folder with a corpus, and what stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa_pipeline.service.home import Corpus, Home
from tests.known import WordEmbedder


def words(name: str) -> WordEmbedder:
    assert name in ("words", "builtin"), name
    return WordEmbedder()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", create=True, embedder=words)  # type: ignore[arg-type]


@pytest.fixture
def reports(home: Home) -> Corpus:
    return home.create("reports", title="Annual reports", embedder="words")


def below(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}

"""A machine with one engine that recognises text: a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scans import FakeTesseract, installed


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeTesseract]:
    with installed(tmp_path / "bin") as made:
        yield made

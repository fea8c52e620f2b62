"""Digests of model files: a large file is hashed once, until it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexing.models import cache

pytestmark = pytest.mark.usefixtures("own_cache")


def test_large_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (cache.SMALL + 1))
    monkeypatch.setattr(cache, "SETTLED_NS", -1)
    first = cache.digest(path)
    monkeypatch.setattr(cache, "_hashed", lambda path: pytest.fail("hashed again"))
    assert cache.digest(path) == first
    monkeypatch.undo()
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "cache"))
    before = path.stat()
    path.write_bytes(b"y" + b"x" * cache.SMALL)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.digest(path) != first

"""Benchmarks that look into docqa find what they name there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_stages_of_indexing_are_watched() -> None:
    """In a process of its own, as watching replaces functions."""
    code = "from benchmarks.indexing import watched; print(len(watched().seconds))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr

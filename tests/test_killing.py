"""Kills of indexing at random moments lose nothing: 50 of them; `make torture` does a thousand."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.killing import campaign


def test_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """DOCQA_KILLS=200 kills more often, DOCQA_KILLS_SEED=2 at other moments."""
    kills = int(os.environ.get("DOCQA_KILLS", "50"))
    counts, lost, wrong = campaign(kills, int(os.environ.get("DOCQA_KILLS_SEED", "1")), tmp_path)
    assert (lost, wrong) == ([], [])
    assert counts["kills"] >= kills and counts["acknowledged"] > 100 and counts["passages_checked"] > 1_000

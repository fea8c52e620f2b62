"""A failing disk loses nothing acknowledged: a sample of the cases of `benchmarks.failing_disk`, which runs all of them."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from collections.abc import Iterator

import pytest

from benchmarks.disk_scenarios import SCENARIOS
from benchmarks.failing_disk import FAULTS, Campaign, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs Linux and a C compiler")
RUNS = 3


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with Campaign(tmp_path_factory.mktemp("disk")) as made:
        yield made


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_nothing_acknowledged_is_lost_when_the_disk_fails(campaign: Campaign, name: str) -> None:
    """DOCQA_DISK_SEED=2 draws other calls, DOCQA_DISK_RUNS=50 more of them."""
    campaign.wrong.clear()
    draw = random.Random(os.environ.get("DOCQA_DISK_SEED", "1") + name)
    for fault in draw.sample(sorted(FAULTS), RUNS):
        calls = campaign.calls(name, fault)
        assert calls > 0
        for k in draw.choices(range(1, calls + 1), k=int(os.environ.get("DOCQA_DISK_RUNS", "1"))):
            campaign.strike(name, fault, k, seed=draw.choice((0, 1, 2)) if fault == "power" else 0)
    assert campaign.wrong == []


def test_the_faults_strike(campaign: Campaign) -> None:
    """Each fault is seen by the process: SQLite's writes, FAISS's streams and Python's files are among the calls."""
    everything = campaign.calls("update", "full")
    assert everything > 100 and campaign.calls("update", "read") > 20
    outcome, _ = campaign.run("update", "full", 1)
    assert outcome.hits > 0 and not outcome.done and "full" in outcome.error
    outcome, _ = campaign.run("update", "crash", everything)
    assert os.WIFSIGNALED(outcome.status) and set(outcome.acknowledged) >= {"1.txt", "deep/6.txt"}


def test_a_lost_document_is_found(campaign: Campaign) -> None:
    """The check itself: what was acknowledged and is not there is reported."""
    outcome, place = campaign.run("update", "full", 0)
    assert outcome.done and "1.txt" in outcome.acknowledged
    with contextlib.closing(sqlite3.connect(place / "index" / "corpus.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM documents WHERE source = '1.txt'")
    found = list(SCENARIOS["update"].check(place, outcome.acknowledged, True))
    assert "1.txt was acknowledged, and has no text" in found

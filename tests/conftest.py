"""Fixtures for all tests. No test reaches the network: a connection to anywhere but this machine fails at once."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DOCQA_OFFLINE"] = "1"

# What docqa writes on its own goes where the tests may write, whatever HOME is; all test processes share it.
if "DOCQA_TESTS" not in os.environ:
    os.environ["DOCQA_TESTS"] = tempfile.mkdtemp(prefix="docqa-tests-")
    atexit.register(shutil.rmtree, os.environ["DOCQA_TESTS"], ignore_errors=True)
os.environ["DOCQA_DATA"] = os.path.join(os.environ["DOCQA_TESTS"], "data")
os.environ["DOCQA_CACHE"] = os.path.join(os.environ["DOCQA_TESTS"], "cache")

# The same texts in every run, so that what passed here passes elsewhere; DOCQA_NEW_TEXTS=1 draws new ones, to search on.
settings.register_profile(
    "docqa",
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=60,
    derandomize=os.environ.get("DOCQA_NEW_TEXTS") != "1",
)
settings.load_profile("docqa")

LOCAL = ("127.0.0.1", "::1", "localhost")
connect = socket.socket.connect


def _local_only(self: socket.socket, address: Any) -> None:
    if isinstance(address, tuple) and address[0] not in LOCAL:
        raise OSError(f"a test tried to reach {address}")
    connect(self, address)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes may hold the time they were packed at, which changes even their number; a test has one name in every process."""
    if not isinstance(val, bytes):
        return None
    return "packed bytes" if val.startswith((b"PK", b"\x1f\x8b")) else f"{len(val)} bytes"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Markers by what a test needs: `-m "not browser and not train"` leaves those out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
        if "/qa_pipeline/training/" in item.path.as_posix():
            item.add_marker(pytest.mark.train)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    socket.socket.connect = _local_only  # type: ignore[method-assign, assignment]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tests of training: a second thread of torch gains nothing there, and the sums come in one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where docqa keeps what it made of models, empty, for this test alone."""
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the hub's models lie, empty, for this test alone."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three small text files."""
    folder = tmp_path / "corpus"
    (folder / "reports").mkdir(parents=True)
    (folder / "reports" / "bridge.txt").write_text("The bridge opened in 1912. It is long.\n", encoding="utf-8")
    (folder / "reports" / "mine.txt").write_text("The mine closed in 1974. It was wet.\n", encoding="utf-8")
    (folder / "berg.txt").write_text("Der Berg ist 2341 Meter hoch und liegt auf der Insel Vorn.\n", encoding="utf-8")
    for path in folder.rglob("*.txt"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    time.sleep(0.05)  # so that a run that comes at once finds settled change times
    return folder

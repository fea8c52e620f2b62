"""A full disk: status 507 with one sentence, nothing half done, and the same request works once there is space."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qa_pipeline.service.home import Home
from tests.live import ASKED, BRIDGE, MINE, known_models, live, problem


class FullDisk:
    """Makes every fsync fail while it is on, as the last step of every write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self.on, self.fsync, self.code = False, os.fsync, code
        monkeypatch.setattr("os.fsync", self.sync)

    def sync(self, file: Any) -> None:
        if self.on:
            raise OSError(self.code, os.strerror(self.code))
        self.fsync(file)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_files_that_find_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    disk = FullDisk(monkeypatch, code)
    with live(tmp_path / "h") as api:
        ids = api.fill("a", {"bridge.txt": BRIDGE, "mine.txt": MINE})
        disk.on = True
        upload = lambda: api.http.post("/v1/corpora/a/documents", files={"files": ("new.txt", b"New 1999.")})  # noqa: E731
        for answer in (upload(), api.http.post("/v1/corpora", json={"name": "b"})):
            assert "full" in problem(answer, 507, "DiskFull")
        assert api.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        disk.on = False
        assert [c["name"] for c in api.http.get("/v1/corpora").json()] == ["a"]
        assert {d["id"] for d in api.http.get("/v1/corpora/a/documents").json()["documents"]} == set(ids.values())
        api.wait(upload().json()["job"]["id"])
        assert api.http.get("/v1/corpora/a").json()["documents"] == 3


def test_a_database_that_finds_no_space(tmp_path: Path) -> None:
    """SQLite says so itself, at its page limit. A deletion that failed can be asked for again."""
    with live(tmp_path / "h") as api:
        ids = api.fill("a", {"bridge.txt": BRIDGE, "mine.txt": MINE})
        kind, full = type(api.service.jobs._database), [True]
        original = kind._connected

        @contextmanager
        def connected(self: Any) -> Iterator[sqlite3.Connection]:
            with original(self) as connection:
                if full[0]:
                    connection.execute("PRAGMA max_page_count=1")
                    connection.execute("CREATE TABLE filler (a)")
                yield connection

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kind, "_connected", connected)
            told = api.http.delete(f"/v1/corpora/a/documents/{ids['mine.txt']}")
            assert "full" in problem(told, 507, "DiskFull")
            full[0] = False
            job = api.http.delete(f"/v1/corpora/a/documents/{ids['mine.txt']}").json()["job"]["id"]
            assert api.wait(job)["state"] == "done"
        assert [d["source"] for d in api.http.get("/v1/corpora/a/documents").json()["documents"]] == ["bridge.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_a_new_home_is_of_its_owner_only(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    for folder in (home.path, home.uploads, home.path / "corpora"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

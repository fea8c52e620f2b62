"""Work that is begun on a thread of its own."""

from __future__ import annotations

import threading

import pytest

from indexing.errors import SettingError
from indexing.models.threads import VARIABLE, begin


def test_begun_work_runs_beside_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    started, go_on = threading.Event(), threading.Event()

    def run() -> str:
        started.set()
        assert go_on.wait(30)
        return threading.current_thread().name

    result = begin(run)
    assert started.wait(30), "it runs before its result is asked for"
    go_on.set()
    assert result() == result() != threading.current_thread().name


def test_an_error_is_raised_where_the_result_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")

    def run() -> None:
        raise SettingError("no such model")

    result = begin(run)
    with pytest.raises(SettingError, match="no such model"):
        result()


def test_with_one_thread_work_waits_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    names: list[str] = []
    result = begin(lambda: names.append(threading.current_thread().name))
    assert not names
    result()
    assert names == [threading.current_thread().name]

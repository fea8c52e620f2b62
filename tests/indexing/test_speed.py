"""Rate and time left of an indexing run, on a clock of the test's own."""

from __future__ import annotations

import pytest

from indexing.speed import WINDOW_S, IndexingSpeed, duration


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_steady_run() -> None:
    clock = Clock()
    speed = IndexingSpeed(clock)
    speed.update(0, 2_000, 10_000)
    assert speed.words() == "" and speed.per_second is None and speed.seconds_left is None
    for second in range(1, 41):
        clock.now = 100.0 + second
        speed.update(20 * second, 2_000 + 100 * second, 10_000)
        if second > 1:
            assert speed.per_second == pytest.approx(20)
            assert speed.seconds_left == pytest.approx(80 - second)
    assert speed.words() == "20 passages/s, 40 s left"


def test_the_rate_is_that_of_the_last_seconds_and_falls_while_nothing_happens() -> None:
    clock = Clock()
    speed = IndexingSpeed(clock)
    speed.update(0, 0, 10_000)
    for second in range(1, 101):
        clock.now = 100.0 + second
        speed.update(1_000 if second <= 50 else 1_000 + (second - 50), second, 10_000)
    assert speed.per_second == pytest.approx(1.0, abs=0.05)
    clock.now += WINDOW_S
    assert speed.per_second == pytest.approx(0.5, abs=0.05)


def test_what_was_done_before_does_not_count_and_nothing_runs_back() -> None:
    clock = Clock()
    speed = IndexingSpeed(clock)
    speed.update(0, 9_000, 10_000)
    clock.now += 2
    speed.update(5, 9_500, 10_000)
    speed.update(3, 9_100, 10_000)
    assert (speed.passages, speed.done) == (5, 9_500)
    assert speed.words() == "2.5 passages/s, 2 s left"
    speed.update(10, 10_000, 10_000)
    assert speed.words() == "5.0 passages/s"


def test_durations() -> None:
    assert [duration(s) for s in (0, 1.4, 59.4, 59.6, 3_569, 3_571, 7_500)] == [
        "1 s",
        "1 s",
        "59 s",
        "1 min",
        "59 min",
        "1 h 0 min",
        "2 h 5 min",
    ]

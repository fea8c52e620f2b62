"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import sys

import pytest

from indexing.report import FileReport
from indexing.scans import RecognitionProgress
from qa_pipeline.answers import WordHit, WordHits
from qa_pipeline.cli.output import LINE_S, IndexingProgress, print_word_hits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(clock: Clock, seconds: int) -> None:
    with IndexingProgress(clock) as shown:
        shown.embedding(0, 0, 1_000_000)
        for second in range(1, seconds + 1):
            clock.now = float(second)
            shown.embedding(40 * second, 10_000 * second, 1_000_000)
        shown.file(FileReport("a\x1b[2J.txt", "indexed", passages=40 * seconds), 10_000 * seconds, 1_000_000)


def test_where_there_is_no_terminal_a_line_is_printed_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    run(Clock(), 25)
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 25 // LINE_S
    assert printed.err.splitlines()[0] == "indexing: 10% of 1.0 MB, 400 passages, 40 passages/s, 2 min left"


def test_a_short_run_prints_nothing_there(capsys: pytest.CaptureFixture[str]) -> None:
    run(Clock(), int(LINE_S) - 1)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_with_the_rate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run(Clock(), 25)
    shown = capsys.readouterr().err
    assert "indexing:  25%" in shown.replace("\r", "\n").splitlines()[-1] and "40.0 passages/s" in shown
    assert "a\ufffd[2J.txt" in shown and "\x1b[2J" not in shown


def test_pages_to_recognise_are_printed_before_the_first_and_the_time_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with IndexingProgress(clock) as shown:
        for second, done in enumerate((0, 1, 2, 3, 4)):
            clock.now = float(second)
            timed = (2.0, 3.0 * (5 - done)) if done else (None, None)
            shown.recognising(RecognitionProgress(done, 5, 1, *timed))
        clock.now += LINE_S
        shown.recognising(RecognitionProgress(5, 5, 1, 2.0, 0.0))
    assert capsys.readouterr().err.splitlines() == [
        "recognising text on 5 pages",
        "recognising text: page 1 of 5, 2.0 s a page, about 12 s left",
        "recognising text: page 5 of 5, 2.0 s a page, about 0 s left",
    ]


def test_recognised_text_is_named_beside_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    place = ("id", "scan.pdf", 2, "en", 0, 9, "The tower")
    hits = (WordHit(*place, ((4, 9),), 1.0, True), WordHit(*place, ((4, 9),), 1.0))
    print_word_hits(WordHits("tower", 2, 1, hits, (), 1, 1.0))
    lines = [line for line in capsys.readouterr().out.splitlines() if "scan.pdf" in line]
    assert "scan.pdf · page 2 · recognised text · en" in lines[0] and "recognised" not in lines[1]

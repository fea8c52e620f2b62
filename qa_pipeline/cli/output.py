"""Terminal output of replies: text for people, JSON lines for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from indexing.speed import IndexingSpeed

if TYPE_CHECKING:
    from typing_extensions import Self

    from indexing.report import FileReport
    from indexing.scans import RecognitionProgress
    from qa_pipeline.answers import Answer, Passage, Reply, WordHit, WordHits

LINE_S = 10.0
NAMED = 5


def printable(text: str) -> str:
    """Text as one line without control characters, so that no document can inject terminal escape sequences."""
    return "".join(" " if c.isspace() else c if c.isprintable() or c in "\u200c\u200d" else "\ufffd" for c in text)


def percent(share: float) -> str:
    """A share in whole percent, rounded down, so that only all of it is 100 %.

    >>> percent(0.999), percent(1.0)
    ('99 %', '100 %')
    """
    return f"{int(100 * share)} %"


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def mark_answer(text: str, start: int, end: int, begin: int, stop: int) -> str:
    """text[begin:stop] in one line, with the answer text[start:end] marked."""
    left, right = ("\x1b[7m", "\x1b[0m") if _colours() else ("[[", "]]")
    ellipsis = ("… " if begin else "", " …" if stop < len(text) else "")
    before, answer, after = (printable(part) for part in (text[begin:start], text[start:end], text[end:stop]))
    return f"{ellipsis[0]}{before}{left}{answer}{right}{after}{ellipsis[1]}"


def print_reply(reply: Reply, verb: str) -> None:
    print(f"{_bold(reply.question)}  [{reply.language}]")
    if verb == "ask" and not reply.answers and reply.passages:
        print(
            f"  No answer in the {reply.passages_read} closest passages (no-answer score"
            f" {reply.no_answer.score:.2f}, threshold {reply.no_answer.threshold:.2f}). These are the closest:"
        )
    for number, answer in enumerate(reply.answers, start=1):
        _print_answer(number, answer)
    if not reply.answers:
        for passage in reply.passages[: 3 if verb == "ask" else None]:
            _print_passage(passage)
    if not reply.passages:
        print("  No passage was found.")
    times = reply.timings_ms
    read = f"; {reply.passages_read} of {reply.passages_retrieved} passages read" if verb == "ask" else ""
    stages = f"embed {times.embed:.0f}, retrieve {times.retrieve:.0f}, read {times.read:.0f}"
    print(f"  ({times.total:.0f} ms: {stages}{read})\n")


def _print_answer(number: int, answer: Answer) -> None:
    passage = answer.passage
    print(f"  {number}. {_bold(printable(answer.text))}")
    start, end = answer.start - passage.start, answer.end - passage.start
    print(_indented(mark_answer(passage.text, start, end, *_sentence_around(passage.text, start, end))))
    page = _page(answer)
    print(
        f"     {printable(answer.source)}{page} · {answer.language} · score {answer.score:.2f}"
        f" · {answer.document_id[:12]}… {answer.start}-{answer.end}"
    )
    _print_about(passage)


def _print_passage(passage: Passage) -> None:
    page = _page(passage)
    places = [f"{name} {rank}" for name, rank in (("dense", passage.dense_rank), ("keyword", passage.keyword_rank)) if rank]
    print(f"  {passage.fused_rank}. {printable(passage.source)}{page} · {passage.language} · {', '.join(places)}")
    text = printable(passage.text)
    print(_indented(text if len(text) <= 300 else text[:299] + "…"))
    _print_about(passage)


def _page(item: Answer | Passage | WordHit) -> str:
    """Page and kind of text of a quotation, with separators."""
    return (f" · page {item.page}" if item.page else "") + (" · recognised text" if item.recognised else "")


def print_word_hits(found: WordHits) -> None:
    """The counts of a search by words, and the passages with their words marked."""
    passages = f"{found.passages:,} passage{'s' * (found.passages != 1)}"
    print(f"{passages} in {found.documents:,} document{'s' * (found.documents != 1)}")
    for number, hit in enumerate(found.hits, start=1):
        page = _page(hit)
        place = f"{hit.document_id[:12]}… {hit.start}-{hit.end}"
        print(f"  {number}. {printable(hit.source)}{page} · {hit.language} · {place}")
        first = hit.marks[0] if hit.marks else (hit.start, hit.start)
        begin, stop = _sentence_around(hit.text, first[0] - hit.start, first[1] - hit.start)
        pieces, at = [], begin
        for start, end in ((start - hit.start, end - hit.start) for start, end in hit.marks):
            if at <= start and end <= stop:
                pieces += [printable(hit.text[at:start]), _bold(hit.text[start:end])]
                at = end
        print(_indented("".join([*pieces, printable(hit.text[at:stop])])))
    print(f"  ({found.ms:.0f} ms)\n")


def _print_about(passage: Passage) -> None:
    """Names the other documents with the same text, and the facts of the question that the passage lacks."""
    if passage.also_in:
        names = ", ".join(printable(other.source) for other in passage.also_in[:NAMED])
        more = len(passage.also_in) - NAMED
        print(f"     also in {names}" + (f" and {more} more" if more > 0 else ""))
    if passage.missing:
        print(f"     not in this passage: {printable(', '.join(passage.missing))}")


def _sentence_around(text: str, start: int, end: int, reach: int = 160) -> tuple[int, int]:
    """The part of a passage to show: the answer and up to `reach` characters on either side, cut at white space."""
    begin, stop = max(0, start - reach), min(len(text), end + reach)
    if begin:
        at = text.find(" ", begin, start)
        begin = at + 1 if at >= 0 else begin
    if stop < len(text):
        at = text.rfind(" ", end, stop)
        stop = at if at >= 0 else stop
    return begin, stop


def _indented(text: str) -> str:
    return "     " + text


def _bold(text: str) -> str:
    return f"\x1b[1m{printable(text)}\x1b[0m" if _colours() else printable(text)


def _colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


class ProgressBar:
    """A progress bar with rate and remaining time on standard error; disabled where that is no terminal."""

    def __init__(self, label: str, unit: str = "question") -> None:
        """unit: name of the counted unit; "B" is scaled to kB, MB and so on."""
        self.label = label
        self.unit = unit
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, total: int, detail: str = "") -> None:
        """done: out of `total`, including earlier runs, which do not count for the rate. detail: shown after the bar."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=self.label,
                total=total,
                unit=self.unit,
                unit_scale=self.unit == "B",
                file=sys.stderr,
                disable=None,
                initial=done,
            )
        if detail:
            self._bar.set_postfix_str(detail, refresh=False)
        self._bar.update(done - self._bar.n)


class IndexingProgress:
    """Progress of an indexing run on standard error, with passages per second and time left.

    On a terminal it is a progress bar; elsewhere a line every LINE_S seconds, so a short run prints none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = IndexingSpeed(clock)
        self._bar = ProgressBar("indexing", "B") if sys.stderr.isatty() else None
        self._passages = 0
        self._source = ""
        self._printed = clock()
        self._estimated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__()

    def file(self, file: FileReport, done: int, total: int) -> None:
        """As `progress` of `build_index`."""
        self._passages += file.passages
        self._source = printable(file.source)[-40:]
        self.embedding(self._passages, done, total)

    def recognising(self, progress: RecognitionProgress) -> None:
        """As `recognising` of `build_index`. It prints the number of pages and the estimate of time at once."""
        first = progress.done == 0 or (self._estimated is False and progress.seconds_a_page is not None)
        self._estimated = self._estimated or progress.seconds_a_page is not None
        if self._bar is not None:
            self._bar.update(progress.done, progress.total, progress.words())
        elif first or self._clock() - self._printed >= LINE_S:
            self._printed = self._clock()
            print(progress.words(), file=sys.stderr, flush=True)

    def embedding(self, passages: int, done: int, total: int) -> None:
        """As `embedding` of `build_index`."""
        speed = self._speed
        speed.update(passages, done, total)
        if self._bar is not None:
            rate = f"{speed.per_second:,.1f} passages/s" if speed.per_second else ""
            self._bar.update(speed.done, total, " ".join(filter(None, (rate, self._source))))
        elif self._clock() - self._printed >= LINE_S and total:
            self._printed = self._clock()
            share = f"{speed.done / total:.0%} of {total / 1e6:,.1f} MB, {speed.passages:,} passages"
            print(", ".join(filter(None, (f"indexing: {share}", speed.words()))), file=sys.stderr, flush=True)

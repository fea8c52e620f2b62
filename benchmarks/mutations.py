"""Damaged files of every format, read in the sandbox: each ends in texts or in one sentence, and takes no other with it.

Whole files are changed at random: bytes flipped, cut, repeated and exchanged, ends cut off, and numbers made extreme. Most
changes are made inside a zip container or a compressed file, so that checksums do not keep parsers from them. Damaged file
number n of a format is the same in every run with one seed. So a run is continued, and a file that fails made again.

    python -m benchmarks.mutations --minutes 10 --state FOLDER        exit status 1 when anything was wrong

FOLDER keeps how far each format is, and every file that was wrong, crashed its parser, or took too long. The sandbox
contains a crash, which is listed. Wrong is an unexpected error, a reason that is no plain sentence, or a text that breaks a
law. The whole files are those of the tests; `--files` takes those of a folder instead.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import random
import re
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from benchmarks import machine
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.walk import FileReader, find_files
from tests.indexing.files.conftest import archive, check_laws
from tests.indexing.files.seed_files import seeds

LIMITS = FileLimits(seconds=10.0, memory_mb=512)
AT_ONCE = 100
LARGEST = 2_000_000
LATE_S = 5.0
LONGEST_REASON = 2_000
OBJECT = re.compile(r"object at 0x|Traceback|<class '|\bNone\b|\n")
CONTAINED = {"crashed": "the parser crashed", "late": "seconds allowed for one file"}
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = (b"-1", b"NaN", b"1e308", b"99999999999999999999", *(b"%d" % number for number in NUMBERS))
MARKS = (b"\0", b"<", b"&#xD800;", b"\xff\xfe", b"]]>", b"..", b"\xef\xbb\xbf", b"99999999999", b"-1", b"%", b"\r\n\r\n")
OUTCOMES = ("read", "refused", *CONTAINED, "wrong")


# -- mutations ---------------------------------------------------------------------------------------------------------


def mutated(files: Sequence[bytes], draw: random.Random) -> bytes:
    """One of the files with random changes: to its bytes, or to what is packed inside it."""
    data = draw.choice(files)
    if draw.random() < 0.75:
        for magic, unpack, pack in PACKINGS:
            if data.startswith(magic) and (inside := _unpacked(unpack, data)):
                return pack(inside, draw)
    return changed(data, draw)


def changed(data: bytes, draw: random.Random) -> bytes:
    """The bytes after one to six changes."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        at = draw.randrange(len(made) + 1)
        size = min(len(made) - at, draw.choice((1, 2, 4, 16, 256, 4_096)))
        match draw.randrange(9):
            case 0 if size:
                made[at] ^= 1 << draw.randrange(8)
            case 1:
                del made[at : at + size]
            case 2:
                made[at:at] = made[at : at + size] * draw.choice((1, 2, 50))
            case 3:
                made[at : at + size] = draw.randbytes(size)
            case 4:
                width = draw.choice((1, 2, 4))
                made[at : at + width] = (draw.choice(NUMBERS) % 256**width).to_bytes(width, draw.choice(("little", "big")))
            case 5:
                made[at:at] = draw.choice(MARKS)
            case 6:
                other = draw.randrange(len(made) + 1)
                made[at : at + size] = made[other : other + size]
            case 7 if numbers := list(re.finditer(rb"\d+", bytes(made[:20_000]))):
                found = draw.choice(numbers)
                made[found.start() : found.end()] = draw.choice(WORDS)
            case 8:
                del made[at:]
    return bytes(made)


def members_of(data: bytes) -> dict[str, bytes]:
    """The files in a zip container, by name."""
    with zipfile.ZipFile(BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _zip_again(members: dict[str, bytes], draw: random.Random) -> bytes:
    name = draw.choice(sorted(members))
    return archive({**members, name: changed(members[name], draw)})


PACKINGS: tuple[tuple[bytes, Callable[[bytes], object], Callable[..., bytes]], ...] = (
    (b"PK\3\4", members_of, _zip_again),
    (b"\x1f\x8b", gzip.decompress, lambda data, draw: gzip.compress(changed(data, draw), mtime=0)),
    (b"BZh", bz2.decompress, lambda data, draw: bz2.compress(changed(data, draw))),
    (b"\xfd7zXZ", lzma.decompress, lambda data, draw: lzma.compress(changed(data, draw))),
)


def _unpacked(unpack: Callable[[bytes], object], data: bytes) -> object:
    """What is packed in the bytes; None for a file of `--files` that cannot be unpacked, as it has a password."""
    try:
        return unpack(data)
    except (OSError, EOFError, RuntimeError, NotImplementedError, lzma.LZMAError, zipfile.BadZipFile):
        return None


def damaged(files: Sequence[bytes], kind: str, number: int, seed: int = 1) -> bytes:
    """Damaged file `number` of a format."""
    return mutated(files, random.Random(f"{seed} {kind} {number}"))


# -- judging -----------------------------------------------------------------------------------------------------------


class Mutations:
    """Reads damaged files, and judges what comes back. files: whole ones by format; None for those of the tests.

    counts: of each format, damaged files by outcome. failed: the name of a file, and why.
    """

    def __init__(self, files: Mapping[str, Sequence[bytes]] | None = None, seed: int = 1) -> None:
        self.files = files if files is not None else seeds()
        self.seed = seed
        self.reader = FileReader(LIMITS)
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.failed: list[tuple[str, str]] = []

    def __enter__(self) -> Mutations:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def read(self, kind: str, number: int) -> bytes | None:
        """Read damaged file `number` of a format. Returns it if it failed."""
        data = damaged(self.files[kind], kind, number, self.seed)
        began = time.monotonic()
        outcome: Sequence[FileText] | str
        try:
            outcome = self.reader.parse(data, f"input.{kind}")
        except UnreadableFile as error:
            outcome = str(error)
        except Exception as error:
            outcome = f"Traceback: {type(error).__name__}: {error}"
        why, judged = judge(outcome, time.monotonic() - began)
        self.counts[kind][judged] += 1
        if not why:
            return None
        self.failed.append((f"{kind}-{self.seed}-{number}.{kind}", why))
        return data

    def rows(self) -> list[dict[str, str | int]]:
        """The counts as rows of a table."""
        return [
            {"format": kind, "files": counts.total(), **{outcome: counts[outcome] for outcome in OUTCOMES}}
            for kind, counts in sorted(self.counts.items())
        ]


def judge(outcome: Sequence[FileText] | str, seconds: float) -> tuple[str, str]:
    """(what is wrong with the outcome of a file or "", its name in OUTCOMES)."""
    if seconds > LIMITS.seconds + LATE_S:
        return f"took {seconds:.0f} s", "wrong"
    if isinstance(outcome, str):
        if OBJECT.search(outcome) or not 0 < len(outcome) <= LONGEST_REASON:
            return f"reason: {outcome!r}", "wrong"
        found = [name for name, words in CONTAINED.items() if words in outcome]
        return (outcome, found[0]) if found else ("", "refused")
    why = next(filter(None, map(_broken_law, outcome)), "") if outcome else "neither a text nor a reason"
    return (why, "wrong") if why else ("", "read")


def _broken_law(text: FileText) -> str:
    """Which law a text breaks; "" if none."""
    try:
        check_laws(text)
    except (AssertionError, ValueError) as error:
        return f"a law is broken: {traceback.extract_tb(error.__traceback__)[-1].line}"
    return f"notes {text.notes}" if any(OBJECT.search(note) for note in text.notes) else ""


# -- runs --------------------------------------------------------------------------------------------------------------


def by_kind(folder: Path) -> dict[str, list[bytes]]:
    """The files of a folder that are not too large, by format; those of unknown formats are left out."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for file in find_files(folder):
        if 0 < file.size <= LARGEST:
            data = file.path.read_bytes()
            try:
                found[kind_of(data, file.source)].append(data)
            except UnreadableFile:
                continue
    return dict(found)


def _in_turn(kinds: Iterable[str], done: Mapping[str, int], each: int) -> Iterator[tuple[str, int]]:
    """(format, number) of what is left, AT_ONCE of each format in turn."""
    begins = {kind: done.get(kind, 0) for kind in sorted(kinds)}
    for first in range(0, each, AT_ONCE):
        for kind, begin in begins.items():
            yield from ((kind, number) for number in range(begin + first, min(begin + first + AT_ONCE, each)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.mutations", description="Damage files of every format and read them.")
    parser.add_argument("--each", type=int, default=1_000_000, metavar="N", help="damaged files of each format")
    parser.add_argument("--minutes", type=float, metavar="M", help="stop after so many; the next run continues")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="whole files; default: those of the tests")
    parser.add_argument("--kinds", nargs="+", metavar="FORMAT", help="default: all")
    parser.add_argument("--state", type=Path, metavar="FOLDER", help="progress, and files that failed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = seeds() if options.files is None else by_kind(options.files)
    kinds = options.kinds or sorted(files)
    if unknown := sorted(set(kinds) - set(files)):
        parser.error(f"no file of {', '.join(unknown)}; there are {', '.join(sorted(files))}")
    facts = machine.facts()
    print(machine.line(facts))
    began = time.monotonic()
    state = options.state or Path(tempfile.mkdtemp(prefix="docqa-mutations-"))
    state.mkdir(parents=True, exist_ok=True)
    at = state / f"progress-{options.seed}.json"
    done: dict[str, int] = json.loads(at.read_text("utf-8")) if at.is_file() else {}
    with Mutations(files, options.seed) as mutations:
        for kind, number in _in_turn(kinds, done, options.each):
            data = mutations.read(kind, number)
            if data is not None:
                (state / mutations.failed[-1][0]).write_bytes(data)
                print(*mutations.failed[-1], file=sys.stderr, flush=True)
            done[kind] = number + 1
            if done[kind] % AT_ONCE == 0:
                at.write_text(json.dumps(done), encoding="utf-8")
            if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
                break
    at.write_text(json.dumps(done), encoding="utf-8")
    rows, wrong = mutations.rows(), sum(counts["wrong"] for counts in mutations.counts.values())
    print(machine.table(rows))
    print(
        f"{sum(int(row['files']) for row in rows):,} files in {time.monotonic() - began:,.0f} s, {wrong:,} wrong;", end=" "
    )
    print(f"progress and files that failed: {state}")
    machine.finish(facts, {"rows": rows, "failed": mutations.failed}, options.json)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

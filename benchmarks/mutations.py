"""Damaged files of every format: each run ends normally, with a text or one reason for each file.

Files of a folder are grouped by their format, and damaged at random: bytes changed, cut out, repeated or exchanged, ends cut
off; of zip-based formats also the bytes inside a part. Each damaged file is read as `docqa index` reads it. It must give
texts that keep the laws of `FileText`, or one sentence without a Python object, within the time allowed.

    python -m benchmarks.mutations FOLDER [--each 1000] [--seconds 60] [--kinds docx pdf] [--seed 1] [--keep FOLDER]

`--each` damaged files of a format, or as many as `--seconds` allow. `--keep` saves those that break a law. Then the exit
status is 1.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.walk import FileReader, find_files

LIMITS = FileLimits(seconds=20)
LARGEST = 2_000_000
LATE_S = 5.0
LONGEST_REASON = 600
OBJECT = re.compile(r"object at 0x|Traceback|<class '|\bNone\b|\n")
CRASHED, LATE, MEMORY = "the parser crashed", "seconds allowed for one file", "of memory allowed"


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four faults; of a zip, half of the time within one of its parts."""
    if data.startswith(b"PK\x03\x04") and rng.random() < 0.5 and (inside := _within_a_part(data, rng)) is not None:
        return inside
    for _ in range(rng.randint(1, 4)):
        data = _fault(data, rng)
    return data


def _within_a_part(data: bytes, rng: random.Random) -> bytes | None:
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            chosen = rng.choice(names)
            for name in names:
                part = archive.read(name)
                made.writestr(name, mutated(part, rng) if name == chosen else part)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, IndexError):
        return None
    return out.getvalue()


def _fault(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one fault. Small numbers in them are made large, as lengths and counts are the usual weak points."""
    size = max(1, len(data))
    at, length = rng.randrange(size), min(size, int(2 ** rng.uniform(0, 12)))
    kind = rng.randrange(7)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + rng.randbytes(min(length, 64)) + data[at + min(length, 64) :]
    if kind == 2:
        return data[:at] + data[at + length :]
    if kind == 3:
        return data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :]
    if kind == 4:
        other = rng.randrange(size)
        return data[:at] + data[other : other + length] + data[at + length :]
    if kind == 5:
        numbers = list(re.finditer(rb"\d+", data[at : at + 4_096]))
        if numbers:
            found = rng.choice(numbers)
            big = rng.choice((b"-1", b"0", b"4294967296", b"99999999999999999999", b"1e308", b"NaN"))
            return data[: at + found.start()] + big + data[at + found.end() :]
    flipped = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        flipped[rng.randrange(size)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def breaks(outcome: Sequence[FileText] | str, seconds: float) -> str:
    """Which law the outcome of a file breaks; "" if none."""
    if seconds > LIMITS.seconds + LATE_S:
        return f"took {seconds:.0f} s"
    if isinstance(outcome, str):
        return f"reason: {outcome!r}" if OBJECT.search(outcome) or not 0 < len(outcome) <= LONGEST_REASON else ""
    for text in outcome:
        text.text.encode("utf-8")
        ends = [0, *(end for _, end, _ in text.headings)]
        if list(text.pages) != sorted(text.pages) or not all(0 <= page <= len(text.text) for page in text.pages):
            return f"pages {text.pages[:5]}"
        if not all(
            last <= start < end <= len(text.text) for last, (start, end, _) in zip(ends, text.headings, strict=False)
        ):
            return f"headings {text.headings[:5]}"
        if any(OBJECT.search(note) for note in text.notes):
            return f"notes {text.notes}"
    return "" if outcome else "neither a text nor a reason"


def tried(kind: str, files: Sequence[Path], options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The row of a format, and the laws that were broken."""
    rng, began, broken, slowest = random.Random(f"{options.seed} {kind}"), time.monotonic(), [], 0.0
    counts: dict[str, int] = defaultdict(int)
    with FileReader(LIMITS) as reader:
        while counts["files"] < options.each and time.monotonic() - began < options.seconds:
            path = rng.choice(files)
            data = mutated(path.read_bytes(), rng)
            counts["files"] += 1
            started = time.monotonic()
            outcome: Sequence[FileText] | str
            try:
                outcome = reader.parse(data, path.name)
            except UnreadableFile as error:
                outcome = str(error)
            except Exception as error:
                outcome = f"{type(error).__name__}: {error} (Traceback)"
            seconds = time.monotonic() - started
            slowest = max(slowest, seconds)
            counts["refused" if isinstance(outcome, str) else "read"] += 1
            for name, words in (("crashed", CRASHED), ("late", LATE), ("memory", MEMORY)):
                counts[name] += isinstance(outcome, str) and words in outcome
            if problem := breaks(outcome, seconds):
                broken.append(f"{kind}, {path.name}, number {counts['files']}: {problem}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{kind}-{counts['files']}-{path.name}").write_bytes(data)
    names = ("files", "read", "refused", "crashed", "late", "memory")
    return {"format": kind, **{name: counts[name] for name in names}, "broken": len(broken), "slowest s": slowest}, broken


def by_kind(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder that are not too large, by format; those of unknown formats are left out."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in find_files(folder):
        if 0 < file.size <= LARGEST:
            try:
                found[kind_of(file.path.read_bytes(), file.source)].append(file.path)
            except UnreadableFile:
                continue
    return dict(sorted(found.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.mutations", description="Damage files of every format and read them.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--each", type=int, default=1_000, metavar="N")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S")
    parser.add_argument("--kinds", nargs="+", metavar="FORMAT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.facts(())
    print(machine.line(facts))
    rows, broken = [], []
    for kind, files in by_kind(options.folder).items():
        if options.kinds and kind not in options.kinds:
            continue
        row, problems = tried(kind, files, options)
        rows.append(row)
        broken += problems
        print(machine.table([row]), flush=True)
    print(machine.table(rows))
    print("\n".join(broken) or "No law was broken.")
    machine.finish(facts, {"rows": rows, "broken": broken}, options.json)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""Memory and time of `docqa index` on one large file: a mailbox (mbox) by its size, or a PDF by its pages.

The messages are those of `benchmarks.corpus`: plain text in many languages, a few passages each; every tenth has a text file
attached, and every twentieth a picture's worth of bytes. Memory is that of the writing process, which also holds the
search structures: "reading" while messages are read and written, "own" what of that is not mapped files (the model's), and
"peak" also when the vector and keyword indexes are built.

    python -m benchmarks.mailbox [--megabytes 50 200] [--attached KB] [--kills 3] [--json FILE]

    python -m benchmarks.mailbox --pdf-pages 2000

`--kills` ends each run so often by SIGKILL and starts it again: no message may be lost or read twice.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.commands import DOCQA
from benchmarks.corpus import EXAMPLES, documents, material

SAMPLE_S = 0.2
ENDLESS = 10**9
EVERY_TEXT, EVERY_PICTURE = 10, 20
PICTURE = 40_000
LINES = 42
FIRST_RIGHT_TO_LEFT = "\u0530"


def messages(attached: int, seed: int = 1) -> Iterator[bytes]:
    """Messages of a mailbox with their separators, without end. The same seed gives the same messages.

    attached: bytes of the pictures; more of them stand for the attachments that fill real mailboxes.
    """
    rng = random.Random(seed)
    for number, (_, text) in enumerate(documents(material([EXAMPLES]), ENDLESS, seed)):
        mail = EmailMessage(policy=policy.SMTPUTF8.clone(linesep="\n", cte_type="8bit"))
        mail["From"], mail["To"] = f"ada{rng.randrange(50)}@example.org", f"bo{rng.randrange(50)}@example.org"
        mail["Subject"], mail["Message-ID"] = text.partition("\n")[0], f"<{number}@example.org>"
        mail["Date"] = "Mon, 02 Jan 2023 10:00:00 +0000"
        mail.set_content(text.partition("\n")[2], cte="8bit")
        if number % EVERY_TEXT == 0:
            mail.add_attachment(f"Note {number}. {text}", filename="note.txt")
        if number % EVERY_PICTURE == 0:
            mail.add_attachment(b"\x89PNG\r\n\x1a\n" + rng.randbytes(attached), "image", "png", filename="picture.png")
        yield b"From ada@example.org Mon Jan  2 10:00:00 2023\n" + mail.as_bytes().rstrip(b"\n") + b"\n\n"


def write(path: Path, size: int, attached: int = PICTURE) -> int:
    """Write a mailbox of about `size` bytes; returns the number of its messages."""
    count = 0
    with path.open("wb") as file:
        for message in messages(attached):
            file.write(message)
            count += 1
            if file.tell() >= size:
                return count
    return count


def measured(documents: Path, index: Path, kills: int) -> dict[str, Any]:
    """Index a folder in a process of its own, and measure that."""
    rng, began, peak, reading, own = random.Random(1), time.perf_counter(), 0, 0, 0
    command = [*DOCQA, "index", str(documents), "--into", str(index), "--embedder", "builtin", "--tiers", "token"]
    printed = index.with_suffix(".json")  # The line of the mailbox comes when its last message is written.
    for left in reversed(range(kills + 1)):
        until = time.perf_counter() + rng.uniform(5.0, 15.0) if left else float("inf")
        with (
            printed.open("wb") as out,
            subprocess.Popen([*command, "--json"], stdout=out, stderr=subprocess.DEVNULL) as process,
        ):
            while process.poll() is None:
                used, private = resident(process.pid)
                peak = max(peak, used)
                if not printed.stat().st_size:
                    reading, own = max(reading, used), max(own, private)
                if time.perf_counter() > until:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(SAMPLE_S)
        if not left and process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}.")
    return {"seconds": time.perf_counter() - began, "reading MB": reading / 1e6, "own MB": own / 1e6, "peak MB": peak / 1e6}


def resident(pid: int) -> tuple[int, int]:
    """The resident memory of a process in bytes, and what of it is its own, not mapped files; zeros if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) * 1_024 for line in lines if line.startswith(("VmRSS:", "RssAnon:"))}
    return found.get("VmRSS", 0), found.get("RssAnon", 0)


def row(size: int, kills: int, attached: int) -> dict[str, Any]:
    """The result for a mailbox of `size` MB. Raises SystemExit if a message is missing or there twice."""
    from indexing.store.corpus_db import IndexFolder

    with tempfile.TemporaryDirectory() as folder:
        (place := Path(folder) / "in").mkdir()
        count = write(place / "all.mbox", size * 1_000_000, attached)
        found = measured(place, Path(folder) / "index", kills)
        with IndexFolder.open(Path(folder) / "index") as index:
            passages = index.counts()["passages"]
            sources = {source for _, source, *_ in index.document_rows()}
        expected = {f"all.mbox/{number}.eml" for number in range(1, count + 1)}
        expected |= {f"all.mbox/{number}.eml/note.txt" for number in range(1, count + 1, EVERY_TEXT)}
        if sources != expected:
            raise SystemExit(f"{len(expected - sources):,} messages are lost, {len(sources - expected):,} are invented.")
    return {"MB": size, "messages": count, "passages": passages, "kills": kills, **found}


def pdf_row(pages: int) -> dict[str, Any]:
    """The result for a PDF of so many pages of text in languages written from left to right."""
    from indexing.store.corpus_db import IndexFolder
    from tests.pdfs import make_pdf

    written = (text for _, text in documents(material([EXAMPLES]), ENDLESS, 1) if max(text) < FIRST_RIGHT_TO_LEFT)
    lines = (line for text in written for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, 70))
    places = [(50.0, 760.0 - 17.0 * number, 12.0) for number in range(LINES)]
    with tempfile.TemporaryDirectory() as folder:
        (place := Path(folder) / "in").mkdir()
        content = make_pdf([[(*at, next(lines)) for at in places] for _ in range(pages)])
        (place / "all.pdf").write_bytes(content)
        found = measured(place, Path(folder) / "index", 0)
        with IndexFolder.open(Path(folder) / "index") as index:
            passages = index.counts()["passages"]
    return {"pages": pages, "MB": len(content) / 1e6, "passages": passages, **found}


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.mailbox", description="Memory of indexing a large mailbox.")
    options.add_argument("--megabytes", type=int, nargs="+", default=[50, 200], metavar="N")
    options.add_argument("--pdf-pages", type=int, metavar="N", help="measure a PDF of N pages instead")
    options.add_argument("--kills", type=int, default=0, metavar="N")
    options.add_argument("--attached", type=int, default=PICTURE // 1_000, metavar="KB", help="size of each picture (40)")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    facts = machine.facts(("faiss-cpu", "numpy"))
    print(machine.line(facts))
    rows = []
    for size in [] if chosen.pdf_pages else chosen.megabytes:
        rows.append(row(size, chosen.kills, chosen.attached * 1_000))
        print(machine.table(rows[-1:]), flush=True)
    if chosen.pdf_pages:
        rows.append(pdf_row(chosen.pdf_pages))
        print(machine.table(rows), flush=True)
    machine.finish(facts, {"rows": rows}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

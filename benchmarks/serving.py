"""Fifty clients ask one service for a minute while two of them upload: errors, law, latency, memory.

`docqa serve` runs in a process of its own over a fresh home, with the built-in models and examples/corpus. Each client is a
thread that asks the questions of examples/questions.json one after the other; one that is told 429 waits as long as it
is told. Two more upload documents and wait for their jobs, again and again. Every answer and passage is compared with its
document's text, fetched through the same door. Resident memory of the service is read from the system each second.

    python -m benchmarks.serving [--clients 50] [--seconds 60] [--json FILE]

The exit status is 1 when anything but 200 and 429 was answered, or an answer was not its document's text.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.asking import questions
from benchmarks.corpus import EXAMPLES, write
from ui.client import ApiError, Client, Reply

CORPUS = "examples"
UPLOADERS = 2


@dataclass
class Seen:
    """What all clients together saw. Guarded by `guard`."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    uploads: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, what: str, error: Exception) -> None:
        with self.guard:
            self.statuses[getattr(error, "status", 0)] += 1
            if getattr(error, "status", 0) != 429:
                self.errors.append(f"{what}: {error}"[:300])


@contextmanager
def service(home: Path) -> Iterator[tuple[str, int]]:
    """`docqa serve` on a free port: its address and process id; ended with SIGTERM, which must be heeded."""
    command = [sys.executable, "-m", "qa_pipeline.cli", "serve", "--home", str(home), "--reader", "builtin", "--port", "0"]
    process = subprocess.Popen(command, cwd=machine.ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "http://" in line:
                break
        else:
            raise SystemExit("The service did not start.")
        threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
        yield "http://" + line.split("http://", 1)[1].split()[0].rstrip(".,;/"), process.pid
    finally:
        process.terminate()
        if process.wait(timeout=60) not in (0, -15):
            print(f"the service ended with {process.returncode}", file=sys.stderr)


def fill(url: str) -> None:
    """Upload the example corpus and wait until it can be asked."""
    with Client(url) as client:
        while not client.ready().ready:
            time.sleep(0.5)
        client.create_corpus(CORPUS, embedder="builtin")
        files = [path for path in sorted(EXAMPLES.rglob("*")) if path.is_file()]
        sent = [(path.relative_to(EXAMPLES).as_posix(), path.read_bytes()) for path in files]
        job = client.upload(CORPUS, sent).job
        assert job is not None and client.wait(job.id).state == "done"


def ask(url: str, number: int, asked: list[str], until: float, seen: Seen) -> None:
    """One client's minute."""
    with Client(url) as client:
        for turn in range(10**9):
            if time.monotonic() >= until:
                return
            question = asked[(number * 7 + turn) % len(asked)]
            began = time.monotonic()
            try:
                reply = client.ask(CORPUS, question)
            except ApiError as error:
                seen.failed("ask", error)
                time.sleep(min(5.0, error.retry_after or 0.5))
                continue
            with seen.guard:
                seen.latencies.append(1e3 * (time.monotonic() - began))
                seen.statuses[200] += 1
            check(client, reply, seen)


def check(client: Client, reply: Reply, seen: Seen) -> None:
    """Every answer and passage is its document's text; documents are fetched once (their ids never change text)."""
    for part in (*reply.answers, *reply.passages):
        text = seen.texts.get(part.document_id)
        if text is None:
            try:
                text = client.document(CORPUS, part.document_id).text
            except ApiError as error:
                seen.failed("document", error)
                continue
            with seen.guard:
                seen.texts[part.document_id] = text
        if text[part.start : part.end] != part.text:
            with seen.guard:
                seen.wrong.append(f"{part.source} {part.start}-{part.end}")


def upload(url: str, number: int, documents: Path, until: float, seen: Seen) -> None:
    """Upload twenty documents at a time, and wait for each job, until the time is over."""
    files = sorted(documents.rglob("*.txt"))[number::UPLOADERS]
    with Client(url) as client:
        for at in range(0, len(files), 20):
            if time.monotonic() >= until:
                return
            try:
                sent = [(f"new/{number}-{path.name}", path.read_bytes()) for path in files[at : at + 20]]
                job = client.upload(CORPUS, sent).job
                state = client.wait(job.id).state if job else "done"
                with seen.guard:
                    seen.uploads += state == "done"
                    if state != "done":
                        seen.errors.append(f"an upload's job ended as {state}")
            except ApiError as error:
                seen.failed("upload", error)
                time.sleep(error.retry_after or 0.5)


def resident(pid: int) -> float:
    """Resident memory of a process in MB (Linux); nan elsewhere."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except (OSError, ValueError, IndexError):
        return float("nan")


def run(clients: int, seconds: float) -> dict[str, Any]:
    """One minute of it."""
    asked, seen = questions(200), Seen()
    with tempfile.TemporaryDirectory() as place, service(Path(place) / "home") as (url, pid):
        write(Path(place) / "more", 1_500)
        fill(url)
        memory = [resident(pid)]
        until = time.monotonic() + seconds
        work = [threading.Thread(target=ask, args=(url, n, asked, until, seen)) for n in range(clients)]
        work += [threading.Thread(target=upload, args=(url, n, Path(place) / "more", until, seen)) for n in range(UPLOADERS)]
        for thread in work:
            thread.start()
        while time.monotonic() < until:
            time.sleep(1)
            memory.append(resident(pid))
        for thread in work:
            thread.join()
        memory.append(resident(pid))
    return {
        "clients": clients, "seconds": seconds, "answered": seen.statuses[200], "told to wait (429)": seen.statuses[429],
        "other errors": len(seen.errors), "not the document's text": len(seen.wrong), "uploads done": seen.uploads,
        "p50 ms": machine.quantile(seen.latencies, 0.5), "p95 ms": machine.quantile(seen.latencies, 0.95),
        "answered/s": seen.statuses[200] / seconds, "memory MB at first": memory[0],
        "after a third": memory[len(memory) // 3], "at last": memory[-1], "errors": seen.errors[:5] + seen.wrong[:5],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description="Many clients and two uploads at once.")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = machine.facts()
    print(machine.line(facts))
    row = run(chosen.clients, chosen.seconds)
    print(machine.table([{name: value for name, value in row.items() if name != "errors"}]))
    for error in row["errors"]:
        print(error)
    machine.finish(facts, {"serving": row}, chosen.json)
    return int(bool(row["other errors"] or row["not the document's text"]))


if __name__ == "__main__":
    sys.exit(main())

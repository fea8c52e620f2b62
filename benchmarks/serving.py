"""Load test of one service with fifty clients, without and with two uploaders: errors, answers, latency, memory.

`docqa serve` runs in its own process over a new home folder, with the built-in models and examples/corpus. Each client is
a thread that asks the questions of examples/questions.json sequentially; after a 429 it waits as `Retry-After` says. Every
answer and passage is compared with its document's text, fetched through the API. The service's resident memory is sampled
each second. One process runs three phases in sequence:

    asking       no uploads, so memory must become stable once every thread has answered
    overwriting  two uploaders replace the same documents with a changed last line, so the corpus keeps its size
    growing      two uploaders add new documents

    python -m benchmarks.serving [--clients 50] [--seconds 60] [--phases asking,overwriting,growing] [--json FILE]

The exit status is 1 after any status but 200 and 429, or if an answer is not its document's text.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.asking import questions
from benchmarks.corpus import EXAMPLES, write
from ui.client.http import Client
from ui.client.schemas import Answer, ApiError, Passage, Reply

CORPUS = "examples"
UPLOADERS = 2
PHASES = ("asking", "overwriting", "growing")


@dataclass
class Seen:
    """Results of all clients; `guard` protects them."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    uploads: int = 0
    gone: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, what: str, error: Exception) -> None:
        with self.guard:
            self.statuses[getattr(error, "status", 0)] += 1
            if getattr(error, "status", 0) != 429:
                self.errors.append(f"{what}: {error}"[:300])


@contextmanager
def service(home: Path, *more: str) -> Iterator[tuple[str, int]]:
    """Runs `docqa serve` on a free port; with these further options; yields URL and process id. It must end on SIGTERM."""
    command = [sys.executable, "-m", "qa_pipeline.cli", "serve", "--home", str(home), "--reader", "builtin", "--port", "0"]
    command += more
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
    """Uploads the example corpus and waits until it is indexed."""
    with Client(url) as client:
        while not client.get_readiness().ready:
            time.sleep(0.5)
        client.create_corpus(CORPUS, embedder="builtin")
        files = [path for path in sorted(EXAMPLES.rglob("*")) if path.is_file()]
        sent = [(path.relative_to(EXAMPLES).as_posix(), path.read_bytes()) for path in files]
        job = client.upload(CORPUS, sent).job
        assert job is not None and client.wait_for_job(job.id).state == "done"


def ask(url: str, number: int, asked: list[str], until: float, seen: Seen) -> None:
    """One client, until the time is over."""
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
    """Checks every answer and passage against its document's text; documents are cached, as an id's text never changes."""
    quoted: tuple[Answer | Passage, ...] = (*reply.answers, *reply.passages)
    for part in quoted:
        text = seen.texts.get(part.document_id)
        if text is None:
            try:
                text = client.get_document(CORPUS, part.document_id).text
            except ApiError as error:
                if error.status == 404:
                    seen.gone += 1  # overwritten in the meantime
                else:
                    seen.failed("document", error)
                continue
            with seen.guard:
                seen.texts[part.document_id] = text
        if text[part.start : part.end] != part.text:
            with seen.guard:
                seen.wrong.append(f"{part.source} {part.start}-{part.end}")


def upload(url: str, batches: Iterator[list[tuple[str, bytes]]], until: float, seen: Seen) -> None:
    """Uploads batches in sequence, waiting for each job, until the time is over."""
    with Client(url) as client:
        for sent in batches:
            if time.monotonic() >= until:
                return
            try:
                job = client.upload(CORPUS, sent).job
                state = client.wait_for_job(job.id).state if job else "done"
                with seen.guard:
                    seen.uploads += state == "done"
                    if state != "done":
                        seen.errors.append(f"an upload's job ended as {state}")
            except ApiError as error:
                seen.failed("upload", error)
                time.sleep(error.retry_after or 0.5)


def batches(phase: str, number: int, files: list[Path]) -> Iterator[list[tuple[str, bytes]]]:
    """The uploads of one uploader, twenty documents each: none, the first ones repeatedly, or new ones."""
    mine = files[number::UPLOADERS]
    if phase == "overwriting":
        for turn in range(10**9):
            end = f"\nWritten for the time number {turn}.\n".encode()
            yield [(f"again/{number}-{path.name}", path.read_bytes() + end) for path in mine[:20]]
    elif phase == "growing":
        for at in range(0, len(mine), 20):
            yield [(f"new/{number}-{path.name}", path.read_bytes()) for path in mine[at : at + 20]]


def resident(pid: int) -> float:
    """Resident memory of a process in MB (Linux); nan elsewhere."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except (OSError, ValueError, IndexError):
        return float("nan")


def risen(memory: list[float], beat_s: float = 1.0) -> float:
    """Slope of memory in MB per minute over the second half of a phase (least squares)."""
    half = memory[len(memory) // 2 :]
    middle, mean = (len(half) - 1) / 2, sum(half) / len(half)
    across = sum((n - middle) ** 2 for n in range(len(half)))
    return 60 / beat_s * sum((n - middle) * (mb - mean) for n, mb in enumerate(half)) / across if across else 0.0


def phase(name: str, url: str, pid: int, files: list[Path], clients: int, seconds: float) -> dict[str, Any]:
    """Runs one phase."""
    asked, seen = questions(200), Seen()
    memory, until = [resident(pid)], time.monotonic() + seconds
    work = [threading.Thread(target=ask, args=(url, n, asked, until, seen)) for n in range(clients)]
    work += [threading.Thread(target=upload, args=(url, batches(name, n, files), until, seen)) for n in range(UPLOADERS)]
    for thread in work:
        thread.start()
    while time.monotonic() < until:
        time.sleep(1)
        memory.append(resident(pid))
    for thread in work:
        thread.join()
    with Client(url) as client:
        documents = client.get_corpus(CORPUS).documents
    return {
        "phase": name,
        "answered": seen.statuses[200],
        "/s": seen.statuses[200] / seconds,
        "429": seen.statuses[429],
        "other errors": len(seen.errors),
        "not its text": len(seen.wrong),
        "uploads": seen.uploads,
        "documents": documents,
        "p50 ms": machine.quantile(seen.latencies, 0.5),
        "p95 ms": machine.quantile(seen.latencies, 0.95),
        "MB at first": memory[0],
        "a third": memory[len(memory) // 3],
        "two thirds": memory[2 * len(memory) // 3],
        "at last": memory[-1],
        "MB/min, 2nd half": risen(memory),
        "memory": memory,
        "errors": seen.errors[:5] + seen.wrong[:5],
    }


def run(phases: Sequence[str], clients: int, seconds: float) -> list[dict[str, Any]]:
    """Runs all phases over one service."""
    with tempfile.TemporaryDirectory() as place, service(Path(place) / "home") as (url, pid):
        write(Path(place) / "more", 1_500)
        files = sorted((Path(place) / "more").rglob("*.txt"))
        fill(url)
        return [phase(name, url, pid, files, clients, seconds) for name in phases]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description="Many clients and two uploads at once.")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")
    parser.add_argument("--phases", default=",".join(PHASES), type=lambda text: text.split(","))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if not set(chosen.phases) <= set(PHASES):
        parser.error(f"the phases are {', '.join(PHASES)}")
    facts = machine.facts()
    print(machine.line(facts))
    rows = run(chosen.phases, chosen.clients, chosen.seconds)
    hidden = ("errors", "memory")
    print(machine.table([{name: value for name, value in row.items() if name not in hidden} for row in rows]))
    for error in [error for row in rows for error in row["errors"]]:
        print(error)
    machine.finish(facts, {"serving": rows, "clients": chosen.clients, "seconds": chosen.seconds}, chosen.json)
    return int(any(row["other errors"] or row["not its text"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

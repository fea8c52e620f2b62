"""Memory of a loaded service: `docqa serve --lean` with the built-in models, after 500 questions from 8 clients.

The service runs in its own process over a new home folder with examples/corpus. Resident memory is read when it is ready,
after indexing, and after the questions; the peak is the kernel's. Linux only.

    python -m benchmarks.serving_memory [--questions 500] [--clients 8] [--bound-mb 600] [--json FILE]

The exit status is 1 when more than `--bound-mb` is resident after the questions, or a question failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.asking import questions
from benchmarks.serving import CORPUS, fill, service
from ui.client.http import Client
from ui.client.schemas import ApiError

SETTLE_S = 35.0
"""The service returns freed memory every five seconds, and tidies every half minute."""


def memory(pid: int) -> dict[str, float]:
    """Memory of a process in MB: resident, of that not shared with a file, and the peak."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    names = {"resident": "VmRSS", "anonymous": "RssAnon", "of files": "RssFile", "peak": "VmHWM"}
    return {shown: round(int(status[name].split()[0]) * 1024 / 1e6, 1) for shown, name in names.items()}


def ask_all(url: str, count: int, clients: int) -> int:
    """Ask so many questions, and return how many failed."""
    asked = questions(count)

    def ask(number: int) -> int:
        with Client(url, timeout=300, patience=300) as client:
            failed = 0
            for turn in range(number, count, clients):
                try:
                    client.ask(CORPUS, asked[turn % len(asked)])
                except ApiError as error:
                    failed += 1
                    print(error, file=sys.stderr)
            return failed

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask, range(clients)))


def run(count: int, clients: int) -> tuple[list[dict[str, Any]], int]:
    """The memory at each stage, and the number of failed questions."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place, service(Path(place) / "home", "--lean") as (url, pid):
        with Client(url) as client:
            while not client.get_readiness().ready:
                time.sleep(0.2)
        rows.append({"stage": "ready", **memory(pid)})
        fill(url)
        rows.append({"stage": "indexed", **memory(pid)})
        failed = ask_all(url, count, clients)
        rows.append({"stage": f"{count:,} questions", **memory(pid)})
        time.sleep(SETTLE_S)
        rows.append({"stage": "half a minute later", **memory(pid)})
    return rows, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.serving_memory", description="Memory of a loaded service.")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bound-mb", type=float, default=600)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = machine.facts()
    print(machine.line(facts))
    rows, failed = run(chosen.questions, chosen.clients)
    print(machine.table(rows))
    machine.finish(facts, {"memory": rows, "failed": failed, "clients": chosen.clients}, chosen.json)
    return int(failed > 0 or max(row["resident"] for row in rows[2:]) > chosen.bound_mb)


if __name__ == "__main__":
    sys.exit(main())

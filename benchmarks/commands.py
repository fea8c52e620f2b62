"""Whole commands, from process start to exit: seconds, CPU seconds and peak memory, beside stock Haystack's import.

The index is that of examples/corpus with the built-in models. Files are in the page cache: each command runs once before.
The rounds alternate between the commands. "import haystack.nodes" is what a program on stock Haystack pays before it does
anything.

    python -m benchmarks.commands [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.corpus import EXAMPLES

QUESTION = "When did Kestrel Bridge open?"
DOCQA = (sys.executable, "-m", "qa_pipeline.cli")
# Without compiled modules, as pip writes them, a command would compile its own 50 again each time: 0.1 s.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def commands(index: str) -> dict[str, Sequence[str]]:
    return {
        "import haystack.nodes": (sys.executable, "-c", "import haystack.nodes"),
        "docqa --help": (*DOCQA, "--help"),
        "docqa search": (*DOCQA, "search", index, QUESTION),
        "docqa ask": (*DOCQA, "ask", index, QUESTION, "--reader", "builtin"),
        "docqa ask --thorough": (*DOCQA, "ask", index, QUESTION, "--reader", "builtin", "--thorough"),
        "docqa read": (*DOCQA, "read", QUESTION, "--context", "It opened in 1912.", "--reader", "builtin"),
        "docqa index (nothing changed)": (*DOCQA, "index", str(EXAMPLES), "--into", index),
    }


def run(command: Sequence[str]) -> tuple[float, float, int]:
    """Seconds, CPU seconds, and peak memory (bytes) of one run."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}.")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1_024)


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.commands", description="Whole commands, side by side.")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    facts = machine.facts((*machine.PACKAGES, "onnxruntime"))
    print(machine.line(facts))
    with tempfile.TemporaryDirectory() as folder:
        index = str(Path(folder) / "index")
        subprocess.run(
            [*DOCQA, "index", str(EXAMPLES), "--into", index, "--embedder", "builtin"], check=True, capture_output=True
        )
        known = commands(index)
        found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in known}
        for number in range(chosen.rounds + 1):
            for name, command in known.items():
                measured = run(command)
                if number:
                    found[name].append(measured)
    rows: list[dict[str, Any]] = [
        {
            "command": name,
            "median s": round(statistics.median(seconds), 2),
            "fastest s": round(min(seconds), 2),
            "CPU s": round(statistics.median(cpu), 2),
            "MB": round(max(memory) / 1e6),
        }
        for name, runs in found.items()
        for seconds, cpu, memory in [tuple(zip(*runs, strict=True))]
    ]
    print(machine.table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Facts of the machine, and output of results: a line, a table, and JSON with the git commit."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("farm-haystack", "torch", "transformers", "sentence-transformers", "faiss-cpu", "numpy")
Row = Mapping[str, Any]


def facts(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Cores, processor, load, versions, and the git commit."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "commit": _commit(),
        "versions": {name: found for name in packages if (found := _version(name))},
    }


def line(machine: Mapping[str, Any]) -> str:
    """The facts in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"machine: {machine['cores']} cores, {machine['cpu']}, {machine['system']}, Python {machine['python']}, {versions};"
        f" load {machine['load'][0]}; commit {machine['commit']}"
    )


def table(rows: Sequence[Row]) -> str:
    """Rows with the same keys as a text table, numbers right-aligned."""
    names = list(rows[0]) if rows else []
    cells = [[shown(row[name]) for name in names] for row in rows]
    widths = [max([len(name), *(len(line[at]) for line in cells)]) for at, name in enumerate(names)]
    numeric = [all(isinstance(row[name], int | float | None) for row in rows) for name in names]
    lines = [names, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(cell.rjust(w) if n else cell.ljust(w) for cell, w, n in zip(line, widths, numeric, strict=True)).rstrip()
        for line in lines
    )


def shown(value: Any) -> str:
    """A cell: about three significant digits, thousands separators, "" for None.

    >>> shown(1234567), shown(0.012345), shown(None)
    ('1,234,567', '0.0123', '')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def finish(machine: Mapping[str, Any], result: Mapping[str, Any], file: Path | None) -> None:
    """Writes machine and result as JSON if a file is given."""
    if file is not None:
        file.write_text(json.dumps({"machine": machine, **result}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile at `share` (0..1), without interpolation; nan without values.

    >>> quantile([3, 1, 2], 0.5), quantile([1, 2, 3, 4], 0.95)
    (2, 4)
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def in_fresh_process(module: str, *arguments: str) -> Any:
    """Runs `python -m module arguments` and parses the last line of its output as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False"},
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def let_stock_load_static_models() -> None:
    """Stock Haystack sets `max_seq_length` on every embedder; static models have no such limit and refuse it."""
    from sentence_transformers.models import StaticEmbedding

    unlimited = property(lambda _: float("inf"), lambda *_: None)
    StaticEmbedding.max_seq_length = unlimited  # type: ignore[method-assign, assignment]


def memory_now() -> float:
    """Resident memory of this process in MB; the peak if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        return memory_peak()


def memory_peak(children: bool = False) -> float:
    """Peak memory in MB of this process, or of its largest child; Linux counts in KiB, macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def _cpu() -> str:
    try:
        for text in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

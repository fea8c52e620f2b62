"""A failing disk: every k-th call on a file fails, and nothing acknowledged may be lost.

Each scenario (index, update, upload, delete, compact, backup and others) runs once for each of its calls that change or
read a file, in a process of its own. At call k the disk is full, gives an I/O error, writes half, or the process is
killed; or power is lost, with all that was not fsynced. `failing_disk.c` does that below Python, SQLite and FAISS.
After each fault a sound process opens the folder and checks these laws.

- Everything acknowledged is there. Every text is that of its file, old or new, and every passage is a slice of it.
- The error was one sentence of docqa's, and the same process goes on when the disk is sound again.
- `docqa doctor` finds nothing but derived files to rebuild. The same command then ends as if there had been no fault.

    python -m benchmarks.failing_disk --minutes 10          exit status 1 when anything was lost or wrong

Linux with a C compiler only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine

SOURCE = Path(__file__).with_suffix(".c")
FAULTS = {"full": 1, "error": 2, "gone": 2, "short": 3, "read": 4, "crash": 5, "power": 6}
READ_ONLY = 7
STICKY = ("full", "gone", "short")
POWER_SEEDS = (0, 1, 2)
NO_SPACE = ("full", "no space")


def compiler() -> str | None:
    """The C compiler, None where this test cannot run."""
    return (shutil.which("cc") or shutil.which("gcc")) if sys.platform == "linux" else None


def compiled(into: Path) -> Path:
    """Compile the library. Raises CalledProcessError."""
    library = into / "failing_disk.so"
    command = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True)
    return library


# -- the process that fails --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run under a fault did. status: of `os.waitpid`; calls, hits: counted, and made to fail.

    error: class and message; known: whether it was a docqa error; again: the error of a second try with a sound disk.
    """

    acknowledged: list[str]
    status: int
    calls: int = 0
    hits: int = 0
    done: bool = False
    error: str = ""
    known: bool = True
    again: str = ""


class FailingProcess:
    """Forks a process for each run, after loading everything once, with the library loaded before libc."""

    def __init__(self, library: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.failing_disk", "--serve"],
            cwd=machine.ROOT,
            env={
                **os.environ,
                "LD_PRELOAD": str(library),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, scenario: str, place: Path, fault: str, k: int, seed: int = 0) -> Outcome:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([scenario, str(place), fault, k, seed]), file=self._process.stdin, flush=True)
        return Outcome(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve() -> int:
    """Run what standard input asks for, each in a fork; print its outcome."""
    from benchmarks.disk_scenarios import SCENARIOS, small_batches

    small_batches()
    with tempfile.TemporaryDirectory() as folder:  # Loads what each fork would load again.
        SCENARIOS["update"].prepare(Path(folder))
        SCENARIOS["service"].prepare(Path(folder))
    for line in sys.stdin:
        name, place, fault, k, seed = json.loads(line)
        told = Path(place).with_suffix(".told")
        told.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                _fail(SCENARIOS[name], Path(place), told, fault, k, seed)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        lines = [json.loads(one) for one in told.read_text("utf-8").splitlines()] if told.exists() else []
        facts = next((one for one in lines if isinstance(one, dict)), {})
        acknowledged = [one for one in lines if isinstance(one, str)]
        print(json.dumps({"acknowledged": acknowledged, "status": status, **facts}), flush=True)
    return 0


def _fail(scenario: Any, place: Path, told: Path, fault: str, k: int, seed: int) -> None:
    """Run a scenario under a fault, in the forked process. `told` is outside the folder that fails."""
    from indexing.errors import DocqaError

    library = ctypes.CDLL(None)
    facts: dict[str, Any] = {"done": False, "error": "", "known": True, "again": ""}
    library.fault_calls.restype = library.fault_hits.restype = ctypes.c_long
    shadow = place.with_suffix(".shadow")
    shadow.mkdir()
    with told.open("a", encoding="utf-8") as out:

        def ack(what: str) -> None:
            print(json.dumps(what), file=out, flush=True)

        arguments = FAULTS[fault], ctypes.c_long(k), int(fault in STICKY), seed
        library.fault_arm(os.fsencode(place), os.fsencode(shadow), *arguments)
        try:
            scenario.act(place, ack)
            facts["done"] = True
        except Exception as error:
            facts["error"] = f"{type(error).__name__}: {error}"
            of_system = scenario.is_command and isinstance(error, OSError) and error.errno is not None
            facts["known"] = isinstance(error, DocqaError) or of_system
            if not facts["known"]:
                facts["error"] += f" at {traceback.extract_tb(error.__traceback__)[-1]}"
        facts |= {"calls": library.fault_calls(), "hits": library.fault_hits()}
        library.fault_disarm()
        if not facts["done"]:
            try:
                scenario.act(place, ack)
            except Exception as error:
                facts["again"] = f"{type(error).__name__}: {error}"
        print(json.dumps(facts), file=out, flush=True)


def docqa(library: Path, fault: str, folder: Path, *arguments: str) -> list[str]:
    """A command that runs `docqa` while the disk of `folder` is "full" or "read-only", and its environment's library."""
    options = [fault, str(folder), *arguments]
    return ["env", f"LD_PRELOAD={library}", sys.executable, "-m", "benchmarks.failing_disk", "--docqa", *options]


def _docqa(fault: str, folder: Path, arguments: list[str]) -> int:
    from qa_pipeline.cli.main import main

    kind = READ_ONLY if fault == "read-only" else FAULTS[fault]
    ctypes.CDLL(None).fault_arm(os.fsencode(folder), b"", kind, ctypes.c_long(1), 1, 0)
    return main(arguments)


# -- runs and checks ---------------------------------------------------------------------------------------------------


class Campaign:
    """Runs scenarios under faults, and collects what is wrong."""

    def __init__(self, place: Path) -> None:
        from benchmarks.disk_scenarios import SCENARIOS

        self.scenarios = SCENARIOS
        self.place = place
        self.process = FailingProcess(compiled(place))
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self._calls: dict[tuple[str, bool], int] = {}

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.close()

    def calls(self, name: str, fault: str) -> int:
        """The number of calls of a scenario that this fault can strike: those that read, or those that change."""
        known = self._calls.get((name, fault == "read"))
        if known is not None:
            return known
        outcome, place = self.run(name, fault, 0)
        problems = list(self.scenarios[name].check(place, outcome.acknowledged, outcome.done))
        if not outcome.done or problems:
            self.wrong.append(f"{name} without a fault: {outcome.error or problems}")
        self._calls[name, fault == "read"] = outcome.calls
        return outcome.calls

    def cases(self, names: list[str], faults: list[str]) -> Iterator[tuple[str, str, int, int]]:
        """Every (scenario, fault, k, seed)."""
        for name, fault in itertools.product(names, faults):
            for k in range(1, self.calls(name, fault) + 1):
                for seed in POWER_SEEDS if fault == "power" else (0,):
                    yield name, fault, k, seed

    def drawn(self, names: list[str], faults: list[str], seed: int) -> Iterator[tuple[str, str, int, int]]:
        """Random cases without end, each pair of scenario and fault alike often."""
        draw = random.Random(seed)
        while True:
            for name, fault in draw.sample(pairs := list(itertools.product(names, faults)), len(pairs)):
                k = draw.randint(1, max(1, self.calls(name, fault)))
                yield name, fault, k, draw.choice(POWER_SEEDS) if fault == "power" else 0

    def strike(self, name: str, fault: str, k: int, seed: int = 0) -> None:
        """One run under a fault, and its checks."""
        scenario = self.scenarios[name]
        outcome, place = self.run(name, fault, k, seed)
        self.counts["runs"] += 1
        self.counts[fault] += 1
        self.counts["acknowledged"] += len(outcome.acknowledged)
        killed = os.WIFSIGNALED(outcome.status) and os.WTERMSIG(outcome.status) == signal.SIGKILL
        self.counts["killed"] += killed
        self.counts["failed"] += bool(outcome.error)
        done = outcome.done or not (killed or outcome.again)
        problems = [*_unkind(outcome, fault), *_checked(scenario, place, outcome.acknowledged, done)]
        for problem in problems:
            self.wrong.append(f"{name}, {fault} at {k} (seed {seed}): {problem}")
            print(self.wrong[-1], file=sys.stderr, flush=True)

    def run(self, name: str, fault: str, k: int, seed: int = 0) -> tuple[Outcome, Path]:
        place = self.place / "runs" / "run"
        for left in (place, place.with_suffix(".shadow")):
            shutil.rmtree(left, ignore_errors=True)
        template = self.place / "templates" / name
        if not template.exists():
            template.mkdir(parents=True)
            self.scenarios[name].prepare(template)
        shutil.copytree(template, place)
        return self.process.run(name, place, fault, k, seed), place


def _checked(scenario: Any, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
    """The problems that a scenario finds; an error of the sound process after the fault is one."""
    try:
        yield from scenario.check(place, acknowledged, done)
    except Exception as error:
        yield f"afterwards: {type(error).__name__}: {error} at {traceback.extract_tb(error.__traceback__)[-1]}"


def _unkind(outcome: Outcome, fault: str) -> Iterator[str]:
    """What a person would see of a fault beside one sentence."""
    if os.WIFSIGNALED(outcome.status):
        if os.WTERMSIG(outcome.status) != signal.SIGKILL:
            yield f"the process died of signal {os.WTERMSIG(outcome.status)}"
        return
    if outcome.error and not outcome.known:
        yield f"a traceback: {outcome.error}"
    elif outcome.error and fault in ("full", "short") and not any(word in outcome.error.casefold() for word in NO_SPACE):
        yield f"the error does not say that the disk is full: {outcome.error}"
    if outcome.again:
        yield f"the process does not go on with a sound disk: {outcome.again} (after {outcome.error})"


def main() -> int:
    from benchmarks.disk_scenarios import SCENARIOS

    options = argparse.ArgumentParser(prog="benchmarks.failing_disk", description="Fail every k-th call, and check.")
    options.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), help="default: all")
    options.add_argument("--fault", action="append", choices=sorted(FAULTS), help="default: all")
    options.add_argument("--at", type=int, help="only this k")
    options.add_argument("--minutes", type=float, help="a random sample of so many minutes; default: every case")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", type=Path)
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--docqa", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.docqa:
        return _docqa(chosen.docqa[0], Path(chosen.docqa[1]), chosen.docqa[2:])
    if chosen.serve:
        return serve()
    if compiler() is None:
        options.error("it needs Linux and a C compiler")
    here, began = machine.facts(), time.monotonic()
    print(machine.line(here))
    logging.disable(logging.WARNING)
    names, faults = chosen.scenario or sorted(SCENARIOS), chosen.fault or list(FAULTS)
    with tempfile.TemporaryDirectory() as folder, Campaign(Path(folder)) as campaign:
        cases = campaign.cases(names, faults) if chosen.minutes is None else campaign.drawn(names, faults, chosen.seed)
        for case in cases:
            if chosen.minutes is not None and time.monotonic() - began > 60 * chosen.minutes:
                break
            if chosen.at in (None, case[2]):
                campaign.strike(*case)
    row = {**campaign.counts, "wrong": len(campaign.wrong), "seconds": time.monotonic() - began}
    print(machine.table([row]))
    print("\n".join(campaign.wrong[:60]))
    machine.finish(here, {"failing_disk": row, "wrong": campaign.wrong}, chosen.json)
    return 1 if campaign.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

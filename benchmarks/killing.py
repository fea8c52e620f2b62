"""Crash test: kills indexing by SIGKILL repeatedly, then checks that nothing acknowledged is lost and nothing is corrupt.

A child process indexes a small folder in many small commits, and prints each file after its commit. The parent kills it
after a random time, or it kills itself. Its moments are random opens, renames or removals of index files, and random SQL
statements. A third of the kills target the creation of an index, or the writing of its derived files. Then the index is
checked. Between runs files are changed, added and removed. After some kills a run completes and is compared with an index
built at once.

    python -m benchmarks.killing --kills 200        exit status 1 when anything was lost or wrong

The embedder is a stub with vectors from word hashes, as the test is of storage, not of the model.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.corpus import EXAMPLES, Material, document, material

KILLS_PER_LIFE = 8
FILES = 40
BATCH = 2_500
DIMENSION = 32
MAKING, PUBLISHING = 30, 20
KNOWN_FILES = ("corpus.db", "corpus.db-wal", "corpus.db-shm", "writer.lock", "derived.json")


class HashedWords:
    """A stub embedder: each word's hash seeds a vector, and a text is the sum of its words' vectors."""

    name = "hashed-words"
    fingerprint = "hashed-words-1"
    dimension = DIMENSION

    def __init__(self) -> None:
        self._words: dict[str, Any] = {}

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "fingerprint": self.fingerprint, "dimension": self.dimension}

    def passages(self, texts: Sequence[str]) -> Any:
        rows = [sum((self._word(word) for word in text.split()), np.zeros(DIMENSION)) for text in texts]
        matrix = np.array(rows, dtype=np.float32).reshape(len(rows), DIMENSION)
        return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)

    questions = passages

    def _word(self, word: str) -> Any:
        if word not in self._words:
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
            self._words[word] = np.random.default_rng(seed).standard_normal(DIMENSION)
        return self._words[word]


# -- the child ---------------------------------------------------------------------------------------------------------


def child(documents: Path, index: Path, kill_at: int) -> int:
    """Indexes, printing `ready`, each acknowledged file, the number of moments passed, and `done`.

    kill_at: the moment (see `Moments`) of the SIGKILL; 0: never; -n: the n-th moment while publishing.
    """
    from indexing import build, prepare
    from indexing.store.index import Index

    prepare.BATCH_CHARACTERS = BATCH
    print("ready", flush=True)
    moments = Moments(index, max(kill_at, 0))
    publish = Index.publish

    def published(self: Any, **how: Any) -> Any:
        moments.last = moments.count - kill_at if kill_at < 0 else moments.last
        return publish(self, **how)

    Index.publish = published  # type: ignore[method-assign]
    build.build_index(
        documents,
        index,
        embedder=HashedWords(),  # type: ignore[arg-type]
        progress=lambda report, *_: print(f"ack\t{report.source}\t{report.status}", flush=True),
    )
    print(f"moments\t{moments.count}\ndone", flush=True)
    return 0


class Moments:
    """Counts this process's operations on index files and its SQL statements; kills it at number `last`."""

    def __init__(self, index: Path, last: int) -> None:
        self.index, self.last, self.count = str(index), last, 0
        self._connect = sqlite3.connect
        sqlite3.connect = self._traced  # type: ignore[assignment]
        sys.addaudithook(self._hook)

    def _pass(self, _: object = None) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hook(self, event: str, values: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and self.index in str(values[0]):
            self._pass()

    def _traced(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._connect(*arguments, **named)
        connection.set_trace_callback(self._pass)
        return connection


# -- runs --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """The output and end of one child process."""

    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    killed: bool = False
    done: bool = False
    moments: int = 0
    seconds: float = 0.0
    left_behind: bool = False
    error: str = ""


def run(documents: Path, index: Path, *, kill_at: int = 0, after: float | None = None) -> Run:
    """Runs a child that indexes; kills it at that moment, or `after` seconds from its `ready`."""
    command = [sys.executable, "-m", "benchmarks.killing", "--child", str(documents), str(index), str(kill_at)]
    process = subprocess.Popen(
        command, cwd=machine.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    result, timer, began = Run(), None, time.monotonic()
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        name, *values = line.rstrip("\n").split("\t")
        if name == "ready":
            began = time.monotonic()
            if after is not None:
                timer = threading.Timer(after, process.kill)
                timer.start()
        elif name == "ack" and len(values) == 2 and line.endswith("\n"):
            result.acknowledged.append((values[0], values[1]))
        elif name == "moments":
            result.moments = int(values[0])
        elif name == "done":
            result.done = True
    result.seconds = time.monotonic() - began
    errors = process.stderr.read()
    process.wait()
    if timer is not None:
        timer.cancel()
    result.killed = process.returncode == -signal.SIGKILL
    result.error = "" if result.killed or process.returncode == 0 else errors.strip()[-2000:]
    result.left_behind = not group_ended(process.pid)
    return result


def group_ended(group: int, patience: float = 5.0) -> bool:
    """Whether all processes started by the child end within `patience` seconds; the others are killed here."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return False


# -- the folder of documents -------------------------------------------------------------------------------------------


class Folder:
    """The documents on disk, by source."""

    def __init__(self, path: Path, languages: Sequence[Material], rng: random.Random) -> None:
        self.path, self.languages, self.rng = path, languages, rng
        self.texts: dict[str, str] = {}
        self._next = 0
        path.mkdir(parents=True)
        for _ in range(FILES):
            self._add()

    def change(self) -> None:
        """Rewrites, adds and removes some files at random; sometimes none, sometimes very many."""
        share = self.rng.choice((0.0, 0.1, 0.3, 0.3, 0.6))
        for source in self.rng.sample(sorted(self.texts), int(share * len(self.texts))):
            draw = self.rng.random()
            if draw < 0.5:
                self._write(source)
            elif draw < 0.75 and len(self.texts) > FILES // 2:
                (self.path / source).unlink()
                del self.texts[source]
            else:
                self._add()

    def _add(self) -> None:
        self._write(f"d{self._next % 5}/{self._next:04d}.txt")
        self._next += 1

    def _write(self, source: str) -> None:
        text = document(self.rng.choice(self.languages), self.rng.choice((0.3, 1, 2, 5)), self.rng)
        path = self.path / source
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        self.texts[source] = text


# -- checking ----------------------------------------------------------------------------------------------------------


class Life:
    """One index from creation through its kills, with the invariants checked after each."""

    def __init__(self, place: Path, languages: Sequence[Material], rng: random.Random) -> None:
        self.folder = Folder(place / "documents", languages, rng)
        self.index = place / "index"
        self.rng = rng
        self.seen: dict[str, str] = {}
        self.passages: dict[int, tuple[str, str]] = {}
        self.lost: list[str] = []
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    def step(self, kill_at: int, after: float | None) -> Run:
        """One run, killed, and all checks."""
        result = run(self.folder.path, self.index, kill_at=kill_at, after=after)
        self._judge(result)
        return result

    def end(self, place: Path) -> Run:
        """A complete run, after which the index must equal one built at once."""
        from indexing import build

        result = run(self.folder.path, self.index)
        self._judge(result)
        if not result.done:
            self.wrong.append(f"the run after the kills did not end: {result.error or 'killed by someone else'}")
            return result
        build.build_index(self.folder.path, place / "fresh", embedder=HashedWords())  # type: ignore[arg-type]
        ours, fresh = contents(self.index), contents(place / "fresh")
        for part in ours:
            if ours[part] != fresh[part]:
                self.wrong.append(f"{part} are not those of an index never interrupted")
        self.wrong += [f"doctor: {line}" for line in doctor(self.index)]
        self.wrong += [f"left in the index folder: {name}" for name in litter(self.index)]
        return result

    def _judge(self, result: Run) -> None:
        self.counts["acknowledged"] += len(result.acknowledged)
        self.counts["kills"] += result.killed
        self.counts["litter_at_most"] = max(self.counts["litter_at_most"], len(litter(self.index)))
        if result.error:
            self.wrong.append(f"a run failed: {result.error.splitlines()[-1]}")
        if result.left_behind:
            self.wrong.append("a process started by the killed one lived on")
        if (self.index / "corpus.db").is_file():
            self._check_documents(result)
            for writable in (False, True):
                self._check_index(writable)
        elif result.acknowledged:
            self.lost.append("the whole index is gone")

    def _check_documents(self, result: Run) -> None:
        """Acknowledged files have exactly the text on disk; every other file has that, or the text seen before."""
        acknowledged = {source for source, _ in result.acknowledged}
        kept = dict(documents_of(self.index))
        for source in {*kept, *self.seen, *self.folder.texts}:
            now, before, disk = kept.get(source), self.seen.get(source), self.folder.texts.get(source)
            if source in acknowledged or result.done:
                if now != disk:
                    self.lost.append(f"{source}: acknowledged, but {'not there' if now is None else 'another text'}")
            elif now not in (before, disk):
                (self.lost if now is None else self.wrong).append(f"{source}: neither its old text nor its new one")
        self.seen = kept

    def _check_index(self, writable: bool) -> None:
        from indexing.store.index import Index

        try:
            with Index.open(self.index, writable=writable) as index:
                self._check_passages(index)
                self._check_searches(index)
                for problem in index.problems():
                    stale = problem.startswith("The derived files cannot be used")
                    self.counts["stale"] += stale
                    if not stale:
                        self.wrong.append(problem)
        except Exception as error:
            self.wrong.append(f"opening{' to write' if writable else ''}: {type(error).__name__}: {error}")

    def _check_passages(self, index: Any) -> None:
        """Every id returns its own text, which is a slice of its document and never changes."""
        with index.snapshot() as snapshot:
            ids = index.folder.chunk_ids().tolist()
            texts = {row[0]: index.folder.document(row[0]).text for row in index.folder.document_rows()}
            for chunk in snapshot.chunks(ids):
                mine = (chunk.source, chunk.text)
                if self.passages.setdefault(chunk.id, mine) != mine:
                    self.wrong.append(f"passage {chunk.id} returns another text than before")
                if texts[chunk.document_id][chunk.start : chunk.end] != chunk.text:
                    self.wrong.append(f"passage {chunk.id} is not a slice of its document")
        self.counts["passages_checked"] += len(ids)

    def _check_searches(self, index: Any) -> None:
        """A passage's own text retrieves it by vectors and by BM25; every hit exists."""
        embedder = HashedWords()
        with index.snapshot() as snapshot:
            ids = index.folder.chunk_ids().tolist()
            for chunk in snapshot.chunks(self.rng.sample(ids, min(8, len(ids)))):
                near = snapshot.nearest(embedder.questions([chunk.text])[0], 10)
                words = snapshot.best(chunk.text[:400], chunk.language, 10)
                found = {c.id: c for c in snapshot.chunks([i for i, _ in (*near, *words)])}
                best = found.get(near[0][0]) if near else None
                if best is None or near[0][1] < 0.999 or sorted(best.text.split()) != sorted(chunk.text.split()):
                    self.wrong.append(f"passage {chunk.id} is not found by its own text")
                if any(i not in found for i, _ in (*near, *words)) or not words:
                    self.wrong.append("a search found a passage that is not there, or nothing")
                self.counts["searches"] += 2


def documents_of(index: Path) -> Iterator[tuple[str, str]]:
    """(source, text) read by SQLite alone, without docqa's code."""
    with contextlib.closing(sqlite3.connect(f"file:{index / 'corpus.db'}?mode=ro", uri=True)) as connection:
        yield from connection.execute("SELECT source, text FROM documents").fetchall()


def contents(index: Path) -> dict[str, list[Any]]:
    """Everything in an index except values that depend on its history (ids, generations)."""
    with contextlib.closing(sqlite3.connect(f"file:{index / 'corpus.db'}?mode=ro", uri=True)) as connection:
        return {
            "documents": connection.execute(
                "SELECT id, source, file, content_hash, language, pages, headings, meta, text FROM documents ORDER BY id"
            ).fetchall(),
            "passages": connection.execute(
                'SELECT key, document_id, start, "end", language, page, text, vector FROM chunks ORDER BY key'
            ).fetchall(),
            "files": connection.execute("SELECT source, content_hash, size, reason FROM files ORDER BY source").fetchall(),
        }


def doctor(index: Path) -> list[str]:
    """The output of `docqa doctor INDEX` if it reports problems."""
    from qa_pipeline.cli.main import main as docqa

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = docqa(["doctor", str(index)])
    return [] if status == 0 else said.getvalue().strip().splitlines()


def litter(index: Path) -> list[str]:
    """Unexpected files of an index folder: temporary files, and derived files that no manifest names."""
    if not index.is_dir():
        return []
    manifest = index / "derived.json"
    named = manifest.read_text("utf-8") if manifest.is_file() else ""
    return sorted(path.name for path in index.iterdir() if path.name not in KNOWN_FILES and path.name not in named)


# -- campaign ----------------------------------------------------------------------------------------------------------


def campaign(kills: int, seed: int, place: Path, until: float = math.inf) -> tuple[Counter[str], list[str], list[str]]:
    """Runs lives until that many kills have hit, and begins none after `until`, by `time.monotonic`.

    Returns (counts, what was lost, what was wrong).
    """
    rng, languages = random.Random(seed), material([EXAMPLES])
    counts: Counter[str] = Counter()
    lost, wrong, typical = [], [], Run(moments=1200, seconds=1.0)
    while counts["kills"] < kills and time.monotonic() < until:
        number = counts["lives"]
        life = Life(place / f"life-{number}", languages, rng)
        for attempt in range(KILLS_PER_LIFE):
            if attempt:
                life.folder.change()
            life.step(*_moment(rng, typical, first=not (life.index / "corpus.db").is_file()))
            if counts["kills"] + life.counts["kills"] >= kills:
                break
        ended = life.end(place / f"life-{number}")
        counts["lives"] += 1
        counts["runs"] += attempt + 2
        lost += [f"life {number}: {line}" for line in life.lost]
        wrong += [f"life {number}: {line}" for line in life.wrong]
        at_most = max(counts.pop("litter_at_most", 0), life.counts.pop("litter_at_most", 0))
        counts.update(life.counts)
        counts["litter_at_most"] = at_most
        typical = Run(moments=max(ended.moments, typical.moments), seconds=max(ended.seconds, 0.9 * typical.seconds))
        print(
            f"{counts['kills']} kills, {counts['acknowledged']} acknowledged, {len(lost)} lost, {len(wrong)} wrong",
            file=sys.stderr,
        )
    return counts, lost, wrong


def _moment(rng: random.Random, typical: Run, first: bool) -> tuple[int, float | None]:
    """When to kill: (moment, None) or (0, seconds). A third of the kills target the creation or publishing of an index."""
    draw = rng.random()
    if draw < 0.33:
        return (rng.randint(1, MAKING) if first and rng.random() < 0.7 else -rng.randint(1, PUBLISHING)), None
    if draw < 0.66:
        return rng.randint(1, typical.moments), None
    return 0, rng.uniform(0.0, typical.seconds)


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.killing", description="kill -9 while indexing, and check.")
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--minutes", type=float, default=math.inf, help="begin no further index after so many")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", type=Path)
    options.add_argument("--child", nargs=3, metavar=("DOCUMENTS", "INDEX", "MOMENT"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        return child(Path(chosen.child[0]), Path(chosen.child[1]), int(chosen.child[2]))
    here, began = machine.facts(), time.monotonic()
    print(machine.line(here))
    with tempfile.TemporaryDirectory() as place:
        counts, lost, wrong = campaign(chosen.kills, chosen.seed, Path(place), began + 60 * chosen.minutes)
    row = {
        "kills": counts["kills"],
        "runs": counts["runs"],
        "acknowledged": counts["acknowledged"],
        "lost": len(lost),
        "wrong": len(wrong),
        "passages checked": counts["passages_checked"],
        "searches": counts["searches"],
        "temporary files at most": counts["litter_at_most"],
        "seconds": time.monotonic() - began,
    }
    print(machine.table([row]))
    for text, count in Counter([*lost, *wrong]).most_common(40):
        print(f"{count} x {text}")
    machine.finish(here, {"killing": row, "lost": lost, "wrong": wrong}, chosen.json)
    return 1 if lost or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

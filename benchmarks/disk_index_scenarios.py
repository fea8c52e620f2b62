"""Scenarios of `failing_disk` with an index folder: index, update, compact, repair and search."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.killing import HashedWords, contents

Ack = Callable[[str], None]
DERIVED = "The derived files cannot be used"
OLD = {f"{n}.txt": f"The station {n} opened in 19{n}0. It has {n + 2} halls.\n\n" * 12 for n in range(1, 6)}
CHANGED = {"1.txt": "The harbour is new. Its light is red.\n\n" * 12, "deep/6.txt": "The mine has 61 shafts.\n\n" * 12}
NEW = {name: text for name, text in {**OLD, **CHANGED}.items() if name != "2.txt"}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def build(documents: Path, index: Path, ack: Ack | None = None) -> None:
    from indexing.build import build_index
    from indexing.errors import UnreadableFile

    def acknowledge(report: Any, *_: Any) -> None:
        if ack is not None and report.status != "skipped":
            ack(report.source)

    made = build_index(documents, index, embedder=HashedWords(), progress=acknowledge, emptied=True)  # type: ignore[arg-type]
    for report in made.files:
        if report.status == "skipped":
            raise UnreadableFile(report.reason)


def texts(index: Path) -> dict[str, str]:
    """Source and text of every document, by SQLite alone, without docqa's code."""
    if not (index / "corpus.db").is_file():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{index / 'corpus.db'}?mode=rw", uri=True)) as connection:
        return dict(connection.execute("SELECT source, text FROM documents").fetchall())


def index_problems(index: Path) -> Iterator[str]:
    """Every passage is a slice of its document, and doctor finds nothing but derived files to rebuild."""
    from indexing.repair import diagnose
    from indexing.store.index import Index

    for problem in diagnose(index):
        if not problem.startswith(DERIVED):
            yield f"doctor: {problem}"
    with Index.open(index) as opened, opened.snapshot() as snapshot:
        for chunk in snapshot.chunks(opened.folder.chunk_ids().tolist()):
            if opened.folder.document(chunk.document_id).text[chunk.start : chunk.end] != chunk.text:
                yield f"passage {chunk.id} is not a slice of its document"


def completed(documents: Path, index: Path) -> Iterator[str]:
    """A further run ends, and the index is that of the documents, as if there had been no fault."""
    from indexing.repair import diagnose

    build(documents, index)
    fresh = index.with_name("fresh")
    build(documents, fresh)
    ours, theirs = contents(index), contents(fresh)
    yield from (f"{part} are not those of an index without a fault" for part in ours if ours[part] != theirs[part])
    yield from (f"doctor after a further run: {problem}" for problem in diagnose(index))
    left = [path.name for path in index.iterdir() if path.name.endswith((".part", ".new"))]
    yield from (f"left in the index: {name}" for name in left)


class Indexing:
    """Index a folder, or bring an index up to date after changes."""

    is_command = False

    def __init__(self, before: dict[str, str], after: dict[str, str]) -> None:
        self.before, self.after = before, after

    def prepare(self, place: Path) -> None:
        if self.before:
            write(place / "documents", self.before)
            build(place / "documents", place / "index")
            shutil.rmtree(place / "documents")
        write(place / "documents", self.after)

    def act(self, place: Path, ack: Ack) -> None:
        build(place / "documents", place / "index", ack)

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        index, kept = place / "index", texts(place / "index")
        for source in {*self.before, *self.after, *kept}:
            now, old, new = kept.get(source), self.before.get(source), self.after.get(source)
            if now != new and (done or source in acknowledged):
                yield f"{source} was acknowledged, and has {'no text' if now is None else 'another text'}"
            elif now not in (old, new):
                yield f"{source} has neither its old text nor its new one"
        if (index / "corpus.db").is_file():
            yield from index_problems(index)
        yield from completed(place / "documents", index)


class Compacting:
    """Compact an index from which a file was removed."""

    is_command = True

    def prepare(self, place: Path) -> None:
        Indexing(OLD, NEW).prepare(place)
        build(place / "documents", place / "index")

    def act(self, place: Path, ack: Ack) -> None:
        from indexing.store.index import Index

        with Index.open(place / "index", writable=True) as index:
            index.compact()

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        if texts(place / "index") != NEW:
            yield "compacting changed the documents"
        yield from index_problems(place / "index")
        yield from completed(place / "documents", place / "index")


class Repairing:
    """Repair an index with a damaged text, a damaged vector and damaged derived files."""

    is_command = True

    def prepare(self, place: Path) -> None:
        Indexing({}, NEW).prepare(place)
        build(place / "documents", place / "index")
        with contextlib.closing(sqlite3.connect(place / "index" / "corpus.db", isolation_level=None)) as connection:
            connection.execute("UPDATE documents SET text = replace(text, 'mine', 'sea!') WHERE source = 'deep/6.txt'")
            connection.execute("UPDATE chunks SET vector = x'00' WHERE id = 1")
        (place / "index" / "derived.json").write_text("{", encoding="utf-8")

    def act(self, place: Path, ack: Ack) -> None:
        from indexing.repair import repair_index

        repair_index(place / "index", documents=place / "documents", embedder=HashedWords())  # type: ignore[arg-type]

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        self.act(place, lambda _: None)
        build(place / "documents", place / "index")
        if texts(place / "index") != NEW:
            yield "repairing lost a document that is in its file"
        yield from index_problems(place / "index")


class Searching:
    """Search an index. A reading fault is an error, or the passage is exact."""

    is_command = False

    prepare = Compacting.prepare

    def act(self, place: Path, ack: Ack) -> None:
        from indexing.store.index import Index

        with Index.open(place / "index") as index, index.snapshot() as snapshot:
            for text in list(NEW.values())[:2]:
                found = [*snapshot.nearest(HashedWords().questions([text])[0], 3), *snapshot.best(text[:60], "en", 3)]
                for chunk in snapshot.chunks([number for number, _ in found]):
                    index.folder.document(chunk.document_id)
                    ack(json.dumps([chunk.source, chunk.start, chunk.text]))

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        for source, start, text in map(json.loads, acknowledged):
            if NEW[source][start : start + len(text)] != text:
                yield f"a passage of {source} is not in it"
        if done and not acknowledged:
            yield "nothing was found"
        yield from index_problems(place / "index")

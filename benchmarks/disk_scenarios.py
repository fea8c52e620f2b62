"""What `failing_disk` does to a folder while its disk fails, and how it knows that nothing was lost."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from benchmarks.killing import HashedWords, contents

Ack = Callable[[str], None]
BATCH = 1_200
DERIVED = "The derived files cannot be used"
OLD = {f"{n}.txt": f"The station {n} opened in 19{n}0. It has {n + 2} halls.\n\n" * 12 for n in range(1, 6)}
CHANGED = {"1.txt": "The harbour is new. Its light is red.\n\n" * 12, "deep/6.txt": "The mine has 61 shafts.\n\n" * 12}
NEW = {name: text for name, text in {**OLD, **CHANGED}.items() if name != "2.txt"}


def small_batches() -> None:
    """Make each index of a few files several transactions."""
    from indexing import prepare

    prepare.BATCH_CHARACTERS = BATCH


class Scenario(Protocol):
    is_command: bool
    """Whether only the command line does it, which has a sentence for each refusal of the operating system."""

    def prepare(self, place: Path) -> None:
        """Fill the folder before the fault."""

    def act(self, place: Path, ack: Ack) -> None:
        """Do the work, also again after a failure. It acknowledges what `docqa` reports as done."""

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        """What is wrong after the fault; may change the folder. done: everything was acknowledged."""


# -- an index ----------------------------------------------------------------------------------------------------------


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


# -- backups -----------------------------------------------------------------------------------------------------------


class BackingUp:
    """Back up a home."""

    is_command = True

    def prepare(self, place: Path) -> None:
        home, corpus = made_home(place)
        for name, text in NEW.items():
            home.put(corpus, name, text.encode())
        build(corpus.documents, corpus.index)

    def act(self, place: Path, ack: Ack) -> None:
        from qa_pipeline.service.backup import backup

        backup(place / "home", place / "backup")

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        from indexing.errors import SettingError
        from qa_pipeline.service.backup import restore

        try:
            restore(place / "backup", place / "restored")
        except SettingError:
            if done:
                yield "the backup was acknowledged, and cannot be restored"
            self.act(place, lambda _: None)
            restore(place / "backup", place / "restored")
        yield from self.restored(place)

    @staticmethod
    def restored(place: Path) -> Iterator[str]:
        corpora = place / "home" / "corpora" / "c", place / "restored" / "corpora" / "c"
        if contents(corpora[0] / "index") != contents(corpora[1] / "index"):
            yield "the restored index is another one"
        if files(corpora[0] / "documents") != files(corpora[1] / "documents"):
            yield "the restored files are other ones"
        yield from index_problems(corpora[1] / "index")


class Restoring:
    """Restore a backup."""

    is_command = True

    def prepare(self, place: Path) -> None:
        BackingUp().prepare(place)
        BackingUp().act(place, lambda _: None)

    def act(self, place: Path, ack: Ack) -> None:
        from qa_pipeline.service.backup import restore

        shutil.rmtree(place / "restored", ignore_errors=True)
        restore(place / "backup", place / "restored")

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        if not done:
            self.act(place, lambda _: None)
        yield from BackingUp.restored(place)


# -- a home ------------------------------------------------------------------------------------------------------------


def opened_home(place: Path) -> Any:
    from qa_pipeline.service.home import Home

    return Home.open(place / "home", create=True, embedder=lambda _: HashedWords())  # type: ignore[arg-type, return-value]


def made_home(place: Path) -> tuple[Any, Any]:
    home = opened_home(place)
    return home, home.create("c")


def files(folder: Path) -> dict[str, str]:
    """The text of every file below a folder, by its path in it."""
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*") if p.is_file()}


def no_report(*_: Any) -> None:
    """The progress of a job, which nobody reads."""


class Uploading:
    """Put files into a corpus and queue its index job, as the API does; then run the job."""

    is_command = False

    def prepare(self, place: Path) -> None:
        home, corpus = made_home(place)
        for name, text in OLD.items():
            home.put(corpus, name, text.encode())
        build(corpus.documents, corpus.index)

    def act(self, place: Path, ack: Ack) -> None:
        from qa_pipeline.service.job_handlers import index_corpus
        from qa_pipeline.service.job_store import JobStore

        home = opened_home(place)
        corpus = home.corpus("c")
        for name, text in CHANGED.items():
            home.put(corpus, name, text.encode())
        job = JobStore(home.database).add("c", "index", {"files": list(CHANGED)})
        ack(f"job {job.id}")
        index_corpus(home, corpus, no_report)

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        yield from jobs_problems(place, acknowledged)
        corpus, stored = opened_home(place).corpus("c"), files(place / "home" / "corpora" / "c" / "documents")
        for name in {**OLD, **CHANGED}:
            now, old, new = stored.get(name), OLD.get(name), CHANGED.get(name, OLD.get(name))
            if now != new and (acknowledged or now != old):
                yield f"the file {name} is {'gone' if now is None else 'another one'}"
        kept = texts(corpus.index)
        for name, text in kept.items():
            if text not in (OLD.get(name), CHANGED.get(name)):
                yield f"the document {name} has another text"
        if done and kept != {**OLD, **CHANGED}:
            yield "the index was acknowledged, and is not that of the files"
        yield from index_problems(corpus.index)
        yield from completed(corpus.documents, corpus.index)


def jobs_problems(place: Path, acknowledged: list[str]) -> Iterator[str]:
    """Acknowledged jobs that are lost."""
    from qa_pipeline.service.job_store import JobStore

    kept = {f"job {job.id}" for job in JobStore(place / "home" / "service.db").list()}
    yield from (f"the {job} is lost" for job in set(acknowledged) - kept)


class Deleting:
    """Delete a file, queue its job and run it, as the API does."""

    is_command = False

    prepare = Uploading.prepare

    def act(self, place: Path, ack: Ack) -> None:
        from indexing.errors import DocumentMissing
        from qa_pipeline.service.job_handlers import index_corpus
        from qa_pipeline.service.job_store import JobStore

        home = opened_home(place)
        corpus = home.corpus("c")
        with contextlib.suppress(DocumentMissing):  # Deleted by the try before.
            home.remove(corpus, "2.txt")
        job = JobStore(home.database).add("c", "index", {"files": ["2.txt"]})
        ack(f"job {job.id}")
        index_corpus(home, corpus, no_report)

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        yield from jobs_problems(place, acknowledged)
        corpus, left = opened_home(place).corpus("c"), {name: text for name, text in OLD.items() if name != "2.txt"}
        stored, kept = files(corpus.documents), texts(corpus.index)
        if acknowledged and "2.txt" in stored:
            yield "the file was deleted, and is there again"
        if {**stored, **kept, "2.txt": ""} != {**left, "2.txt": ""}:
            yield "another file or document changed"
        if done and "2.txt" in kept:
            yield "the document was deleted, and is in the index"
        yield from index_problems(corpus.index)
        yield from completed(corpus.documents, corpus.index)
        if acknowledged and any(OLD["2.txt"][:20].encode() in p.read_bytes() for p in corpus.path.rglob("*") if p.is_file()):
            yield "a deleted text is still on the disk"


class Corpora:
    """Create a corpus, and delete another."""

    is_command = False

    def prepare(self, place: Path) -> None:
        made_home(place)

    def act(self, place: Path, ack: Ack) -> None:
        from qa_pipeline.errors import CorpusExists, CorpusMissing

        home = opened_home(place)
        with contextlib.suppress(CorpusExists):
            home.create("new", title="A title")
        ack("created")
        with contextlib.suppress(CorpusMissing):
            home.delete("c")
        ack("deleted")

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        home = opened_home(place)
        names = home.names()
        if [corpus.name for corpus in home.corpora()] != names:
            yield "a corpus is there in part"
        if ("created" in acknowledged and "new" not in names) or ("deleted" in acknowledged and "c" in names):
            yield f"{acknowledged} was acknowledged, and the corpora are {names}"
        for corpus in home.corpora():
            yield from index_problems(corpus.index)
        self.act(place, lambda _: None)


class ServiceFacts:
    """Store keys, and feedback with a text."""

    is_command = False

    def prepare(self, place: Path) -> None:
        home, corpus = made_home(place)
        home.put(corpus, "1.txt", OLD["1.txt"].encode())
        build(corpus.documents, corpus.index)

    def act(self, place: Path, ack: Ack) -> None:
        from indexing.store.corpus_db import IndexFolder
        from qa_pipeline.service.api_keys import KeyStore
        from qa_pipeline.service.feedback import FeedbackStore

        home = opened_home(place)
        key, secret = KeyStore(home.keys).add("one")
        ack(f"key {secret}")
        with IndexFolder.open(home.corpus("c").index) as folder:
            document = next(folder.document_rows())[0]
            values: dict[str, Any] = {
                "question": "When?",
                "verdict": "right",
                "document_id": document,
                "start": 4,
                "end": 11,
            }
            ack(f"feedback {FeedbackStore(home.database).add('c', folder, **values).id}")
        KeyStore(home.keys).remove(key.id)
        ack(f"removed {secret}")

    def check(self, place: Path, acknowledged: list[str], done: bool) -> Iterator[str]:
        from qa_pipeline.service.api_keys import KeyStore
        from qa_pipeline.service.feedback import FeedbackStore

        home = opened_home(place)
        keys, said = KeyStore(home.keys), {one.id: one.text for one in FeedbackStore(home.database).list("c")}
        told = [line.split(" ") for line in acknowledged]
        removed = {value for kind, value in told if kind == "removed"}
        last = told[-1][1] if told and told[-1][0] != "removed" else ""
        for kind, value in told:
            if kind == "feedback" and said.get(value) != OLD["1.txt"][4:11]:
                yield "feedback is lost, or has another text"
            if kind == "key" and value in removed and keys.check(value) is not None:
                yield "a removed key opens the service again"
            if kind == "key" and value == last and keys.check(value) is None:
                yield "a key is lost"
            if not keys.required():
                yield "a key was made, and none is required"
        self.act(place, lambda _: None)


SCENARIOS: dict[str, Scenario] = {
    "index": Indexing({}, OLD),
    "update": Indexing(OLD, NEW),
    "compact": Compacting(),
    "repair": Repairing(),
    "search": Searching(),
    "backup": BackingUp(),
    "restore": Restoring(),
    "upload": Uploading(),
    "delete": Deleting(),
    "corpora": Corpora(),
    "service": ServiceFacts(),
}

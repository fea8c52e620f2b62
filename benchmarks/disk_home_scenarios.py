"""Scenarios of `failing_disk` with the home of a service: backups, uploads, deletions, corpora, keys and feedback."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.disk_index_scenarios import CHANGED, NEW, OLD, Ack, build, completed, index_problems, texts
from benchmarks.killing import HashedWords, contents


def opened_home(place: Path) -> Any:
    from qa_pipeline.service.home import Home

    return Home.open(place / "home", create=True, embedder=lambda _: HashedWords())  # type: ignore[arg-type, return-value]


def filled_home(place: Path, given: dict[str, str]) -> None:
    """A home whose corpus `c` has these files, indexed."""
    home = opened_home(place)
    corpus = home.create("c")
    for name, text in given.items():
        home.put(corpus, name, text.encode())
    build(corpus.documents, corpus.index)


def files(folder: Path) -> dict[str, str]:
    """The text of every file below a folder, by its path in it."""
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*") if p.is_file()}


def no_report(*_: Any) -> None:
    """The progress of a job, which nobody reads."""


class BackingUp:
    """Back up a home."""

    is_command = True

    def prepare(self, place: Path) -> None:
        filled_home(place, NEW)

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


class Uploading:
    """Put files into a corpus and queue its index job, as the API does; then run the job."""

    is_command = False

    def prepare(self, place: Path) -> None:
        filled_home(place, OLD)

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
        opened_home(place).create("c")

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
        filled_home(place, {"1.txt": OLD["1.txt"]})

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

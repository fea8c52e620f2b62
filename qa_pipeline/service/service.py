"""The service without HTTP: corpora, questions, jobs and limits of one home folder.

Invariants, each tested:

* Every quotation sent is its document's text at its offsets.
* A question sees one generation of the index.
* At most `concurrency` questions are read at once and `queue` wait; further ones raise TooBusy.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from indexing.deepen import coverage
from indexing.errors import DocqaError, IndexFolderError, SettingError, one_line
from indexing.models.registry import load_whole_tokenizers
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter
from indexing.store.sqlite import erase_pending
from qa_pipeline.answering.ask import Step
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.answering.verdict import answer_text
from qa_pipeline.answers import Reply, WordHits
from qa_pipeline.errors import CorpusMissing, TooLarge
from qa_pipeline.reading.malloc import give_back
from qa_pipeline.service import job_handlers
from qa_pipeline.service.admission import Admission
from qa_pipeline.service.api_keys import Key, KeyStore
from qa_pipeline.service.corpus_pool import CorpusPool, OpenCorpus, answering
from qa_pipeline.service.corpus_status import broken_status, corpus_status, last_change
from qa_pipeline.service.descriptors import fitting
from qa_pipeline.service.evaluation_runs import EvaluationRuns
from qa_pipeline.service.feedback import FeedbackStore
from qa_pipeline.service.forgetting import DAY_S, ServiceTexts
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.job_store import Job, JobStore
from qa_pipeline.service.job_worker import Report, Work, Worker
from qa_pipeline.service.metrics import ServiceMetrics
from qa_pipeline.service.model_pool import ModelPool
from qa_pipeline.service.public_messages import public_message, public_messages
from qa_pipeline.service.question_files import BatchQuestion
from qa_pipeline.service.saved_questions import Change, SavedQuestions
from qa_pipeline.service.settings import ServerSettings
from qa_pipeline.settings import AskSettings, question_text

T = TypeVar("T")

BLOCKING_THREADS = 4
JOB_KINDS = ("index", "deepen", "questions")
WARM_CORPORA = 8
TIDY_S = 30.0
TRIM_S = 5.0
FIRST_QUESTION = "When was the bridge opened?"
FIRST_TEXT = "The bridge was opened in 1912."

logger = logging.getLogger(__name__)


class Service:
    """One process of a service over a home folder; several processes may serve the same home. Thread-safe."""

    def __init__(self, settings: ServerSettings, models: ModelPool | None = None) -> None:
        self.settings = settings
        self.models = models or ModelPool(settings.reader, partial(LoadedReader.load, precision=settings.precision))
        self.home = Home.open(settings.home, create=True, embedder=self.models.embedder)
        self.jobs = JobStore(self.home.database)
        self.keys = KeyStore(self.home.keys)
        self.feedback = FeedbackStore(self.home.database)
        self.saved = SavedQuestions(self.home.database)
        self.texts = ServiceTexts(self.feedback, self.saved, self.jobs, self.home.uploads)
        self.evaluations = EvaluationRuns(self.home.evaluations)
        threads = settings.concurrency + BLOCKING_THREADS + len(JOB_KINDS) + 1
        self.corpora = CorpusPool(self.models, answering(settings), fitting(settings.open_corpora, threads))
        self.reads = Admission(settings.concurrency, settings.waiting, key_batches=settings.key_batches)
        self.measures = ServiceMetrics(self)
        self._blocking = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="docqa-look")
        functions = {"index": self._index, "deepen": self._deepen, "questions": self._questions}
        self._worker = Worker(self.jobs, {kind: partial(self._run, function) for kind, function in functions.items()})
        self._ready = "the models are being loaded"
        self._stopped = threading.Event()
        self._stop_guard = threading.Lock()
        self._stop_at: float | None = None

    # -- lifecycle -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the job worker, and load the models in the background."""
        self._sweep()
        self._worker.start()
        threading.Thread(target=self._warm, name="docqa-warm", daemon=True).start()
        threading.Thread(target=self._tidy, name="docqa-tidy", daemon=True).start()

    def begin_stop(self) -> None:
        """Begin the time for admitted work, `shutdown_s` seconds; then it ends at its next step. May be called again."""
        with self._stop_guard:
            if self._stop_at is not None:
                return
            self._stop_at = time.monotonic() + self.settings.shutdown_s
        timer = threading.Timer(self.settings.shutdown_s, self.reads.cancel_all)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """Finish admitted questions in what is left of `shutdown_s`, return running jobs to the queue, and close all."""
        self.begin_stop()
        self._stopped.set()
        if self._worker.stop(self._left_s()):
            self.jobs.close()
        self.reads.close(self._left_s())
        self._blocking.shutdown(wait=True)
        opened = self.corpora.opened()
        self.corpora.close()
        self._erase(opened)

    def _erase(self, corpora: Iterable[Corpus]) -> None:
        """Erase deleted text that readers kept in the logs of the service's database and of these corpora."""
        self.texts.erase()
        for corpus in corpora:
            try:
                erase_pending(corpus.index)
            except DocqaError as error:
                logger.warning("Deleted text of the corpus %s stays on disk for now: %s", corpus.name, error)

    def _left_s(self) -> float:
        """Seconds of `shutdown_s` that are left."""
        return max(0.0, (self._stop_at or 0.0) - time.monotonic())

    def ready(self) -> str:
        """Why the service is not ready, or "" once the models are loaded and a test question was answered."""
        return self._ready

    def _warm(self) -> None:
        try:
            loaded = self.models.reader()
            answer_text(loaded.reader, FIRST_QUESTION, FIRST_TEXT)
            self._ready = ""
            load_whole_tokenizers()
        except DocqaError as error:
            self._ready = public_message(error, self.home.path)
            logger.warning("The models cannot be loaded: %s", error)
        except Exception as error:
            self._ready = f"the models cannot be used ({type(error).__name__})"
            logger.exception("The models cannot be used.")
        else:
            self._warm_corpora()

    def _warm_corpora(self) -> None:
        """Open the corpora that were changed last, and queue what lacks sentence vectors. A broken one stops nothing."""
        corpora = self.home.corpora()
        for corpus in sorted(corpora, key=last_change, reverse=True)[: min(WARM_CORPORA, self.corpora.capacity)]:
            try:
                with self.using(corpus.name) as opened:
                    opened.pipeline().ask(FIRST_QUESTION)
            except Exception as error:
                logger.warning("The corpus %s cannot be asked: %s", corpus.name, one_line(error))
        for corpus in corpora:
            if self._stopped.is_set():
                return
            self._deepen_later(corpus.name)

    def _tidy(self) -> None:
        """Return freed memory every TRIM_S seconds, erase deleted text every TIDY_S, and sweep uploads every day."""
        swept = erased = time.monotonic()
        while not self._stopped.wait(min(TRIM_S, TIDY_S)):
            give_back()
            if time.monotonic() - erased < TIDY_S:
                continue
            erased = time.monotonic()
            self._erase(self.corpora.opened())
            if time.monotonic() - swept > DAY_S:
                self._sweep()
                swept = time.monotonic()

    def _run(self, work: Work, job: Job, report: Report) -> dict[str, Any] | None:
        """Run a job, whose message clients read."""
        with public_messages(self.home.path):
            return work(job, report)

    def _index(self, job: Job, report: Report) -> dict[str, Any]:
        """Run an index job, then return its freed memory to the system, and queue the second tier."""
        try:
            result = job_handlers.index(self, job, report)
        finally:
            give_back()
        self._forget_gone(job.corpus)
        self._deepen_later(job.corpus)
        return result

    def _questions(self, job: Job, report: Report) -> dict[str, Any]:
        """Run a question job; then forget answers from documents that were deleted meanwhile."""
        result = job_handlers.questions(self, job, report)
        for name in job.request["corpora"]:
            try:
                self._forget_gone(str(name))
            except IndexFolderError as error:
                logger.warning("The corpus %s cannot be compared with the answers: %s", name, error)
        return result

    def _forget_gone(self, name: str) -> None:
        """Remove quotations of documents that are no longer in a corpus."""
        try:
            with self.using(name) as opened:
                self.texts.forget_documents(name, opened.folder.existing, opened.folder.existing_sources)
        except CorpusMissing:
            self.texts.forget_corpus(name)

    def forget_if_gone(self, name: str, documents: set[str]) -> None:
        """Remove what was stored just after its documents, or the corpus, were deleted. Raises CorpusMissing."""
        try:
            if not documents:
                self.home.corpus(name)
                return
            with self.using(name) as opened:
                if documents <= opened.folder.existing(documents):
                    return
        except CorpusMissing:
            self.texts.forget_corpus(name)
            raise
        self._forget_gone(name)

    def _deepen(self, job: Job, report: Report) -> dict[str, Any]:
        try:
            return job_handlers.deepen(self, job, report)
        finally:
            give_back()

    def _deepen_later(self, name: str) -> None:
        """Queue a job that adds the sentence vectors which a corpus lacks, unless one waits already."""
        try:
            # Not by the pool: at the start this looks at every corpus, and would close those that were warmed.
            with IndexFolder.open(self.home.corpus(name).index) as folder:
                lacking = (share := coverage(folder)) is not None and share < 1.0
            waiting = any(job.kind == "deepen" and job.state == "queued" for job in self.jobs.list(name, results=False))
            if lacking and not waiting:
                self._later(name, "deepen", {})
        except DocqaError as error:
            logger.warning("The corpus %s cannot be deepened: %s", name, error)

    def is_asked(self) -> bool:
        """Whether a question is read or waits."""
        return self.reads.running() + self.reads.queued() > 0

    def _sweep(self) -> None:
        """Remove uploads of no job, and results older than `keep_days`; a full or read-only disk leaves them for a day."""
        try:
            self.texts.sweep(max(1, self.settings.keep_days))
        except (DocqaError, OSError) as error:
            logger.warning("Old uploads and results stay for now: %s", one_line(error))

    async def run_blocking(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a blocking function in a thread, off the event loop."""
        call = partial(function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._blocking, call)

    # -- authorisation ---------------------------------------------------------------------------------------------

    def keys_needed(self) -> bool:
        """Whether requests need a key: always if other machines can reach the service, else once there was any key.

        Never with `no_keys`, which is for this machine only.
        """
        return not self.settings.no_keys and (not self.settings.is_local or self.keys.required())

    @staticmethod
    def may_see(key: Key | None, corpus: str) -> bool:
        """Whether a key may see a corpus; with None, keys are off."""
        return key is None or key.allows(corpus)

    # -- questions -------------------------------------------------------------------------------------------------

    @contextmanager
    def using(self, name: str) -> Iterator[OpenCorpus]:
        """Keep a corpus open for the duration of the block. Raises CorpusMissing, IndexFolderError and its subclasses.

        Their messages, and those of the block, are public.
        """
        try:
            corpus = self.home.corpus(name)
        except CorpusMissing:
            self.corpora.forget(name)
            raise
        with public_messages(self.home.path), self.corpora.using(corpus) as opened:
            yield opened

    def ask_settings(self, **asked: Any) -> AskSettings:
        """Settings of a question; None means the default. Raises SettingError beyond the service's limits."""
        values = {name: value for name, value in asked.items() if value is not None}
        for name in ("top_k", "retrieve"):
            if values.get(name, 1) > self.settings.top_k:
                raise SettingError(f"{name} is {values[name]}; {self.settings.top_k} is the most here.")
        default = AskSettings(top_k=min(5, self.settings.top_k), retrieve=min(10, self.settings.top_k))
        return replace(default, **values)

    def ask(self, name: str, question: str, settings: AskSettings, filters: Filter | None) -> Reply:
        """Answer a question. Raises SettingError, FilterError, CorpusMissing, ModelError and its subclasses."""
        self._log("ask", name, question)
        with self.using(name) as opened:
            reply = opened.pipeline().ask(question, settings, filters)
        self.measures.count_answer(reply)
        return reply

    def search(self, name: str, question: str, settings: AskSettings, filters: Filter | None) -> Reply:
        """Retrieve the closest passages. Raises the same errors as `ask`."""
        self._log("search", name, question)
        with self.using(name) as opened:
            reply = opened.pipeline().search(question, settings, filters)
        self.measures.count_search(reply)
        return reply

    def search_words(self, name: str, words: str, filters: Filter | None, offset: int, limit: int) -> WordHits:
        """Search by words. Raises SettingError, FilterError, CorpusMissing."""
        self._log("words", name, words)
        with self.using(name) as opened:
            return opened.pipeline().search_words(words, filters, offset, limit)

    def ask_stream(self, name: str, question: str, settings: AskSettings, filters: Filter | None) -> Iterator[Step]:
        """`ask` as a stream."""
        self._log("ask", name, question)
        with self.using(name) as opened:
            for step in opened.pipeline().stream(question, settings, filters):
                if step.reply:
                    self.measures.count_answer(step.reply)
                yield step

    def _log(self, what: str, name: str, question: str) -> None:
        """Log the text of a question, only with `log_questions`."""
        if self.settings.log_questions:
            logger.info("%s %s: %r", what, name, question)

    def ask_in_turn(self, asked: BatchQuestion) -> Reply:
        """Answer a question of a batch, in one queue with interactive questions, but exempt from its limit."""
        ask = partial(self.ask, asked.corpus, asked.question, self.ask_settings(top_k=1), asked.filters)
        return self.reads.submit(ask, bounded=False).result()

    def run_saved(self, name: str, id: str) -> Change:
        """Run a saved question and return the changes since its last run."""
        change = self.saved.run(id, _Asker(self, name), corpus=name)
        self.forget_if_gone(name, {answer.document_id for answer in change.reply.answers})
        return change

    def read(self, question: str, context: str) -> dict[str, Any]:
        """Answer from one text, without a corpus: {"answer", "start", "end", "score"}. Raises SettingError, TooLarge."""
        question = question_text(question)
        if len(context) > self.settings.read_chars:
            raise TooLarge(
                f"The text has {len(context):,} characters; {self.settings.read_chars:,} are the most that are read at once."
            )
        if not context.strip():
            raise SettingError("The context is empty.")
        loaded = self.models.reader()
        found = answer_text(loaded.reader, question, context, calibration=loaded.calibration)
        assert context[found["start"] : found["end"]] == found["answer"]
        return found

    # -- corpora ---------------------------------------------------------------------------------------------------

    def status(self, name: str, *, skipped: bool = False, key: Key | None = None) -> dict[str, Any]:
        """`corpus_status`, as the filter of the key allows."""
        with self.using(name) as opened:
            return corpus_status(opened, skipped=skipped, allowed=None if key is None else key.filter)

    def statuses(self, key: Key | None, names: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """The status of these corpora (None: all) that the key may see; one that cannot be read says why in `broken`."""
        found = []
        for name in self.home.names() if names is None else names:
            if self.may_see(key, name):
                try:
                    found.append(self.status(name, key=key))
                except CorpusMissing:
                    continue
                except DocqaError as error:
                    logger.warning("The corpus %s cannot be read: %s", name, error)
                    found.append(broken_status(self.home, name, error))
        return found

    def delete(self, name: str) -> None:
        """Delete a corpus with its files, index, jobs, answers, feedback and saved questions.

        Raises CorpusMissing, IndexBusy.
        """
        self.home.corpus(name)
        self.jobs.cancel_all(name)
        self.home.delete(name)
        self.corpora.forget(name)
        self.texts.forget_corpus(name)

    def index_later(self, corpus: Corpus, files: list[str]) -> Job:
        """Queue a job that brings the index up to date with the documents."""
        return self._later(corpus.name, "index", {"files": files[:100]})

    def ask_later(self, corpus: str, request: dict[str, Any]) -> Job:
        """Queue a job that answers a question file. request: its folder, name, format, and the corpora it may ask."""
        return self._later(corpus, "questions", request)

    def _later(self, corpus: str, kind: str, request: dict[str, Any]) -> Job:
        job = self.jobs.add(corpus, kind, request)
        self._worker.wake()
        return job


class _Asker:
    """One corpus of the service as an `Asker`."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._name = name

    def ask(self, question: str, settings: AskSettings = AskSettings(), filters: Filter | None = None) -> Reply:  # noqa: B008
        return self._service.ask(self._name, question, settings, filters)

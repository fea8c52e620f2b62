"""Haystack nodes for retrieval and reading, the pipeline of both, and pipelines from YAML files.

Importing this module registers `DocqaRetriever` and `DocqaReader` with Haystack, so that YAML files can name them.
`pipeline.yaml` in this folder is an example.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Answer, Document, Pipeline
from haystack.nodes import BaseComponent
from haystack.schema import Span

from indexing.errors import DocqaError, SettingError, one_line
from indexing.models.embedder import Embedder
from indexing.models.registry import DEFAULT_READER
from indexing.settings import whole_number
from indexing.store.filters import Filter
from indexing.store.index import Index
from qa_pipeline import answers
from qa_pipeline.answering.answerer import check_embedder
from qa_pipeline.answering.ask import AnsweringModels, ask_stream
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.haystack.retriever import FusedRetriever, as_document, haystack_id
from qa_pipeline.reading.early_stop import read_in_order
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.retriever import RetrievedPassages, Retriever
from qa_pipeline.settings import MAX_TOP_K, AskSettings, question_text

RETRIEVER, READER = "Retriever", "Reader"
ONE_AT_A_TIME = "Ask one question at a time; a pipeline may be run from several threads."


class Question:
    """One question on its way through a pipeline: how it is answered, and what the nodes found so far.

    reader: None lets the Reader node use its own. Haystack copies what nodes pass on, but never this. So other nodes
    cannot add a passage that the retriever did not find.
    """

    def __init__(
        self,
        retriever: Retriever,
        settings: AskSettings,
        filters: Filter | None = None,
        *,
        reader: PassageReader | None = None,
    ) -> None:
        self.retriever, self.reader = retriever, reader
        self.settings, self.filters = settings, filters
        self.retrieved: RetrievedPassages | None = None
        self.readings: Iterator[list[Reading]] | None = None

    def __deepcopy__(self, _: Any) -> Question:
        return self


class DocqaRetriever(BaseComponent):
    """Node: question -> documents, by hybrid retrieval from an index folder.

    index: the folder; it is opened at the first question. `docqa serve` retrieves from its own collections instead.
    top_k: number of passages.
    """

    outgoing_edges = 1

    def __init__(self, index: str = "", top_k: int = 10) -> None:
        super().__init__()
        self.index, self.settings = index, AskSettings(retrieve=whole_number("top_k", top_k, 1, MAX_TOP_K))
        self._guard = Lock()
        self._retriever: FusedRetriever | None = None

    def run(  # type: ignore[override]
        self, query: str, question: Question | None = None, filters: Any = None, top_k: int | None = None
    ) -> tuple[dict[str, Any], str]:
        """Retrieve the passages. filters, top_k: for a pipeline outside docqa; a given question has its own."""
        if question is None:
            settings = self.settings if top_k is None else replace(self.settings, retrieve=top_k)
            question = Question(self._opened(), settings, filters)
        found = question.retriever.passages(question_text(query), question.settings, question.filters)
        question.retrieved = found
        return {"documents": list(map(as_document, found.passages, found.content_hashes)), "question": question}, "output_1"

    def _opened(self) -> FusedRetriever:
        with self._guard:
            if self._retriever is None:
                if not self.index:
                    raise SettingError("The DocqaRetriever has no index; give its parameter index an index folder.")
                index = Index.open(Path(self.index))
                embedder = Embedder.load(str(index.folder.model["name"]))
                check_embedder(index, embedder)
                self._retriever = FusedRetriever(index, embedder)
            return self._retriever

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError(ONE_AT_A_TIME)


class DocqaReader(BaseComponent):
    """Node: question and documents -> answers. It reads the documents in their order, and no others than retrieved ones.

    model: preset, hub id or folder; loaded at the first question. `docqa serve` reads with its own reader instead.
    precision: as in `reading.load.load_reader`. top_k: maximum number of answers.
    thorough: read all documents, without early stopping.
    """

    outgoing_edges = 1

    def __init__(self, model: str = DEFAULT_READER, precision: str = "auto", top_k: int = 5, thorough: bool = False) -> None:
        super().__init__()
        self.model, self.precision = model, precision
        self.settings = AskSettings(top_k=top_k, thorough=thorough)
        self._guard = Lock()
        self._reader: LoadedReader | None = None

    def run(  # type: ignore[override]
        self, query: str, documents: list[Document], question: Question | None = None, top_k: int | None = None
    ) -> tuple[dict[str, Any], str]:
        """Read the documents. Outside docqa, the output has `answers`, and the complete docqa `Reply` as `reply`.

        In docqa, the output has no answers, as docqa reads while it streams. Raises SettingError, BrokenCitation.
        """
        if question is None or question.retrieved is None:
            raise SettingError("A DocqaReader reads what a DocqaRetriever found; put one before it.")
        question.retrieved = _chosen(question.retrieved, documents)
        if question.reader is not None:
            passages = question.retrieved.passages
            question.readings = read_in_order(question.reader, query, passages, question.settings.budget_ms)
            return {"answers": []}, "output_1"
        reply = self._reply(question_text(query), question, top_k)
        return {"answers": list(map(as_answer, reply.answers)), "reply": reply}, "output_1"

    def _reply(self, query: str, question: Question, top_k: int | None) -> answers.Reply:
        loaded, embedder, retrieved = self._opened(), question.retriever.embedder, question.retrieved
        assert retrieved is not None
        calibration = loaded.calibration.with_embedder(embedder.dense_score_name)
        settings = self.settings if top_k is None else replace(self.settings, top_k=top_k)
        readings = read_in_order(loaded.reader, query, retrieved.passages, settings.budget_ms)
        models = AnsweringModels(embedder.name, loaded.name, calibration)
        verifier = Verifier(question.retriever.index.folder)
        *_, last = ask_stream(query, lambda: (retrieved, readings), settings, models, verifier, progress=False)
        assert last.reply is not None
        return last.reply

    def _opened(self) -> LoadedReader:
        with self._guard:
            if self._reader is None:
                self._reader = LoadedReader.load(self.model, self.precision)
            return self._reader

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError(ONE_AT_A_TIME)


def as_answer(answer: answers.Answer) -> Answer:
    """An answer as Haystack's. Its document is the passage; offsets in the document are those in the passage's text."""
    passage = answer.passage
    place = Span(start=answer.start - passage.start, end=answer.end - passage.start)
    document = as_document(passage, answer.content_hash)
    return Answer(
        answer=answer.text,
        type="extractive",
        score=answer.score,
        context=passage.text,
        offsets_in_context=[place],
        offsets_in_document=[place],
        document_ids=[document.id],
        meta={**document.meta, "answer_start": answer.start, "answer_end": answer.end},
    )


def _chosen(retrieved: RetrievedPassages, documents: Sequence[Document]) -> RetrievedPassages:
    """The retrieved passages that the documents name, in the order of the documents, with the texts as retrieved."""
    places = {haystack_id(passage): n for n, passage in enumerate(retrieved.passages)}
    order = list(dict.fromkeys(places[document.id] for document in documents if document.id in places))
    return replace(
        retrieved,
        passages=tuple(retrieved.passages[n] for n in order),
        content_hashes=tuple(retrieved.content_hashes[n] for n in order),
        evidence=tuple(retrieved.evidence[n] for n in order),
    )


# -- pipelines ---------------------------------------------------------------------------------------------------------


def haystack_pipeline() -> Pipeline:
    """The usual pipeline: question -> passages -> readings."""
    pipeline = Pipeline()
    pipeline.add_node(DocqaRetriever(), RETRIEVER, ["Query"])
    pipeline.add_node(DocqaReader(), READER, [RETRIEVER])
    return pipeline


def load_pipeline(file: Path) -> Pipeline:
    """Load a pipeline from a YAML file. Environment variables do not override its parameters. Raises SettingError.

    It has a DocqaRetriever named Retriever and, behind it, a DocqaReader named Reader. Other nodes may stand anywhere.
    """
    if not file.is_file():
        raise SettingError(f"There is no pipeline file {file}.")
    try:
        pipeline: Pipeline = Pipeline.load_from_yaml(file, overwrite_with_env_variables=False)
    except Exception as error:
        raise SettingError(f"The pipeline file {file} cannot be used: {_reason(error)}.") from error
    for name, kind in ((RETRIEVER, DocqaRetriever), (READER, DocqaReader)):
        if not isinstance(pipeline.get_node(name), kind):
            raise SettingError(f"The pipeline file {file} needs a node {name} of the type {kind.__name__}.")
    before, waiting = set[str](), [READER]
    while waiting:
        found = set(pipeline.graph.predecessors(waiting.pop())) - before
        before |= found
        waiting += found
    if RETRIEVER not in before:
        raise SettingError(f"In the pipeline file {file} the node {READER} must stand behind the node {RETRIEVER}.")
    return pipeline


def run_pipeline(pipeline: Pipeline, query: str, question: Question) -> tuple[RetrievedPassages, Iterator[list[Reading]]]:
    """Run a pipeline. Haystack wraps the errors of its nodes; errors of docqa are unwrapped here. Raises SettingError."""
    try:
        pipeline.run(query=query, params={RETRIEVER: {"question": question}})
    except Exception as error:
        if isinstance(error.__cause__, DocqaError):
            raise error.__cause__ from None
        raise
    if question.retrieved is None or question.readings is None:
        raise SettingError(f"The Haystack pipeline ended without its nodes {RETRIEVER} and {READER}.")
    return question.retrieved, question.readings


def _reason(error: BaseException) -> str:
    """Haystack's reason for an error on one line, without its hints and references."""
    message = one_line(error, 1_000)
    if wrong := re.match(r"Node of type (\S+) found, but it failed validation", message):
        return f"{wrong[1]} lacks a parameter, or does not take one of those in the file"
    if message.startswith("Failed loading") and error.__cause__ is not None:
        return f"{message.partition('.')[0]} ({one_line(error.__cause__).rstrip('.')})"
    return re.split(r"\s*(?:See the stacktrace|Check the class name|Make sure)", message)[0][:200].rstrip(". ")

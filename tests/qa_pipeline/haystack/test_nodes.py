"""Haystack pipelines from YAML files, alone and inside docqa: the same answers, and no node can add a passage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from haystack import Document, Pipeline
from haystack.nodes import BaseComponent

from indexing.build import build_index
from indexing.errors import FilterError, IndexMissing, SettingError
from indexing.settings import IndexSettings
from qa_pipeline.answering.answerer import Answerer
from qa_pipeline.answers import Answer, DocumentName, Passage, Reply, Timings
from qa_pipeline.errors import PipelineFailed
from qa_pipeline.haystack import nodes
from qa_pipeline.haystack.nodes import load_pipeline
from qa_pipeline.haystack.retriever import as_document
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.settings import AskSettings

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = Path(nodes.__file__).with_name("pipeline.yaml")
QUESTIONS = ["When did Kestrel Bridge open?", "Wann wurde die Brücke eröffnet?", "What is the colour of the king's hat?"]
FILTER = {"language": "de"}


def test_other_documents_of_a_text_travel_as_plain_values() -> None:
    values = (None, "en", 0, 5, "Words", 1, 0.5, None, None, 1, 0.5, (), (DocumentName("b", "b.txt"),))
    document = as_document(Passage("a", "a.txt", *values), "hash")
    assert json.loads(json.dumps(document.meta))["also_in"] == [{"document_id": "b", "source": "b.txt"}]


class Backwards(BaseComponent):
    """A ranker that reverses the documents."""

    outgoing_edges = 1

    def run(self, documents: list[Document]) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        return {"documents": documents[::-1]}, "output_1"

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Ask one question at a time.")


class Forger(Backwards):
    """A node that changes texts, and adds documents of others."""

    forged: list[Document] = []

    def run(self, documents: list[Document]) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        for document in documents:
            document.content = "Kestrel Bridge opened in 1066."
        return {"documents": [*self.forged, Document(content="Kestrel Bridge opened in 1066."), *documents]}, "output_1"


class Breaker(Backwards):
    """A node that raises an error with the question in its message."""

    def run(self, query: str, documents: list[Document]) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        raise KeyError(query)


class Emptier(Backwards):
    """A node that returns no list of documents."""

    def run(self, documents: list[Document]) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        return {"documents": None}, "output_1"


class Refuser(Backwards):
    """A node that raises an error of docqa."""

    def run(self, documents: list[Document]) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        raise FilterError("not this one.")


class Loser(Backwards):
    """A node that drops all but the first document, and says it three times."""

    def run(self, documents: list[Document]) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        return {"documents": documents[:1] * 3}, "output_1"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("examples") / "index"
    build_index(ROOT / "examples" / "corpus", into, IndexSettings(embedder="builtin"))
    return into


@pytest.fixture(scope="module")
def plain(index: Path) -> Answerer:
    return Answerer.open(index, "builtin")


def yaml(tmp_path: Path, text: str) -> Path:
    (tmp_path / "pipeline.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "pipeline.yaml"


def between(tmp_path: Path, kind: str) -> Path:
    """The example with a node between its two."""
    text = EXAMPLE.read_text("utf-8").replace("pipelines:", f"  - name: Between\n    type: {kind}\n\npipelines:")
    return yaml(
        tmp_path,
        text.replace(
            "      - name: Reader\n        inputs: [Retriever]",
            "      - name: Between\n        inputs: [Retriever]\n      - name: Reader\n        inputs: [Between]",
        ),
    )


def through(plain: Answerer, file: Path) -> QAPipeline:
    return QAPipeline(
        plain.index,
        plain.embedder,
        plain.reader,
        reader_name=plain.models.reader,
        calibration=plain.models.calibration,
        pipeline=load_pipeline(file),
    )


def untimed(reply: Reply) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(reply, timings_ms=Timings(0.0, 0.0, 0.0, 0.0)))


def test_a_stock_pipeline_loads_the_example_and_answers_as_docqa(index: Path, plain: Answerer, tmp_path: Path) -> None:
    file = yaml(tmp_path, EXAMPLE.read_text("utf-8").replace("my-index", str(index)))
    pipeline = Pipeline.load_from_yaml(file)
    for question in QUESTIONS:
        reply, result = plain.ask(question), pipeline.run(query=question)
        assert untimed(result["reply"]) == untimed(reply)
        assert [answer.answer for answer in result["answers"]] == [answer.text for answer in reply.answers]
        for found, answer in zip(result["answers"], reply.answers, strict=True):
            (place,) = found.offsets_in_document
            assert found.context[place.start : place.end] == found.answer and found.score == answer.score
            assert (found.meta["answer_start"], found.meta["answer_end"]) == (answer.start, answer.end)
            assert found.document_ids[0] in {document.id for document in result["documents"]}
    params = {"Retriever": {"filters": FILTER, "top_k": 4}, "Reader": {"top_k": 1}}
    result = pipeline.run(query=QUESTIONS[0], params=params)
    assert untimed(result["reply"]) == untimed(plain.ask(QUESTIONS[0], AskSettings(top_k=1, retrieve=4), FILTER))


def test_importing_the_nodes_registers_them(index: Path, tmp_path: Path) -> None:
    file = yaml(tmp_path, EXAMPLE.read_text("utf-8").replace("my-index", str(index)))
    code = (
        "import sys, qa_pipeline.haystack.nodes\n"
        "from pathlib import Path\n"
        "from haystack import Pipeline\n"
        "print(Pipeline.load_from_yaml(Path(sys.argv[1])).run(query=sys.argv[2])['answers'][0].answer)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(file), QUESTIONS[0]], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0 and run.stdout.strip(), run.stderr


def test_a_pipeline_without_index_says_so(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    for name, message in (("''", "has no index"), (str(tmp_path / "nowhere"), "index")):
        pipeline = Pipeline.load_from_yaml(yaml(tmp_path, text.replace("my-index", name)))
        with pytest.raises(Exception, match=message) as error:
            pipeline.run(query=QUESTIONS[0])
        assert isinstance(error.value.__cause__, SettingError | IndexMissing)


def test_in_docqa_the_example_is_the_usual_pipeline(plain: Answerer) -> None:
    pipeline = through(plain, EXAMPLE)
    for question in QUESTIONS:
        assert untimed(pipeline.ask(question)) == untimed(plain.ask(question))
        assert [step.read for step in pipeline.stream(question)] == [step.read for step in plain.stream(question)]


def test_a_ranker_between_orders_the_passages(plain: Answerer, tmp_path: Path) -> None:
    pipeline = through(plain, between(tmp_path, "Backwards"))
    reply, usual = (
        pipeline.ask(QUESTIONS[0], AskSettings(thorough=True)),
        plain.ask(QUESTIONS[0], AskSettings(thorough=True)),
    )
    assert reply.passages == usual.passages[::-1] and len(reply.passages) == 10
    assert {answer.text for answer in reply.answers} == {answer.text for answer in usual.answers}


def test_a_node_that_drops_documents_leaves_fewer_passages(plain: Answerer, tmp_path: Path) -> None:
    reply = through(plain, between(tmp_path, "Loser")).ask(QUESTIONS[0])
    assert reply.passages == plain.ask(QUESTIONS[0]).passages[:1] and reply.passages_read == 1


def test_branches_may_join_before_the_reader(plain: Answerer, tmp_path: Path) -> None:
    """One branch drops documents, the other adds foreign ones; of both, the retrieved ones are read once."""
    text = EXAMPLE.read_text("utf-8").replace(
        "pipelines:",
        "  - {name: One, type: Loser}\n  - {name: Other, type: Forger}\n  - {name: Join, type: JoinDocuments}\n\npipelines:",
    )
    nodes_ = "".join(
        f"      - {{name: {name}, inputs: [{inputs}]}}\n"
        for name, inputs in (("One", "Retriever"), ("Other", "Retriever"), ("Join", "One, Other"), ("Reader", "Join"))
    )
    file = yaml(tmp_path, text.replace("      - name: Reader\n        inputs: [Retriever]\n", nodes_))
    reply, usual = through(plain, file).ask(QUESTIONS[0], filters=FILTER), plain.ask(QUESTIONS[0], filters=FILTER)
    assert {passage.text for passage in reply.passages} == {passage.text for passage in usual.passages}
    assert len(reply.passages) == len(usual.passages)


def test_no_node_can_change_a_text_or_pass_the_filter(plain: Answerer, tmp_path: Path) -> None:
    pipeline = through(plain, between(tmp_path, "Forger"))
    Forger.forged = pipeline.retriever.retrieve(QUESTIONS[0])
    assert {document.meta["language"] for document in Forger.forged} > {"de"}
    for filters in (None, FILTER):
        reply, usual = pipeline.ask(QUESTIONS[0], filters=filters), plain.ask(QUESTIONS[0], filters=filters)
        assert "1066" not in msgspec.json.encode(reply).decode()
        assert {passage.text for passage in reply.passages} == {passage.text for passage in usual.passages}
        quotations: list[Answer | Passage] = [*reply.passages, *reply.answers]
        for quotation in quotations:
            document = plain.index.folder.document(quotation.document_id)
            assert document.text[quotation.start : quotation.end] == quotation.text
            assert filters is None or quotation.language == "de"


def test_environment_variables_do_not_override_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVER_PARAMS_INDEX", "elsewhere")
    monkeypatch.setenv("READER_PARAMS_MODEL", "elsewhere")
    pipeline = load_pipeline(EXAMPLE)
    found = [pipeline.get_node(name) for name in ("Retriever", "Reader")]
    assert [found[0].index, found[1].model] == ["my-index", "builtin"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "change, why",
    [
        (("version", "versoin"), "version"),
        (("type: DocqaReader", "type: NobodyKnowsIt"), "NobodyKnowsIt"),
        (("type: DocqaReader", "type: Backwards"), "Backwards"),
        (("index: my-index", "indices: my-index"), "DocqaRetriever"),
        (("top_k: 10", "top_k: 0"), "top_k"),
        (("inputs: [Retriever]", "inputs: [Nobody]"), "Nobody"),
        (("inputs: [Retriever]", "inputs: [Query]"), "behind the node Retriever"),
        (("components:", "components: ]"), "line"),
        (("      - name: Reader\n        inputs: [Retriever]\n", ""), "needs a node Reader"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    text = EXAMPLE.read_text("utf-8")
    assert change[0] in text
    with pytest.raises(SettingError, match="pipeline file") as refused:
        load_pipeline(yaml(tmp_path, text.replace(*change)))
    message = str(refused.value)
    assert why in message and "\n" not in message and "stacktrace" not in message and len(message) < 400, message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="There is no pipeline file"):
        load_pipeline(tmp_path / "none.yaml")


def test_a_pipeline_that_ends_early_is_an_error(plain: Answerer) -> None:
    pipeline = through(plain, EXAMPLE)
    pipeline.pipeline = Pipeline()
    pipeline.pipeline.add_node(nodes.DocqaRetriever(), "Retriever", ["Query"])
    with pytest.raises(PipelineFailed, match="ended without its node Reader"):
        pipeline.ask(QUESTIONS[0])


@pytest.mark.parametrize("kind", ["Breaker", "Emptier"])
def test_a_node_that_raises_is_named(plain: Answerer, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = through(plain, between(tmp_path, kind))
    for ask in (pipeline.ask, lambda question: list(pipeline.stream(question))):
        with pytest.raises(PipelineFailed) as failed:
            ask(QUESTIONS[0])
        node, error = ("Between", "KeyError") if kind == "Breaker" else ("Reader", "TypeError")
        told = f"The node {node} of the Haystack pipeline failed ({error}); the log of the service has the details."
        assert str(failed.value) == told
    assert "in run" in caplog.text and QUESTIONS[0] not in caplog.text
    assert pipeline.search(QUESTIONS[0]).passages


def test_errors_of_docqas_own_nodes_stay_what_they_are(plain: Answerer, tmp_path: Path) -> None:
    pipeline = through(plain, between(tmp_path, "Refuser"))
    with pytest.raises(FilterError, match="not this one"):
        pipeline.ask(QUESTIONS[0])

"""Programs for Spark NLP with another import, on two cores of this machine; the page's example is as published."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.spark import needs_spark, worker_modules

needs_spark()

from pyspark.ml import Pipeline, PipelineModel

from indexing.errors import ModelMissing, SettingError
from indexing.models.presets import PRESETS
from qa_pipeline.spark import ml
from qa_pipeline.spark.annotations import DEFAULTS, MODES, document
from qa_pipeline.spark.ml import (
    BertForQuestionAnswering,
    DistilBertForQuestionAnswering,
    ExtractiveQA,
    LightPipeline,
    MultiDocumentAssembler,
    XlmRoBertaForQuestionAnswering,
)
from tests.model_folders import one_sentence
from tests.tiny import LONG, QUESTION, UGLY, make_reader

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PUBLISHED = "bert_qa_bert_multi_cased_finetuned_xquadv1"
SHA = "0" * 40

# https://sparknlp.org/2022/06/02/bert_qa_bert_multi_cased_finetuned_xquadv1_xx_3_0.html, its Python example.
PAGE = f"""
document_assembler = MultiDocumentAssembler() \\
.setInputCols(["question", "context"]) \\
.setOutputCols(["document_question", "document_context"])

spanClassifier = BertForQuestionAnswering.pretrained("{PUBLISHED}","xx") \\
.setInputCols(["document_question", "document_context"]) \\
.setOutputCol("answer") \\
.setCaseSensitive(True)

pipeline = Pipeline().setStages([
document_assembler,
spanClassifier
])

example = spark.createDataFrame([["What's my name?", "My name is Clara and I live in Berkeley."]]).toDF("question", "context")

result = pipeline.fit(example).transform(example)
"""  # noqa: E501
LONDON = "John Lenon was born in London and lived in Paris. My name is Sarah and I live in London."


def run_page(session: SparkSession) -> dict[str, Any]:
    names: dict[str, Any] = {"spark": session}
    exec("from pyspark.ml import Pipeline\nfrom qa_pipeline.spark.ml import *\n" + PAGE, names)
    return names


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_reader("bert", tmp_path_factory.mktemp("ml") / "bert", 4))


@pytest.fixture(scope="module")
def in_the_hub(session: SparkSession, reader: str) -> Iterator[Path]:
    """A tiny reader where the hub's cache has the published one."""
    import huggingface_hub.constants as hub

    base = Path(hub.HF_HUB_CACHE) / f"models--{PRESETS['reader', 'mbert-xquad'].model.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(SHA, "utf-8")
    shutil.copytree(reader, base / "snapshots" / SHA)
    yield base
    shutil.rmtree(base)


# -- the page's example --------------------------------------------------------------------------------------------------


def test_the_page_prints_clara_and_london(
    session: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published name leads to the built-in reader here, since there is no hub."""
    monkeypatch.setitem(DEFAULTS, PUBLISHED, "builtin")
    names = run_page(session)
    names["result"].select("answer.result").show(truncate=False)
    assert "|[Clara]|" in capsys.readouterr().out
    two = [("Where was John Lenon born?", LONDON), ("What's my name?", "My name is Clara and I live in Berkeley.")]
    frame = session.createDataFrame(two, "question string, context string")
    names["pipeline"].fit(frame).transform(frame).select("answer.result").show(truncate=False)
    printed = capsys.readouterr().out
    assert "|[London]|" in printed and "|[Clara] |" in printed


def test_the_page_as_published_loads_the_model_of_that_name(session: SparkSession, in_the_hub: Path, reader: str) -> None:
    names = run_page(session)
    stage = names["spanClassifier"]
    assert stage.getReader() == "mbert-xquad"
    with pytest.raises(SettingError, match="maxSentenceLength"):
        stage.getMaxSentenceLength()
    row = names["result"].head()
    assert names["result"].columns == ["question", "context", "document_question", "document_context", "answer"]
    assert [part.result for part in (row.document_question[0], row.document_context[0])] == [row.question, row.context]
    found = row.answer[0]
    assert row.context[found.begin : found.end + 1] == found.result == found.docqa.answer != ""
    assert found.metadata.keys() == {"sentence", "chunk", "start", "end", "score"}
    same = ExtractiveQA.load(reader).setInputCols("question", "context").transform(names["example"]).head()
    assert same is not None and same.answer[0].result == found.result
    light = LightPipeline(names["pipeline"].fit(names["example"]))
    assert light.annotate(row.question, row.context) == {
        "document_question": [row.question],
        "document_context": [row.context],
        "answer": [found.result],
    }


def test_the_columns_have_spark_nlps_fields_and_kinds(session: SparkSession, reader: str) -> None:
    frame = session.createDataFrame([(QUESTION, LONG)], "question string, context string")
    told = pipeline(reader).transform(frame)
    fields = "annotatorType:string,begin:int,end:int,result:string,metadata:map<string,string>,embeddings:array<float>"
    ours = "docqa:struct<answer:string,start:int,end:int,score:double,no_answer:boolean,reason:string>"
    types = dict(told.dtypes)
    assert types["document_question"] == types["document_context"] == f"array<struct<{fields}>>"
    assert types["answer"] == f"array<struct<{fields},{ours}>>"
    kinds = {field.name: field.metadata.get("annotatorType") for field in told.schema.fields}
    assert (kinds["document_question"], kinds["answer"], kinds["question"]) == ("document", "chunk", None)


def pipeline(reader: str, **params: Any) -> PipelineModel:
    assembler = (
        MultiDocumentAssembler().setInputCols("question", "context").setOutputCols(["document_question", "document_context"])
    )
    return PipelineModel([assembler, ExtractiveQA(reader=reader, precision="fp32", **params)])


# -- rows that are not as they should be ---------------------------------------------------------------------------------


def test_every_row_comes_back_with_an_answer_or_a_reason(session: SparkSession, reader: str) -> None:
    from pyspark.sql import functions as F

    megabyte = (LONG + " " + ("a" * 199 + " ") * 5_000)[:1_000_000]
    contexts = [*UGLY, megabyte, None, *UGLY]
    asked = [QUESTION, None, "", "x" * 600, "橋はいつ開通した", QUESTION, QUESTION]
    asked = [asked[n % len(asked)] for n in range(len(contexts))]
    asked[len(UGLY)] = QUESTION
    frame = session.createDataFrame(
        [(n, *pair) for n, pair in enumerate(zip(asked, contexts, strict=True))], "id int, question string, context string"
    )
    bad = session.createDataFrame([(1_000, bytearray(b"\xff\xfe\x80"))], "id int, data binary").select(
        "id", F.lit(QUESTION).alias("question"), F.col("data").cast("string").alias("context")
    )
    rows = pipeline(reader, noAnswerThreshold=1.0).transform(frame.repartition(3)).select("id", "answer").collect()
    assert sorted(row.id for row in rows) == list(range(len(contexts)))
    for row in rows:
        found, context = row.answer[0], contexts[row.id] or ""
        assert context[found.begin : found.end + 1] == found.result
        wrong = not (asked[row.id] or "").strip() or len(asked[row.id] or "") > 512 or not context.strip()
        assert bool(found.docqa.reason) == wrong == ("reason" in found.metadata)
    assert next(row for row in rows if row.id == len(UGLY)).answer[0].result
    told = ExtractiveQA(inputCols=["question", "context"], reader=reader).transform(bad).select("answer.docqa.reason").head()
    assert told is not None and told.reason == ["The context is not text in UTF-8."]


# -- parameters ----------------------------------------------------------------------------------------------------------


def test_parameters_survive_copies_and_the_disk(session: SparkSession, reader: str, tmp_path: Path) -> None:
    stage = BertForQuestionAnswering(reader=reader).setInputCols(["a", "b"]).setOutputCol("found").setCaseSensitive(False)
    stage.setMaxSentenceLength(200).setBatchSize(3).setTopK(2).setPrecision("fp32").setNoAnswerThreshold(0.5)
    other = stage.copy({stage.getParam("batchSize"): 7})
    assert (stage.getBatchSize(), other.getBatchSize(), other.uid) == (3, 7, stage.uid)
    assert isinstance(other, BertForQuestionAnswering) and not other.getCaseSensitive()
    stage.write().overwrite().save(str(tmp_path / "stage"))
    for loaded in (
        BertForQuestionAnswering.load(str(tmp_path / "stage")),
        BertForQuestionAnswering.read().load(str(tmp_path / "stage")),
    ):
        assert type(loaded) is BertForQuestionAnswering and loaded.uid == stage.uid
        assert values(loaded) == values(stage)
    frame = session.createDataFrame([(QUESTION, LONG)], "question string, context string")
    fitted = pipeline(reader, topK=2).copy()
    fitted.save(str(tmp_path / "fitted"))
    again = PipelineModel.load(str(tmp_path / "fitted"))
    assert again.transform(frame).collect() == fitted.transform(frame).collect()
    Pipeline(stages=[*fitted.stages]).save(str(tmp_path / "pipeline"))
    assert (
        Pipeline.load(str(tmp_path / "pipeline")).fit(frame).transform(frame).collect() == fitted.transform(frame).collect()
    )


def values(stage: Any) -> dict[str, Any]:
    return {param.name: stage.getOrDefault(param) for param in stage.params if stage.isDefined(param)}


def test_each_class_names_its_default_and_loads_any_folder(reader: str) -> None:
    defaults = {
        kind: kind().getReader() for kind in (BertForQuestionAnswering, XlmRoBertaForQuestionAnswering, ExtractiveQA)
    }
    assert list(defaults.values()) == ["bert-squad2", "xlmr-squad2", "xlmr-squad2"]
    assert DistilBertForQuestionAnswering().getReader() == "distilbert/distilbert-base-cased-distilled-squad"
    for kind in (BertForQuestionAnswering, DistilBertForQuestionAnswering, XlmRoBertaForQuestionAnswering, ExtractiveQA):
        assert [kind.pretrained(reader).getReader(), kind.load(reader).getReader()] == [reader, reader]
        assert kind.loadSavedModel(reader, None).getReader() == reader
        assert kind.pretrained("builtin", "xx", None).getReader() == "builtin"
    with pytest.raises(ModelMissing):
        BertForQuestionAnswering.pretrained()


def test_windows_batches_and_several_answers(session: SparkSession, reader: str) -> None:
    frame = session.createDataFrame([(n, QUESTION, LONG[n:]) for n in range(20)], "id int, question string, context string")
    whole = pipeline(reader, topK=3, noAnswerThreshold=1.0).transform(frame)
    small = pipeline(reader, topK=3, noAnswerThreshold=1.0, batchSize=2).transform(frame)
    wanted = {row.id: [part.result for part in row.answer] for row in whole.collect()}
    assert {row.id: [part.result for part in row.answer] for row in small.collect()} == wanted
    assert all(1 <= len(found) <= 3 for found in wanted.values()) and max(map(len, wanted.values())) == 3
    narrow = pipeline(reader, maxSentenceLength=96, caseSensitive=False, noAnswerThreshold=1.0).transform(frame)
    for row in narrow.collect():
        found = row.answer[0]
        assert row.context[found.begin : found.end + 1] == found.result != ""


def test_mistakes_are_one_sentence_before_anything_runs(session: SparkSession, reader: str) -> None:
    frame = session.createDataFrame([(QUESTION, LONG, 1)], "question string, context string, n int")
    stage = ExtractiveQA(reader=reader, inputCols=["question", "context"])
    for words, wrong in (
        ("no column 'text'", lambda: stage.copy().setInputCols("question", "text").transform(frame)),
        ("is int", lambda: stage.copy().setInputCols("question", "n").transform(frame)),
        ("already", lambda: stage.copy().setOutputCol("n").transform(frame)),
        ("two inputCols", lambda: stage.copy().setInputCols(["question"]).transform(frame)),
        ("topK is 0", lambda: stage.copy().setTopK(0).transform(frame)),
        ("noAnswerThreshold", lambda: stage.copy().setNoAnswerThreshold(2.0).transform(frame)),
        ("precision", lambda: stage.copy().setPrecision("fp4").transform(frame)),
        ("maxSentenceLength is 513", lambda: stage.setMaxSentenceLength(513)),
        ("batchSize is 0", lambda: stage.setBatchSize(0)),
        ("no parameter 'window'", lambda: ExtractiveQA(window=3)),
        ("cannot be of type dict", lambda: stage.setOutputCol({})),  # type: ignore[arg-type]
        ("hub id", lambda: BertForQuestionAnswering.pretrained("bert_qa_of_nobody", "xx")),
        ("cleanupMode", lambda: MultiDocumentAssembler().setCleanupMode("all")),
        ("1 inputCols and 2", lambda: assembler("question").setOutputCols("a", "b").transform(frame)),
        ("has no outputCols", lambda: assembler("question").transform(frame)),
        ("'n' is int", lambda: assembler("n").setOutputCols("a").transform(frame)),
        ("cannot run the stage", lambda: LightPipeline(PipelineModel([tokenizer()]))),
        ("1 questions and 2 contexts", lambda: LightPipeline(pipeline(reader)).annotate([QUESTION], ["a", "b"])),
    ):
        with pytest.raises((SettingError, ModelMissing), match=words) as caught:
            wrong()
        one_sentence(caught.value)


def assembler(*names: str) -> MultiDocumentAssembler:
    return MultiDocumentAssembler().setInputCols(*names)


def tokenizer() -> Any:
    from pyspark.ml.feature import Tokenizer

    return Tokenizer(inputCol="a", outputCol="b")


# -- documents, and one row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_documents_are_the_same_by_spark_and_here(session: SparkSession, mode: str) -> None:
    texts = [*UGLY, None, " a \n\tb\\n\\tc\\r\\n  d "]
    frame = session.createDataFrame(
        [(n, text, [text, "x", None], {"day": "1", "id": "theirs"} if n % 2 else None) for n, text in enumerate(texts)],
        "n int, `a text` string, parts array<string>, facts map<string,string>",
    )
    stage = (
        assembler("a text", "parts").setOutputCols("one", "many").setCleanupMode(mode).setIdCol("n").setMetadataCol("facts")
    )
    for row in stage.transform(frame).collect():
        facts = {"id": str(row.n), **({"day": "1"} if row.n % 2 else {})}
        one, many = ([part.asDict(recursive=True) for part in column] for column in (row.one, row.many))
        assert one == [document(texts[row.n], mode, facts)]
        assert many == [document(text, mode, facts, n) for n, text in enumerate([texts[row.n], "x", None])]


def test_one_row_here_is_that_row_in_spark(session: SparkSession, reader: str) -> None:
    model = pipeline(reader, noAnswerThreshold=1.0)
    light = LightPipeline(model)
    pairs = [(QUESTION, text) for text in UGLY] + [("", LONG)]
    frame = session.createDataFrame([(n, *pair) for n, pair in enumerate(pairs)], "n int, question string, context string")
    spark = {row.n: row for row in light.transform(frame).collect()}
    for n, found in enumerate(light.fullAnnotate([question for question, _ in pairs], [context for _, context in pairs])):
        assert list(found) == ["document_question", "document_context", "answer"]
        for name, parts in found.items():
            wanted = [part.asDict(recursive=True) for part in spark[n][name]]
            for part, other in zip(parts, wanted, strict=True):
                assert (part.annotatorType, part.begin, part.end, part.result) == tuple(
                    other[field] for field in ("annotatorType", "begin", "end", "result")
                )
                assert part.metadata.keys() == other["metadata"].keys()
    lists = light.annotate([QUESTION, QUESTION], [LONG, "x"])
    assert lists == [light.annotate(QUESTION, LONG), light.annotate(QUESTION, "x")]
    assert str(light.fullAnnotate("a", "b")[0]["document_question"][0]) == "Annotation(document, 0, 0, a, {'sentence': '0'})"
    assert set(ml.__all__) >= {"LightPipeline", "Annotation"}


# -- what a worker loads -------------------------------------------------------------------------------------------------


def test_a_worker_imports_no_torch_haystack_or_transformers(session: SparkSession, reader: str) -> None:
    frame = session.createDataFrame([(QUESTION, LONG)] * 8, "question string, context string").repartition(2)
    assert pipeline(reader).transform(frame).count() == 8
    pipeline(reader).transform(frame).collect()
    seen = session.range(0, 8, 1, 8).mapInArrow(worker_modules, "pid long, held long, heavy array<string>").collect()
    assert any(row.held for row in seen)
    assert {name for row in seen if row.held for name in row.heavy} == set()

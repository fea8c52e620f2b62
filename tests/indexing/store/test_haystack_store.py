"""Stock Haystack 1.x nodes on our store: retrievers, joiner and reader in one pipeline; and the store's own contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from haystack import Document, Label, Pipeline
from haystack.errors import DuplicateDocumentError
from haystack.nodes import BM25Retriever, EmbeddingRetriever, FARMReader, JoinDocuments
from haystack.schema import Answer, Span

from indexing.build import build_index
from indexing.errors import FilterError, SettingError
from indexing.models.registry import resolve
from indexing.store.haystack_store import DocqaDocumentStore
from tests.known import WordEmbedder

TEXTS = {
    "en1": ("The ferry to Vorn takes two hours.", {"language": "en", "year": 2016}),
    "en2": ("The museum opened in the old tin mine.", {"language": "en", "year": 1980}),
    "de1": ("Die Fähre nach Vorn braucht zwei Stunden.", {"language": "de", "year": 2016}),
    "th1": ("เรือไปวอร์นใช้เวลาสองชั่วโมง", {"language": "th", "year": 2016}),
}


@pytest.fixture
def store(tmp_path: Path) -> DocqaDocumentStore:
    made = DocqaDocumentStore(str(tmp_path / "s"), embedding_dim=16)
    made.write_documents([Document(id=number, content=text, meta=meta) for number, (text, meta) in TEXTS.items()])
    return made


@pytest.fixture(scope="module")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sentence-transformers folder with random weights, as stock EmbeddingRetriever loads it."""
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *{w for text, _ in TEXTS.values() for w in text.lower().split()}]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    word = models.Transformer(str(folder / "bert"), max_seq_length=32)
    SentenceTransformer(modules=[word, models.Pooling(16)], device="cpu").save(str(folder / "st"))
    return str(folder / "st")


def test_stock_nodes_in_one_pipeline(store: DocqaDocumentStore, tiny_transformer: str) -> None:
    dense = EmbeddingRetriever(
        document_store=store,
        embedding_model=tiny_transformer,
        model_format="sentence_transformers",
        use_gpu=False,
        progress_bar=False,
    )
    store.update_embeddings(dense)
    assert store.get_embedding_count() == 4
    reader = FARMReader(str(resolve("builtin", "reader").path), use_gpu=False, num_processes=0, progress_bar=False)
    pipeline = Pipeline()
    pipeline.add_node(dense, "Dense", ["Query"])
    pipeline.add_node(BM25Retriever(document_store=store), "Words", ["Query"])
    pipeline.add_node(JoinDocuments(join_mode="reciprocal_rank_fusion"), "Join", ["Dense", "Words"])
    pipeline.add_node(reader, "Reader", ["Join"])
    only = {"filters": {"year": {"$gte": 2000}, "language": ["en", "th"]}}
    result = pipeline.run(query="How long does the ferry to Vorn take?", params={"Dense": only, "Words": only})
    assert {d.id for d in result["documents"]} == {"en1", "th1"}
    best = result["answers"][0]
    span = best.offsets_in_document[0]
    assert TEXTS[best.document_ids[0]][0][span.start : span.end] == best.answer


def test_documents_come_back_as_they_were_written(store: DocqaDocumentStore) -> None:
    for number, (text, meta) in TEXTS.items():
        found = store.get_document_by_id(number)
        assert found is not None and (found.content, found.meta) == (text, meta)
    assert [d.id for d in store.get_documents_by_id(["th1", "nope", "en1"])] == ["th1", "en1"]
    assert store.get_document_count() == 4 == len(store.get_all_documents())
    assert store.get_document_by_id("nope") is None


def test_keyword_search_with_filters(store: DocqaDocumentStore) -> None:
    assert [d.id for d in store.query("ferry Vorn", top_k=1)] == ["en1"]
    assert [d.id for d in store.query("Vorn", filters={"language": "de"})] == ["de1"]
    assert [d.id for d in store.query("ชั่วโมง")] == ["th1"]
    assert store.query("Vorn", filters={"language": "xx"}) == []
    assert {d.id for d in store.query("the tin", all_terms_must_match=True)} == {"en2"}
    with pytest.raises(FilterError):
        store.query("Vorn", filters={"year": {"$near": 3}})


def test_overwrite_skip_and_fail(store: DocqaDocumentStore) -> None:
    changed = Document(id="en1", content="The ferry was sold.", meta={"language": "en"})
    store.write_documents([changed], duplicate_documents="skip")
    assert store.get_document_by_id("en1").content == TEXTS["en1"][0]  # type: ignore[union-attr]
    with pytest.raises(DuplicateDocumentError):
        store.write_documents([Document(id="new", content="x"), changed], duplicate_documents="fail")
    assert store.get_document_by_id("new") is None
    store.write_documents([changed])
    assert store.get_document_by_id("en1").content == "The ferry was sold."  # type: ignore[union-attr]
    assert [d.id for d in store.query("two hours")] == []
    assert store.get_document_count() == 4


def test_embeddings_are_compared_by_cosine(store: DocqaDocumentStore) -> None:
    vectors = np.random.default_rng(1).normal(size=(4, 16)).astype(np.float32)
    store.write_documents([Document(id=str(n), content=f"d{n}", embedding=v) for n, v in enumerate(vectors)])
    found = store.query_by_embedding(vectors[2] * 7, top_k=4, scale_score=False, return_embedding=True)
    cosine = vectors @ vectors[2] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[2])
    assert [d.id for d in found] == [str(n) for n in np.argsort(-cosine)]
    assert found[0].score == pytest.approx(1.0, abs=1e-5) and np.linalg.norm(found[0].embedding) == pytest.approx(
        1, abs=1e-5
    )
    batch = store.query_by_embedding_batch([vectors[0], vectors[1]], top_k=1)
    assert [part[0].id for part in batch] == ["0", "1"]
    with pytest.raises(SettingError, match="16 numbers"):
        store.query_by_embedding(np.ones(3))


def test_deleting(store: DocqaDocumentStore) -> None:
    with pytest.raises(FilterError, match="every document"):
        store.delete_documents(filters={})
    store.delete_documents(ids=["en1", "de1"], filters={"language": "de"})
    assert {d.id for d in store.get_all_documents()} == {"en1", "en2", "th1"}
    store.delete_documents(filters={"year": {"$lt": 2000}})
    assert {d.id for d in store.get_all_documents()} == {"en1", "th1"}
    store.delete_documents()
    assert store.get_document_count() == 0 and store.query("ferry") == []


def test_labels(store: DocqaDocumentStore) -> None:
    answer = Answer("two hours", offsets_in_document=[Span(24, 33)], document_ids=["en1"])
    label = Label("How long?", Document(id="en1", content=TEXTS["en1"][0]), True, True, "user-feedback", answer)
    store.write_labels([label, label])
    assert store.get_label_count() == 1 and store.get_all_labels()[0].answer.answer == "two hours"  # type: ignore[union-attr]
    store.delete_labels()
    assert store.get_label_count() == 0


def test_mistakes_are_refused(store: DocqaDocumentStore) -> None:
    with pytest.raises(SettingError, match="one corpus"):
        store.get_document_count(index="other")
    with pytest.raises(SettingError, match="plain data"):
        store.write_documents([Document(content="x", meta={"f": object()})])
    with pytest.raises(SettingError, match="similarity"):
        DocqaDocumentStore("unused", similarity="l2")


def test_an_index_folder_is_a_haystack_store(corpus: Path, tmp_path: Path) -> None:
    build_index(corpus, tmp_path / "i", embedder=WordEmbedder())  # type: ignore[arg-type]
    store = DocqaDocumentStore(str(tmp_path / "i"))
    found = BM25Retriever(document_store=store).retrieve("bridge opened", filters={"source": {"$glob": "reports/*"}})
    assert found[0].meta["source"] == "reports/bridge.txt" and found[0].meta["name"] == "reports/bridge.txt"
    assert found[0].content == "The bridge opened in 1912. It is long."


@pytest.mark.parametrize(
    "half",
    [
        Document(id="x\ud800", content="whole"),
        Document(id="x", content="half \udfff of one"),
        Document(id="x", content="whole", meta={"author": "A\ud800"}),
        Document(id="x", content="whole", meta={"\ud800": 1}),
    ],
)
def test_half_of_a_character_is_told_and_nothing_is_written(store: DocqaDocumentStore, half: Document) -> None:
    with pytest.raises(SettingError, match="half of a character"):
        store.write_documents([Document(id="new", content="The lamp was lit."), half])
    assert {document.id for document in store.get_all_documents()} == set(TEXTS)
    assert [document.id for document in store.query("ferry \ud800")] == ["en1"]


def test_what_is_no_text_is_told(store: DocqaDocumentStore) -> None:
    with pytest.raises(SettingError, match="keeps text"):
        store.write_documents([Document(id="x", content="a.png", content_type="image")])

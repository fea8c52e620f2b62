"""The FARMReader on ONNX Runtime: its torch model is loaded when it is needed, with the settings so far."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from haystack import Document
from haystack.nodes import FARMReader

from indexing.models.hardware import Hardware
from indexing.models.registry import resolve
from qa_pipeline.haystack.farm_reader import Reader
from qa_pipeline.haystack.load import load_farm_reader
from tests.known import SCRIPTS
from tests.model_folders import run_child
from tests.tiny import LONG, QUESTION, UGLY, check_laws, close, make_reader, same_ranking

STOCK: dict[str, Any] = {"max_seq_len": 64, "doc_stride": 16, "max_query_length": 12, "use_gpu": False}
DOCUMENTS = [Document(content=text) for text in (*SCRIPTS.values(), LONG)]
VNNI, AVX2 = Hardware("cpu", frozenset({"avx2", "avx512_vnni"})), Hardware("cpu", frozenset({"avx2"}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reader("bert", tmp_path_factory.mktemp("readers") / "bert", 4)


def loaded(folder: Path, precision: str = "fp32", **options: Any) -> Reader:
    return load_farm_reader(resolve(str(folder), "reader"), **{**STOCK, "precision": precision, **options})


def engine_of(reader: Reader) -> str:
    return str(reader.facts()["engine"])


def answers(reader: FARMReader) -> list[tuple[float, str]]:
    found = reader.predict(QUESTION, DOCUMENTS, top_k=20)["answers"]
    return [(a.score, json.dumps({k: v for k, v in a.to_dict().items() if k != "score"}, sort_keys=True)) for a in found]


def test_reading_loads_no_torch_model(folder: Path) -> None:
    reader = loaded(folder)
    reader.read(QUESTION, UGLY)
    reader.predict(QUESTION, DOCUMENTS)
    reader.predict_batch([QUESTION], DOCUMENTS)
    reader.update_parameters(no_ans_boost=2.0, doc_stride=20, max_seq_len=80, return_no_answer=True)
    assert reader._inferencer is None and engine_of(reader) == "ONNX Runtime"
    assert reader.max_seq_len == 80 and reader.return_no_answers


@pytest.mark.parametrize(
    "precision, hardware, named", [("auto", VNNI, "int8"), ("auto", AVX2, "fp32"), ("int8", AVX2, "int8")]
)
def test_the_precision_is_that_of_the_usual_reader(folder: Path, precision: str, hardware: Hardware, named: str) -> None:
    reader = loaded(folder, precision, hardware=hardware)
    assert reader.precision == reader.facts()["precision"] == named and engine_of(reader) == "ONNX Runtime"
    check_laws(reader.read(QUESTION, UGLY), UGLY)


def test_bf16_is_computed_by_torch(folder: Path) -> None:
    assert engine_of(loaded(folder, "bf16")) == "torch"


def test_settings_made_before_the_torch_model_is_loaded_are_its_settings(folder: Path) -> None:
    reader, stock = (
        loaded(folder, exact_confidence=True),
        FARMReader(str(folder), num_processes=0, progress_bar=False, **STOCK),
    )
    changes: dict[str, Any] = {
        "context_window_size": 40,
        "no_ans_boost": -5.0,
        "return_no_answer": True,
        "max_seq_len": 60,
        "doc_stride": 12,
    }
    for one in (reader, stock):
        one.update_parameters(**changes)
    same_ranking(answers(reader), answers(stock))
    reader._head.n_best_per_sample = 3
    reader._head.temperature_for_confidence.data[:] = 2.0
    warm = answers(reader)
    assert reader._inferencer is None
    head, processor = reader.inferencer.model.prediction_heads[0], reader.inferencer.processor
    assert head is reader._head and (head.context_window_size, head.no_ans_boost, head.n_best_per_sample) == (40, -5.0, 3)
    assert (processor.max_seq_len, processor.doc_stride, processor.max_query_length) == (60, 12, 12)
    assert engine_of(reader) == "ONNX Runtime" and answers(reader) == warm
    stock_head = stock.inferencer.model.prediction_heads[0]
    stock_head.n_best_per_sample = 3
    stock_head.temperature_for_confidence.data[:] = 2.0
    same_ranking(warm, answers(stock))


def test_the_loaded_torch_model_is_farms(folder: Path) -> None:
    """Except for BERT's pooler, which a reader does not use; FARM makes a random one."""
    ours, stock = loaded(folder).inferencer.model, FARMReader(str(folder), num_processes=0, **STOCK).inferencer.model
    wanted = {name: value for name, value in stock.state_dict().items() if ".pooler." not in name}
    assert ours.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in ours.state_dict().items())
    assert ours.prediction_heads[0].config == stock.prediction_heads[0].config


def test_a_saved_reader_is_loaded_again(folder: Path, tmp_path: Path) -> None:
    reader = loaded(folder)
    reader.save(tmp_path / "saved")
    again = Reader(str(tmp_path / "saved"), **STOCK, precision="fp32")
    assert engine_of(again) == "torch"
    close(again.read(QUESTION, UGLY), reader.read(QUESTION, UGLY))


def test_changed_weights_are_computed_by_torch(folder: Path) -> None:
    reader = loaded(folder)
    before = reader.read(QUESTION, UGLY)
    with torch.no_grad():
        for weight in reader.inferencer.model.parameters():
            weight.mul_(0.5)
    reader.forget()
    assert engine_of(reader) == "torch" and reader.read(QUESTION, UGLY) != before


def test_a_trained_reader_is_computed_by_torch(folder: Path, tmp_path: Path) -> None:
    text = SCRIPTS["en"]
    qas = [
        {"id": str(n), "question": f"{QUESTION} {n}", "answers": [{"text": text[:9], "answer_start": 0}]} for n in range(4)
    ]
    data = {"data": [{"title": "t", "paragraphs": [{"context": text, "qas": qas}]}]}
    (tmp_path / "train.json").write_text(json.dumps(data), encoding="utf-8")
    reader = loaded(folder, "int8")
    before = reader.read(QUESTION, UGLY)
    assert reader._inferencer is None
    reader.train(
        str(tmp_path),
        "train.json",
        use_gpu=False,
        batch_size=2,
        n_epochs=1,
        learning_rate=1e-2,
        save_dir=str(tmp_path / "s"),
    )
    after = reader.read(QUESTION, UGLY)
    assert (reader.precision, engine_of(reader)) == ("fp32", "torch") and after != before
    check_laws(after, UGLY)
    close(Reader(str(tmp_path / "s"), **STOCK, precision="fp32").read(QUESTION, UGLY), after)


def test_the_builtin_reader_is_a_farmreader_by_name(tmp_path: Path) -> None:
    """Its weights are widened for torch only when the torch model is needed."""
    code = (
        "from haystack import Document\n"
        "from qa_pipeline.haystack.farm_reader import Reader\n"
        "reader = Reader('builtin', max_seq_len=256, use_gpu=False)\n"
        "found = reader.predict('When was it opened?', [Document(content='The bridge was opened in 1912. It is long.')])\n"
        "print(found['answers'][0].answer, reader.facts()['engine'], reader._component_config['params'])"
    )
    assert "1912 ONNX Runtime {'model_name_or_path': 'builtin'" in run_child(code, DOCQA_CACHE=str(tmp_path))
    assert not list(tmp_path.glob("builtin-*"))

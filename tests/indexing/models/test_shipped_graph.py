"""Models that ship an ONNX graph: taken as they are where that is all they have, and checked against weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from indexing.errors import ModelError, ModelMissing, ModelRefused, SettingError
from indexing.models import hub
from indexing.models.embedder import Embedder, engine_of, unit
from indexing.models.graph_file import UnusableGraph, read_graph
from indexing.models.onnx_embedder import OnnxEmbedder
from indexing.models.onnx_encoder import GraphEncoder
from indexing.models.registry import resolve
from indexing.models.sentence_transformer import SentenceTransformerModel, load_sentence_transformer
from qa_pipeline.haystack.load import load_farm_reader
from qa_pipeline.reading import load
from qa_pipeline.reading.load import load_reader
from qa_pipeline.reading.onnx_engine import OnnxEngine
from qa_pipeline.reading.readings import Reading
from qa_pipeline.reading.torch_engine import TorchEngine, load_torch_reader
from qa_pipeline.reading.window_reader import ReadingOptions, WindowReader
from tests.model_folders import copied, one_sentence, run_child, set_json
from tests.onnx_graphs import export_encoder, export_reader, with_data
from tests.tiny import QUESTION, UGLY, check_laws, close, make_reader, wordpieces

pytestmark = pytest.mark.usefixtures("own_cache", "hub_cache")

OPTIONS: dict[str, Any] = {"max_seq_len": 64, "doc_stride": 16}
SMALL = ReadingOptions(**OPTIONS)
TEXTS = [text for text in UGLY if text != "a" * 3_000]


def electra(folder: Path, seed: int = 7) -> Path:
    """A reader of an architecture that docqa has no graph of."""
    import torch
    from transformers import ElectraConfig, ElectraForQuestionAnswering

    tokenizer = wordpieces("bert")
    sizes = {"embedding_size": 32, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = ElectraConfig(vocab_size=len(tokenizer), intermediate_size=64, initializer_range=0.4, **sizes)
        ElectraForQuestionAnswering(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Readers with weights."""
    home = tmp_path_factory.mktemp("whole")
    kinds = {"xlm-roberta": 3, "bert": 4, "distilbert": 5}
    return {kind: make_reader(kind, home / kind, seed) for kind, seed in kinds.items()} | {"electra": electra(home / "e")}


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, whole: dict[str, Path]) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("graphs")
    typed = ("bert", "electra")
    return {kind: export_reader(folder, home / f"{kind}.onnx", types=kind in typed) for kind, folder in whole.items()}


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory, whole: dict[str, Path]) -> Path:
    """A BERT encoder without a head."""
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("bodies") / "bert"
    AutoModel.from_pretrained(whole["bert"]).save_pretrained(folder)
    AutoTokenizer.from_pretrained(whole["bert"]).save_pretrained(folder)
    return folder


def with_graph(folder: Path, graph: Path, target: Path, place: str = "onnx/model.onnx") -> Path:
    copied(folder, target)
    (target / place).parent.mkdir(exist_ok=True)
    (target / place).write_bytes(graph.read_bytes())
    return target


def without_weights(folder: Path) -> Path:
    (folder / "model.safetensors").unlink()
    return folder


def without_padding(readings: Sequence[Reading]) -> list[Reading]:
    """Without the confidences: torch pads the windows of architectures that docqa has no unpadded form of."""
    return [Reading(tuple(replace(span, confidence=0.0) for span in reading.spans)) for reading in readings]


def nearness(ours: Any, theirs: Any) -> float:
    return float((unit(ours) * unit(np.asarray(theirs))).sum(axis=1).min())


# -- a graph and nothing else ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "distilbert", "electra"])
@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx"])
def test_a_graph_alone_reads_as_its_weights_do(
    whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path, kind: str, place: str
) -> None:
    name = str(without_weights(with_graph(whole[kind], graphs[kind], tmp_path / "model", place)))
    folder = resolve(name, "reader")
    reader = load_reader(folder, use_gpu=False, **OPTIONS)
    assert isinstance(reader, WindowReader) and isinstance(reader.engine, OnnxEngine)
    assert reader.engine.precision == "fp32" and load.engine_of(name) == "ONNX Runtime, by its model.onnx"
    torch = load_torch_reader(resolve(str(whole[kind]), "reader"), SMALL, precision="fp32", use_gpu=False)
    ours, theirs = reader.read(QUESTION, UGLY), torch.read(QUESTION, UGLY)
    check_laws(ours, UGLY)
    close(without_padding(ours) if kind == "electra" else ours, without_padding(theirs) if kind == "electra" else theirs)
    for precision in ("int8", "bf16"):
        with pytest.raises(SettingError, match="only a model.onnx"):
            load_reader(folder, precision=precision, use_gpu=False)


def test_padding_of_a_graph_has_torchs_logits(whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path) -> None:
    folder = resolve(str(without_weights(with_graph(whole["bert"], graphs["bert"], tmp_path / "model"))), "reader")
    options = ReadingOptions(64, 16, exact_confidence=True)
    reader = load_reader(folder, use_gpu=False, **OPTIONS)
    torch = load_torch_reader(resolve(str(whole["bert"]), "reader"), options, precision="fp32", use_gpu=False)
    assert isinstance(reader, WindowReader)
    group = reader.inputs([(QUESTION, text) for text in TEXTS])
    pairs = zip(reader.engine.logits(group, options), torch.engine.logits(group, options), strict=True)
    for (ours, missing), (theirs, wanted) in pairs:
        assert missing == wanted and np.abs(ours - theirs).max() < 1e-3


def test_nothing_heavy_is_imported(whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path) -> None:
    name = str(without_weights(with_graph(whole["electra"], graphs["electra"], tmp_path / "model")))
    code = (
        "import sys\n"
        "from indexing.models.registry import resolve\n"
        "from qa_pipeline.reading.load import load_reader\n"
        f"assert load_reader(resolve({name!r}, 'reader')).read('When?', ['The bridge'])[0].spans\n"
        "print([name for name in ('torch', 'transformers', 'onnx', 'haystack') if name in sys.modules])"
    )
    assert run_child(code) == "[]"


def test_farmreader_reads_with_a_graph_and_does_not_train(
    whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path
) -> None:
    folder = resolve(str(without_weights(with_graph(whole["electra"], graphs["electra"], tmp_path / "model"))), "reader")
    farm = load_farm_reader(folder, use_gpu=False, **OPTIONS)
    close(farm.read(QUESTION, UGLY), load_reader(folder, use_gpu=False, **OPTIONS).read(QUESTION, UGLY))
    with pytest.raises(ModelRefused, match="no weights") as refused:
        farm.train(data_dir=str(tmp_path), train_filename="none.json")
    one_sentence(refused.value)
    with pytest.raises(ModelRefused, match="no weights"):
        load_reader(folder, with_torch=True)


def test_external_data_is_read_also_through_the_links_of_the_hubs_cache(
    whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path
) -> None:
    base = tmp_path / "models--owner--tiny"
    folder = without_weights(with_graph(whole["bert"], graphs["bert"], base / "snapshots" / "a"))
    with_data(folder / "onnx" / "model.onnx")
    (base / "blobs").mkdir()
    for number, file in enumerate(("model.onnx", "model.onnx_data")):
        (folder / "onnx" / file).rename(base / "blobs" / str(number))
        os.symlink(f"../../../blobs/{number}", folder / "onnx" / file)
    found = resolve(str(folder), "reader")
    assert load_reader(found, use_gpu=False).read(QUESTION, TEXTS)[0].spans
    before = found.fingerprint
    with (base / "blobs" / "1").open("r+b") as data:
        data.write(b"\x00\x01\x02\x03")
    assert resolve(str(folder), "reader").fingerprint != before


@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings", "sentence_embedding"])
@pytest.mark.parametrize("types", [True, False])
def test_a_graph_alone_embeds_as_its_weights_do(body: Path, tmp_path: Path, output: str, types: bool) -> None:
    folder = copied(body, tmp_path / "model")
    export_encoder(body, folder / "onnx" / "model.onnx", output, types=types)
    embedder = Embedder(resolve(str(without_weights(folder)), "embedder"))
    assert isinstance(embedder._encoder, OnnxEmbedder) and embedder.dimension == 32
    wanted = load_sentence_transformer(str(body), "cpu").encode(TEXTS)
    content = [row for row, text in enumerate(TEXTS) if text.strip()]
    assert nearness(embedder.passages(TEXTS)[content], wanted[content]) > 1 - 1e-5
    assert engine_of(str(folder)) == "ONNX Runtime, by its model.onnx"


def test_modules_after_the_graph_are_computed(body: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts

    folder = tmp_path / "model"
    modules = [parts.Transformer(str(body), max_seq_length=24), parts.Pooling(32, "cls"), parts.Dense(32, 8)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    wanted = load_sentence_transformer(str(folder), "cpu").encode(TEXTS)
    export_encoder(body, folder / "onnx" / "model.onnx", "token_embeddings")
    embedder = Embedder(resolve(str(without_weights(folder)), "embedder"))
    assert embedder.dimension == 8 and nearness(embedder.passages(TEXTS), wanted) > 1 - 1e-5


# -- a graph beside weights --------------------------------------------------------------------------------------------


def test_a_graph_that_agrees_computes_in_place_of_torch(
    whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path
) -> None:
    name = str(with_graph(whole["electra"], graphs["electra"], tmp_path / "model"))
    folder = resolve(name, "reader")
    reader = load_reader(folder, use_gpu=False, **OPTIONS)
    assert isinstance(reader, WindowReader) and isinstance(reader.engine, OnnxEngine)
    assert load.engine_of(name) == "ONNX Runtime, by its model.onnx"
    torch = load_reader(folder, precision="int8", use_gpu=False, **OPTIONS)
    assert isinstance(torch, WindowReader) and isinstance(torch.engine, TorchEngine)
    assert folder.fingerprint == resolve(str(whole["electra"]), "reader").fingerprint


@pytest.mark.parametrize(
    ("kind", "engine"), [("electra", "torch, because of the architecture electra"), ("bert", "ONNX Runtime")]
)
def test_the_weights_win_over_a_graph_that_differs(whole: dict[str, Path], tmp_path: Path, kind: str, engine: str) -> None:
    other = electra(tmp_path / "other", 8) if kind == "electra" else make_reader(kind, tmp_path / "other", 8)
    name = str(with_graph(whole[kind], export_reader(other, tmp_path / "other.onnx"), tmp_path / "model"))
    reader = load_reader(resolve(name, "reader"), precision="fp32", use_gpu=False, **OPTIONS)
    assert isinstance(reader, WindowReader)
    torch = load_torch_reader(resolve(name, "reader"), SMALL, precision="fp32", use_gpu=False)
    close(without_padding(reader.read(QUESTION, UGLY)), without_padding(torch.read(QUESTION, UGLY)))
    told = load.engine_of(name)
    assert told.startswith(f"{engine}; its model.onnx is not used, because of other outputs than the weights (by ")


def test_an_embedders_graph_is_compared_too(body: Path, tmp_path: Path) -> None:
    other = copied(body, tmp_path / "silu")
    set_json("config.json", hidden_act="silu")(other)
    export_encoder(other, tmp_path / "silu.onnx", "last_hidden_state")
    agreeing = with_graph(other, tmp_path / "silu.onnx", tmp_path / "agreeing")
    assert isinstance(Embedder(resolve(str(agreeing), "embedder"))._encoder, OnnxEmbedder)
    assert engine_of(str(agreeing)) == "ONNX Runtime, by its model.onnx"
    set_json("config.json", hidden_act="relu6")(other)
    differing = with_graph(other, tmp_path / "silu.onnx", tmp_path / "differing")
    assert isinstance(Embedder(resolve(str(differing), "embedder"))._encoder, SentenceTransformerModel)
    assert "the activation relu6; its model.onnx is not used, because of other outputs" in engine_of(str(differing))


# -- what is refused ---------------------------------------------------------------------------------------------------


def rename_output(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "start_logits" else name for name in node.output]
    model.graph.output[0].name = "scores"


def rename_input(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.input[:] = ["position_ids" if name == "token_type_ids" else name for name in node.input]
    next(value for value in model.graph.input if value.name == "token_type_ids").name = "position_ids"


def fix_size(model: onnx.ModelProto) -> None:
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[1].dim_value = 128


def own_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Steal", ["input_ids"], ["stolen"], domain="evil.ops"))
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


def file_operator(model: onnx.ModelProto) -> None:
    node = helper.make_node("EPContext", ["input_ids"], ["stolen"], domain="com.microsoft", ep_cache_context="/etc/passwd")
    inner = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("stolen", TensorProto.FLOAT, [1])])
    model.graph.node.append(helper.make_node("If", ["input_ids"], ["x"], then_branch=inner, else_branch=inner))


def data_at(location: str, length: int = 4) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=location)
        tensor.external_data.add(key="length", value=str(length))
        model.graph.node.append(helper.make_node("Constant", [], ["far"], value=tensor))

    return change


REFUSED: dict[str, Callable[[onnx.ModelProto], None]] = {
    "no output start_logits": rename_output,
    "the input position_ids": rename_input,
    "inputs of a fixed size": fix_size,
    "operators of the domain evil.ops": own_operator,
    "the operator EPContext": file_operator,
    "tensors in '../secret'": data_at("../secret"),
    "tensors in '/etc/passwd'": data_at("/etc/passwd"),
    "tensors in 'model.onnx_data/../../secret'": data_at("model.onnx_data/../../secret"),
    "no readable model.onnx_data": data_at("model.onnx_data"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_graph_that_is_not_taken_is_told_in_one_sentence(
    whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path, reason: str
) -> None:
    folder = with_graph(whole["bert"], graphs["bert"], tmp_path / "model")
    (tmp_path / "secret").write_bytes(b"1234")
    model = onnx.load(folder / "onnx" / "model.onnx")
    REFUSED[reason](model)
    (folder / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    found = resolve(str(without_weights(folder)), "reader")
    with pytest.raises(ModelRefused, match="has no weights, and its model.onnx cannot be used") as refused:
        load_reader(found, use_gpu=False)
    assert reason in one_sentence(refused.value)
    assert load.engine_of(str(folder)).startswith(f"nothing: it has no weights, and its model.onnx has {reason}")


def test_data_that_is_cut_short_is_seen_before_it_is_loaded(graphs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs["bert"].read_bytes())
    with_data(tmp_path / "model.onnx")
    assert read_graph(tmp_path / "model.onnx").precision == "fp32"
    os.truncate(tmp_path / "model.onnx_data", 100)
    with pytest.raises(UnusableGraph, match="cut short"):
        read_graph(tmp_path / "model.onnx")


def test_a_link_out_of_the_folder_and_an_empty_file_are_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = without_weights(copied(whole["bert"], tmp_path / "model"))
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelRefused, match="empty"):
        resolve(str(folder), "reader")
    (folder / "model.onnx").write_bytes(b"no graph at all")
    with pytest.raises(ModelRefused, match="cannot be parsed"):
        load_reader(resolve(str(folder), "reader"), use_gpu=False)
    (tmp_path / "secret").write_bytes(b"1234")
    os.symlink(tmp_path / "secret", folder / "model.onnx_data")
    with pytest.raises(ModelRefused, match="link to a file outside") as refused:
        resolve(str(folder), "reader")
    one_sentence(refused.value)


def test_the_other_kind_is_refused(whole: dict[str, Path], graphs: dict[str, Path], body: Path, tmp_path: Path) -> None:
    reader = without_weights(with_graph(whole["bert"], graphs["bert"], tmp_path / "reader"))
    with pytest.raises(ModelRefused, match="no output sentence_embedding"):
        Embedder(resolve(str(reader), "embedder"))
    export_encoder(body, tmp_path / "body.onnx", "last_hidden_state")
    with pytest.raises(ModelRefused, match="no output start_logits"):
        load_reader(resolve(str(without_weights(with_graph(body, tmp_path / "body.onnx", tmp_path / "body"))), "reader"))


def test_a_quantized_graph_says_so(graphs: dict[str, Path], tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(graphs["bert"], tmp_path / "model.onnx")
    assert read_graph(tmp_path / "model.onnx").precision == "int8"
    logits = GraphEncoder(tmp_path / "model.onnx", ("start_logits", "end_logits"), 0, False).run([2, 5, 3])
    assert logits.shape == (3, 2)


# -- the hub -----------------------------------------------------------------------------------------------------------


def test_what_is_fetched() -> None:
    text = ["config.json", "tokenizer.json"]
    variants = ["onnx/model_quantized.onnx", "onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data", "onnx/run.py"]
    inside = ["onnx/model.onnx", "onnx/model.onnx_data"]
    assert hub.choose([*text, *variants, *inside, "onnx/config.json"]) == sorted([*text, *inside])
    assert hub.choose([*text, *inside, "model.onnx"]) == sorted([*text, "model.onnx"])
    assert hub.choose([*text, *inside, "model.safetensors"]) == sorted([*text, "model.safetensors"])
    assert hub.choose([*text, *inside, "pytorch_model.bin"]) == sorted([*text, "pytorch_model.bin"])
    parts = ["modules.json", "0_Transformer/config.json", "0_Transformer/onnx/model.onnx", "1_Pooling/config.json"]
    assert hub.choose(parts) == sorted(parts)
    static = ["modules.json", "0_StaticEmbedding/model.safetensors", "onnx/model.onnx"]
    assert hub.choose(static) == ["0_StaticEmbedding/model.safetensors", "modules.json"]


def test_a_folder_with_neither_says_so(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = without_weights(copied(whole["bert"], tmp_path / "model"))
    with pytest.raises(ModelMissing, match="no weights .*model.onnx"):
        resolve(str(folder), "reader")


def test_training_needs_weights(whole: dict[str, Path], graphs: dict[str, Path], tmp_path: Path) -> None:
    from qa_pipeline.training.reader.model import load_encoder

    name = str(without_weights(with_graph(whole["bert"], graphs["bert"], tmp_path / "model")))
    with pytest.raises(ModelError, match="no weights") as refused:
        load_encoder(name)
    one_sentence(refused.value)
    assert json.loads((Path(name) / "config.json").read_text())["model_type"] == "bert"

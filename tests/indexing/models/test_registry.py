"""Names and model folders: what is found, what is made safe, what is refused; that nothing in them runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import ModelError, ModelMissing, ModelRefused
from indexing.models import cache
from indexing.models.presets import DEFAULT_EMBEDDER, DEFAULT_READER, PRESETS, Kind
from indexing.models.registry import resolve
from indexing.models.weights import tensor_names
from tests.model_folders import (
    ROOT,
    Change,
    as_pickle,
    copied,
    load_reader,
    one_sentence,
    remove,
    set_json,
    shorten,
    write,
)
from tests.tiny import make_reader, make_xlm

KINDS = ("xlm-roberta", "bert", "distilbert", "xlm")
pytestmark = pytest.mark.usefixtures("own_cache", "hub_cache")


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("readers")
    made = {kind: make_reader(kind, base / kind, seed) for seed, kind in enumerate(KINDS[:3])}
    return {**made, "xlm": make_xlm(base / "xlm", 3, beam=False)}


@pytest.fixture(scope="module")
def embedders(tmp_path_factory: pytest.TempPathFactory, readers: dict[str, Path]) -> dict[str, Path]:
    """A static one, and a transformer with pooling, a dense layer and normalisation."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts
    from tokenizers import Tokenizer
    from transformers import BertModel

    base = tmp_path_factory.mktemp("embedders")
    tokenizer = Tokenizer.from_file(str(readers["xlm-roberta"] / "tokenizer.json"))
    static = SentenceTransformer(modules=[parts.StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    static.save(str(base / "static"))
    shutil.copytree(readers["bert"], base / "body")
    BertModel.from_pretrained(readers["bert"]).save_pretrained(base / "body")
    modules = [
        parts.Transformer(str(base / "body")),
        parts.Pooling(32),
        parts.Dense(32, 4),
        parts.Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(base / "deep"))
    return {"static": base / "static", "deep": base / "deep", "body": base / "body"}


class Payload:
    """Unpickled without care, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.mark, "run")


# -- folders -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_folder_is_itself_and_loads_as_usual(readers: dict[str, Path], kind: str) -> None:
    found = resolve(str(readers[kind]), "reader")
    assert (found.path, found.model_type, found.preset) == (readers[kind], kind, None)
    assert found.prefixes == ("", "") and len(found.fingerprint) == 32
    model, tokenizer = load_reader(found.path)
    assert model.num_parameters() > 0 and tokenizer("the bridge")["input_ids"]


@pytest.mark.parametrize("name", ["static", "deep", "body"])
def test_an_embedder_folder_loads_with_sentence_transformers(embedders: dict[str, Path], name: str) -> None:
    from sentence_transformers import SentenceTransformer

    found = resolve(str(embedders[name]), "embedder")
    assert found.path == embedders[name]
    assert found.model_type == ("static" if name == "static" else "bert")
    vectors = SentenceTransformer(str(found.path), device="cpu", local_files_only=True).encode(["the bridge"])
    assert vectors.shape[0] == 1


def test_the_fingerprint_is_of_what_decides(readers: dict[str, Path], tmp_path: Path) -> None:
    known = resolve(str(readers["bert"]), "reader").fingerprint
    folder = copied(readers["bert"], tmp_path / "elsewhere")
    (folder / "README.md").write_text("changed", "utf-8")
    (folder / "nbest_predictions_.json").write_text("not json", "utf-8")
    assert resolve(str(folder), "reader").fingerprint == known
    for file in ("config.json", "tokenizer.json"):
        path = folder / file
        path.write_bytes(path.read_bytes() + b"\n")
        changed = resolve(str(folder), "reader").fingerprint
        assert changed != known
        known = changed
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert resolve(str(folder), "reader").fingerprint != known


def test_large_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (cache.SMALL + 1))
    monkeypatch.setattr(cache, "SETTLED_NS", -1)
    first = cache.digest(path)
    monkeypatch.setattr(cache, "_hashed", lambda path: pytest.fail("hashed again"))
    assert cache.digest(path) == first
    monkeypatch.undo()
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "cache"))
    before = path.stat()
    path.write_bytes(b"y" + b"x" * cache.SMALL)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.digest(path) != first


def test_a_python_file_beside_is_let_be(readers: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "modeling_bert.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", "utf-8")
    load_reader(resolve(str(folder), "reader").path)
    assert not (tmp_path / "ran").exists()


CODE: list[tuple[str, Change]] = [
    ("auto_map", set_json("config.json", auto_map={"AutoModel": "modeling.Own"})),
    ("auto_map", set_json("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokens.Own", None]})),
    ("trust_remote_code", set_json("config.json", trust_remote_code=True)),
    ("trust_remote_code", set_json("sentence_bert_config.json", model_args={"trust_remote_code": True})),
    ("custom_pipelines", set_json("config.json", custom_pipelines={"qa": {"impl": "own.Pipeline"}})),
    ("_attn_implementation_internal", set_json("config.json", _attn_implementation_internal="owner/kernel")),
    ("_attn_implementation", set_json("config.json", text_config=[{"_attn_implementation": "owner/kernel"}])),
    ("adapter", write("adapter_config.json", b"{}")),
    ("unpickled", write("prediction_head_0.bin", b"")),
]


@pytest.mark.parametrize(("words", "change"), CODE, ids=[words for words, _ in CODE])
@pytest.mark.parametrize("kind", ["reader", "embedder"])
def test_what_would_run_code_is_refused(
    readers: dict[str, Path],
    embedders: dict[str, Path],
    tmp_path: Path,
    words: str,
    change: Change,
    kind: Kind,
) -> None:
    folder = copied(readers["bert"] if kind == "reader" else embedders["deep"], tmp_path / "model")
    change(folder)
    with pytest.raises(ModelRefused, match=words) as refused:
        resolve(str(folder), kind)
    one_sentence(refused.value)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ({"type": "os.system"}, "os.system"),
        ({"type": "own.Transformer"}, "own.Transformer"),
        ({"type": "sentence_transformers_evil.Transformer"}, "evil"),
        ({"type": "sentence_transformers.util.os.System"}, "System"),
        ({"type": "sentence_transformers.models.WordEmbeddings"}, "WordEmbeddings"),
        ({"type": None}, "None"),
        ({"path": "../elsewhere"}, "outside"),
        ({"path": "/etc"}, "outside"),
        ({"path": 3}, "outside"),
    ],
)
def test_modules_from_elsewhere_are_refused(
    embedders: dict[str, Path], tmp_path: Path, module: dict[str, Any], words: str
) -> None:
    folder = copied(embedders["deep"], tmp_path / "model")
    listed = json.loads((folder / "modules.json").read_text("utf-8"))
    listed[-1] |= module
    (folder / "modules.json").write_text(json.dumps(listed), "utf-8")
    with pytest.raises(ModelRefused, match=words) as refused:
        resolve(str(folder), "embedder")
    one_sentence(refused.value)


def test_a_function_that_is_not_torchs_is_refused(embedders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(embedders["deep"], tmp_path / "model")
    set_json("config.json", activation_function="torch.hub.load")(folder / "2_Dense")
    with pytest.raises(ModelRefused, match="torch.hub.load"):
        resolve(str(folder), "embedder")


SHARDS = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
OUTSIDE = json.dumps({"weight_map": {"a": "../model.safetensors"}}).encode()
BROKEN: list[tuple[type[ModelError], str, Change]] = [
    (ModelMissing, "no config.json", remove("config.json")),
    (ModelRefused, "not readable JSON", write("config.json", b'{"model_type": ')),
    (ModelRefused, "not readable JSON", write("config.json", b"\xff\xfe{}")),
    (ModelRefused, "not readable JSON", write("config.json", b"[" * 100_000)),
    (ModelRefused, "not a JSON object", write("config.json", b"[]")),
    (ModelRefused, "model_type", write("config.json", b"{}")),
    (ModelRefused, "model_type", set_json("config.json", model_type=3)),
    (ModelMissing, "no tokenizer", remove("tokenizer.json")),
    (ModelRefused, "tokenizer.json .* cut short", shorten("tokenizer.json")),
    (ModelMissing, "no weights", remove("model.safetensors")),
    (ModelRefused, "cut short", shorten("model.safetensors")),
    (ModelRefused, "cut short", shorten("model.safetensors", 0.001)),
    (ModelRefused, "cut short", write("model.safetensors", b"")),
    (ModelRefused, "cut short", write("model.safetensors", b"\xff" * 100)),
    (ModelRefused, "cut short", write("model.safetensors", (2).to_bytes(8, "little") + b"[]")),
]
SHARDED: list[tuple[type[ModelError], str, Change]] = [
    (ModelMissing, "lacks model-00001", write("model.safetensors.index.json", SHARDS)),
    (ModelRefused, "no weight file beside", write("model.safetensors.index.json", OUTSIDE)),
    (ModelRefused, "no readable list", write("model.safetensors.index.json", b"{}")),
    (ModelRefused, "lists no weight", write("model.safetensors.index.json", b'{"weight_map": {}}')),
]


@pytest.mark.parametrize(("error", "words", "change"), BROKEN)
def test_what_is_not_whole_is_told_in_one_sentence(
    readers: dict[str, Path], tmp_path: Path, error: type[ModelError], words: str, change: Change
) -> None:
    folder = copied(readers["distilbert"], tmp_path / "model")
    for path in folder.glob("vocab.*"):
        path.unlink()
    change(folder)
    with pytest.raises(error, match=words) as found:
        resolve(str(folder), "reader")
    one_sentence(found.value)


@pytest.mark.parametrize(("error", "words", "change"), SHARDED)
def test_a_list_of_shards_is_not_trusted(
    readers: dict[str, Path], tmp_path: Path, error: type[ModelError], words: str, change: Change
) -> None:
    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    change(folder)
    with pytest.raises(error, match=words) as found:
        resolve(str(folder), "reader")
    one_sentence(found.value)


def test_shards_of_safetensors_are_read(readers: dict[str, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForQuestionAnswering

    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    AutoModelForQuestionAnswering.from_pretrained(readers["bert"]).save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    load_reader(resolve(str(folder), "reader").path)


def test_readers_and_embedders_are_not_taken_for_each_other(readers: dict[str, Path], embedders: dict[str, Path]) -> None:
    wrong: list[tuple[str, Kind, str]] = [
        (str(readers["bert"]), "embedder", "is a reader"),
        (str(embedders["deep"]), "reader", "is an embedder"),
        (str(embedders["body"]), "reader", "no question answering head"),
        (DEFAULT_EMBEDDER, "reader", "e5-small is an embedder, not a reader"),
        (PRESETS["reader", DEFAULT_READER].model, "embedder", "is a reader, not an embedder"),
    ]
    for name, kind, words in wrong:
        with pytest.raises(ModelRefused, match=words) as refused:
            resolve(name, kind)
        one_sentence(refused.value)


# -- pickles -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_tensors_becomes_safetensors(readers: dict[str, Path], tmp_path: Path, kind: str) -> None:
    import torch

    folder = as_pickle(readers[kind], tmp_path / "old", legacy=kind in ("xlm", "bert"))
    found = resolve(str(folder), "reader")
    assert found.path == tmp_path / "cache" / f"converted-{found.fingerprint[:12]}"
    assert not list(found.path.glob("*.bin"))
    model, _ = load_reader(found.path)
    expected, _ = load_reader(readers[kind])
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), expected.parameters(), strict=True))
    stamp = (found.path / "model.safetensors").stat().st_mtime_ns
    assert resolve(str(folder), "reader") == found
    assert (found.path / "model.safetensors").stat().st_mtime_ns == stamp


def test_shared_and_sharded_pickles(readers: dict[str, Path], tmp_path: Path) -> None:
    import torch

    folder = as_pickle(readers["bert"], tmp_path / "old")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    names = sorted(weights)
    first = {name: weights[name] for name in names[:3]} | {
        "twin": weights[names[0]],
        "turned": weights[names[1]].t(),
    }
    torch.save(first, folder / "one.bin")
    torch.save({name: weights[name] for name in names[3:]}, folder / "two.bin")
    table = {name: "one.bin" if name in first else "two.bin" for name in [*names, "twin", "turned"]}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": table}), "utf-8")
    path = resolve(str(folder), "reader").path
    assert set(tensor_names(path / "model.safetensors")) == set(table)


def test_modules_with_pickles_are_converted_whole(embedders: dict[str, Path], tmp_path: Path) -> None:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    folder = copied(embedders["deep"], tmp_path / "old")
    shutil.rmtree(folder / "2_Dense")
    as_pickle(embedders["deep"] / "2_Dense", folder / "2_Dense")
    found = resolve(str(folder), "embedder")
    assert found.path != folder and not list(found.path.rglob("*.bin"))
    ours, theirs = (SentenceTransformer(str(path), device="cpu") for path in (found.path, embedders["deep"]))
    assert np.array_equal(ours.encode(["the bridge"]), theirs.encode(["the bridge"]))


@pytest.mark.parametrize("place", ["", "2_Dense", "shard"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_with_a_payload_is_refused_and_never_run(
    readers: dict[str, Path], embedders: dict[str, Path], tmp_path: Path, place: str, protocol: int
) -> None:
    import torch

    mark = tmp_path / "ran"
    folder = copied(embedders["deep"] if place == "2_Dense" else readers["bert"], tmp_path / "model")
    inside = folder / ("2_Dense" if place == "2_Dense" else "")
    (inside / "model.safetensors").unlink()
    bad = inside / ("evil.bin" if place == "shard" else "pytorch_model.bin")
    if protocol == 2:
        torch.save({"weight": Payload(mark)}, bad)
    else:
        bad.write_bytes(pickle.dumps({"weight": Payload(mark)}, protocol=protocol))
    if place == "shard":
        index = json.dumps({"weight_map": {"weight": "evil.bin"}})
        (folder / "pytorch_model.bin.index.json").write_text(index, "utf-8")
    with pytest.raises(ModelRefused, match="not loaded") as refused:
        resolve(str(folder), "embedder" if place == "2_Dense" else "reader")
    one_sentence(refused.value)
    assert not mark.exists()
    assert not [path for path in (tmp_path / "cache").glob("*converted*") if path.suffix != ".lock"]


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04broken"])
def test_a_pickle_that_cannot_be_read_is_refused(readers: dict[str, Path], tmp_path: Path, content: bytes) -> None:
    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelRefused) as refused:
        resolve(str(folder), "reader")
    one_sentence(refused.value)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {1: None}])
def test_a_pickle_of_something_else_is_refused(readers: dict[str, Path], tmp_path: Path, value: Any) -> None:
    import torch

    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save(value, folder / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match="not a plain table") as refused:
        resolve(str(folder), "reader")
    one_sentence(refused.value)


def test_a_converted_embedder_is_not_taken_for_a_reader(embedders: dict[str, Path], tmp_path: Path) -> None:
    folder = as_pickle(embedders["body"], tmp_path / "old")
    with pytest.raises(ModelRefused, match="no question answering head"):
        resolve(str(folder), "reader")


# -- names ---------------------------------------------------------------------------------------------------
def test_presets_are_complete() -> None:
    assert ("reader", DEFAULT_READER) in PRESETS and ("embedder", DEFAULT_EMBEDDER) in PRESETS
    for (kind, name), preset in PRESETS.items():
        assert (preset.kind, preset.name) == (kind, name)
        assert all((preset.licence, preset.languages, preset.parameters, preset.trained_on, preset.about))
        assert (preset.max_seq_len > preset.doc_stride > 0) == (kind == "reader")
        assert ("e5" in name) == (preset.query_prefix == "query: ") == (preset.passage_prefix == "passage: ")


def test_every_preset_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "reference" / "models.md").read_text("utf-8")
    for preset in PRESETS.values():
        assert f"`{preset.name}`" in text and preset.model in text and preset.licence in text


def test_relative_folders(readers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(readers["bert"], tmp_path / "owner" / "mine")
    monkeypatch.chdir(tmp_path / "owner")
    for name in ("mine", "./mine", "../owner/mine", str(tmp_path / "owner" / "mine")):
        assert resolve(name, "reader").path.resolve() == (tmp_path / "owner" / "mine").resolve()
        assert resolve(name, "reader").name == name
    monkeypatch.chdir(tmp_path)
    assert resolve("owner/mine", "reader").path == tmp_path / "owner" / "mine"
    monkeypatch.setenv("HOME", str(tmp_path / "owner"))
    assert resolve("~/mine", "reader").path == tmp_path / "owner" / "mine"


def test_a_folder_without_a_model_does_not_hide_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "builtin").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("builtin", "reader").preset == PRESETS["reader", "builtin"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xlmr-squad", "near: xlmr-squad2"),
        ("deepset_xlm-roberta-base-squad2", "near: deepset/xlm-roberta-base-squad2"),
        ("", "no reader called ''"),
        ("  ", "no reader"),
        ("a\0b", "no reader"),
        ("x" * 5_000, "no reader"),
        ("owner/name/more", "no reader"),
        ("owner/../name", "no reader"),
        ("owner/a--b", "no reader"),
        ("https://example.org/model", "no reader"),
        ("/nowhere/at-all", "no folder /nowhere/at-all"),
        ("./nowhere", "no folder ./nowhere"),
        ("owner/name", "offline"),
        ("owner/name@v1.0", "offline"),
    ],
)
def test_names_that_are_nothing(name: str, words: str) -> None:
    with pytest.raises(ModelMissing, match=words) as missing:
        resolve(name, "reader")
    message = one_sentence(missing.value)
    assert "no folder" in words or ("`docqa models`" in message and "--reader builtin" in message)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelMissing, match="no folder"):
        resolve(str(tmp_path / "model.safetensors"), "reader")


@pytest.mark.parametrize(
    ("name", "prompts", "expected"),
    [
        ("my-multilingual-e5", {}, ("query: ", "passage: ")),
        ("mE5_small", {}, ("query: ", "passage: ")),
        ("e5/own", {}, ("", "")),
        ("ME5-small", {}, ("query: ", "passage: ")),
        ("type5", {}, ("", "")),
        ("e5-own", {"query": "Q: ", "document": "D: "}, ("Q: ", "D: ")),
        ("own", {"query": "Q: ", "passage": "P: "}, ("Q: ", "P: ")),
        ("own", {"query": "Q: "}, ("Q: ", "")),
        ("own", {"classification": "C: "}, ("", "")),
    ],
)
def test_prefixes(
    embedders: dict[str, Path], tmp_path: Path, name: str, prompts: dict[str, str], expected: tuple[str, str]
) -> None:
    folder = copied(embedders["static"], tmp_path / name)
    set_json("config_sentence_transformers.json", prompts=prompts)(folder)
    assert resolve(str(folder), "embedder").prefixes == expected

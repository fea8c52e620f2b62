"""Names and model folders: what is found, what is made safe, what is refused; that nothing in them runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from indexing import cache, hub, models
from indexing.errors import ModelError, ModelMissing, ModelRefused, SettingError
from indexing.models import (
    DEFAULT_EMBEDDER,
    DEFAULT_READER,
    PRESETS,
    Kind,
    available,
    builtin_tokenizer,
    resolve,
)
from indexing.weights import tensor_names
from tests.tiny import make_reader, make_xlm

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("xlm-roberta", "bert", "distilbert", "xlm")
SHA = "0123456789abcdef0123456789abcdef01234567"
Change = Callable[[Path], Any]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


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


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def set_json(file: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        old = json.loads((folder / file).read_text("utf-8")) if (folder / file).is_file() else {}
        (folder / file).write_text(json.dumps({**old, **values}), "utf-8")

    return change


def write(file: str, content: bytes) -> Change:
    return lambda folder: (folder / file).write_bytes(content)


def remove(*files: str) -> Change:
    def change(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return change


def shorten(file: str, part: float = 0.7) -> Change:
    return lambda folder: os.truncate(folder / file, int((folder / file).stat().st_size * part))


def one_sentence(error: BaseException) -> str:
    message = str(error)
    assert message.endswith(".") and "\n" not in message and "Traceback" not in message and len(message) < 500
    return message


def as_pickle(folder: Path, target: Path, *, legacy: bool = False) -> Path:
    """A copy whose weights are a pytorch_model.bin, of before 2020 if `legacy`."""
    import torch
    from safetensors.torch import load_file

    copied(folder, target)
    weights = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    torch.save(weights, target / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    return target


def load_reader(path: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    model = AutoModelForQuestionAnswering.from_pretrained(path, local_files_only=True, use_safetensors=True)
    return model, AutoTokenizer.from_pretrained(path, local_files_only=True)


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
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
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


# -- the hub -------------------------------------------------------------------------------------------------
def into_hub_cache(hub_cache: Path, repo: str, folder: Path) -> Path:
    base = hub_cache / f"models--{repo.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(SHA, "utf-8")
    return copied(folder, base / "snapshots" / SHA)


def test_a_preset_in_the_hubs_cache_is_used(embedders: dict[str, Path], hub_cache: Path) -> None:
    preset = PRESETS["embedder", "e5-small"]
    snapshot = into_hub_cache(hub_cache, preset.model, embedders["deep"])
    for name in ("e5-small", preset.model, f"{preset.model}@main", f"{preset.model}@{SHA}"):
        found = resolve(name, "embedder", offline=True)
        assert (found.path, found.preset, found.name) == (snapshot, preset, name)
        assert found.prefixes == ("query: ", "passage: ")
    states = {(p.kind, p.name): (here, why) for p, here, why in available()}
    assert states["embedder", "e5-small"] == (True, "") and states["reader", "builtin"] == (True, "")
    assert states["reader", "xlmr-squad2"] == (False, "not downloaded")
    assert list(states) == list(PRESETS)


def test_a_model_with_two_hub_ids_is_found_by_either(
    readers: dict[str, Path], hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    preset = PRESETS["reader", "distilbert-tydiqa"]
    monkeypatch.setattr(models, "download", lambda repo, _: _only(repo, preset.model, readers["bert"]))
    for name in (preset.name, preset.model, *preset.also):
        found = resolve(name, "reader", offline=False)
        assert (found.name, found.preset, found.path) == (name, preset, readers["bert"])
    snapshot = into_hub_cache(hub_cache, preset.also[0], readers["bert"])
    for name in (preset.name, preset.model, *preset.also):
        assert resolve(name, "reader", offline=True).path == snapshot


def _only(repo: str, there: str, folder: Path) -> Path:
    if repo != there:
        raise ModelMissing(f"The hub has no model {repo}.")
    return folder


def test_a_download_that_was_cut_off_is_not_taken_for_the_model(readers: dict[str, Path], hub_cache: Path) -> None:
    snapshot = into_hub_cache(hub_cache, PRESETS["reader", DEFAULT_READER].model, readers["bert"])
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ModelMissing, match="no weights"):
        resolve(DEFAULT_READER, "reader", offline=True)
    assert dict((p.name, why) for p, _, why in available() if p.kind == "reader")[DEFAULT_READER]


@pytest.mark.parametrize("variable", ["DOCQA_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    for name in ("DOCQA_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(models, "download", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(ModelMissing, match="offline"):
        resolve(DEFAULT_READER, "reader")


def test_offline_is_cast_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_OFFLINE", "maybe")
    with pytest.raises(SettingError, match="DOCQA_OFFLINE is 'maybe'"):
        resolve(DEFAULT_READER, "reader")


def test_online_asks_the_hub(readers: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def ask(repo: str, revision: str | None) -> Path:
        asked.append((repo, revision))
        return readers["bert"]

    monkeypatch.setenv("DOCQA_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(models, "download", ask)
    assert resolve("owner/name@v1", "reader").path == readers["bert"]
    assert resolve(DEFAULT_READER, "reader").preset == PRESETS["reader", DEFAULT_READER]
    assert asked == [("owner/name", "v1"), ("deepset/xlm-roberta-base-squad2", None)]


def test_each_failure_of_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests
    from huggingface_hub import errors

    answer = requests.Response()
    answer.status_code = 403
    failures: list[tuple[Exception, str]] = [
        (errors.GatedRepoError("no", response=answer), "gated"),
        (errors.RepositoryNotFoundError("no", response=answer), "no model owner/name"),
        (errors.RevisionNotFoundError("no", response=answer), "no revision v9"),
        (errors.HfHubHTTPError("503 Server Error", response=answer), "503"),
        (errors.OfflineModeIsEnabled("no"), "HF_HUB_OFFLINE"),
        (requests.ConnectionError("long\nand technical"), "cannot be reached"),
        (requests.Timeout("slow"), "cannot be reached"),
        (OSError(28, "No space left on device", "/hub"), "No space left"),
    ]
    for error, words in failures:

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr("huggingface_hub.HfApi.model_info", fail)
        with pytest.raises(ModelMissing, match=words) as missing:
            resolve("owner/name@v9", "embedder", offline=False)
        assert "--embedder builtin" in one_sentence(missing.value)


def test_a_silent_network_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    monkeypatch.setattr(hub, "SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: hold.wait(20))
    start = time.perf_counter()
    with pytest.raises(ModelMissing, match="cannot be reached"):
        resolve("owner/name", "reader", offline=False)
    hold.set()
    assert time.perf_counter() - start < 5


def test_what_is_chosen_from_a_repository() -> None:
    rest = [
        "README.md",
        ".gitattributes",
        "run.py",
        "onnx/model.onnx",
        "tf_model.h5",
        "flax_model.msgpack",
        "training_args.bin",
        "nbest_predictions_.json",
        "rust_model.ot",
        "openvino/openvino_model.bin",
    ]
    wanted = ["config.json", "tokenizer.json", "sentencepiece.bpe.model", "vocab.txt", "modules.json"]
    assert hub.choose([*rest, *wanted, "pytorch_model.bin"]) == sorted([*wanted, "pytorch_model.bin"])
    safe = [*wanted, "model.safetensors", "1_Pooling/config.json", "2_Dense/pytorch_model.bin"]
    assert hub.choose([*rest, *safe, "pytorch_model.bin"]) == sorted(safe)
    shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert hub.choose([*shards, "pytorch_model.bin.index.json", "a/b/config.json"]) == sorted(shards)


class Hub(BaseHTTPRequestHandler):
    """One repository, served as the hub does."""

    folder: Path
    fetched: list[str]

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def log_message(self, *_: Any) -> None:
        return

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/owner/tiny"):
            files = [{"rfilename": p.relative_to(self.folder).as_posix()} for p in self.folder.rglob("*") if p.is_file()]
            body = json.dumps({"id": "owner/tiny", "sha": SHA, "siblings": files}).encode()
        elif path.startswith(f"/owner/tiny/resolve/{SHA}/"):
            name = path.removeprefix(f"/owner/tiny/resolve/{SHA}/")
            body = (self.folder / name).read_bytes()
            self.fetched.append(name)
        else:
            self.send_error(404)
            return
        self.send_response(200)
        for key, value in {
            "Content-Length": len(body),
            "ETag": f'"{hash(body)}"',
            "X-Repo-Commit": SHA,
        }.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body if with_body else b"")


@pytest.fixture
def served(readers: dict[str, Path], tmp_path: Path) -> Iterator[tuple[str, type[Hub]]]:
    folder = copied(readers["bert"], tmp_path / "served")
    for extra in ("pytorch_model.bin", "evil.py", "tf_model.h5"):
        (folder / extra).write_bytes(b"never")
    handler = type("Served", (Hub,), {"folder": folder, "fetched": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def run_child(code: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_a_download_fetches_what_is_loaded_and_no_more(served: tuple[str, type[Hub]], tmp_path: Path) -> None:
    address, handler = served
    code = "from indexing.models import resolve; print(resolve('owner/tiny', 'reader').path)"
    online = {
        "HF_HUB_OFFLINE": "0",
        "DOCQA_OFFLINE": "0",
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_CACHE": str(tmp_path / "home" / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "no_proxy": "*",
    }
    path = Path(run_child(code, **online))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(handler.fetched)
    assert not [name for name in handler.fetched if name.endswith((".py", ".bin", ".h5"))]
    load_reader(path)
    count = len(handler.fetched)
    assert Path(run_child(code, **{**online, "DOCQA_OFFLINE": "1"})) == path and len(handler.fetched) == count


# -- the built-in models -------------------------------------------------------------------------------------
def test_the_builtin_reader_is_an_ordinary_folder(own_cache: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file

    found = resolve("builtin", "reader")
    assert found.path == own_cache / f"builtin-{found.fingerprint[:12]}" / "reader"
    assert (found.model_type, found.preset) == ("xlm-roberta", PRESETS["reader", "builtin"])
    stored = load_file(models.PACKAGED / "reader" / "model.small.safetensors")
    wide = load_file(found.path / "model.safetensors")
    name = next(name.removesuffix(".int8") for name in stored if name.endswith(".int8"))
    assert np.array_equal(wide[name], stored[f"{name}.int8"] * stored[f"{name}.scale"][:, None])
    assert all(tensor.dtype == np.float32 for tensor in wide.values())
    model, tokenizer = load_reader(found.path)
    assert 45_000_000 < model.num_parameters() < 46_000_000 and tokenizer.is_fast


def test_the_builtin_embedder_loads_with_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    found = resolve("builtin", "embedder")
    assert (found.model_type, found.prefixes) == ("static", ("", ""))
    model = SentenceTransformer(str(found.path), device="cpu", local_files_only=True)
    one, same, other = model.encode(["the bridge over the river", "die Brücke über den Fluss", "tax law"])
    assert one.shape == (384,) and model.similarity(one, same) > model.similarity(one, other)


@pytest.mark.parametrize("harm", ["shorten", "flip", "extra", "missing", "manifest"])
def test_a_harmed_cache_is_made_again(harm: str) -> None:
    path = resolve("builtin", "embedder").path
    weights = path / "model.safetensors"
    whole, before = weights.read_bytes(), weights.stat()
    if harm == "flip":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif harm == "manifest":
        (path / cache.MANIFEST).write_text("{", "utf-8")
    else:
        {"shorten": shorten("model.safetensors"), "missing": remove("tokenizer.json"),
         "extra": write("extra.json", b"{}")}[harm](path)  # fmt: skip
    again = resolve("builtin", "embedder").path
    assert again == path and weights.read_bytes() == whole and cache.sound(path)
    assert sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock")) == ["embedder"]


def test_two_processes_at_once(tmp_path: Path) -> None:
    code = "from indexing.models import resolve; print(resolve('builtin', 'embedder').path)"
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: run_child(code), range(3)))
    assert len(paths) == 1 and cache.sound(Path(paths.pop()))


def test_left_overs_of_a_killed_process_are_cleared(own_cache: Path) -> None:
    left = resolve("builtin", "embedder").path.parent / ".embedder-killed"
    left.mkdir()
    shorten("model.safetensors")(left.parent / "embedder")
    resolve("builtin", "embedder")
    assert not left.exists()


def test_without_a_place_to_write_a_private_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "file" / "cache"))
    folder = models.cache_folder()
    assert folder == models.cache_folder() and folder.is_dir() and folder.stat().st_mode & 0o077 == 0
    assert resolve("builtin", "embedder").path.is_relative_to(folder)
    made = run_child("from indexing.models import cache_folder; print(cache_folder())")
    assert not Path(made).exists()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DOCQA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert models.cache_folder() == tmp_path / "xdg" / "docqa"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert models.cache_folder() == tmp_path / "home" / ".cache" / "docqa"


def test_a_cache_made_before_is_used_where_it_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    path = resolve("builtin", "embedder").path
    monkeypatch.setattr(cache, "_writable", lambda folder: False)
    assert resolve("builtin", "embedder").path == path


def test_no_room_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models, "widen", full)
    with pytest.raises(ModelMissing, match="No space left on device") as missing:
        resolve("builtin", "embedder")
    one_sentence(missing.value)


def test_an_installation_without_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "PACKAGED", tmp_path)
    with pytest.raises(ModelMissing, match="without its built-in reader") as missing:
        resolve("builtin", "reader")
    one_sentence(missing.value)
    assert {here for preset, here, _ in available() if preset.name == "builtin"} == {False}


def test_the_builtin_tokenizer_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_tokenizer", [])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: builtin_tokenizer(), range(16)))
    assert len({id(tokenizer) for tokenizer in found}) == 1
    assert found[0].padding is None and found[0].truncation is None
    assert len(found[0].encode("bridge " * 2_000, add_special_tokens=False)) >= 2_000


def test_importing_is_light() -> None:
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'numpy', 'safetensors', 'tokenizers'}"
    assert run_child(f"import sys, indexing.models; print(sorted({heavy} & set(sys.modules)))") == "[]"

"""What a model folder must not hold: code, modules from elsewhere, and files that are not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import ModelError, ModelMissing, ModelRefused
from indexing.models.presets import Kind
from indexing.models.registry import resolve
from tests.model_folders import (
    Change,
    copied,
    one_sentence,
    remove,
    set_json,
    shorten,
    write,
)

pytestmark = pytest.mark.usefixtures("own_cache", "hub_cache")


# -- code --------------------------------------------------------------------------------------------------------------


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


# -- files that are not whole ------------------------------------------------------------------------------------------


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

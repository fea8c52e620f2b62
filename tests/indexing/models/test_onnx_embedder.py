"""ONNX Runtime gives sentence-transformers' vectors, for every architecture and pooling, and says where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.errors import SettingError
from indexing.models import onnx_export
from indexing.models.conversion import FAILED
from indexing.models.embedder import VARIABLE, Embedder, engine_of, unit
from indexing.models.onnx_embedder import BLOCK, OnnxEmbedder
from indexing.models.onnx_export import CHECKED
from indexing.models.registry import ModelFolder, resolve
from indexing.models.sentence_transformer import SentenceTransformerModel, load_sentence_transformer
from indexing.normal_form import normal_form
from tests.known import SCRIPTS
from tests.model_folders import copied, run_child, set_json
from tests.tiny import LONG, UGLY, make_reader

TEXTS = [text for text in UGLY if text != "a" * 3_000]
ROOT = Path(__file__).resolve().parents[3]


def saved(into: Path, body: Path, *modules: Any, **transformer: Any) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts

    SentenceTransformer(modules=[parts.Transformer(str(body), **transformer), *modules], device="cpu").save(str(into))
    return into


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Encoders without a head."""
    from transformers import AutoModel, AutoTokenizer

    home, made = tmp_path_factory.mktemp("bodies"), {}
    for seed, kind in enumerate(("xlm-roberta", "bert", "distilbert")):
        reader = make_reader(kind, home / f"{kind}-reader", seed)
        AutoModel.from_pretrained(reader).save_pretrained(home / kind)
        AutoTokenizer.from_pretrained(reader).save_pretrained(home / kind)
        made[kind] = home / kind
    return made


@pytest.fixture(scope="module")
def folders(bodies: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Embedders that docqa computes itself."""
    import torch
    from sentence_transformers import models as parts

    home, dense = tmp_path_factory.mktemp("embedders"), parts.Dense
    xlmr, bert, distilbert = (bodies[kind] for kind in ("xlm-roberta", "bert", "distilbert"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        no_bias = dense(32, 40, bias=False, activation_function=torch.nn.Identity())
        saved(home / "mean-unit", xlmr, parts.Pooling(32), parts.Normalize())
        saved(home / "cls-dense", bert, parts.Pooling(32, "cls"), dense(32, 8))
        saved(home / "mean-dense-unit", distilbert, parts.Pooling(32), no_bias, parts.Normalize(), max_seq_length=20)
        saved(home / "lower-cls", xlmr, parts.Pooling(32, "cls"), max_seq_length=24, do_lower_case=True)
    return {path.name: path for path in (*home.iterdir(), older(home / "older-e5", bert))} | {"plain": xlmr}


def older(into: Path, body: Path) -> Path:
    """The layout of earlier releases of sentence-transformers, with the encoder in a subfolder."""
    copied(body, into / "0_Transformer")
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    modules = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(modules)
    ]
    (into / "1_Pooling").mkdir()
    (into / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (into / "modules.json").write_text(json.dumps(listed))
    (into / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 16, "do_lower_case": false}')
    return into


KINDS = ("mean-unit", "cls-dense", "mean-dense-unit", "lower-cls", "older-e5", "plain")


def nearness(ours: Any, theirs: Any) -> float:
    return float((unit(ours) * unit(theirs)).sum(axis=1).min())


@pytest.mark.parametrize("kind", KINDS)
def test_the_vectors_are_those_of_sentence_transformers(folders: Mapping[str, Path], kind: str) -> None:
    """Of scripts, odd characters, the empty text, and texts that are truncated with their special tokens."""
    embedder, whole = Embedder.load(str(folders[kind])), load_sentence_transformer(str(folders[kind]), "cpu")
    assert isinstance(embedder._encoder, OnnxEmbedder) and embedder.dimension == whole.get_embedding_dimension()
    texts = [*TEXTS, "BRIDGES of Steel", f"{LONG} {LONG} {LONG}"]
    ours, theirs = embedder._encoder.encode(texts), whole.encode(texts)
    assert ours.dtype == np.float32 and np.abs(ours - theirs).max() < 1e-4
    assert nearness(ours, theirs) > 1 - 1e-5
    assert len(whole.tokenize([LONG * 3])["input_ids"][0]) == len(embedder._encoder._tokenizer.encode(LONG * 3).ids)
    for prefix, of in zip(
        resolve(str(folders[kind]), "embedder").prefixes, (embedder.questions, embedder.passages), strict=True
    ):
        assert nearness(of(texts), whole.encode([prefix + normal_form(text) for text in texts])) > 1 - 1e-5
    assert embedder.passages([]).shape == (0, embedder.dimension)
    assert engine_of(str(folders[kind])) == "ONNX Runtime"


def test_e5_has_its_prefixes(folders: Mapping[str, Path]) -> None:
    embedder, whole = Embedder.load(str(folders["older-e5"])), load_sentence_transformer(str(folders["older-e5"]), "cpu")
    for of, prefix in ((embedder.questions, "query: "), (embedder.passages, "passage: ")):
        assert nearness(of(["bridge"]), whole.encode([f"{prefix}bridge"])) > 1 - 1e-5
    assert nearness(embedder.questions(["bridge"]), whole.encode(["bridge"])) < 0.999


@pytest.mark.parametrize("kind", ["mean-unit", "cls-dense"])
def test_int8_gives_nearly_the_same(folders: Mapping[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*SCRIPTS.values(), LONG]
    whole = Embedder.load(str(folders[kind])).passages(texts)
    monkeypatch.setenv(VARIABLE, "int8")
    less = Embedder.load(str(folders[kind])).passages(texts)
    assert not np.array_equal(whole, less) and nearness(whole, less) > 0.99


def test_order_and_blocks_do_not_matter(folders: Mapping[str, Path]) -> None:
    embedder = Embedder.load(str(folders["plain"]))
    texts = ["bridge " * (n % 7) + str(n) for n in range(BLOCK + 3)]
    together = embedder.passages(texts)
    for at in (0, 5, BLOCK - 1, BLOCK, BLOCK + 2):
        assert np.allclose(embedder.passages([texts[at]])[0], together[at], atol=1e-6)


def test_the_precision_is_one_of_four(folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match="int4"):
        Embedder(resolve(str(folders["plain"]), "embedder"), precision="int4")
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(SettingError, match=VARIABLE):
        Embedder.load("builtin")
    monkeypatch.setenv(VARIABLE, " ")
    assert Embedder.load("builtin").static is not None


def test_nothing_heavy_is_imported(folders: Mapping[str, Path], tmp_path: Path) -> None:
    """Neither when the model is converted, in a child process, nor when it is used."""
    code = (
        "import sys\n"
        "from indexing.models.embedder import Embedder, engine_of\n"
        f"name = {str(folders['cls-dense'])!r}\n"
        "for precision in ('auto', 'auto'):\n"
        "    assert Embedder.load(name).passages(['The bridge', '']).shape == (2, 8)\n"
        "assert engine_of(name) == 'ONNX Runtime'\n"
        "print([n for n in ('torch', 'transformers', 'sentence_transformers', 'scipy', 'sklearn') if n in sys.modules])"
    )
    assert run_child(code, DOCQA_CACHE=str(tmp_path)) == "[]"
    (checked,) = tmp_path.rglob(CHECKED)
    assert 0 <= json.loads(checked.read_text())["largest_difference"] < 1e-4


# -- falling back ------------------------------------------------------------------------------------------------------


def with_dense(function: str) -> Callable[[Path], Any]:
    return lambda folder: set_json("config.json", activation_function=function)(folder / "2_Dense")


CHANGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "the pooling max": ("mean-unit", lambda f: set_json("config.json", pooling_mode="max")(f / "1_Pooling")),
    "the pooling mean and cls": (
        "mean-unit",
        lambda f: set_json("config.json", pooling_mode=["mean", "cls"])(f / "1_Pooling"),
    ),
    "the activation silu": ("mean-unit", set_json("config.json", hidden_act="silu")),
    "truncated vectors": ("mean-unit", set_json("config_sentence_transformers.json", truncate_dim=8)),
    "the activation ReLU of a dense layer": ("cls-dense", with_dense("torch.nn.modules.activation.ReLU")),
}


@pytest.mark.parametrize("reason", CHANGES)
def test_other_models_are_left_to_sentence_transformers(folders: Mapping[str, Path], tmp_path: Path, reason: str) -> None:
    kind, change = CHANGES[reason]
    folder = copied(folders[kind], tmp_path / "model")
    change(folder)
    assert engine_of(str(folder)) == f"sentence-transformers, because of {reason}"
    embedder = Embedder(resolve(str(folder), "embedder"), precision="fp32")
    assert isinstance(embedder._encoder, SentenceTransformerModel)
    wanted = load_sentence_transformer(str(folder), "cpu").encode(["bridge"])
    assert nearness(embedder.passages(["bridge"]), wanted) > 1 - 1e-5


def test_more_modules_are_left_to_sentence_transformers(bodies: Mapping[str, Path], tmp_path: Path) -> None:
    from sentence_transformers import models as parts

    folder = saved(tmp_path / "normed", bodies["bert"], parts.Pooling(32), parts.LayerNorm(32))
    assert engine_of(str(folder)) == "sentence-transformers, because of the module LayerNorm"


def test_bf16_is_left_to_sentence_transformers(folders: Mapping[str, Path]) -> None:
    folder = resolve(str(folders["plain"]), "embedder")
    assert isinstance(Embedder(folder, precision="bf16")._encoder, SentenceTransformerModel)


def test_static_models_are_computed_in_numpy() -> None:
    assert engine_of("builtin") == "numpy"


@pytest.mark.parametrize("kind", ["mean-unit", "older-e5"])
def test_other_vectors_than_sentence_transformers_are_not_used(
    folders: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Here another pooling than the one in the file."""
    monkeypatch.setattr("indexing.models.sentence_modules._pooling", lambda config: "cls")
    assert onnx_export.main([str(folders[kind]), str(tmp_path), "fp32", "hidden", "127"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [FAILED]
    assert "other outputs" in json.loads((tmp_path / FAILED).read_text())["reason"]


def test_a_failed_conversion_falls_back(
    folders: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path, **_: Any) -> None:
        (target / FAILED).write_text('{"reason": "a test"}')

    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path))
    monkeypatch.setattr(onnx_export, "_make_in_child", fail)
    folder: ModelFolder = resolve(str(folders["cls-dense"]), "embedder")
    assert isinstance(Embedder(folder)._encoder, SentenceTransformerModel)
    assert engine_of(str(folders["cls-dense"])) == "sentence-transformers, because of a test"

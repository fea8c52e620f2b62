"""The modules of a sentence-transformers folder that docqa computes itself: pooling, dense layers, normalization.

`sentence_modules` reads them. A folder of transformers without `modules.json` has mean pooling, as in sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Matrix
from indexing.models.safety import modules_of, read_json
from indexing.models.tensors import encoder_config
from indexing.models.weights import PLAIN, mapped

Vector = NDArray[np.float32]
Step = Callable[[Vector], Vector]

POOLING = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
ACTIVATIONS = {"linear.Identity": False, "activation.Tanh": True}
SETTINGS = "config_sentence_transformers.json"
OWN, INPUT = "sentence_embedding", "token_embeddings"
TRUNCATED = "truncated vectors"
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class SentenceModules:
    """The modules of an embedder. encoder: the transformer's folder. pooling: "mean" or "cls". steps: applied after it."""

    encoder: Path
    pooling: str
    steps: tuple[Step, ...]

    def vector(self, hidden: Matrix) -> Vector:
        """The vector of a text from the hidden states of its tokens, float32 [tokens, width]."""
        vector: Vector = hidden.mean(axis=0) if self.pooling == "mean" else hidden[0]
        for step in self.steps:
            vector = step(vector)
        return vector


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer, weight [out, in], and tanh where `active`."""

    weight: Matrix
    bias: Vector | None
    active: bool

    def __call__(self, vector: Vector) -> Vector:
        """Without BLAS, whose threads would spin beside those that compute the next texts."""
        result: Vector = np.einsum("oi,i->o", self.weight, vector)
        if self.bias is not None:
            result = result + self.bias
        return np.tanh(result) if self.active else result


class Unsupported(Exception):
    """Why docqa does not compute an embedder itself, in words that continue "because of"."""


def sentence_modules(folder: Path, name: str, *, any_encoder: bool = False) -> SentenceModules | str:
    """The modules of an embedder's folder; for one that docqa does not compute itself, the reason in words.

    name: the model's, for error messages. any_encoder: whether the encoder may be one that docqa has no graph of.
    Raises ModelRefused for unreadable JSON.
    """
    try:
        return _modules(folder, name, any_encoder)
    except Unsupported as reason:
        return str(reason)


def encoder_folder(folder: Path, name: str) -> Path:
    """The folder of an embedder's encoder: that of its first module, else `folder`. Raises ModelRefused."""
    listed = modules_of(folder, name)
    return folder / listed[0][0] if listed else folder


def _modules(folder: Path, name: str, any_encoder: bool) -> SentenceModules:
    listed = modules_of(folder, name)
    settings = _config(folder, SETTINGS, name)
    if settings.get("truncate_dim") is not None:
        raise Unsupported(TRUNCATED)
    if settings.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise Unsupported(f"the model type {settings['model_type']}")
    if not listed:
        return _plain(folder, name, any_encoder)
    kinds = [kind for _, kind in listed]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise Unsupported(f"the modules {', '.join(kinds)}")
    for path, kind in listed:
        if kind == "Transformer":
            _check_transformer(folder / path, name, any_encoder)
    return SentenceModules(
        folder / listed[0][0],
        _pooling(_config(folder / listed[1][0], "config.json", name)),
        tuple(_step(folder / path, kind, name) for path, kind in listed[2:]),
    )


def _plain(folder: Path, name: str, any_encoder: bool) -> SentenceModules:
    _check_transformer(folder, name, any_encoder)
    architectures = _config(folder, "config.json", name).get("architectures") or [""]
    if str(architectures[0]).endswith("ForCausalLM"):
        raise Unsupported(f"the architecture {architectures[0]}")
    return SentenceModules(folder, "mean", ())


def _check_transformer(folder: Path, name: str, any_encoder: bool) -> None:
    found = encoder_config(folder)
    if isinstance(found, str) and not any_encoder:
        raise Unsupported(found)
    config = _config(folder, "sentence_bert_config.json", name)
    task = config.get("transformer_task", "feature-extraction")
    if task != "feature-extraction" or config.get("module_output_name", INPUT) != INPUT:
        raise Unsupported(f"the task {task} with other outputs than hidden states")


def _pooling(config: dict[str, Any]) -> str:
    """The one pooling mode, from its present or its older keys.

    >>> _pooling({"pooling_mode": "cls"}), _pooling({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    ('cls', 'mean')
    """
    stated = config.get("pooling_mode")
    older = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    modes = (stated if isinstance(stated, list) else [stated]) if stated is not None else older or ["mean"]
    if len(modes) != 1 or modes[0] not in POOLING:
        raise Unsupported(f"the pooling {' and '.join(map(str, modes))}")
    return POOLING[modes[0]]


def _step(folder: Path, kind: str, name: str) -> Step:
    if kind == "Normalize":
        return _normalize
    if kind != "Dense":
        raise Unsupported(f"the module {kind}")
    config = _config(folder, "config.json", name)
    function = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    active = ACTIVATIONS.get(function.removeprefix("torch.nn.modules."))
    if active is None:
        raise Unsupported(f"the activation {function.rpartition('.')[2]} of a dense layer")
    if any((config.get(key) or OWN) != OWN for key in ("module_input_name", "module_output_name")):
        raise Unsupported("a dense layer over other vectors")
    if not (folder / PLAIN).is_file():
        raise Unsupported("a dense layer in several files")
    stored = mapped(folder / PLAIN)
    weight, bias = stored.get("linear.weight"), stored.get("linear.bias")
    if weight is None or (bias is None) == bool(config.get("bias", True)):
        raise Unsupported("a dense layer with other tensors")
    return Dense(weight.astype(np.float32), None if bias is None else bias.astype(np.float32), active)


def _normalize(vector: Vector) -> Vector:
    result: Vector = vector / max(float(np.linalg.norm(vector)), TINY)
    return result


def _config(folder: Path, file: str, name: str) -> dict[str, Any]:
    """A JSON object; {} if there is no such file."""
    found = read_json(folder / file, name) if (folder / file).is_file() else {}
    return found if isinstance(found, dict) else {}

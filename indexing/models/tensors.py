"""Tensors of a model folder as memory-mapped numpy arrays, without torch; stored integers are dequantized one at a time.

Encoders of the BERT family differ in the names of their tensors. `EncoderTensors` gives each part one name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from indexing.arrays import Matrix
from indexing.errors import ModelRefused
from indexing.models.shared_files import shared_files
from indexing.models.weights import STORED_SMALL, dequantize, find_weights, mapped

Array = NDArray[Any]

LAYERS = {
    "bert": "encoder.layer.{}.",
    "roberta": "encoder.layer.{}.",
    "distilbert": "transformer.layer.{}.",
}
BERT_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "widened": "intermediate.dense",
    "narrowed": "output.dense",
    "narrowed_norm": "output.LayerNorm",
}
PARTS = {
    "bert": BERT_PARTS,
    "roberta": BERT_PARTS,
    "distilbert": {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attended": "attention.out_lin",
        "attended_norm": "sa_layer_norm",
        "widened": "ffn.lin1",
        "narrowed": "ffn.lin2",
        "narrowed_norm": "output_layer_norm",
    },
}
FAMILIES = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "distilbert": "distilbert",
}
ACTIVATIONS = {"gelu": "Gelu", "relu": "Relu"}


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The sizes of an encoder. family: of FAMILIES' values. pad: id of the padding token. eps: of the layer norms."""

    family: str
    layers: int
    width: int
    heads: int
    activation: str
    eps: float
    pad: int

    @property
    def first_position(self) -> int:
        """The position number of the first token; RoBERTa begins behind the padding token's."""
        return self.pad + 1 if self.family == "roberta" else 0

    @property
    def pads_alike(self) -> bool:
        """Whether all padding positions of an input have the same logits: RoBERTa gives them one position."""
        return self.family == "roberta"


def encoder_config(folder: Path) -> EncoderConfig | str:
    """The sizes of the encoder in a folder; for one that docqa's graphs cannot express, the reason in words."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    kind = str(config.get("model_type"))
    family = FAMILIES.get(kind)
    activation = ACTIVATIONS.get(str(config.get("hidden_act") or config.get("activation")))
    if family is None:
        return f"the architecture {kind}"
    if activation is None:
        return f"the activation {config.get('hidden_act') or config.get('activation')}"
    if config.get("position_embedding_type", "absolute") != "absolute" or config.get("is_decoder", False):
        return "relative positions or a decoder"
    try:
        return EncoderConfig(
            family,
            int(config["n_layers"] if family == "distilbert" else config["num_hidden_layers"]),
            int(config["dim"] if family == "distilbert" else config["hidden_size"]),
            int(config["n_heads"] if family == "distilbert" else config["num_attention_heads"]),
            activation,
            float(config.get("layer_norm_eps", 1e-12)),
            int(config.get("pad_token_id") or 0),
        )
    except (KeyError, TypeError, ValueError):
        return "an incomplete config.json"


class EncoderTensors(Mapping[str, Matrix]):
    """Float32 tensors by docqa's names: "words", "positions", "types", "norm.weight", "0.query.weight", "head.bias".

    A matrix of a linear layer is [out, in], as torch stores it.
    """

    def __init__(self, folder: Path, family: str, layers: int) -> None:
        files = [folder / STORED_SMALL] if (folder / STORED_SMALL).is_file() else find_weights(folder, folder.name).shards
        shared = shared_files(folder)
        self._stored: dict[str, Array] = shared.stored() if shared else {}
        for file in files:
            self._stored |= mapped(file)
        self._names = dict(_names(family, layers))
        self._prefix = self._find_prefix(family)

    def __getitem__(self, name: str) -> Matrix:
        """Raises ModelRefused for a tensor that is missing or of another kind of numbers."""
        full = self._full(name)
        if not self._present(full):
            raise ModelRefused(f"The model has no tensor {full} that can be read.")
        return dequantize(self._stored, full)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._names and self._present(self._full(name))

    def __iter__(self) -> Any:
        return (name for name in self._names if self._present(self._full(name)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def rows(self, name: str) -> Rows:
        """A matrix whose rows are dequantized when they are looked up."""
        return Rows(self._stored, self._full(name))

    def _full(self, name: str) -> str:
        theirs = self._names[name]
        return theirs if theirs.startswith("qa_outputs") else self._prefix + theirs

    def _present(self, full: str) -> bool:
        return any(full + ending in self._stored for ending in ("", ".int8", ".int4"))

    def _find_prefix(self, family: str) -> str:
        words = self._names["words"]
        return next((p for p in (f"{family}.", "") if self._present(p + words)), "")


def _names(family: str, layers: int) -> Mapping[str, str]:
    """docqa's name of each tensor -> the family's, without the prefix of the encoder."""
    found = {
        "words": "embeddings.word_embeddings.weight",
        "positions": "embeddings.position_embeddings.weight",
        "types": "embeddings.token_type_embeddings.weight",
    }
    both = {"norm": "embeddings.LayerNorm", "head": "qa_outputs"}
    for layer in range(layers):
        for part, theirs in PARTS[family].items():
            both[f"{layer}.{part}"] = LAYERS[family].format(layer) + theirs
    return found | {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in both.items() for kind in ("weight", "bias")}


class Rows:
    """The rows of a stored matrix: float32, float16, or integers with scales."""

    def __init__(self, stored: Mapping[str, Array], name: str) -> None:
        self._name = name
        self._stored = {key: value for key, value in stored.items() if key == name or key.startswith(f"{name}.")}

    def __getitem__(self, ids: Sequence[int] | Array) -> Matrix:
        """float32 [k, d]."""
        return dequantize({key: value[ids] for key, value in self._stored.items()}, self._name)

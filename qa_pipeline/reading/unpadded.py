"""Unpadded (varlen) inference of BERT, RoBERTa and DistilBERT encoders: token ids to start and end logits.

A batch is one long row of tokens. Everything that looks at one token at a time (embeddings, linear layers, norms) sees all
of them in one matrix; attention runs within each input. So nothing is computed for padding, whatever lengths come together.
The modules are those of the loaded model itself, not copies: training changes what is computed here, and a model whose
linear layers were made smaller (bfloat16, int8) is computed in that.

Other architectures are not packed; `unpadded_encoder` gives None for them, and the reader pads as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import gelu, relu, scaled_dot_product_attention

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": gelu, "relu": relu}
ROBERTA = ("roberta", "xlm-roberta", "camembert")


class Module(Protocol):
    """A layer: tensor in, tensor out."""

    def __call__(self, x: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """The parts of one encoder layer (Vaswani et al. 2017, norm after each residual), whatever the model calls them."""

    query: Module
    key: Module
    value: Module
    attended: Module
    attended_norm: Module
    widened: Module
    narrowed: Module
    narrowed_norm: Module


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs side by side. ids, types, positions: int64 [tokens]; ends: where each input ends; pads: each input's last
    token is a pad, which sees the others and is not seen."""

    ids: Tensor
    types: Tensor
    positions: Tensor
    ends: tuple[int, ...]
    pads: bool


class UnpaddedEncoder:
    """One encoder with its question answering head. Stateless between calls, so safe from several threads."""

    def __init__(self, model: Any, head: Module, layers: Sequence[Layer], activation: Callable[[Tensor], Tensor]) -> None:
        self._embeddings = model.embeddings
        self._head = head
        self._layers = tuple(layers)
        self._activation = activation
        config = model.config
        self._heads = int(getattr(config, "num_attention_heads", 0) or config.n_heads)
        self._pad = int(config.pad_token_id or 0)
        self._kind = getattr(getattr(layers[0].query, "weight", None), "dtype", torch.float32)
        self.pads_alike = config.model_type in ROBERTA

    def logits(self, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]], pads: bool) -> list[Tensor]:
        """For each input its logits, float32 [length, 2] (start, end), on the CPU.

        ids, types: of each input. pads: add one pad to each, whose logits come last; see `span_decoding.log_total`.
        """
        with torch.inference_mode():
            inputs = self._inputs(ids, types, pads)
            hidden = self._embedded(inputs)
            for layer in self._layers:
                hidden = self._through(layer, hidden, inputs)
            found = self._head(hidden.float()).float().cpu()
        begins = (0, *inputs.ends[:-1])
        return [found[begin:end] for begin, end in zip(begins, inputs.ends, strict=True)]

    def _inputs(self, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]], pads: bool) -> Inputs:
        device = self._embeddings.position_embeddings.weight.device
        tail = [self._pad] if pads else []
        rows = [torch.tensor([*row, *tail], device=device) for row in ids]
        kinds = torch.tensor([token for row in types for token in (*row, *([0] * pads))], device=device)
        positions = torch.cat([self._positions(row) for row in rows])
        return Inputs(torch.cat(rows), kinds, positions, tuple(accumulate(map(len, rows))), pads)

    def _positions(self, row: Tensor) -> Tensor:
        """RoBERTa numbers what is no pad from pad + 1 on, and gives every pad the number pad; the others number all."""
        if not self.pads_alike:
            return torch.arange(len(row), device=row.device)
        real = (row != self._pad).long()
        return torch.cumsum(real, 0) * real + self._pad

    def _embedded(self, inputs: Inputs) -> Tensor:
        words = self._embeddings
        hidden = words.word_embeddings(inputs.ids) + words.position_embeddings(inputs.positions)
        if hasattr(words, "token_type_embeddings"):
            hidden = hidden + words.token_type_embeddings(inputs.types)
        normed: Tensor = words.LayerNorm(hidden)
        return normed.to(self._kind)

    def _through(self, layer: Layer, hidden: Tensor, inputs: Inputs) -> Tensor:
        attended = self._attention(layer.query(hidden), layer.key(hidden), layer.value(hidden), inputs)
        hidden = layer.attended_norm(layer.attended(attended).add_(hidden))
        widened = self._activation(layer.widened(hidden))
        return layer.narrowed_norm(layer.narrowed(widened).add_(hidden))

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, inputs: Inputs) -> Tensor:
        """softmax(q k / sqrt(d)) v within each input; [tokens, width] each."""
        result = torch.empty_like(query)
        by_head = [part.view(len(part), self._heads, -1).transpose(0, 1) for part in (query, key, value)]
        into = result.view(len(result), self._heads, -1).transpose(0, 1)
        begin = 0
        for end in inputs.ends:
            seen = end - 1 if inputs.pads else end
            q, k, v = by_head[0][None, :, begin:end], by_head[1][None, :, begin:seen], by_head[2][None, :, begin:seen]
            into[:, begin:end] = scaled_dot_product_attention(q, k, v)[0]
            begin = end
        return result


def unpadded_encoder(model: Any, head: Module) -> UnpaddedEncoder | None:
    """The packed form of a transformers encoder and its head; None for an architecture not known here.

    model: BertModel, RobertaModel, XLMRobertaModel, CamembertModel or DistilBertModel. head: [tokens, width] -> [tokens, 2].
    """
    config = model.config
    name = getattr(config, "hidden_act", None) or getattr(config, "activation", "")
    plain = getattr(config, "position_embedding_type", "absolute") == "absolute" and not getattr(config, "is_decoder", False)
    if name not in ACTIVATIONS or not plain:
        return None
    if config.model_type in (*ROBERTA, "bert"):
        layers = [_bert(layer) for layer in model.encoder.layer]
    elif config.model_type == "distilbert":
        layers = [_distilbert(layer) for layer in model.transformer.layer]
    else:
        return None
    return UnpaddedEncoder(model, head, layers, ACTIVATIONS[name])


def _bert(layer: Any) -> Layer:
    own = layer.attention.self
    return Layer(
        own.query,
        own.key,
        own.value,
        layer.attention.output.dense,
        layer.attention.output.LayerNorm,
        layer.intermediate.dense,
        layer.output.dense,
        layer.output.LayerNorm,
    )


def _distilbert(layer: Any) -> Layer:
    own = layer.attention
    return Layer(
        own.q_lin,
        own.k_lin,
        own.v_lin,
        own.out_lin,
        layer.sa_layer_norm,
        layer.ffn.lin1,
        layer.ffn.lin2,
        layer.output_layer_norm,
    )

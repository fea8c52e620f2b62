"""Unpadded (varlen) inference of BERT, RoBERTa and DistilBERT encoders: token ids to start and end logits.

A batch is one long row of tokens. Token-wise layers (embeddings, linear layers, norms) process all tokens as one matrix;
attention runs within each input. So no computation is spent on padding, whatever the lengths in a batch.

The modules are those of the loaded model, not copies. So training changes the results here too, and linear layers converted
to bfloat16 or int8 compute in that precision.

For other architectures `unpadded_encoder` returns None, and the reader pads as usual.
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
    """The modules of one encoder layer (Vaswani et al. 2017, post-norm), under names independent of the model."""

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
    """Concatenated inputs. ids, types, positions: int64 [tokens]. ends: end offset of each input.

    pads: each input ends with one pad, which attends to the others but is not attended to.
    """

    ids: Tensor
    types: Tensor
    positions: Tensor
    ends: tuple[int, ...]
    pads: bool


class UnpaddedEncoder:
    """An encoder with its question-answering head. Stateless between calls, so thread-safe."""

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
        """The logits of each input, float32 [length, 2] (start, end), on the CPU.

        ids, types: token ids and token types of each input. pads: append one pad to each input, whose logits come last; see
        `span_decoding.log_total`.
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
        """RoBERTa numbers real tokens from pad + 1 and gives every pad the position pad; other models number all from 0."""
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
        """softmax(q k^T / sqrt(d)) v within each input; all tensors are [tokens, width]."""
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
    """The unpadded form of a transformers encoder and its head; None for an unsupported architecture.

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

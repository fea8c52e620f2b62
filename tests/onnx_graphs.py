"""ONNX graphs as other tools export them, of the tiny models of tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"


class _Named(torch.nn.Module):
    """A model with positional inputs, as the exporter wants them."""

    def __init__(self, model: Any, names: Sequence[str], outputs: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.model, self.names, self.outputs = model, names, outputs

    def forward(self, *inputs: Any) -> Any:
        named = dict(zip(self.names, inputs, strict=True))
        return self.outputs(self.model(**named), named[MASK])


def _export(model: Any, into: Path, names: Sequence[str], output_names: Sequence[str], outputs: Any) -> Path:
    into.parent.mkdir(exist_ok=True)
    ids = torch.arange(5, 12)[None]
    example = tuple({IDS: ids, MASK: torch.ones_like(ids), TYPES: torch.zeros_like(ids)}[name] for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Named(model.eval(), names, outputs),
            example,
            str(into),
            input_names=list(names),
            output_names=list(output_names),
            dynamic_axes={
                name: {0: "batch", 1: "tokens"} for name in (*names, *output_names) if name != "sentence_embedding"
            },
            opset_version=17,
            dynamo=False,
        )
    return into


def export_reader(folder: Path, into: Path, *, types: bool = True) -> Path:
    """The graph of a reader's folder, with start_logits and end_logits."""
    from transformers import AutoModelForQuestionAnswering

    model = AutoModelForQuestionAnswering.from_pretrained(folder, attn_implementation="eager")
    names = (IDS, MASK, TYPES) if types else (IDS, MASK)
    return _export(
        model, into, names, ("start_logits", "end_logits"), lambda found, _: (found.start_logits, found.end_logits)
    )


def export_encoder(folder: Path, into: Path, output: str, *, types: bool = True) -> Path:
    """The graph of an encoder; output: last_hidden_state, token_embeddings, or sentence_embedding, its masked mean."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    names = (IDS, MASK, TYPES) if types else (IDS, MASK)

    def outputs(found: Any, mask: Any) -> Any:
        hidden = found.last_hidden_state
        if output != "sentence_embedding":
            return hidden
        weights = mask[..., None].float()
        return (hidden * weights).sum(1) / weights.sum(1)

    return _export(model, into, names, (output,), outputs)


def changed_graph(graph: Path, change: Callable[[onnx.ModelProto], Any]) -> None:
    """Change a graph in place."""
    model = onnx.load(graph)
    change(model)
    onnx.save(model, graph)


def with_data(graph: Path, location: str = "model.onnx_data") -> None:
    """Move the tensors of a graph into a file beside it."""
    model = onnx.load(graph)
    onnx.save_model(model, graph, save_as_external_data=True, location=location, size_threshold=64)

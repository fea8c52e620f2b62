"""Uses the ONNX graph that a model folder ships: the only one of a folder without weights, or in place of torch.

docqa's own graphs are preferred, because they are computed in int8 too. A shipped graph is checked once, in a child process:
its form (`graph_file`), and its outputs. Where the folder has weights, they must be torch's; otherwise they must have the
right shape and be finite. The result is kept in the model cache under the fingerprints of model and graph.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from indexing.errors import ModelRefused
from indexing.models.cache import make_once
from indexing.models.conversion import FAILED, NotConvertible, Output, cached_name, run_module, stored_reason
from indexing.models.graph_file import FACTS, check_name, find_graph
from indexing.models.registry import TOKENIZER, ModelFolder
from indexing.models.sentence_modules import encoder_folder

CHECK = "indexing.models.graph_check"


@dataclass(frozen=True, slots=True)
class ShippedGraph:
    """A checked graph. tokenizer: a tokenizer.json. outputs: those to compute. pooled: whether the output is one vector.

    precision: "fp32", "fp16" or "int8". width: numbers per token, or of the vector. pad: id of the padding token.
    pads_alike: as `EncoderConfig.pads_alike`.
    """

    graph: Path
    tokenizer: Path
    precision: str
    outputs: tuple[str, ...]
    pooled: bool
    width: int
    pad: int
    pads_alike: bool


def shipped_graph(folder: ModelFolder, output: Output) -> ShippedGraph:
    """The graph of a folder, checked at its first use.

    Raises NotConvertible for one that cannot be used; ModelRefused if there are no weights either; ModelMissing (full disk).
    """
    graph = _graph_of(folder, output)
    if graph is None:
        raise NotConvertible("no model.onnx")
    try:
        made = make_once(_cached(folder, graph, output), partial(_make_in_child, folder.source, output))
        if (made / FAILED).is_file():
            raise NotConvertible(str(json.loads((made / FAILED).read_bytes())["reason"]))
    except NotConvertible as reason:
        if folder.graph is None:
            raise
        why = f"The model {folder.name} has no weights, and its model.onnx cannot be used, because of {reason}"
        raise ModelRefused(f"{why.rstrip('.')}.") from None
    facts = json.loads((made / FACTS).read_bytes())
    facts.pop("largest_difference")
    return ShippedGraph(graph, made / TOKENIZER, **{**facts, "outputs": tuple(facts["outputs"])})


def graph_engine(folder: ModelFolder, output: Output, reason: str, otherwise: str) -> str:
    """The engine of a model in words. reason: why docqa has no graph of its own ("": it has). otherwise: the engine then."""
    graph = _graph_of(folder, output)
    refused = "" if graph is None else _refused(folder, graph, output)
    if folder.graph is not None:
        return (
            f"nothing: it has no weights, and its model.onnx has {refused}" if refused else "ONNX Runtime, by its model.onnx"
        )
    unused = f"; its model.onnx is not used, because of {refused}" if refused else ""
    if not reason:
        return f"ONNX Runtime{unused}"
    if graph is not None and not refused:
        return "ONNX Runtime, by its model.onnx"
    return f"{otherwise}, because of {reason}{unused}"


def may_use_shipped(folder: ModelFolder, output: Output, shipped: bool) -> bool:
    """Whether a graph that the folder ships may compute: the only one always, another one where `shipped`."""
    return folder.graph is not None or (shipped and _graph_of(folder, output) is not None)


def _graph_of(folder: ModelFolder, output: Output) -> Path | None:
    if folder.graph is not None or folder.is_builtin:
        return folder.graph
    return find_graph(folder.source if output == "logits" else encoder_folder(folder.source, folder.name))


def _cached(folder: ModelFolder, graph: Path, output: Output) -> str:
    return f"{cached_name(folder)}/{check_name(graph, output)}"


def _refused(folder: ModelFolder, graph: Path, output: Output) -> str:
    """Why the graph was found unusable, in its own check or when the weights were converted; "" if it was not."""
    own = check_name(graph, output)
    return stored_reason(folder, f"{own}/{FAILED}") or stored_reason(folder, f"{output}-*/{own}.json")


def _make_in_child(source: Path, output: Output, target: Path) -> None:
    run_module(CHECK, str(source), str(target), output)

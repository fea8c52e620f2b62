"""ONNX graphs that come with a model: where they are, and what a file must be before ONNX Runtime sees it.

A graph is untrusted input. It computes with ONNX's operators and Microsoft's contributed ones only, so no library of custom
operators is loaded. Its tensors lie in the file, or in files beside it that are named after it. `read_graph` needs the
package onnx; everything else here looks at names and sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import ModelRefused
from indexing.models.cache import fingerprint

if TYPE_CHECKING:
    import onnx

GRAPH = "model.onnx"
FACTS = "graph.json"
PLACES = (GRAPH, f"onnx/{GRAPH}")
DATA = (f"{GRAPH}_data*", f"{GRAPH}.data")
LONGEST_GRAPH = 2**31 - 1
LONGEST_DATA = 2**36
DOMAINS = ("", "ai.onnx", "com.microsoft")
READS_FILES = ("EPContext",)
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
LOGITS = ("start_logits", "end_logits")
HIDDEN = ("last_hidden_state", "token_embeddings")
VECTOR = "sentence_embedding"
QUANTIZED = ("Integer", "QuantizeLinear", "QLinear", "NBits", "QAttention", "QGemm", "QuantizeBF")


class UnusableGraph(Exception):
    """What a graph has that docqa does not compute, in words that continue "because of" or "has"."""


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """The interface of a graph. inputs: of IDS, MASK and TYPES. outputs: all names. precision: "fp32", "fp16" or "int8"."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: str


def find_graph(folder: Path) -> Path | None:
    """The ONNX graph in a model folder, `model.onnx` or `onnx/model.onnx`; None if it has none."""
    return next((folder / place for place in PLACES if (folder / place).is_file()), None)


def graph_files(graph: Path) -> tuple[Path, ...]:
    """The graph and the files of its external data, which are named after it."""
    beside = sorted(path for path in graph.parent.iterdir() if is_data(path.name))
    return (graph, *(path for path in beside if path.is_file()))


def check_name(graph: Path, output: str) -> str:
    """The name of the check of a graph, by its content."""
    mark = fingerprint((path.name, path) for path in graph_files(graph))
    return f"shipped-{output}-{mark[:12]}"


def is_data(name: str) -> bool:
    """Whether a file beside a graph has external data of it.

    >>> is_data("model.onnx_data"), is_data("model.onnx_data_1"), is_data("model.onnx.data"), is_data("weights.bin")
    (True, True, True, False)
    """
    return any(fnmatchcase(name, pattern) for pattern in DATA)


def check_graph_files(files: Sequence[Path], folder: Path, name: str) -> None:
    """Check sizes, and that no file is a link out of the folder; the hub's cache links to its own blobs.

    files: of `graph_files`. folder: the model's. Raises ModelRefused.
    """
    inside = [folder.resolve()]
    if folder.absolute().parent.name == "snapshots":
        inside.append((folder.absolute().parent.parent / "blobs").resolve())
    for path, most in zip(files, (LONGEST_GRAPH, *[LONGEST_DATA] * len(files)), strict=False):
        if not any(path.resolve().is_relative_to(base) for base in inside):
            raise ModelRefused(f"{path.name} of the model {name} is a link to a file outside its folder.")
        if not 0 < path.stat().st_size <= most:
            raise ModelRefused(f"{path.name} of the model {name} is empty or larger than {most:,} bytes; fetch it again.")


def read_graph(graph: Path) -> GraphFacts:
    """Inspect a graph without computing it. Raises UnusableGraph."""
    import onnx

    try:
        model = onnx.load(graph, load_external_data=False)
    except Exception as error:  # protobuf's error classes are its own
        raise UnusableGraph("a graph that cannot be parsed") from error
    _check_operators(model)
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_data(tensor, graph)
    inputs, outputs = _inputs(model), tuple(output.name for output in model.graph.output)
    return GraphFacts(inputs, outputs, _precision(model))


def _inputs(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of the inputs; each must be integers [batch, tokens], both of any size."""
    import onnx

    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    names = tuple(value.name for value in inputs)
    if other := [name for name in names if name not in (IDS, MASK, TYPES)]:
        raise UnusableGraph(f"the input {other[0][:60]}")
    if missing := [name for name in (IDS, MASK) if name not in names]:
        raise UnusableGraph(f"no input {missing[0]}")
    for value in inputs:
        kind = value.type.tensor_type
        if kind.elem_type not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
            raise UnusableGraph(f"an input {value.name} that is not of integers")
        sizes = [size.dim_value for size in kind.shape.dim] if kind.HasField("shape") else [0, 0]
        if len(sizes) != 2 or sizes[0] > 1 or sizes[1] > 0:
            raise UnusableGraph("inputs of a fixed size")
    return names


def _check_operators(model: onnx.ModelProto) -> None:
    own = {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.domain not in DOMAINS and node.domain not in own:
            raise UnusableGraph(f"operators of the domain {node.domain[:60]}")
        if node.op_type in READS_FILES:
            raise UnusableGraph(f"the operator {node.op_type}")


def _check_data(tensor: onnx.TensorProto, graph: Path) -> None:
    """Check that external data is inside a file beside the graph."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if not is_data(location) or "/" in location or "\\" in location:
        raise UnusableGraph(f"tensors in {location[:60]!r}, not in {GRAPH}_data beside it")
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or 0)
        size = (graph.parent / location).stat().st_size
    except (ValueError, OSError) as error:
        raise UnusableGraph(f"no readable {location}") from error
    if min(offset, length) < 0 or offset + length > size:
        raise UnusableGraph(f"a {location} that is cut short")


def _precision(model: onnx.ModelProto) -> str:
    import onnx

    if any(mark in node.op_type for node in _nodes(model) for mark in QUANTIZED):
        return "int8"
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return "fp16" if any(tensor.data_type in halves for tensor in model.graph.initializer) else "fp32"


def _graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """The graph, the functions, and every graph inside a node of them."""
    waiting: list[Any] = [model.graph, *model.functions]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(graph for attribute in _attributes(current.node) for graph in _inner(attribute))


def _inner(attribute: onnx.AttributeProto) -> Iterable[onnx.GraphProto]:
    return [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _attributes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.AttributeProto]:
    return (attribute for node in nodes for attribute in node.attribute)


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return (node for graph in _graphs(model) for node in graph.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every stored tensor: initializers, sparse ones, and the values of attributes."""
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        sparse = list(getattr(graph, "sparse_initializer", ()))
        for attribute in _attributes(graph.node):
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            sparse += [
                *attribute.sparse_tensors,
                *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
            ]
        for tensor in sparse:
            yield tensor.values
            yield tensor.indices

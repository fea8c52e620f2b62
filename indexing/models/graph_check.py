"""Checks the ONNX graph that a model folder ships: in a child process, since ONNX Runtime reads untrusted input there.

Where the folder has weights, the outputs are compared with torch's. Otherwise they must have the right shape and be finite.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexing.errors import one_line
from indexing.models.conversion import Output, store_reason
from indexing.models.graph_file import (
    FACTS,
    HIDDEN,
    LOGITS,
    VECTOR,
    UnusableGraph,
    check_graph_files,
    check_name,
    find_graph,
    graph_files,
    read_graph,
)
from indexing.models.onnx_encoder import GraphEncoder
from indexing.models.registry import TOKENIZER
from indexing.models.sentence_modules import TRUNCATED, SentenceModules, encoder_folder, sentence_modules
from indexing.models.tensors import FAMILIES
from indexing.models.torch_reference import CHECKED_TEXTS, LoadedEmbedder, LoadedReader, LoadedTokenizer, first_position
from indexing.models.weights import find_weights

Reference = LoadedReader | LoadedEmbedder | LoadedTokenizer

TOLERANCE = 1e-3
LONGEST_CHECK = 384
LONGEST_TEXT = 300
QUESTION = "When was the bridge opened?"


def main(arguments: Sequence[str]) -> int:
    """SOURCE TARGET OUTPUT: check the graph in SOURCE; write FACTS and the tokenizer into TARGET, or FAILED."""
    source, target, output = Path(arguments[0]), Path(arguments[1]), arguments[2]
    try:
        interface = _interface(source, output)  # type: ignore[arg-type]
        loaded = _reference(source, output)  # type: ignore[arg-type]
        facts = check_outputs(interface, source, output, loaded)  # type: ignore[arg-type]
        loaded.tokenizer.save(str(target / TOKENIZER))
        (target / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    except (OSError, MemoryError):
        raise
    except Exception as error:
        for path in target.iterdir():
            path.unlink()
        store_reason(target, one_line(error))
    return 0


def note_unusable(source: Path, target: Path, output: Output, loaded: LoadedReader | LoadedEmbedder) -> None:
    """Check the graph of a folder whose weights are used; write into `target` why it differs from them, if it does."""
    graph = find_graph(encoder_folder(source, source.name) if output == "hidden" else source)
    if graph is None:
        return
    try:
        check_outputs(_interface(source, output), source, output, loaded)
    except Exception as error:
        store_reason(target, one_line(error), f"{check_name(graph, output)}.json")


@dataclass(frozen=True, slots=True)
class Interface:
    """What is computed with a graph. modules: those after its outputs; None where the graph has them."""

    graph: Path
    precision: str
    outputs: tuple[str, ...]
    modules: SentenceModules | None


def _interface(source: Path, output: Output) -> Interface:
    """Inspect the graph of a folder without computing it. Raises UnusableGraph, ModelRefused."""
    graph = find_graph(encoder_folder(source, source.name) if output == "hidden" else source)
    assert graph is not None
    check_graph_files(graph_files(graph), source, source.name)
    found = read_graph(graph)
    modules = sentence_modules(source, source.name, any_encoder=True) if output == "hidden" else None
    outputs = LOGITS if modules is None else _outputs(found.outputs, modules)
    if missing := [name for name in outputs if name not in found.outputs]:
        raise UnusableGraph(f"no output {missing[0]}")
    computed = modules if isinstance(modules, SentenceModules) and outputs != (VECTOR,) else None
    return Interface(graph, found.precision, outputs, computed)


def check_outputs(interface: Interface, source: Path, output: Output, loaded: Reference) -> dict[str, Any]:
    """The facts of a graph, after its outputs were compared. Raises UnusableGraph, NotConvertible."""
    folder = encoder_folder(source, source.name) if output == "hidden" else source
    graph, outputs = interface.graph, interface.outputs
    config = json.loads((folder / "config.json").read_bytes())
    pad, alike = int(config.get("pad_token_id") or 0), FAMILIES.get(str(config.get("model_type"))) == "roberta"
    try:
        encoder = GraphEncoder(graph, outputs, pad, alike)
    except Exception as error:  # ONNX Runtime's error classes are its own
        raise UnusableGraph(f"a graph that ONNX Runtime refuses ({one_line(error, 120)})") from error
    pooled = outputs == (VECTOR,)
    width, difference = _compare(encoder, loaded, output, pooled)
    if isinstance(loaded, LoadedEmbedder):
        steps = interface.modules or SentenceModules(folder, "cls", ())
        difference = max(difference, loaded.difference(lambda ids, types: steps.vector(encoder.run(ids, types))))
    if difference > TOLERANCE:
        raise UnusableGraph(f"other outputs than the weights (by {difference:.2g})")
    return {
        "precision": interface.precision,
        "outputs": list(outputs),
        "pooled": pooled,
        "width": width,
        "pad": pad,
        "pads_alike": alike,
        "largest_difference": difference,
    }


def _outputs(names: Sequence[str], modules: SentenceModules | str) -> tuple[str, ...]:
    """The output to compute of an embedder: hidden states where docqa computes the modules after them, else the vector."""
    hidden = next((name for name in HIDDEN if name in names), None)
    if hidden is not None and not isinstance(modules, str):
        return (hidden,)
    if isinstance(modules, str) and (VECTOR not in names or modules == TRUNCATED):
        raise UnusableGraph(modules)
    return (VECTOR,)


def _compare(encoder: GraphEncoder, loaded: Reference, output: Output, pooled: bool) -> tuple[int, float]:
    """The width of the outputs, and their largest difference from torch's: logits absolutely, others relatively."""
    width, largest = 0, 0.0
    for ids, types in _inputs(loaded, output):
        ours = encoder.run(ids, types)
        if ours.ndim != 2 or ours.shape[0] != (1 if pooled else len(ids)) or (output == "logits" and ours.shape[1] != 2):
            raise UnusableGraph("outputs of another shape than the tokens")
        if not np.isfinite(ours).all():
            raise UnusableGraph("outputs that are not finite")
        width = ours.shape[1]
        if isinstance(loaded, LoadedTokenizer) or pooled:
            continue
        wanted = loaded.run(ids, types)
        if wanted.shape != ours.shape:
            raise UnusableGraph("outputs of another shape than the weights'")
        difference = float(np.abs(ours - wanted).max())
        largest = max(largest, difference if output == "logits" else difference / max(1.0, float(np.abs(wanted).max())))
    return width, largest


def _inputs(loaded: Reference, output: Output) -> Iterator[tuple[list[int], list[int]]]:
    """Token ids and token types of a few texts, with a question for a reader."""
    texts = [text[:LONGEST_TEXT] for text in CHECKED_TEXTS]
    for text in texts:
        made = loaded.tokenizer.encode(QUESTION, text) if output == "logits" else loaded.tokenizer.encode(text)
        if 0 < len(made.ids) <= min(LONGEST_CHECK, loaded.limit):
            yield list(made.ids), list(made.type_ids)


def _reference(source: Path, output: Output) -> Reference:
    """torch's model, or the tokenizer alone where the folder has no weights."""
    folder = encoder_folder(source, source.name) if output == "hidden" else source
    if find_weights(folder, source.name).graph:
        return LoadedTokenizer(folder, truncate=output == "hidden")
    return LoadedReader(source) if output == "logits" else LoadedEmbedder(source, first_position(folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

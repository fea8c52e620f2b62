"""Converts a model folder to an ONNX graph, once; the result is kept in the model cache under the model's fingerprint.

The built-in models are converted in this process, without torch. Other models are converted in a child process. It loads
the model with torch, compares the outputs of both, and stores the tokenizer as transformers configures it. An embedder
is loaded with sentence-transformers; the vectors of a few texts are compared too, and the tokenizer truncates as its does.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from indexing.errors import one_line
from indexing.models.cache import make_once
from indexing.models.conversion import (
    FAILED,
    NotConvertible,
    Output,
    cached_name,
    run_module,
    store_reason,
    stored_reason,
)
from indexing.models.hardware import Hardware
from indexing.models.registry import TOKENIZER, ModelFolder
from indexing.models.sentence_modules import SentenceModules, sentence_modules
from indexing.models.shared_files import file_of
from indexing.models.tensors import EncoderConfig, EncoderTensors, encoder_config

Precision = Literal["fp32", "int8"]

GRAPH = "encoder.onnx"
CHECKED = "checked.json"
TOLERANCE = 1e-3
CHECKED_LENGTHS = (3, 17, 120)
WHOLE, REDUCED = 127, 63


@dataclass(frozen=True, slots=True)
class Converted:
    """The files of a converted model: its graph, its tokenizer.json, and the sizes of its encoder."""

    graph: Path
    tokenizer: Path
    config: EncoderConfig


def convert_model(folder: ModelFolder, precision: Precision, output: Output, hardware: Hardware) -> Converted:
    """The converted model from the cache, made there if necessary. Raises NotConvertible, ModelMissing (a full disk)."""
    if folder.graph is not None:
        raise NotConvertible("no weights")
    config = encoder_config(_encoder_folder(folder.source, output))
    if isinstance(config, str):
        raise NotConvertible(config)
    top = REDUCED if precision == "int8" and hardware.saturates else WHOLE
    make = _make_here if folder.is_builtin else _make_in_child
    kind = f"{precision}-{top}" if precision == "int8" else precision
    made = make_once(
        f"{cached_name(folder)}/{output}-{kind}",
        partial(make, folder.source, precision=precision, output=output, top=top),
    )
    if (made / FAILED).is_file():
        raise NotConvertible(str(json.loads((made / FAILED).read_bytes())["reason"]))
    tokenizer = file_of(folder.source, TOKENIZER) if folder.is_builtin else made / TOKENIZER
    return Converted(made / GRAPH, tokenizer, config)


def failed_conversion(folder: ModelFolder, output: Output) -> str:
    """Why an earlier conversion of a model failed; "" if none did."""
    return stored_reason(folder, f"{output}-*/{FAILED}")


def _encoder_folder(source: Path, output: Output) -> Path:
    """The folder of the encoder: that of a reader itself, or of an embedder's first module. Raises NotConvertible."""
    return source if output == "logits" else _modules(source).encoder


def _modules(source: Path) -> SentenceModules:
    found = sentence_modules(source, source.name)
    if isinstance(found, str):
        raise NotConvertible(found)
    return found


def _make_here(source: Path, target: Path, *, precision: Precision, output: Output, top: int) -> None:
    from indexing.models.encoder_graph import encoder_graph, save_graph

    encoder = _encoder_folder(source, output)
    config = encoder_config(encoder)
    assert isinstance(config, EncoderConfig)
    tensors = EncoderTensors(encoder, config.family, config.layers)
    save_graph(encoder_graph(tensors, config, precision, output, top), target)


def _make_in_child(source: Path, target: Path, *, precision: Precision, output: Output, top: int) -> None:
    run_module(__name__, str(source), str(target), precision, output, str(top))


# -- in the child process ----------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """SOURCE TARGET PRECISION OUTPUT TOP: convert SOURCE into the empty folder TARGET, or write FAILED there."""
    source, target, precision, output, top = arguments
    try:
        difference = _compare(Path(source), Path(target), output)  # type: ignore[arg-type]
        if difference > TOLERANCE:
            raise NotConvertible(f"other outputs than torch's (by {difference:.2g})")
        _make_here(Path(source), Path(target), precision=precision, output=output, top=int(top))  # type: ignore[arg-type]
        (Path(target) / CHECKED).write_text(json.dumps({"largest_difference": difference}), encoding="utf-8")
    except (OSError, MemoryError):
        raise
    except Exception as error:
        for path in Path(target).iterdir():
            path.unlink()
        store_reason(Path(target), one_line(error))
    return 0


def _compare(source: Path, target: Path, output: Output) -> float:
    """The largest difference between the float32 graph and torch, relative to the largest output if that is above 1.

    It also stores the tokenizer in `target`, and why the folder's own graph has other outputs, if it has.
    """
    import numpy as np

    from indexing.models.graph_check import note_unusable
    from indexing.models.onnx_encoder import OnnxEncoder
    from indexing.models.torch_reference import LoadedEmbedder, LoadedReader

    folder = _encoder_folder(source, output)
    config = encoder_config(folder)
    assert isinstance(config, EncoderConfig)
    inputs = _inputs(config, folder)
    loaded = LoadedReader(source) if output == "logits" else LoadedEmbedder(source, config.first_position)
    loaded.tokenizer.save(str(target / TOKENIZER))
    note_unusable(source, target, output, loaded)
    beside = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        _make_here(source, beside, precision="fp32", output=output, top=WHOLE)
        encoder = OnnxEncoder(folder, config, beside / GRAPH)
        largest = 0.0
        for ids, types in inputs:
            wanted = loaded.run(ids, types)
            difference = float(np.abs(encoder.run(ids, types) - wanted).max())
            largest = max(largest, difference / max(1.0, float(np.abs(wanted).max())))
        if isinstance(loaded, LoadedEmbedder):
            modules = _modules(source)
            largest = max(largest, loaded.difference(lambda ids, types: modules.vector(encoder.run(ids, types))))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return largest


def _inputs(config: EncoderConfig, encoder: Path) -> list[tuple[list[int], list[int]]]:
    """Random token ids and token types."""
    import numpy as np

    tensors = EncoderTensors(encoder, config.family, config.layers)
    vocabulary, positions = len(tensors["words"]), len(tensors["positions"]) - config.first_position
    typed = len(tensors["types"]) > 1 if "types" in tensors else False
    random = np.random.default_rng(0)
    found = []
    for length in CHECKED_LENGTHS:
        ids = random.integers(config.pad + 1, vocabulary, min(length, positions)).tolist()
        half = len(ids) // 2
        found.append((ids, [0] * half + [int(typed)] * (len(ids) - half)))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

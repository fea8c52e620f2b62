"""Inference with ONNX Runtime: windows to logits without torch; each window on one core, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexing.models.conversion import NotConvertible
from indexing.models.hardware import Hardware, this_machine
from indexing.models.onnx_encoder import GraphEncoder, OnnxEncoder
from indexing.models.onnx_export import Precision, convert_model
from indexing.models.registry import ModelFolder, load_tokenizer
from indexing.models.shipped_graph import may_use_shipped, shipped_graph
from indexing.models.threads import parallel, thread_count
from qa_pipeline.reading.span_decoding import Logits
from qa_pipeline.reading.tokenization import encoder_of, layout_of
from qa_pipeline.reading.window_reader import CACHED_READINGS, Encode, InputLayout, ReadingOptions, Window, WindowReader


class OnnxEngine:
    """Logits from an encoder. precision: "fp32" or "int8"; a graph that a model ships may be in "fp16"."""

    def __init__(self, encoder: OnnxEncoder | GraphEncoder, precision: str, hardware: Hardware) -> None:
        self._encoder = encoder
        self._hardware = hardware
        self.precision = precision
        self.at_once = thread_count()

    def facts(self) -> dict[str, Any]:
        """Precision, instruction set and engine."""
        return {
            "precision": self.precision,
            "instruction_set": self._hardware.instruction_set(self.precision),
            "engine": "ONNX Runtime",
        }

    def logits(self, group: Sequence[Window], options: ReadingOptions) -> list[tuple[Logits, int]]:
        """As `InferenceEngine.logits`."""
        full, alike = options.max_seq_len, self._encoder.pads_alike

        def run(window: Window) -> tuple[Logits, int]:
            missing = max(0, full - len(window.ids))
            pads = min(1, missing) if alike else missing if options.exact_confidence else 0
            logits = self._encoder.run(window.ids, window.types, pads)
            return logits, missing - pads if alike else 0

        return parallel(run, group, lambda window: len(window.ids))


def load_onnx_reader(
    folder: ModelFolder,
    options: ReadingOptions,
    precision: Precision,
    *,
    remember: int = CACHED_READINGS,
    hardware: Hardware | None = None,
    shipped: bool = True,
) -> WindowReader:
    """Load a reader with ONNX Runtime; see `load_onnx_engine`. Raises NotConvertible, ModelRefused."""
    encode, layout, engine = load_onnx_engine(folder, precision, hardware or this_machine(), shipped=shipped)
    return WindowReader(encode, layout, engine, lambda: options, remember=remember)


def load_onnx_engine(
    folder: ModelFolder, precision: Precision, hardware: Hardware, *, shipped: bool = True
) -> tuple[Encode, InputLayout, OnnxEngine]:
    """Tokenizer, input layout and engine of a reader, by docqa's own graph or one that the folder ships.

    shipped: whether a shipped graph may compute where the folder has weights. Raises NotConvertible for a model that has no
    usable graph, ModelRefused for one that has neither graph nor weights.
    """
    try:
        converted = convert_model(folder, precision, "logits", hardware)
        encoder = OnnxEncoder(folder.source, converted.config, converted.graph)
        return _parts(folder, converted.tokenizer, OnnxEngine(encoder, precision, hardware))
    except NotConvertible:
        if not may_use_shipped(folder, "logits", shipped):
            raise
        return _load_shipped(folder, hardware)


def _load_shipped(folder: ModelFolder, hardware: Hardware) -> tuple[Encode, InputLayout, OnnxEngine]:
    found = shipped_graph(folder, "logits")
    encoder = GraphEncoder(found.graph, found.outputs, found.pad, found.pads_alike)
    return _parts(folder, found.tokenizer, OnnxEngine(encoder, found.precision, hardware))


def _parts(folder: ModelFolder, file: Path, engine: OnnxEngine) -> tuple[Encode, InputLayout, OnnxEngine]:
    tokenizer = load_tokenizer(file, folder.name, truncates=False)
    return encoder_of(tokenizer), layout_of(tokenizer), engine

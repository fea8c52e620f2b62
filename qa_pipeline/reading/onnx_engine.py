"""Inference with ONNX Runtime: windows to logits without torch; each window on one core, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexing.models.hardware import Hardware, this_machine
from indexing.models.onnx_encoder import OnnxEncoder
from indexing.models.onnx_export import Precision, convert_model
from indexing.models.registry import ModelFolder, load_tokenizer
from indexing.models.threads import parallel, thread_count
from qa_pipeline.reading.span_decoding import Logits
from qa_pipeline.reading.tokenization import encoder_of, layout_of
from qa_pipeline.reading.window_reader import CACHED_READINGS, Encode, InputLayout, ReadingOptions, Window, WindowReader


class OnnxEngine:
    """Logits from an `OnnxEncoder`."""

    def __init__(self, encoder: OnnxEncoder, precision: Precision, hardware: Hardware) -> None:
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
        full, alike = options.max_seq_len, self._encoder.config.pads_alike

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
) -> WindowReader:
    """Load a reader with ONNX Runtime. Raises NotConvertible for a model that has no graph, ModelRefused."""
    encode, layout, engine = load_onnx_engine(folder, precision, hardware or this_machine())
    return WindowReader(encode, layout, engine, lambda: options, remember=remember)


def load_onnx_engine(
    folder: ModelFolder, precision: Precision, hardware: Hardware
) -> tuple[Encode, InputLayout, OnnxEngine]:
    """Tokenizer, input layout and engine of a reader. Raises NotConvertible, ModelRefused."""
    converted = convert_model(folder, precision, "logits", hardware)
    tokenizer = load_tokenizer(converted.tokenizer, folder.name)
    tokenizer.no_truncation()
    engine = OnnxEngine(OnnxEncoder(folder.source, converted.config, converted.graph), precision, hardware)
    return encoder_of(tokenizer), layout_of(tokenizer), engine

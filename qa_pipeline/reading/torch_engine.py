"""Inference with torch: a transformers model in any precision, on a processor or a GPU.

`load_torch_reader` loads it from a folder, without Haystack. Supported architectures are computed without padding
(`unpadded`), others as padded batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from indexing.errors import ModelRefused
from indexing.models.hardware import Hardware, this_machine
from indexing.models.registry import ModelFolder
from qa_pipeline.reading import precision as precisions
from qa_pipeline.reading.span_decoding import Logits
from qa_pipeline.reading.tokenization import encoder_of, layout_of
from qa_pipeline.reading.unpadded import unpadded_encoder
from qa_pipeline.reading.window_reader import CACHED_READINGS, ReadingOptions, Window, WindowReader

Forward = Callable[[Tensor, Tensor, Tensor], Tensor]


class TorchEngine:
    """Logits from a transformers encoder and its head, both converted to the precision.

    forward: token ids, token types and attention mask, int64 [inputs, L] -> logits [inputs, L, 2]; for padded batches.
    Raises SettingError for a precision that the device does not support.
    """

    at_once = 1

    def __init__(
        self, encoder: Any, head: Any, forward: Forward, pad: int, precision: str = "auto", hardware: Hardware | None = None
    ) -> None:
        self._encoder, self._head, self._forward, self._pad = encoder, head, forward, pad
        self._device = next(encoder.parameters()).device
        self._hardware = hardware or this_machine(self._device.type)
        self.precision = precisions.resolve_precision(precision, self._hardware)
        precisions.apply_precision(encoder, head, self.precision)

    def facts(self) -> dict[str, Any]:
        """Precision, instruction set and engine."""
        return {
            "precision": self.precision,
            "instruction_set": self._hardware.instruction_set(self.precision),
            "engine": "torch",
        }

    def logits(self, group: Sequence[Window], options: ReadingOptions) -> list[tuple[Logits, int]]:
        """As `InferenceEngine.logits`."""
        full = options.max_seq_len
        unpadded = unpadded_encoder(self._encoder, self._head)
        if unpadded is None or (options.exact_confidence and not unpadded.pads_alike):
            return [(row, 0) for row in self._padded(group, full if options.exact_confidence else 0)]
        found = unpadded.logits([w.ids for w in group], [w.types for w in group], unpadded.pads_alike)
        if not unpadded.pads_alike:
            return [(row.numpy(), 0) for row in found]
        return [(row[:full].numpy(), max(0, full - len(row))) for row in found]

    def _padded(self, group: Sequence[Window], least: int) -> list[Logits]:
        """Logits [L, 2] of each window. L: at least `least`, and that of the longest window."""
        shape = (len(group), max(least, *(len(window.ids) for window in group)))
        ids = torch.full(shape, self._pad, dtype=torch.long)
        mask, types = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        for n, window in enumerate(group):
            ids[n, : len(window.ids)] = torch.tensor(window.ids)
            mask[n, : len(window.ids)] = 1
            types[n, : len(window.types)] = torch.tensor(window.types)
        with torch.inference_mode():
            logits = self._forward(ids.to(self._device), types.to(self._device), mask.to(self._device))
        return list(logits.float().cpu().numpy())


def load_torch_reader(
    folder: ModelFolder,
    options: ReadingOptions,
    *,
    precision: str = "auto",
    remember: int = CACHED_READINGS,
    use_gpu: bool | None = None,
    hardware: Hardware | None = None,
) -> WindowReader:
    """Load a reader with torch from its folder. use_gpu: None uses a GPU if there is one.

    Raises SettingError for a precision that the device does not support, ModelRefused; errors of transformers pass.
    """
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    device = "cuda" if (torch.cuda.is_available() if use_gpu is None else use_gpu) else "cpu"
    with torch.random.fork_rng(devices=[]):
        model: Any = AutoModelForQuestionAnswering.from_pretrained(  # type: ignore[no-untyped-call]
            str(folder.path), low_cpu_mem_usage=True, local_files_only=True
        )
    tokenizer = AutoTokenizer.from_pretrained(str(folder.path), local_files_only=True)  # type: ignore[no-untyped-call]
    if not hasattr(model, "qa_outputs") or not tokenizer.is_fast:
        raise ModelRefused(f"The reader {folder.name} has no head or no tokenizer that docqa can run.")
    model = model.to(device).eval()
    typed = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1

    def forward(ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        found = model(input_ids=ids, attention_mask=mask, **({"token_type_ids": types} if typed else {}))
        return torch.stack([found.start_logits, found.end_logits], dim=-1)

    engine = TorchEngine(model.base_model, model.qa_outputs, forward, int(tokenizer.pad_token_id or 0), precision, hardware)
    backend = tokenizer.backend_tokenizer
    return WindowReader(encoder_of(backend), layout_of(backend), engine, lambda: options, remember=remember)

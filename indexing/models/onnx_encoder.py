"""`OnnxEncoder`: token ids to logits or hidden states with ONNX Runtime, without torch and transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from indexing.arrays import Matrix
from indexing.models.tensors import EncoderConfig, EncoderTensors

SUMMED, SEEN = "summed", "seen"


class OnnxEncoder:
    """An encoder of a model folder, computed by the graph in `graph` (`encoder_graph`). Thread-safe.

    One input runs on one core; `threads.parallel` runs several at once. Word embeddings are looked up in the mapped file of
    the model, so only the rows in use take memory. longest: number of tokens of an input at most.
    """

    def __init__(self, folder: Path, config: EncoderConfig, graph: Path) -> None:
        tensors = EncoderTensors(folder, config.family, config.layers)
        self.config = config
        self._words = tensors.rows("words")
        self._positions = np.array(tensors["positions"])
        self.longest = len(self._positions) - config.first_position
        self._types = np.array(tensors["types"]) if "types" in tensors else None
        self._session = ort.InferenceSession(str(graph), _options(), providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, ids: Sequence[int], types: Sequence[int] = (), pads: int = 0) -> Matrix:
        """The output of one input with `pads` padding positions behind it, float32 [len(ids) + pads, columns].

        ids, types: token ids and token types (none: all 0). Padding attends to the tokens, and nothing attends to it.
        """
        tokens = np.array([*ids, *([self.config.pad] * pads)])
        summed = self._words[tokens] + self._positions[self._numbers(tokens[: len(ids)], pads)]
        if self._types is not None:
            kinds = np.zeros(len(tokens), np.int64)
            kinds[: len(types)] = np.minimum(types, len(self._types) - 1)
            summed += self._types[kinds]
        seen = np.array([len(ids)], np.int64)
        output: Matrix = self._session.run(self._outputs, {SUMMED: summed[None], SEEN: seen})[0][0]
        return output

    def _numbers(self, ids: Any, pads: int) -> Any:
        """The position number of each token; RoBERTa gives every padding token, wherever it stands, the position pad."""
        pad = self.config.pad
        if not self.config.pads_alike:
            return np.arange(len(ids) + pads)
        real = ids != pad
        return np.concatenate([np.cumsum(real) * real + pad, np.full(pads, pad, np.int64)])


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return options

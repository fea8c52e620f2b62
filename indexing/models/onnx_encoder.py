"""Token ids to logits or hidden states with ONNX Runtime, without torch and transformers.

`OnnxEncoder` computes docqa's own graphs, `GraphEncoder` those that a model ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from indexing.arrays import Matrix
from indexing.models.graph_file import IDS, MASK, TYPES
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
        self.pads_alike = config.pads_alike
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


class GraphEncoder:
    """An encoder as the graph that a model ships (`shipped_graph`). Thread-safe; one input runs on one core.

    outputs: two of shape [1, L], or one of shape [1, L, width] or [1, width]. pad: id of the padding token.
    """

    def __init__(self, graph: Path, outputs: Sequence[str], pad: int, pads_alike: bool) -> None:
        options = _options(ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
        self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._outputs = list(outputs)
        self._pad = pad
        self.pads_alike = pads_alike
        kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
        self._inputs = {value.name: kinds[value.type] for value in self._session.get_inputs()}

    def run(self, ids: Sequence[int], types: Sequence[int] = (), pads: int = 0) -> Matrix:
        """As `OnnxEncoder.run`; a vector of the whole text is float32 [1, width]."""
        length = len(ids) + pads
        rows = {
            IDS: [*ids, *[self._pad] * pads],
            MASK: [1] * len(ids) + [0] * pads,
            TYPES: [*types, *[0] * (length - len(types))],
        }
        fed = {name: np.array([rows[name]], kind) for name, kind in self._inputs.items()}
        found = [output.astype(np.float32, copy=False) for output in self._session.run(self._outputs, fed)]
        output: Matrix = np.stack(found, axis=-1)[0] if len(found) > 1 else found[0][0]
        return output if output.ndim > 1 else output[None]


def _options(level: ort.GraphOptimizationLevel = ort.GraphOptimizationLevel.ORT_DISABLE_ALL) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # The arena keeps the largest activations of every thread; without it a run takes as long.
    options.enable_cpu_mem_arena = False
    return options

"""ONNX graphs of BERT-like encoders for ONNX Runtime, built from their weights: float32 or int8.

Read `encoder_graph`. The graph's input is the sum of the embeddings, so the large table of word embeddings stays outside.
Its form was chosen by measurement (`docs/decisions/onnx-runtime.md`): separate additions and layer norms, exact Gelu,
the contributed MultiHeadAttention, and no further optimisation by ONNX Runtime.

int8 (W8A8): weights have one scale per output, activations one scale per token. So an outlier token does not cost the others
precision. Weights that are stored with one scale per output lose nothing. Activations after the activation function are
never below -0.17 (Gelu), so most of their 256 values are used for the positive side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from indexing.arrays import Matrix
from indexing.models.tensors import EncoderConfig

Precision = Literal["fp32", "int8"]
Output = Literal["logits", "hidden"]

MICROSOFT = "com.microsoft"
OPSET = 17
IR_VERSION = 8
FILE = "encoder.onnx"
DATA = "encoder.data"
SUMMED, SEEN = "summed", "seen"
LEAST_GELU = 0.17
GELU_ZERO = 24
TINY = 1e-12


def encoder_graph(
    tensors: Mapping[str, Matrix], config: EncoderConfig, precision: Precision, output: Output = "logits", top: int = 127
) -> onnx.ModelProto:
    """The graph of an encoder, and of its question-answering head for the output "logits".

    Inputs: "summed", float32 [1, L, width], word + position + type embeddings; "seen", int64 [1], the number of positions
    that are attended to, which are the first ones. Output: float32 [1, L, 2] (start, end), or [1, L, width].
    top: the largest weight in int8; 63 where the processor's 8-bit products saturate.
    """
    graph = _Graph(tensors, precision, top)
    x = graph.add("LayerNormalization", SUMMED, *graph.norm("norm"), axis=-1, epsilon=config.eps)
    for layer in range(config.layers):
        x = _layer(graph, config, str(layer), x)
    width = config.width
    if output == "logits":
        x, width = graph.linear_fp32("head", x), 2
    graph.add("Identity", x, outputs=[output])
    return graph.model(config.width, output, width)


def save_graph(model: onnx.ModelProto, folder: Path) -> None:
    """Write FILE and DATA, in which ONNX Runtime maps the tensors into memory."""
    onnx.save_model(model, folder / FILE, save_as_external_data=True, location=DATA, size_threshold=512)


def _layer(graph: _Graph, config: EncoderConfig, at: str, x: str) -> str:
    """One post-norm layer (Vaswani et al. 2017)."""
    query, key, value = (graph.linear(f"{at}.{part}", x) for part in ("query", "key", "value"))
    start, one = graph.constant("start", np.array([0], np.int64)), graph.constant("axis", np.array([1], np.int64))
    key, value = (graph.add("Slice", part, start, SEEN, one) for part in (key, value))
    attended = graph.add("MultiHeadAttention", query, key, value, domain=MICROSOFT, num_heads=config.heads)
    x = graph.normed(f"{at}.attended_norm", graph.add("Add", graph.linear(f"{at}.attended", attended), x), config.eps)
    widened = graph.linear(f"{at}.widened", x)
    active = graph.add(config.activation, widened, domain=MICROSOFT if config.activation == "Gelu" else "")
    narrowed = graph.linear(f"{at}.narrowed", active, positive=True)
    return graph.normed(f"{at}.narrowed_norm", graph.add("Add", narrowed, x), config.eps)


class _Graph:
    """Collects nodes and constants. Every method returns the name of its result."""

    def __init__(self, tensors: Mapping[str, Matrix], precision: Precision, top: int) -> None:
        self._tensors, self._precision, self._top = tensors, precision, top
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._quantized: dict[str, tuple[str, str, str]] = {}

    def add(self, kind: str, *inputs: str, outputs: Sequence[str] = (), domain: str = "", **attributes: Any) -> str:
        """A node with one output."""
        names = list(outputs) or [f"t{len(self._nodes)}"]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names[0]

    def constant(self, name: str, values: NDArray[Any]) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
        return name

    def norm(self, name: str) -> tuple[str, str]:
        """Scale and shift of a layer norm."""
        weight, bias = f"{name}.weight", f"{name}.bias"
        return self.constant(weight, self._tensors[weight]), self.constant(bias, self._tensors[bias])

    def normed(self, name: str, x: str, eps: float) -> str:
        return self.add("LayerNormalization", x, *self.norm(name), axis=-1, epsilon=eps)

    def linear(self, name: str, x: str, *, positive: bool = False) -> str:
        """x W^T + b in the graph's precision. positive: x is at least -LEAST_GELU."""
        return self.linear_fp32(name, x) if self._precision == "fp32" else self._linear_int8(name, x, positive)

    def linear_fp32(self, name: str, x: str) -> str:
        product = self.add("MatMul", x, self.constant(f"{name}.w", self._tensors[f"{name}.weight"].T))
        return self._biased(name, product)

    def _biased(self, name: str, product: str) -> str:
        return self.add("Add", product, self.constant(f"{name}.b", self._tensors[f"{name}.bias"]))

    def _linear_int8(self, name: str, x: str, positive: bool) -> str:
        weight = self._tensors[f"{name}.weight"]
        scale = (np.maximum(np.abs(weight).max(axis=1), TINY) / self._top).astype(np.float32)
        integers = np.rint(weight / scale[:, None]).clip(-self._top, self._top).astype(np.int8)
        values, row_scale, zero = self._by_token(x, positive)
        one = self.constant("one", np.array(1, np.float32))
        product = self.add(
            "MatMulIntegerToFloat",
            values,
            self.constant(f"{name}.q", integers.T),
            one,
            self.constant(f"{name}.s", scale),
            zero,
            domain=MICROSOFT,
        )
        return self._biased(name, self.add("Mul", product, row_scale))

    def _by_token(self, x: str, positive: bool) -> tuple[str, str, str]:
        """x [1, L, k] with one scale per token: uint8 [1, L, k], the scales [1, L, 1], and the zero point.

        uint8 with a zero point, since ONNX Runtime's product of two signed matrices is twenty times slower.
        """
        if x in self._quantized:
            return self._quantized[x]
        if positive:
            top, at = 255 - GELU_ZERO, GELU_ZERO
            largest = self.add("ReduceMax", x, axes=[-1], keepdims=1)
            least = self.constant("least", np.array(LEAST_GELU / GELU_ZERO * top, np.float32))
        else:
            top, at = 127, 128
            largest = self.add("ReduceMax", self.add("Abs", x), axes=[-1], keepdims=1)
            least = self.constant("tiny", np.array(TINY, np.float32))
        largest = self.add("Max", largest, least)
        scale = self.add("Mul", largest, self.constant(f"unit{top}", np.array(1 / top, np.float32)))
        flat = self.add("Reshape", scale, self.constant("flat", np.array([-1], np.int64)))
        zero = self.constant(f"zero{at}", np.array(at, np.uint8))
        zeros = self.add("Expand", zero, self.add("Shape", flat))
        self._quantized[x] = self.add("QuantizeLinear", x, flat, zeros, axis=1), scale, zero
        return self._quantized[x]

    def model(self, width: int, output: Output, columns: int) -> onnx.ModelProto:
        """The whole as a model."""
        inputs = [
            helper.make_tensor_value_info(SUMMED, TensorProto.FLOAT, [1, "tokens", width]),
            helper.make_tensor_value_info(SEEN, TensorProto.INT64, [1]),
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, "tokens", columns])]
        graph = helper.make_graph(self._nodes, "encoder", inputs, outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="docqa")

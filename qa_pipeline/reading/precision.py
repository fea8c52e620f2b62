"""Reader precision: float32, bfloat16, float16, or int8.

int8 quantises weights per row and activations per token. A model stored with per-row scales loses nothing. Each token's
values are divided by their largest before rounding, so an outlier token does not cost the others precision. Norms, softmax
and residual sums stay in float32.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from indexing.errors import SettingError
from indexing.models.hardware import Hardware
from qa_pipeline.reading.malloc import drop
from qa_pipeline.settings import PRECISIONS

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
TINY = 1e-8
BLOCK = 4_096


def resolve_precision(precision: str, hardware: Hardware) -> str:
    """The precision to compute in; "auto" is resolved for this hardware. Raises SettingError."""
    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
    if precision == "int8" and hardware.device != "cpu":
        raise SettingError("precision 'int8' is for processors; on a GPU choose bf16 or fp16.")
    if precision == "fp16" and hardware.device == "cpu":
        raise SettingError("precision 'fp16' is for GPUs; on a processor choose bf16, int8 or fp32.")
    return hardware.auto() if precision == "auto" else precision


def apply_precision(encoder: nn.Module, head: nn.Module, precision: str) -> None:
    """Convert an encoder to a precision, in place. The head stays in float32, so that small differences of logits survive.

    On a CPU the word embeddings stay in float32 too: they are memory-mapped, so only the rows in use take memory.
    """
    if precision in TYPES:
        body = _body(encoder)
        _halve(body, TYPES[precision]) if body is not None else encoder.to(TYPES[precision])
    elif precision == "int8":
        _smaller(encoder)
    if precision != "fp32":
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))


def _body(encoder: nn.Module) -> nn.Module | None:
    """The layers of an encoder without its embeddings; None on a GPU, and where the encoder does not separate them."""
    body = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None)
    apart = isinstance(body, nn.Module) and next(encoder.parameters()).device.type == "cpu"
    return body if apart else None


def _halve(body: nn.Module, kind: torch.dtype) -> None:
    """Convert layers to another dtype; a hook casts their inputs."""

    def cast(value: Any) -> Any:
        return value.to(kind) if isinstance(value, Tensor) and value.is_floating_point() else value

    for parameter in body.parameters():
        if parameter.dtype != kind:
            whole = parameter.data
            parameter.data = whole.to(kind)
            _drop(whole)
    body.register_forward_pre_hook(
        lambda _, inputs, named: (tuple(map(cast, inputs)), {name: cast(value) for name, value in named.items()}),
        with_kwargs=True,
    )


def _smaller(encoder: nn.Module) -> None:
    """Replace every linear layer by an int8 layer; shared layers stay shared."""
    made: dict[nn.Module, Int8Linear] = {}
    for module in list(encoder.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, nn.Linear):
                if child not in made:
                    made[child] = Int8Linear(child)
                    _drop(child.weight.data)
                setattr(module, name, made[child])


def _drop(weight: Tensor) -> None:
    """Return the pages of an unused weight to the system; those of a memory-mapped file would otherwise stay resident."""
    if weight.device.type == "cpu" and weight.is_contiguous():
        drop(weight.data_ptr(), weight.nbytes)


def _rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 values, float32 scale per row), weight ~ values * scale. Works in blocks of rows, to bound memory."""
    values, scale = torch.empty(weight.shape, dtype=torch.int8), torch.empty(len(weight))
    for begin in range(0, len(weight), BLOCK):
        part = weight.detach()[begin : begin + BLOCK].float()
        scale[begin : begin + BLOCK] = largest = part.abs().amax(1).clamp_min(TINY) / 127
        values[begin : begin + BLOCK] = (part / largest[:, None]).round_().to(torch.int8)
    return values, scale


def _packed(values: Tensor, scale: Tensor) -> Any:
    """The matrix prepacked for torch's quantised product. Raises SettingError where torch or the CPU lacks int8 support."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            zeros = torch.zeros(len(scale), dtype=torch.long)
            weight = torch._make_per_channel_quantized_tensor(values, scale.double(), zeros, axis=0)
            return torch.ops.quantized.linear_prepack(weight, None)
    except (AttributeError, RuntimeError) as error:
        raise SettingError("precision 'int8' is not to be had with this torch and processor; choose fp32.") from error


class Int8Linear(nn.Module):
    """y = x W^T + b with W in int8 per row and x in int8 per token; input and output are float32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        values, scale = _rows(linear.weight)
        self._packed = _packed(values, scale)
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        largest = x.abs().amax(-1, keepdim=True).clamp_min(TINY)
        y: Tensor = torch.ops.quantized.linear_dynamic(x / largest, self._packed, True)
        return y.mul_(largest) if self.bias is None else torch.addcmul(self.bias, y, largest)

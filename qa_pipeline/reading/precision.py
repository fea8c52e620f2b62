"""Reader precision: float32, bfloat16, float16, or int8 by row and token.

int8: each row of a weight matrix has a scale of its own (a model stored that way loses nothing), and each token's values
are divided by their largest before they are rounded, so one loud token does not drown the others. Norms, softmax and the
residual sums stay in float32.
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


def chosen(precision: str, hardware: Hardware) -> str:
    """The precision to compute in: the one that was named, or what "auto" means there. Raises SettingError."""
    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
    if precision == "int8" and hardware.device != "cpu":
        raise SettingError("precision 'int8' is for processors; on a GPU choose bf16 or fp16.")
    if precision == "fp16" and hardware.device == "cpu":
        raise SettingError("precision 'fp16' is for GPUs; on a processor choose bf16, int8 or fp32.")
    return hardware.auto() if precision == "auto" else precision


def apply(encoder: nn.Module, head: nn.Module, precision: str) -> None:
    """Bring an encoder into a precision, in place; its head stays in float32, so that logits keep their differences.

    On a processor its word embeddings stay too: they are a mapped file, of which only rows that are looked up take memory.
    """
    if precision in TYPES:
        body = _body(encoder)
        _halve(body, TYPES[precision]) if body is not None else encoder.to(TYPES[precision])
    elif precision == "int8":
        _smaller(encoder)
    if precision != "fp32":
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))


def _body(encoder: nn.Module) -> nn.Module | None:
    """The layers of an encoder without its embeddings; None on a GPU, and where they are not told apart."""
    body = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None)
    apart = isinstance(body, nn.Module) and next(encoder.parameters()).device.type == "cpu"
    return body if apart else None


def _halve(body: nn.Module, kind: torch.dtype) -> None:
    """Layers in another type; what comes in is brought into it."""

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
    """Every linear layer in int8; one that is used in several places stays one."""
    made: dict[nn.Module, Int8Linear] = {}
    for module in list(encoder.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, nn.Linear):
                if child not in made:
                    made[child] = Int8Linear(child)
                    _drop(child.weight.data)
                setattr(module, name, made[child])


def _drop(weight: Tensor) -> None:
    """Let go of the pages of a weight that is not used any more; where it lies in a mapped file they would stay."""
    if weight.device.type == "cpu" and weight.is_contiguous():
        drop(weight.data_ptr(), weight.nbytes)


def _rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 values, float32 scale of each row) with weight = values * scale, rounded; a block at a time, for its memory."""
    values, scale = torch.empty(weight.shape, dtype=torch.int8), torch.empty(len(weight))
    for begin in range(0, len(weight), BLOCK):
        part = weight.detach()[begin : begin + BLOCK].float()
        scale[begin : begin + BLOCK] = largest = part.abs().amax(1).clamp_min(TINY) / 127
        values[begin : begin + BLOCK] = (part / largest[:, None]).round_().to(torch.int8)
    return values, scale


def _packed(values: Tensor, scale: Tensor) -> Any:
    """The matrix in the form that torch multiplies by. Raises SettingError where this torch has no int8 any more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            zeros = torch.zeros(len(scale), dtype=torch.long)
            weight = torch._make_per_channel_quantized_tensor(values, scale.double(), zeros, axis=0)
            return torch.ops.quantized.linear_prepack(weight, None)
    except (AttributeError, RuntimeError) as error:
        raise SettingError("precision 'int8' is not to be had with this torch and processor; choose fp32.") from error


class Int8Linear(nn.Module):
    """y = x W^T + b with W in int8 by row and x in int8 by token; what comes in and goes out is float32."""

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

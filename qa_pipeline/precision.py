"""How a reader computes: in float32, in bfloat16 or float16 where the machine is fast in it, or in int8.

int8: each row of a weight matrix has a scale of its own (a model stored that way loses nothing), and each token's values
are divided by their largest before they are rounded, so one loud token does not drown the others. Word embeddings are
kept in int8 rows too and widened when looked up. Norms, softmax and the residual sums stay in float32.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from indexing.embed import has_bfloat16
from indexing.errors import SettingError
from qa_pipeline.settings import PRECISIONS

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
TINY = 1e-8


def chosen(precision: str, device: torch.device) -> str:
    """What "auto" means on a device: bfloat16 where it is computed in hardware, else float32. Raises SettingError."""
    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
    if precision == "int8" and device.type != "cpu":
        raise SettingError("precision 'int8' is for processors; on a GPU choose bf16 or fp16.")
    if precision == "fp16" and device.type == "cpu":
        raise SettingError("precision 'fp16' is for GPUs; on a processor choose bf16, int8 or fp32.")
    if precision != "auto":
        return precision
    return "bf16" if has_bfloat16(device.type) else "fp16" if device.type == "cuda" else "fp32"


def apply(encoder: nn.Module, head: nn.Module, precision: str) -> None:
    """Bring an encoder into a precision, in place; its head stays in float32, so that logits keep their differences."""
    if precision in TYPES:
        encoder.to(TYPES[precision])
    elif precision == "int8":
        _smaller(encoder)
    if precision != "fp32":
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))


def _smaller(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child))
        elif isinstance(child, nn.Embedding) and name == "word_embeddings":
            setattr(module, name, Int8Embedding(child))
        else:
            _smaller(child)


def _rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 values, float32 scale of each row) with weight = values * scale, rounded."""
    scale = weight.detach().float().abs().amax(1).clamp_min(TINY) / 127
    return (weight.detach().float() / scale[:, None]).round().to(torch.int8), scale


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


class Int8Embedding(nn.Module):
    """A table of vectors in int8 rows; a row is widened to float32 when it is looked up."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        values, scale = _rows(embedding.weight)
        self.values: Tensor
        self.scale: Tensor
        self.register_buffer("values", values)
        self.register_buffer("scale", scale)
        self.num_embeddings, self.embedding_dim = embedding.num_embeddings, embedding.embedding_dim
        self.padding_idx = embedding.padding_idx

    def forward(self, ids: Tensor) -> Tensor:
        widened: Tensor = self.values[ids].float() * self.scale[ids][..., None]
        return widened

"""Detects the device and the processor's instruction sets, which decide the precision.

Detection and decision are separate: `this_machine` and `processor` detect, `Hardware` decides. So tests can check the
decision for machines they do not run on. torch is imported only to query a GPU.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NVIDIA = Path("/dev/nvidiactl")

# Values of oneDNN's ONEDNN_MAX_CPU_ISA, ascending, each with the features it adds (named as in Linux' /proc/cpuinfo).
LIMIT = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("SSE41", ()),
    ("AVX", ()),
    ("AVX2", ("avx2",)),
    ("AVX2_VNNI", ("avx_vnni",)),
    ("AVX2_VNNI_2", ()),
    ("AVX512_CORE", ("avx512f",)),
    ("AVX512_CORE_VNNI", ("avx512_vnni",)),
    ("AVX512_CORE_BF16", ("avx512_bf16",)),
    ("AVX512_CORE_FP16", ("avx512_fp16",)),
    ("AVX512_CORE_AMX", ("amx_bf16", "amx_int8")),
    ("AVX512_CORE_AMX_FP16", ("amx_fp16",)),
)
FEATURES = frozenset(name for _, names in LEVELS for name in names)
CUDA_BF16 = "cuda_bf16"

# For each precision, the features that its matrix products can use, fastest first, and their usual names.
SETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "fp32": (("avx512f", "AVX-512"), ("avx2", "AVX2")),
    "bf16": (
        ("amx_bf16", "AMX"),
        ("avx512_bf16", "AVX-512 BF16"),
        ("avx512f", "AVX-512, emulated"),
        ("avx2", "AVX2, emulated"),
    ),
    "int8": (("avx512_vnni", "AVX-512 VNNI"), ("avx512f", "AVX-512"), ("avx_vnni", "AVX-VNNI"), ("avx2", "AVX2")),
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """One device. device: "cpu", "cuda" or another of torch's names. features: of FEATURES, or CUDA_BF16.

    name: a GPU's name, or a processor's architecture such as "x86_64".
    """

    device: str
    features: frozenset[str] = frozenset()
    name: str = ""

    @property
    def bfloat16(self) -> bool:
        """Whether the device multiplies bfloat16 matrices in hardware; emulation is slower than float32."""
        return bool(self.features & {"amx_bf16", "avx512_bf16", CUDA_BF16})

    @property
    def int8(self) -> bool:
        """Whether the processor multiplies 8-bit matrices in hardware."""
        return bool(self.features & {"avx512_vnni", "avx_vnni", "amx_int8"})

    @property
    def saturates(self) -> bool:
        """Whether sums of two 8-bit products can overflow their 16 bits: on x86 without VNNI."""
        return not self.int8 and bool(self.features & {"avx2", "avx512f"})

    def auto(self) -> str:
        """The precision that "auto" means: bf16 if the hardware has it, fp16 on an older GPU, else fp32.

        >>> Hardware("cpu", frozenset({"avx2"})).auto(), Hardware("cpu", frozenset({"avx2", "amx_bf16"})).auto()
        ('fp32', 'bf16')
        """
        return "bf16" if self.bfloat16 else "fp16" if self.device == "cuda" else "fp32"

    def instruction_set(self, precision: str) -> str:
        """The usual name of the instruction set for matrix products of a precision, else the device's name.

        >>> Hardware("cpu", frozenset({"avx2", "avx512f"})).instruction_set("fp32")
        'AVX-512'
        """
        known = (label for feature, label in SETS.get(precision, ()) if feature in self.features)
        return next(known, "") or self.name or self.device


def processor(cpuinfo: str, environment: Mapping[str, str], architecture: str = "") -> Hardware:
    """Parse the processor's features from Linux' /proc/cpuinfo, up to the limit that the environment sets for oneDNN.

    oneDNN computes torch's bfloat16 products, so features that its ONEDNN_MAX_CPU_ISA forbids are excluded.

    >>> sorted(processor("flags : fpu avx2 avx512f amx_bf16", {"ONEDNN_MAX_CPU_ISA": "AVX2"}).features)
    ['avx2']
    """
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    present = FEATURES & set(found[1].split() if found else ())
    limit = next((environment[name].upper() for name in LIMIT if environment.get(name)), "")
    names = [name for name, _ in LEVELS]
    allowed = LEVELS[: names.index(limit) + 1] if limit in names else LEVELS
    return Hardware("cpu", present & {feature for _, features in allowed for feature in features}, architecture)


def has_gpu() -> bool:
    """Whether the system shows an NVIDIA GPU. torch, which takes a second to import, is not asked where it does not."""
    if not NVIDIA.exists():
        return False
    import torch

    return bool(torch.cuda.is_available())


def this_machine(device: str = "cpu") -> Hardware:
    """Detect a device of this machine. device: torch's name ("cpu", "cuda", "mps")."""
    if device == "cuda":
        import torch

        features = frozenset({CUDA_BF16} if torch.cuda.is_bf16_supported() else ())
        return Hardware(device, features, torch.cuda.get_device_name())
    if device != "cpu":
        return Hardware(device)
    try:
        text = CPUINFO.read_text("ascii", errors="ignore")
    except OSError:
        text = ""
    return processor(text, os.environ, platform.machine())

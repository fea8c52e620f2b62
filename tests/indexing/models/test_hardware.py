"""What is chosen on processors and GPUs that this test does not run on: their features are passed in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from indexing.models import hardware
from indexing.models.hardware import CUDA_BF16, Hardware, processor, this_machine
from qa_pipeline.training.loop.trainer import matmul_dtype

AVX2 = "fpu sse4_2 avx avx2 fma"
AVX512 = f"{AVX2} avx512f avx512bw avx512vl"
VNNI = f"{AVX512} avx512_vnni"
BF16 = f"{VNNI} avx512_bf16"
AMX = f"{BF16} avx512_fp16 amx_bf16 amx_tile amx_int8"


def cpu(flags: str, **environment: str) -> Hardware:
    return processor(f"processor : 0\nvendor_id : X\nflags\t\t: {flags}\n\nprocessor : 1\n", environment, "x86_64")


@pytest.mark.parametrize(
    "machine, auto, fp32, bf16, int8",
    [
        (cpu("fpu sse4_2"), "fp32", "x86_64", "x86_64", "x86_64"),
        (cpu(AVX2), "fp32", "AVX2", "AVX2, emulated", "AVX2"),
        (cpu(f"{AVX2} avx_vnni"), "fp32", "AVX2", "AVX2, emulated", "AVX-VNNI"),
        (cpu(AVX512), "fp32", "AVX-512", "AVX-512, emulated", "AVX-512"),
        (cpu(VNNI), "fp32", "AVX-512", "AVX-512, emulated", "AVX-512 VNNI"),
        (cpu(BF16), "bf16", "AVX-512", "AVX-512 BF16", "AVX-512 VNNI"),
        (cpu(AMX), "bf16", "AVX-512", "AMX", "AVX-512 VNNI"),
        (processor("Features : fp asimd bf16 i8mm", {}, "aarch64"), "fp32", "aarch64", "aarch64", "aarch64"),
        (processor("", {}, "arm64"), "fp32", "arm64", "arm64", "arm64"),
        (Hardware("cuda", frozenset({CUDA_BF16}), "H200"), "bf16", "H200", "H200", "H200"),
        (Hardware("cuda", name="T4"), "fp16", "T4", "T4", "T4"),
        (Hardware("mps"), "fp32", "mps", "mps", "mps"),
    ],
    ids=lambda value: "+".join(sorted(value.features)) or value.device if isinstance(value, Hardware) else None,
)
def test_what_auto_is_and_what_computes(machine: Hardware, auto: str, fp32: str, bf16: str, int8: str) -> None:
    assert machine.auto() == auto
    assert [machine.instruction_set(name) for name in ("fp32", "bf16", "int8")] == [fp32, bf16, int8]


@pytest.mark.parametrize(
    "limit, auto, instructions",
    [
        ("AVX2", "fp32", "AVX2"),
        ("AVX512_CORE", "fp32", "AVX-512"),
        ("AVX512_CORE_VNNI", "fp32", "AVX-512"),
        ("avx512_core_bf16", "bf16", "AVX-512 BF16"),
        ("AVX512_CORE_AMX", "bf16", "AMX"),
        ("DEFAULT", "bf16", "AMX"),
        ("SSE41", "fp32", "x86_64"),
        ("", "bf16", "AMX"),
        ("nonsense", "bf16", "AMX"),
    ],
)
def test_what_one_dnn_may_not_use_is_not_there(limit: str, auto: str, instructions: str) -> None:
    for name in hardware.LIMIT:
        found = cpu(AMX, **{name: limit})
        assert (found.auto(), found.instruction_set(found.auto())) == (auto, instructions)


def test_training_is_in_float32_unless_asked() -> None:
    for machine in (cpu(AVX2), cpu(AMX), Hardware("cuda", frozenset({CUDA_BF16}))):
        assert matmul_dtype("fp32", machine) == torch.float32
        assert matmul_dtype("bf16", machine) == torch.bfloat16
        assert matmul_dtype("auto", machine) == (torch.bfloat16 if machine.bfloat16 else torch.float32)


def test_this_machine_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hardware.LIMIT:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cpuinfo").write_text(f"flags : {BF16}\n")
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    assert this_machine().auto() == "bf16" and this_machine().device == "cpu"
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "nothing")
    assert this_machine().features == frozenset() and this_machine("mps") == Hardware("mps")

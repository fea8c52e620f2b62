"""Converts a model folder to an ONNX graph, once; the result is kept in the model cache under the model's fingerprint.

The built-in models are converted in this process, without torch. Other models are converted in a child process. It loads
the model with torch, compares the outputs of both, and stores the tokenizer as transformers configures it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from indexing.errors import one_line
from indexing.models.cache import make_once
from indexing.models.hardware import Hardware
from indexing.models.registry import TOKENIZER, ModelFolder
from indexing.models.tensors import EncoderConfig, EncoderTensors, encoder_config

if TYPE_CHECKING:
    from indexing.arrays import Matrix

Precision = Literal["fp32", "int8"]
Output = Literal["logits", "hidden"]

VERSION = 1
GRAPH = "encoder.onnx"
FAILED = "failed.json"
CHECKED = "checked.json"
TOLERANCE = 1e-3
SECONDS = 600
CHECKED_LENGTHS = (3, 17, 120)
WHOLE, REDUCED = 127, 63


class NotConvertible(Exception):
    """Why a model has no ONNX graph, in words that continue "because of"."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The files of a converted model: its graph, its tokenizer.json, and the sizes of its encoder."""

    graph: Path
    tokenizer: Path
    config: EncoderConfig


def convert_model(folder: ModelFolder, precision: Precision, output: Output, hardware: Hardware) -> Converted:
    """The converted model from the cache, made there if necessary. Raises NotConvertible, ModelMissing (a full disk)."""
    config = encoder_config(folder.source)
    if isinstance(config, str):
        raise NotConvertible(config)
    top = REDUCED if precision == "int8" and hardware.saturates else WHOLE
    make = _make_here if folder.is_builtin else _make_in_child
    kind = f"{precision}-{top}" if precision == "int8" else precision
    made = make_once(
        f"onnx-{folder.fingerprint[:16]}-{VERSION}/{output}-{kind}",
        partial(make, folder.source, precision=precision, output=output, top=top),
    )
    if (made / FAILED).is_file():
        raise NotConvertible(str(json.loads((made / FAILED).read_bytes())["reason"]))
    tokenizer = folder.source if folder.is_builtin else made
    return Converted(made / GRAPH, tokenizer / TOKENIZER, config)


def _make_here(source: Path, target: Path, *, precision: Precision, output: Output, top: int) -> None:
    from indexing.models.encoder_graph import encoder_graph, save_graph

    config = encoder_config(source)
    assert isinstance(config, EncoderConfig)
    tensors = EncoderTensors(source, config.family, config.layers)
    save_graph(encoder_graph(tensors, config, precision, output, top), target)


def _make_in_child(source: Path, target: Path, *, precision: Precision, output: Output, top: int) -> None:
    command = [sys.executable, "-m", __name__, str(source), str(target), precision, output, str(top)]
    root = str(Path(__file__).resolve().parents[2])
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=root,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotConvertible(f"a conversion of more than {SECONDS} seconds") from None
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
        raise NotConvertible(f"a failed conversion ({last[:200]})")


# -- in the child process ----------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """SOURCE TARGET PRECISION OUTPUT TOP: convert SOURCE into the empty folder TARGET, or write FAILED there."""
    source, target, precision, output, top = arguments
    try:
        difference = _compare(Path(source), Path(target), output)  # type: ignore[arg-type]
        if difference > TOLERANCE:
            raise NotConvertible(f"other outputs than torch's (by {difference:.2g})")
        _make_here(Path(source), Path(target), precision=precision, output=output, top=int(top))  # type: ignore[arg-type]
        (Path(target) / CHECKED).write_text(json.dumps({"largest_difference": difference}), encoding="utf-8")
    except (OSError, MemoryError):
        raise
    except Exception as error:
        for path in Path(target).iterdir():
            path.unlink()
        (Path(target) / FAILED).write_text(json.dumps({"reason": one_line(error)}), encoding="utf-8")
    return 0


def _compare(source: Path, target: Path, output: Output) -> float:
    """The largest difference between the float32 graph and torch, relative to the largest output if that is above 1.

    It also stores the tokenizer in `target`.
    """
    import numpy as np
    from transformers import AutoTokenizer

    from indexing.models.onnx_encoder import OnnxEncoder

    tokenizer: Any = AutoTokenizer.from_pretrained(str(source), local_files_only=True)  # type: ignore[no-untyped-call]
    if not tokenizer.is_fast:
        raise NotConvertible("a tokenizer that has no tokenizer.json")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.save(str(target / TOKENIZER))
    config = encoder_config(source)
    assert isinstance(config, EncoderConfig)
    model, inputs = _torch_model(source, output), _inputs(config, source)
    beside = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        _make_here(source, beside, precision="fp32", output=output, top=WHOLE)
        encoder = OnnxEncoder(source, config, beside / GRAPH)
        largest = 0.0
        for ids, types in inputs:
            wanted = model(ids, types)
            difference = float(np.abs(encoder.run(ids, types) - wanted).max())
            largest = max(largest, difference / max(1.0, float(np.abs(wanted).max())))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return largest


def _inputs(config: EncoderConfig, source: Path) -> list[tuple[list[int], list[int]]]:
    """Random token ids and token types."""
    import numpy as np

    tensors = EncoderTensors(source, config.family, config.layers)
    vocabulary, positions = len(tensors["words"]), len(tensors["positions"]) - config.first_position
    typed = len(tensors["types"]) > 1 if "types" in tensors else False
    random = np.random.default_rng(0)
    found = []
    for length in CHECKED_LENGTHS:
        ids = random.integers(config.pad + 1, vocabulary, min(length, positions)).tolist()
        half = len(ids) // 2
        found.append((ids, [0] * half + [int(typed)] * (len(ids) - half)))
    return found


def _torch_model(source: Path, output: Output) -> Any:
    """A function from token ids and types to torch's float32 output."""
    import torch
    import transformers

    kind: Any = transformers.AutoModelForQuestionAnswering if output == "logits" else transformers.AutoModel
    model = kind.from_pretrained(str(source), local_files_only=True).eval()
    typed = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1

    def run(ids: list[int], types: list[int]) -> Matrix:
        named = {"token_type_ids": torch.tensor([types])} if typed else {}
        with torch.inference_mode():
            found = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **named)
            if output == "hidden":
                both = found.last_hidden_state
            else:
                both = torch.stack([found.start_logits, found.end_logits], dim=-1)
        result: Matrix = both[0].float().numpy()
        return result

    return run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

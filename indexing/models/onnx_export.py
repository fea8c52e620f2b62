"""Converts a model folder to an ONNX graph, once; the result is kept in the model cache under the model's fingerprint.

The built-in models are converted in this process, without torch. Other models are converted in a child process. It loads
the model with torch, compares the outputs of both, and stores the tokenizer as transformers configures it. An embedder
is loaded with sentence-transformers; the vectors of a few texts are compared too, and the tokenizer truncates as its does.
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
from indexing.models.cache import configured_folder, make_once
from indexing.models.hardware import Hardware
from indexing.models.registry import TOKENIZER, ModelFolder
from indexing.models.sentence_modules import SentenceModules, sentence_modules
from indexing.models.shared_files import file_of
from indexing.models.tensors import EncoderConfig, EncoderTensors, encoder_config

if TYPE_CHECKING:
    from indexing.arrays import Matrix
    from indexing.models.onnx_encoder import OnnxEncoder

Precision = Literal["fp32", "int8"]
Output = Literal["logits", "hidden"]

VERSION = 1
GRAPH = "encoder.onnx"
FAILED = "failed.json"
CHECKED = "checked.json"
TOLERANCE = 1e-3
SECONDS = 600
CHECKED_LENGTHS = (3, 17, 120)
CHECKED_TEXTS = (
    "",
    "The Bridge was opened in 1912.",
    "Der Fluß, 橋は長い; мост, ΣΟΦΟΣ. \u0915\u0941 ",
    "Long bridges " * 2_000,
)
WHOLE, REDUCED = 127, 63
TINY = 1e-12


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
    config = encoder_config(_encoder_folder(folder.source, output))
    if isinstance(config, str):
        raise NotConvertible(config)
    top = REDUCED if precision == "int8" and hardware.saturates else WHOLE
    make = _make_here if folder.is_builtin else _make_in_child
    kind = f"{precision}-{top}" if precision == "int8" else precision
    made = make_once(
        f"{_cached(folder)}/{output}-{kind}",
        partial(make, folder.source, precision=precision, output=output, top=top),
    )
    if (made / FAILED).is_file():
        raise NotConvertible(str(json.loads((made / FAILED).read_bytes())["reason"]))
    tokenizer = file_of(folder.source, TOKENIZER) if folder.is_builtin else made / TOKENIZER
    return Converted(made / GRAPH, tokenizer, config)


def failed_conversion(folder: ModelFolder, output: Output) -> str:
    """Why an earlier conversion of a model failed; "" if none did."""
    cache = configured_folder()
    found = sorted(cache.glob(f"{_cached(folder)}/{output}-*/{FAILED}")) if cache is not None else []
    return str(json.loads(found[0].read_bytes())["reason"]) if found else ""


def _cached(folder: ModelFolder) -> str:
    return f"onnx-{folder.fingerprint[:16]}-{VERSION}"


def _encoder_folder(source: Path, output: Output) -> Path:
    """The folder of the encoder: that of a reader itself, or of an embedder's first module. Raises NotConvertible."""
    return source if output == "logits" else _modules(source).encoder


def _modules(source: Path) -> SentenceModules:
    found = sentence_modules(source, source.name)
    if isinstance(found, str):
        raise NotConvertible(found)
    return found


def _make_here(source: Path, target: Path, *, precision: Precision, output: Output, top: int) -> None:
    from indexing.models.encoder_graph import encoder_graph, save_graph

    encoder = _encoder_folder(source, output)
    config = encoder_config(encoder)
    assert isinstance(config, EncoderConfig)
    tensors = EncoderTensors(encoder, config.family, config.layers)
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

    from indexing.models.onnx_encoder import OnnxEncoder

    folder = _encoder_folder(source, output)
    config = encoder_config(folder)
    assert isinstance(config, EncoderConfig)
    inputs = _inputs(config, folder)
    loaded = _LoadedReader(source) if output == "logits" else _LoadedEmbedder(source, config)
    loaded.tokenizer.save(str(target / TOKENIZER))
    beside = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        _make_here(source, beside, precision="fp32", output=output, top=WHOLE)
        encoder = OnnxEncoder(folder, config, beside / GRAPH)
        largest = 0.0
        for ids, types in inputs:
            wanted = loaded.run(ids, types)
            difference = float(np.abs(encoder.run(ids, types) - wanted).max())
            largest = max(largest, difference / max(1.0, float(np.abs(wanted).max())))
        if isinstance(loaded, _LoadedEmbedder):
            largest = max(largest, loaded.difference(_modules(source), encoder))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return largest


def _inputs(config: EncoderConfig, encoder: Path) -> list[tuple[list[int], list[int]]]:
    """Random token ids and token types."""
    import numpy as np

    tensors = EncoderTensors(encoder, config.family, config.layers)
    vocabulary, positions = len(tensors["words"]), len(tensors["positions"]) - config.first_position
    typed = len(tensors["types"]) > 1 if "types" in tensors else False
    random = np.random.default_rng(0)
    found = []
    for length in CHECKED_LENGTHS:
        ids = random.integers(config.pad + 1, vocabulary, min(length, positions)).tolist()
        half = len(ids) // 2
        found.append((ids, [0] * half + [int(typed)] * (len(ids) - half)))
    return found


class _LoadedReader:
    """A reader that transformers loaded. tokenizer: that of the `tokenizers` package, without truncation and padding."""

    def __init__(self, source: Path) -> None:
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(str(source), local_files_only=True)  # type: ignore[no-untyped-call]
        self.tokenizer = _backend(tokenizer)
        kind: Any = AutoModelForQuestionAnswering
        self._model = kind.from_pretrained(str(source), local_files_only=True).eval()

    def run(self, ids: list[int], types: list[int]) -> Matrix:
        """torch's float32 output."""
        import torch

        found = _computed(self._model, ids, types)
        result: Matrix = torch.stack([found.start_logits, found.end_logits], dim=-1)[0].float().numpy()
        return result


class _LoadedEmbedder:
    """An embedder that sentence-transformers loaded. tokenizer: as of `_LoadedReader`, but it truncates."""

    def __init__(self, source: Path, config: EncoderConfig) -> None:
        from indexing.models.sentence_transformer import load_sentence_transformer

        self._whole = load_sentence_transformer(str(source), "cpu").eval()
        self._model = self._whole[0].auto_model
        self.tokenizer = _backend(self._whole.tokenizer)
        positions = self._model.config.max_position_embeddings - config.first_position
        self._fits = self._whole.max_seq_length <= positions
        limit = int(min(self._whole.max_seq_length, positions))
        self.tokenizer.enable_truncation(limit, direction=self._whole.tokenizer.truncation_side)

    def run(self, ids: list[int], types: list[int]) -> Matrix:
        """torch's float32 hidden states."""
        result: Matrix = _computed(self._model, ids, types).last_hidden_state[0].float().numpy()
        return result

    def difference(self, modules: SentenceModules, encoder: OnnxEncoder) -> float:
        """The largest relative difference of the vectors of a few texts from sentence-transformers'.

        Long texts are left out where sentence-transformers fails, because it truncates them to more tokens than positions.
        """
        import numpy as np

        largest = 0.0
        for text in CHECKED_TEXTS if self._fits else CHECKED_TEXTS[:-1]:
            encoding = self.tokenizer.encode(text)
            ours = modules.vector(encoder.run(encoding.ids, encoding.type_ids))
            theirs = self._whole.encode([text], show_progress_bar=False)[0]
            if ours.shape != theirs.shape:
                raise NotConvertible("vectors of another dimension than sentence-transformers'")
            largest = max(largest, float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), TINY)))
        return largest


def _backend(tokenizer: Any) -> Any:
    """The tokenizer of the `tokenizers` package in one of transformers, without truncation and padding."""
    if not tokenizer.is_fast:
        raise NotConvertible("a tokenizer that has no tokenizer.json")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer.backend_tokenizer


def _computed(model: Any, ids: list[int], types: list[int]) -> Any:
    import torch

    typed = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1
    named = {"token_type_ids": torch.tensor([types])} if typed else {}
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **named)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

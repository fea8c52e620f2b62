"""Model folders that are not as they should be: copies, and what is done to them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Change = Callable[[Path], Any]


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def set_json(file: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        old = json.loads((folder / file).read_text("utf-8")) if (folder / file).is_file() else {}
        (folder / file).write_text(json.dumps({**old, **values}), "utf-8")

    return change


def write(file: str, content: bytes) -> Change:
    return lambda folder: (folder / file).write_bytes(content)


def remove(*files: str) -> Change:
    def change(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return change


def shorten(file: str, part: float = 0.7) -> Change:
    return lambda folder: os.truncate(folder / file, int((folder / file).stat().st_size * part))


def one_sentence(error: BaseException) -> str:
    message = str(error)
    assert message.endswith(".") and "\n" not in message and "Traceback" not in message and len(message) < 500
    return message


def as_pickle(folder: Path, target: Path, *, legacy: bool = False) -> Path:
    """A copy whose weights are a pytorch_model.bin, of before 2020 if `legacy`."""
    import torch
    from safetensors.torch import load_file

    copied(folder, target)
    weights = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    torch.save(weights, target / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    return target


def load_reader(path: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    model = AutoModelForQuestionAnswering.from_pretrained(path, local_files_only=True, use_safetensors=True)
    return model, AutoTokenizer.from_pretrained(path, local_files_only=True)


def run_child(code: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()

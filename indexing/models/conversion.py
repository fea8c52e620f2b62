"""What the converters of models share: their error, the names of their results in the cache, and their child process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

from indexing.models.cache import configured_folder
from indexing.models.registry import ModelFolder

Output = Literal["logits", "hidden"]

VERSION = 1
FAILED = "failed.json"
SECONDS = 600


class NotConvertible(Exception):
    """Why a model has no usable ONNX graph, in words that continue "because of"."""


def cached_name(folder: ModelFolder) -> str:
    """The folder inside the model cache of everything that is made from a model."""
    return f"onnx-{folder.fingerprint[:16]}-{VERSION}"


def stored_reason(folder: ModelFolder, pattern: str) -> str:
    """The reason in the first file of the model's cache that matches a glob pattern; "" if there is none."""
    cache = configured_folder()
    found = sorted(cache.glob(f"{cached_name(folder)}/{pattern}")) if cache is not None else []
    return str(json.loads(found[0].read_bytes())["reason"]) if found else ""


def store_reason(target: Path, reason: str, file: str = FAILED) -> None:
    """Store a reason where `stored_reason` finds it."""
    (target / file).write_text(json.dumps({"reason": reason}), encoding="utf-8")


def run_module(module: str, *arguments: str) -> None:
    """Run a module of docqa in a child process. Raises NotConvertible if it fails or takes more than SECONDS."""
    root = str(Path(__file__).resolve().parents[2])
    try:
        run = subprocess.run(
            [sys.executable, "-m", module, *arguments],
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

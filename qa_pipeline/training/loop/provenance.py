"""Provenance of a training run: docqa's version and commit, the base model, the machine."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch


def docqa_version() -> str:
    """docqa's version, with its commit if it runs from a repository."""
    from importlib.metadata import version

    return version("docqa") + (f", commit {commit()}" if commit() else "")


def model_label(model: str) -> str:
    """A model's name; for a folder only its last part, so that no local path is published."""
    return Path(model).resolve().name if Path(model).is_dir() else model


def machine(kind: torch.dtype = torch.float32) -> str:
    """Short description of device, threads and precision."""
    count = torch.get_num_threads()
    threads = f"{count} thread{'s' if count > 1 else ''} of {platform.machine()}"
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else threads
    return f"{where}, {str(kind).removeprefix('torch.')}"


def commit() -> str:
    """The current commit of docqa's repository, "" outside of one."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True
        )
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""

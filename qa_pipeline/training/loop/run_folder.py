"""The folder of a training run: its model is complete or absent, and a finished run is recognised."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indexing.atomic_files import move, store_text, sync_tree
from indexing.errors import SettingError
from qa_pipeline.training.loop import checkpoints

RUN = "training.json"
CARD = "README.md"
MODELS = ("config.json", "modules.json")


def save(write: Callable[[Path], None], into: Path, last: str) -> None:
    """Writes to a temporary folder, then moves the files into place, `last` at the end: before it the folder is no model."""
    beside = into / ".saved"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    write(beside)
    sync_tree(beside)
    for path in sorted(beside.iterdir(), key=lambda path: path.name == last):
        if path.is_dir():
            shutil.rmtree(into / path.name, ignore_errors=True)
        move(path, into / path.name)
    beside.rmdir()


def contents(*folders: Path | None) -> str:
    """A digest of the files in these folders, by name and content; None stands for no folder."""
    whole = hashlib.blake2b(digest_size=16)
    for folder in folders:
        whole.update(b"\0")
        for path in sorted(folder.iterdir()) if folder and folder.is_dir() else ():
            if path.is_file():
                whole.update(path.name.encode() + b"\0" + hashlib.blake2b(path.read_bytes()).digest())
    return whole.hexdigest()


def finished_run(into: Path, key: str) -> dict[str, Any] | None:
    """The stored facts of this run if it is finished, else None. Raises SettingError if the folder holds another model."""
    run = into / RUN
    if run.is_file():
        told: dict[str, Any] = json.loads(run.read_bytes())
        if told.get("key") == key:
            return told
    holds_model = any((into / name).is_file() for name in MODELS)
    if run.is_file() or (holds_model and not (into / checkpoints.NAME).is_file()):
        raise SettingError(f"{into} holds another model; name a folder that is new, or that of the same run.")
    return None


def new_folder(into: Path) -> None:
    """Raises SettingError if the folder holds a model."""
    if any((into / name).exists() for name in MODELS):
        raise SettingError(f"{into} holds a model already; name a folder that is new.")


def before_file(into: Path, key: str) -> Path:
    """File with the scores measured before training, until the run is finished."""
    return into / f"before-{key}.json"


def write_run(into: Path, key: str, facts: dict[str, Any], card: str) -> dict[str, Any]:
    """Writes the card and training.json; returns the content of the latter."""
    store_text(into / CARD, card)
    store_text(into / RUN, json.dumps({"key": key, **facts}, ensure_ascii=False, indent=1, default=str))
    before_file(into, key).unlink(missing_ok=True)
    told: dict[str, Any] = json.loads((into / RUN).read_bytes())
    return told

"""Checkpoints: the whole state of a run, replaced atomically.

They are loaded as tensors and plain values only, so that no pickled code is executed.
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from indexing.atomic_files import open_atomic, remove_leftovers
from indexing.errors import SettingError

NAME = "checkpoint.pt"


@dataclass(slots=True)
class Position:
    """Progress of a run. update: next update of this epoch; done: updates in total; seconds: of training, over all sessions.

    loss: exponential moving average over updates.
    """

    epoch: int = 0
    update: int = 0
    done: int = 0
    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0


def save(path: Path, key: str, position: Position, model: Any, optimiser: torch.optim.Optimizer) -> None:
    """Saves model, optimiser, random states and position. The learning rate follows from the position."""
    state = {
        "key": key,
        "position": asdict(position),
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    remove_leftovers(path)
    with open_atomic(path) as file:
        torch.save(state, file)


def restore(path: Path, key: str, model: Any, optimiser: torch.optim.Optimizer) -> Position | None:
    """Restores the state of a run and returns its position; None without a checkpoint.

    Raises SettingError if the checkpoint belongs to another run or cannot be read.
    """
    if not path.is_file():
        return None
    state = _read(path)
    if state.get("key") != key:
        raise SettingError(
            f"{path.parent} holds a training run with other data, settings or precision;"
            " name another folder, or delete this one."
        )
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    return Position(**state["position"])


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError) as error:
        raise SettingError(f"{path} cannot be read; delete it to train from the start.") from error
    return state if isinstance(state, dict) else {}

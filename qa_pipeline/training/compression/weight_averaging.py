"""Weight averaging of readers fine-tuned from one start ("Model soups", Wortsman et al. 2022).

Runs with different seeds see different questions or another order. Their average keeps what they agree on and cancels the
noise of the last batches. So two cores can train two runs in parallel, and the average has learned from both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexing.atomic_files import store_text
from indexing.errors import SettingError
from indexing.models.registry import TOKENIZER, ModelFolder, load_tokenizer, resolve
from indexing.models.weights import PLAIN
from qa_pipeline.answering import calibration_store
from qa_pipeline.training.loop import checkpoints
from qa_pipeline.training.loop.run_folder import CARD, RUN, new_folder, save

CONFIG = "config.json"
NOT_CARRIED = (PLAIN, CARD, RUN, checkpoints.NAME, calibration_store.NAME)
OF_ITS_OWN = ("_name_or_path", "transformers_version", "torch_dtype")


def average(names: Sequence[str], into: Path) -> None:
    """Writes a reader with the mean of the weights into `into`. Raises SettingError, ModelError."""
    if len(names) < 2:
        raise SettingError("A mean is of two readers or more; name them.")
    new_folder(into)
    from qa_pipeline.reading.load import window_sizes

    first, *others = [resolve(name, "reader") for name in names]
    shape, windows = _shape(first), window_sizes(first)
    for name, other in zip(names[1:], others, strict=True):
        if _shape(other) != shape:
            raise SettingError(f"{name} and {names[0]} are no readers of one kind with one tokenizer; they have no mean.")
        if window_sizes(other)["max_seq_len"] != windows["max_seq_len"]:
            raise SettingError(f"{name} and {names[0]} read windows of other sizes; they have no mean.")
    into.mkdir(parents=True, exist_ok=True)
    folders, facts = [first.path, *(other.path for other in others)], {"recipe": windows, "mean_of": list(names)}
    save(lambda target: _write(folders, facts, target), into, CONFIG)
    told = ", ".join(Path(name).name for name in names)
    store_text(into / CARD, f"# {into.resolve().name}\n\nThe mean of the weights of {told}.\n")


def _write(folders: Sequence[Path], facts: dict[str, Any], target: Path) -> None:
    """facts: content of training.json, from which the reader's window sizes are read."""
    from safetensors.torch import load_file, save_file

    total: dict[str, Any] = {}
    for folder in folders:
        for name, tensor in load_file(folder / PLAIN).items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    save_file({name: (tensor / len(folders)).float() for name, tensor in total.items()}, target / PLAIN, {"format": "pt"})
    for path in folders[0].iterdir():
        if path.is_file() and path.name not in NOT_CARRIED and not path.name.startswith("before-"):
            shutil.copyfile(path, target / path.name)
    store_text(target / RUN, json.dumps(facts, ensure_ascii=False, indent=1))


def _shape(folder: ModelFolder) -> tuple[dict[str, Any], dict[str, int], bool]:
    """What averaged readers must share: configuration and vocabulary; last, whether the weights are one file.

    Tokenizers are compared by vocabulary, not by bytes, because transformers rewrites tokenizer.json.
    """
    config = json.loads((folder.path / CONFIG).read_bytes())
    facts = {name: value for name, value in config.items() if name not in OF_ITS_OWN}
    stored = folder.path / TOKENIZER
    tokens = load_tokenizer(stored, folder.name).get_vocab() if stored.is_file() else {}
    return facts, tokens, (folder.path / PLAIN).is_file()

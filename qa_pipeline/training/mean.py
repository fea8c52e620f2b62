"""The mean of readers that began alike: often better than any of them ("Model soups", Wortsman et al. 2022).

Runs from one start with other seeds see other questions, or the same in another order; what they agree on adds up, what each
took from its last questions evens out. So two cores train two runs, and the mean has learned from both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexing.errors import SettingError
from indexing.models import resolve
from indexing.weights import PLAIN
from qa_pipeline import calibrations
from qa_pipeline.training import checkpoints
from qa_pipeline.training.run_folder import CARD, MODELS, RUN, replace_text, save

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
NOT_CARRIED = (PLAIN, CARD, RUN, checkpoints.NAME, calibrations.NAME)
OF_ITS_OWN = ("_name_or_path", "transformers_version", "torch_dtype")


def mean(names: Sequence[str], into: Path) -> None:
    """A reader in `into` whose every weight is the mean of theirs. Raises SettingError, ModelError."""
    if len(names) < 2:
        raise SettingError("A mean is of two readers or more; name them.")
    if any((into / name).exists() for name in MODELS):
        raise SettingError(f"{into} holds a model already; name a folder that is new.")
    from qa_pipeline.reader import window_sizes

    readers = [resolve(name, "reader") for name in names]
    folders, windows = [reader.path for reader in readers], [window_sizes(reader) for reader in readers]
    for name, folder, sizes in zip(names[1:], folders[1:], windows[1:], strict=True):
        if _shape(folder) != _shape(folders[0]):
            raise SettingError(f"{name} and {names[0]} are no readers of one kind with one tokenizer; they have no mean.")
        if sizes["max_seq_len"] != windows[0]["max_seq_len"]:
            raise SettingError(f"{name} and {names[0]} read windows of other sizes; they have no mean.")
    into.mkdir(parents=True, exist_ok=True)
    facts = {"recipe": windows[0], "mean_of": list(names)}
    save(lambda target: _write(folders, facts, target), into, CONFIG)
    told = ", ".join(Path(name).name for name in names)
    replace_text(into / CARD, f"# {into.resolve().name}\n\nThe mean of the weights of {told}.\n")


def _write(folders: Sequence[Path], facts: dict[str, Any], target: Path) -> None:
    """facts: for its training.json, from which a reader's windows are known."""
    from safetensors.torch import load_file, save_file

    total: dict[str, Any] = {}
    for folder in folders:
        for name, tensor in load_file(folder / PLAIN).items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    save_file({name: (tensor / len(folders)).float() for name, tensor in total.items()}, target / PLAIN, {"format": "pt"})
    for path in folders[0].iterdir():
        if path.is_file() and path.name not in NOT_CARRIED and not path.name.startswith("before-"):
            shutil.copyfile(path, target / path.name)
    replace_text(target / RUN, json.dumps(facts, ensure_ascii=False, indent=1))


def _shape(folder: Path) -> tuple[dict[str, Any], dict[str, int], bool]:
    """What two readers must have in common: shape, tokens with their numbers; last, whether the weights are one file."""
    config = json.loads((folder / CONFIG).read_bytes())
    facts = {name: value for name, value in config.items() if name not in OF_ITS_OWN}
    return facts, _tokens(folder / TOKENIZER), (folder / PLAIN).is_file()


def _tokens(stored: Path) -> dict[str, int]:
    """Those of a tokenizer.json, however it is written; none where there is no such file."""
    if not stored.is_file():
        return {}
    vocabulary = json.loads(stored.read_bytes())["model"]["vocab"]
    return vocabulary if isinstance(vocabulary, dict) else {piece: n for n, (piece, _) in enumerate(vocabulary)}

"""Resolves a model name to a local folder: presets, hub ids, folders, and the built-in models.

A name is a folder; else a preset; else a hub id "owner/name" or "owner/name@revision". A hub id is looked up in the hub's
local cache, and then downloaded unless offline. The resolved folder can be loaded by transformers or
sentence-transformers without running code of the model; other models are refused (`indexing.models.safety`).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexing.errors import ModelError, ModelMissing, ModelRefused, SettingError
from indexing.lru_cache import LRUCache
from indexing.models.cache import cache_folder, digest, fingerprint, make_once
from indexing.models.hub import cached_folder, download, split_id
from indexing.models.presets import BUILTIN, DEFAULT_EMBEDDER, DEFAULT_READER, PRESETS, Kind, Preset, preset_for
from indexing.models.safety import ModelInspection, inspect
from indexing.models.shared_files import shared_files
from indexing.models.weights import STORED_SMALL, convert, widen

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from indexing.models.lazy_tokenizer import LazyTokenizer

__all__ = [
    "DEFAULT_EMBEDDER",
    "DEFAULT_READER",
    "PRESETS",
    "Kind",
    "ModelFolder",
    "Preset",
    "available",
    "builtin_tokenizer",
    "builtin_tokenizer_file",
    "cache_folder",
    "load_tokenizer",
    "load_whole_tokenizers",
    "resolve",
]

TOKENIZER = "tokenizer.json"
PACKAGED = Path(__file__).resolve().parent.parent / "builtin"
E5 = re.compile(r"(?<![a-z0-9])m?e5(?![a-z0-9])", re.IGNORECASE)
E5_PREFIXES = ("query: ", "passage: ")
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_guard = threading.Lock()
SHARED_TOKENIZERS = 8
LARGE = 500_000
ALIKE = "truncates or not"
_tokenizers: LRUCache[Tokenizer | LazyTokenizer] = LRUCache(SHARED_TOKENIZERS)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A checked model, in the format of transformers or sentence-transformers.

    name: as requested. source: its folder; that of a built-in model has integers instead of float32 weights.
    model_type: from config.json, or "static". prefixes: for questions and for passages.
    fingerprint: BLAKE2b-128, hex, over names and contents of the original files that decide what the model computes; the
        same on every machine.
    graph: the ONNX graph of a model without weights; None for every other one.
    """

    name: str
    source: Path
    fingerprint: str
    preset: Preset | None
    model_type: str
    prefixes: tuple[str, str]
    graph: Path | None = None

    @property
    def is_builtin(self) -> bool:
        """Whether the weights are stored as integers, as those of the built-in models are."""
        return (self.source / STORED_SMALL).is_file()

    @property
    def path(self) -> Path:
        """The folder with float32 weights. For a built-in model it is made in the cache at the first use.

        Raises ModelRefused for a model without weights.
        """
        if self.graph is not None:
            raise ModelRefused(
                f"The model {self.name} has model.onnx but no weights, which this needs; choose another model."
            )
        if not self.is_builtin:
            return self.source
        name = f"builtin-{self.fingerprint[:12]}/{self.source.name}"
        shared = shared_files(self.source)
        if shared is None:
            return make_once(name, lambda target: widen(self.source, target))
        files = [shared.folder / file for file in shared.files]
        return make_once(name, lambda target: widen(self.source, target, shared.stored(), files))


def resolve(name: str, kind: Kind, *, offline: bool | None = None) -> ModelFolder:
    """Find the model called `name`, check it, and download it if necessary.

    offline: None reads DOCQA_OFFLINE and HF_HUB_OFFLINE.
    Raises ModelMissing if the model is not here and cannot be downloaded; ModelRefused if it is broken or would run code.
    """
    preset = preset_for(name, kind)
    folder = _named_folder(name)
    if folder is not None:
        return _ready(name, folder, kind, preset)
    _refuse_other_kind(name, kind, preset)
    if preset is not None and preset.model == BUILTIN:
        return _builtin(preset)
    hub_ids = [hub_id for hub_id in map(split_id, _spellings(name, preset)) if hub_id is not None]
    if not hub_ids:
        raise ModelMissing(_unknown(name, kind))
    offline = is_offline() if offline is None else offline
    for other in hub_ids[1:]:
        if cached_folder(*hub_ids[0]) is None and cached_folder(*other) is not None:
            return _from_hub(name, other, kind, preset, offline)
    try:
        return _from_hub(name, hub_ids[0], kind, preset, offline)
    except ModelMissing:
        if offline or len(hub_ids) == 1:
            raise
        return _from_hub(name, hub_ids[1], kind, preset, offline)


def _spellings(name: str, preset: Preset | None) -> list[str]:
    """The hub ids that a name may mean, in the order to try them."""
    if preset is None:
        return [name]
    spelled = [preset.model if preset.name == name else name, preset.model, *preset.also]
    return list(dict.fromkeys(spelled)) if preset.also else spelled[:1]


def available() -> list[tuple[Preset, bool, str]]:
    """Every preset, whether it can be loaded without the network, and the reason if not ("" if it can)."""
    return [(preset, not (why := _why_not(preset)), why) for preset in PRESETS.values()]


def builtin_tokenizer() -> Tokenizer | LazyTokenizer:
    """The built-in models' tokenizer, without padding or truncation; shared, as `load_tokenizer` says.

    Raises ModelMissing if docqa was installed without its built-in models.
    """
    return load_tokenizer(builtin_tokenizer_file(), BUILTIN, truncates=False)


def builtin_tokenizer_file() -> Path:
    """The tokenizer file of the built-in models. Raises ModelMissing as `builtin_tokenizer` does."""
    return _packaged(PRESETS["embedder", BUILTIN]) / TOKENIZER


def load_tokenizer(file: Path, name: str, *, truncates: bool = True) -> Tokenizer | LazyTokenizer:
    """Load a `tokenizer.json`, without padding. Files of equal content share one tokenizer, so do not change its settings.

    name: the model's, for error messages. truncates: as the file says; else never. A large Unigram vocabulary is loaded
    whole only when there is much to tokenize. Raises ModelRefused.
    """
    from indexing.models.lazy_tokenizer import LazyTokenizer, vocabulary, whole_tokenizer

    try:
        content = digest(file)
        with _guard:
            tokenizer = _tokenizers.get((content, ALIKE)) or _tokenizers.get((content, truncates))
            if tokenizer is None:
                parted = vocabulary(file) if file.stat().st_size > LARGE else None
                if parted is None:
                    tokenizer = whole_tokenizer(file, truncates=truncates)
                    alike = truncates and tokenizer.truncation is None
                else:
                    tokenizer = LazyTokenizer(file, parted, truncates=truncates)
                    alike = not parted.truncates
                _tokenizers.put((content, ALIKE if alike else truncates), tokenizer)
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelRefused(f"{file.name} of the model {name} cannot be read; fetch the model again.") from error
    return tokenizer


def load_whole_tokenizers() -> None:
    """Load what a `LazyTokenizer` of this process has put off, so that no later call waits for it: for a service."""
    from indexing.models.lazy_tokenizer import LazyTokenizer

    with _guard:
        waiting = [one for one in _tokenizers.values() if isinstance(one, LazyTokenizer)]
    for one in waiting:
        one.whole()


def _named_folder(name: str) -> Path | None:
    """The folder called `name`, or None. Raises ModelMissing if the name can only be a folder and there is none."""
    try:
        path = Path(name).expanduser()
        is_folder = bool(name.strip()) and path.is_dir()
        is_path = path.is_absolute() or name.startswith((".", "~"))
    except (OSError, ValueError, RuntimeError):
        return None
    spelled_as_path = is_path or any(mark in name for mark in (os.sep, os.altsep) if mark)
    holds_model = is_folder and any((path / file).is_file() for file in ("config.json", "modules.json"))
    if is_folder and (spelled_as_path or holds_model):
        return path.absolute()
    if is_path:
        raise ModelMissing(f"There is no folder {name}.")
    return None


def _refuse_other_kind(name: str, kind: Kind, preset: Preset | None) -> None:
    other: Kind = "embedder" if kind == "reader" else "reader"
    if preset is None and preset_for(name, other) is not None:
        names = ", ".join(known for of, known in PRESETS if of == kind)
        raise ModelRefused(f"{name} is {_a(other)}, not {_a(kind)}; choose from {names}.")


def _from_hub(name: str, hub_id: tuple[str, str | None], kind: Kind, preset: Preset | None, offline: bool) -> ModelFolder:
    """Use the hub's local cache if it has the complete model; else download."""
    folder = cached_folder(*hub_id)
    if folder is not None:
        try:
            return _ready(name, folder, kind, preset)
        except ModelMissing:
            if offline:
                raise
    if offline:
        raise ModelMissing(f"{hub_id[0]} is not on this machine, and docqa is offline; {_ways_out(kind)}.")
    try:
        return _ready(name, download(*hub_id), kind, preset)
    except ModelMissing as error:
        raise ModelMissing(f"{str(error).rstrip('.')}; {_ways_out(kind)}.") from error


def _ready(name: str, folder: Path, kind: Kind, preset: Preset | None) -> ModelFolder:
    found = inspect(folder, name, kind)
    mark = fingerprint(found.deciding())
    path, graph = folder, found.graph
    if found.pickled:
        path = make_once(f"converted-{mark[:12]}", lambda target: _convert(found, target))
        graph = inspect(path, name, kind).graph
    prefixes = _prefixes(name, folder, preset, found)
    return ModelFolder(name, path, mark, preset, found.model_type, prefixes, graph)


def _convert(found: ModelInspection, target: Path) -> None:
    """Copy the model folder, with pickled weights converted to safetensors."""
    whole = [(n, path) for part in found.parts if not part.pickled for n, path in _inside(found, part.files)]
    for inside, path in [*found.deciding(with_weights=False), *whole]:
        (target / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / inside)
    for part in found.parts:
        if part.pickled:
            place = target / part.folder.relative_to(found.folder)
            place.mkdir(parents=True, exist_ok=True)
            convert(part, place)


def _inside(found: ModelInspection, files: tuple[Path, ...]) -> list[tuple[str, Path]]:
    return [(path.relative_to(found.folder).as_posix(), path) for path in files]


def _builtin(preset: Preset) -> ModelFolder:
    source = _packaged(preset)
    files = (path for path in source.rglob("*") if path.suffix in (".json", ".safetensors"))
    mark = fingerprint((path.relative_to(source).as_posix(), path) for path in files)
    config = source / "config.json"
    kind = str(json.loads(config.read_bytes())["model_type"]) if config.is_file() else "static"
    return ModelFolder(preset.name, source, mark, preset, kind, (preset.query_prefix, preset.passage_prefix))


def _packaged(preset: Preset) -> Path:
    if not (PACKAGED / preset.folder / STORED_SMALL).is_file():
        raise ModelMissing(f"This docqa was installed without its built-in {preset.kind}; install it with package data.")
    return PACKAGED / preset.folder


def _prefixes(name: str, folder: Path, preset: Preset | None, found: ModelInspection) -> tuple[str, str]:
    if preset is not None:
        return preset.query_prefix, preset.passage_prefix
    if found.prompts is not None:
        return found.prompts
    names = (folder.name, Path(name.partition("@")[0]).name)
    return E5_PREFIXES if any(E5.search(part) for part in names) else ("", "")


def _why_not(preset: Preset) -> str:
    try:
        if preset.model == BUILTIN:
            _packaged(preset)
            return ""
        folder = next(filter(None, (cached_folder(repo, None) for repo in (preset.model, *preset.also))), None)
        if folder is None:
            return "not downloaded"
        inspect(folder, preset.name, preset.kind)
    except ModelError as error:
        return str(error)
    return ""


def is_offline() -> bool:
    """Whether downloads are forbidden by DOCQA_OFFLINE (parsed strictly) or HF_HUB_OFFLINE (parsed as the hub does).

    Raises SettingError.
    """
    asked = os.environ.get("DOCQA_OFFLINE", "").strip().lower()
    if asked not in (*YES, *NO):
        raise SettingError(f"DOCQA_OFFLINE is {asked!r}; it must be one of {', '.join((*YES, *NO[1:]))}.")
    return asked in YES or os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in YES


def _unknown(name: str, kind: Kind) -> str:
    known = [spelled for preset in PRESETS.values() if preset.kind == kind for spelled in (preset.name, preset.model)]
    near = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.5)
    hint = f" (near: {', '.join(near)})" if near else ""
    return f"There is no {kind} called {name[:80]!r}{hint}; {_ways_out(kind)}."


def _ways_out(kind: Kind) -> str:
    return f"`docqa models` lists what can be loaded here, `--{kind} builtin` needs no download"


def _a(kind: Kind) -> str:
    return "an embedder" if kind == "embedder" else "a reader"

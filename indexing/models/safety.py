"""Inspects a model folder before loading: architecture, completeness, and whether it would run code.

Only JSON and the headers of weight files are read. `*.py` files in a folder are ignored, since nothing imports them. A
model is refused if its settings make a library import or unpickle something:

    names of custom classes (`auto_map`, `custom_pipelines`, modules from elsewhere);
    `trust_remote_code`, private switches (`*_internal`), kernels from the hub;
    Haystack's own format, which is a pickle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from indexing.errors import ModelMissing, ModelRefused
from indexing.models.presets import Kind
from indexing.models.weights import Weights, answers_questions, check_whole, find_weights

CONFIGS = ("*config*.json", "modules.json", "special_tokens_map.json")
OTHERS = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json", "*.model")
TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"), ("*.model",))
LONGEST_CONFIG = 10_000_000
RUNS_CODE = ("auto_map", "trust_remote_code", "custom_pipelines")
MODULE = re.compile(r"sentence_transformers(\.\w+)*\.(?P<name>[A-Z]\w*)", re.ASCII)
WITH_TOKENS = ("Transformer", "StaticEmbedding")
WITH_WEIGHTS = (*WITH_TOKENS, "Dense", "LayerNorm", "WeightedLayerPooling")
WITHOUT_WEIGHTS = ("Pooling", "Normalize", "Dropout")
UNPICKLED = ("prediction_head*.bin", "language_model*.bin")


@dataclass(frozen=True, slots=True)
class ModelInspection:
    """The inspected contents of a model folder. Invariant: it can be loaded without running code of the model.

    parts: the folders with weights, which are the folder itself or those of sentence-transformers modules.
    prompts: prefixes of questions and passages in config_sentence_transformers.json; None if it has none.
    """

    folder: Path
    model_type: str
    parts: tuple[Weights, ...]
    places: tuple[Path, ...]
    prompts: tuple[str, str] | None

    @property
    def pickled(self) -> bool:
        return any(part.pickled for part in self.parts)

    @property
    def graph(self) -> Path | None:
        """The ONNX graph of a model without weights."""
        return next((part.files[0] for part in self.parts if part.graph), None)

    def deciding(self, *, with_weights: bool = True) -> list[tuple[str, Path]]:
        """(name inside the folder, path) of each file that decides what the model computes."""
        found = {path for place in self.places for path in _matching(place, (*CONFIGS, *OTHERS))}
        if with_weights:
            found |= {path for part in self.parts for path in part.files}
        return [(path.relative_to(self.folder).as_posix(), path) for path in sorted(found)]


def inspect(folder: Path, name: str, kind: Kind) -> ModelInspection:
    """Inspect a model folder. name: the model's, for error messages. Raises ModelMissing, ModelRefused."""
    modules = modules_of(folder, name)
    places = tuple(dict.fromkeys([folder, *(folder / path for path, _ in modules)]))
    _refuse_code(places, name)
    if kind == "reader" and modules:
        raise ModelRefused(f"{name} is an embedder, not a reader: give it as --embedder.")
    if kind == "reader" or not modules:
        model_type, parts = _transformer(folder, name)
        _check_head(parts, name, kind)
    else:
        model_type, parts = _embedder(folder, name, modules)
    return ModelInspection(folder, model_type, parts, places, _prompts(folder, name))


def read_json(path: Path, name: str) -> Any:
    """Parse a JSON file. Raises ModelRefused if it is not JSON, or far too long."""
    try:
        if path.stat().st_size > LONGEST_CONFIG:
            raise ValueError("too long")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused(f"{path.name} of the model {name} is not readable JSON; fetch the model again.") from error


def _check_head(parts: tuple[Weights, ...], name: str, kind: Kind) -> None:
    """Check that a reader has a question answering head and an embedder none. Pickles and graphs are checked later."""
    if any(part.pickled or part.graph for part in parts):
        return
    head = any(answers_questions(part) for part in parts)
    if kind == "reader" and not head:
        raise ModelRefused(f"The model {name} has no question answering head; fine-tune it first.")
    if kind == "embedder" and head:
        raise ModelRefused(f"{name} is a reader, not an embedder: give it as --reader.")


def _transformer(folder: Path, name: str) -> tuple[str, tuple[Weights, ...]]:
    config = _object(folder, "config.json", name)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ModelRefused(f"config.json of the model {name} does not say its model_type.")
    _check_tokenizer(folder, name)
    weights = find_weights(folder, name)
    check_whole(weights)
    return model_type, (weights,)


def _embedder(folder: Path, name: str, modules: list[tuple[str, str]]) -> tuple[str, tuple[Weights, ...]]:
    """The model type of the first module, and the weights of all modules."""
    model_type = ""
    parts: list[Weights] = []
    for number, (path, module) in enumerate(modules):
        if number == 0 and module not in WITH_TOKENS:
            raise ModelRefused(f"The model {name} begins with {module}, which docqa does not load.")
        if module == "Transformer":
            model_type, weights = _transformer(folder / path, name)
            parts.extend(weights)
        elif module in WITH_WEIGHTS:
            parts.append(_plain_module(folder / path, name, module))
            model_type = model_type or "static"
    return model_type, tuple(parts)


def _plain_module(folder: Path, name: str, module: str) -> Weights:
    if module == "StaticEmbedding" and not (folder / "tokenizer.json").is_file():
        raise ModelMissing(f"The model {name} has no tokenizer.json in {folder}; fetch it again.")
    if module == "StaticEmbedding":
        _check_tokenizer(folder, name)
    if module == "Dense":
        function = _object(folder, "config.json", name).get("activation_function", "torch.nn.modules.")
        if not str(function).startswith("torch.nn.modules."):
            raise ModelRefused(f"The model {name} names the function {function!r}, which is not torch's.")
    weights = find_weights(folder, name)
    if weights.graph:
        raise ModelRefused(
            f"The module {module} of the model {name} has no weights but model.onnx, which docqa does not load."
        )
    check_whole(weights)
    return weights


def modules_of(folder: Path, name: str) -> list[tuple[str, str]]:
    """(subfolder, class) of each module in modules.json; [] without that file."""
    if not (folder / "modules.json").is_file():
        return []
    listed = read_json(folder / "modules.json", name)
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise ModelRefused(f"modules.json of the model {name} is not a list of modules.")
    return [_module(folder, name, entry) for entry in listed]


def _module(folder: Path, name: str, entry: dict[str, Any]) -> tuple[str, str]:
    kind, path = entry.get("type"), entry.get("path", "")
    known = MODULE.fullmatch(kind) if isinstance(kind, str) else None
    if known is None or known["name"] not in (*WITH_WEIGHTS, *WITHOUT_WEIGHTS):
        raise ModelRefused(f"The model {name} wants the module {kind!r}, which docqa does not load.")
    inside = PurePosixPath(path) if isinstance(path, str) else PurePosixPath("/")
    if inside.is_absolute() or ".." in inside.parts or "\\" in str(path) or ":" in str(path):
        raise ModelRefused(f"modules.json of the model {name} points outside its folder.")
    return str(path), known["name"]


def _refuse_code(places: tuple[Path, ...], name: str) -> None:
    if (places[0] / "adapter_config.json").is_file():
        raise ModelRefused(f"The model {name} is an adapter for another one; merge the two and save the whole.")
    if _matching(places[0], UNPICKLED):
        raise ModelRefused(f"The model {name} is in Haystack's format, which is unpickled; save it by transformers.")
    for place in places:
        for path in _matching(place, CONFIGS):
            for key, value in _pairs(read_json(path, name)):
                if _runs_code(key, value):
                    raise ModelRefused(f"{path.name} of the model {name} asks to run code ({key}); not loaded.")


def _runs_code(key: str, value: object) -> bool:
    """Whether a setting makes a library import something.

    >>> _runs_code("auto_map", {}), _runs_code("_attn_implementation", "owner/kernel"), _runs_code("dim", 3)
    (True, True, False)
    """
    kernel = key.endswith("attn_implementation") and isinstance(value, str) and "/" in value
    return key in RUNS_CODE or key.endswith("_internal") or kernel


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys and values, at any depth."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            yield from current.items()
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


def _object(folder: Path, file: str, name: str) -> dict[str, Any]:
    if not (folder / file).is_file():
        raise ModelMissing(f"There is no {file} in {folder}; a model folder is one that transformers saved.")
    value = read_json(folder / file, name)
    if not isinstance(value, dict):
        raise ModelRefused(f"{file} of the model {name} is not a JSON object.")
    return value


def _check_tokenizer(folder: Path, name: str) -> None:
    if not any(all(_matching(folder, (pattern,)) for pattern in together) for together in TOKENIZERS):
        raise ModelMissing(f"The model {name} has no tokenizer files in {folder}; fetch it again.")
    path = folder / "tokenizer.json"
    if path.is_file() and not _is_braced(path):
        raise ModelRefused(f"tokenizer.json of the model {name} is cut short; fetch the model again.")


def _is_braced(path: Path) -> bool:
    """Whether a file begins with { and ends with }: a cheap check of long JSON files for truncation."""
    with path.open("rb") as file:
        first = file.read(64).lstrip()[:1]
        file.seek(max(0, path.stat().st_size - 64))
        return first == b"{" and file.read().rstrip()[-1:] == b"}"


def _prompts(folder: Path, name: str) -> tuple[str, str] | None:
    if not (folder / "config_sentence_transformers.json").is_file():
        return None
    prompts = _object(folder, "config_sentence_transformers.json", name).get("prompts")
    if not isinstance(prompts, dict):
        return None
    query, passage = prompts.get("query"), prompts.get("document") or prompts.get("passage")
    return (str(query or ""), str(passage or "")) if query or passage else None


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in files if any(fnmatchcase(path.name, pattern) for pattern in patterns)]

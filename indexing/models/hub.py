"""Loads models from the Hugging Face hub or its local cache, and downloads only the files that are loaded.

It downloads only what a safe load needs: JSON, vocabularies and safetensors; a pickle only if there are no safetensors;
an ONNX graph only if there is neither; never Python files or weights of other frameworks. Without a network, a request to
the hub fails within `SECONDS`.
"""

from __future__ import annotations

import glob
import re
import threading
from collections.abc import Callable, Iterable
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from indexing.errors import ModelMissing, one_line
from indexing.models.graph_file import GRAPH, is_data

Result = TypeVar("Result")

SECONDS = 8.0
HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII)
MODULE_FOLDER = re.compile(r"\d+_[A-Za-z]+", re.ASCII)
SAFE = ("model.safetensors", "model-*-of-*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
TEXT = ("*.json", "*.txt", "*.model")
GRAPH_FOLDER = "onnx"
NEVER = ("*predictions*", "*onnx*", "*openvino*", "tf_*", "flax_*", "model.safetensors.index.json", *PICKLED)


def split_id(name: str) -> tuple[str, str | None] | None:
    """Split a hub id into (owner/name, revision or None); None if it is not a hub id.

    >>> split_id("owner/model@v1"), split_id("just-a-word")
    (('owner/model', 'v1'), None)
    """
    match = HUB_ID.fullmatch(name)
    if match is None or ".." in name or "--" in match["repo"]:
        return None
    return match["repo"], match["revision"]


def cached_folder(repo: str, revision: str | None) -> Path | None:
    """The model's folder in the hub's local cache, possibly incomplete; None if there is none."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None


def download(repo: str, revision: str | None) -> Path:
    """Download a model and return its folder. Raises ModelMissing with the reason."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = _within(SECONDS, lambda: HfApi().model_info(repo, revision=revision, timeout=SECONDS / 2))
        chosen = choose([entry.rfilename for entry in info.siblings or ()])
        wanted = [glob.escape(file) for file in chosen]
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, etag_timeout=SECONDS))
    except (OSError, ValueError) as error:
        raise ModelMissing(_reason(repo, revision, error)) from error


def choose(files: Iterable[str]) -> list[str]:
    """The files of a repository that a safe load needs, in order.

    >>> choose(["config.json", "model.safetensors", "pytorch_model.bin", "run.py", "onnx/model.onnx"])
    ['config.json', 'model.safetensors']
    >>> choose(["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_quantized.onnx"])
    ['config.json', 'onnx/model.onnx', 'onnx/model.onnx_data']
    """
    by_folder: dict[str, list[str]] = {}
    graphs: dict[str, list[str]] = {}
    for file in sorted(files):
        folder = PurePosixPath(file).parent
        inside = folder.name == GRAPH_FOLDER
        of = (folder.parent if inside else folder).as_posix()
        if of == "." or MODULE_FOLDER.fullmatch(of):
            if PurePosixPath(file).name == GRAPH or is_data(PurePosixPath(file).name):
                graphs.setdefault(of, []).append(file)
            elif not inside:
                by_folder.setdefault(of, []).append(file)
    return sorted(file for of, group in by_folder.items() for file in _of_one_folder(group, graphs.get(of, [])))


def _of_one_folder(files: list[str], graphs: list[str]) -> list[str]:
    """graphs: the graphs and their external data, in the folder or in its folder `onnx`."""
    safe = [file for file in files if _is(file, SAFE)]
    index = [file for file in files if safe and _is(file, ("model.safetensors.index.json",))]
    pickled = [] if safe else [file for file in files if _is(file, PICKLED)]
    graph = [] if safe or pickled or not any(_is(file, ("config.json",)) for file in files) else _one_graph(graphs)
    return [file for file in files if _is(file, TEXT) and not _is(file, NEVER)] + safe + index + pickled + graph


def _one_graph(graphs: list[str]) -> list[str]:
    """The graph that `find_graph` finds, with its external data."""
    found = sorted((PurePosixPath(file) for file in graphs if _is(file, (GRAPH,))), key=lambda path: len(path.parts))
    return [file for file in graphs if PurePosixPath(file).parent == found[0].parent] if found else []


def _is(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(PurePosixPath(file).name, pattern) for pattern in patterns)


def _within(seconds: float, ask: Callable[[], Result]) -> Result:
    """The result or exception of `ask`; TimeoutError after `seconds`, since host name look-ups have no timeout."""
    results: list[Result] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(ask())
        except Exception as error:
            errors.append(error)

    worker = threading.Thread(target=run, daemon=True, name="docqa-hub")
    worker.start()
    worker.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return results[0]


def _reason(repo: str, revision: str | None, error: Exception) -> str:
    """Why a model could not be downloaded, as the first half of a sentence."""
    from huggingface_hub import errors

    kinds: list[tuple[Any, str]] = [
        (errors.GatedRepoError, f"{repo} is gated: its owner grants access, on the hub, to those logged in"),
        (errors.RepositoryNotFoundError, f"the hub has no model {repo} that can be seen without logging in"),
        (errors.RevisionNotFoundError, f"{repo} has no revision {revision}"),
        (errors.OfflineModeIsEnabled, f"{repo} is not on this machine, and HF_HUB_OFFLINE is set"),
        (errors.HfHubHTTPError, f"the hub refused {repo} ({one_line(error, 120).rstrip(' .')})"),
    ]
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EACCES, EPERM, EROFS) and error.filename:
        return f"{repo} cannot be written to the hub's cache ({error.strerror})"
    for kind, words in kinds:
        if isinstance(error, kind):
            return words
    why = f" ({one_line(error, 120).rstrip(' .')})" if isinstance(error, TimeoutError) else ""
    return f"{repo} is not on this machine, and the hub cannot be reached{why}"

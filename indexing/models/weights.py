"""Weight files: which files a folder loads from, whether they are complete, and safetensors copies of pickled weights.

Safetensors are used unchanged. A `pytorch_model.bin` is a pickle: it is loaded once with tensors only, and stored as
safetensors. A pickle with anything else is refused. The built-in models are stored in 8 or 4 bits a number and widened
to float32 once.
"""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from indexing.errors import ModelMissing, ModelRefused
from indexing.models.graph_file import check_graph_files, find_graph, graph_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

PLAIN = "model.safetensors"
PICKLED = "pytorch_model.bin"
STORED_SMALL = "model.small.safetensors"
SHARED = "shared.json"
LONGEST_HEADER = 100_000_000
SMALL = 10_000
BLOCK = 32
TOKENS = "word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight files of one folder: one file, or an index and its shards. Invariant: every file exists.

    graph: whether there are none, and the files are an ONNX graph with its external data.
    """

    folder: Path
    files: tuple[Path, ...]
    pickled: bool
    graph: bool = False

    @property
    def shards(self) -> tuple[Path, ...]:
        return tuple(path for path in self.files if path.suffix != ".json")


def find_weights(folder: Path, name: str) -> Weights:
    """The weight files that a load of `folder` uses: safetensors, else a pickle, else an ONNX graph.

    Raises ModelMissing, ModelRefused.
    """
    for file, pickled in ((PLAIN, False), (PICKLED, True)):
        if (folder / file).is_file():
            return Weights(folder, (folder / file,), pickled)
        index = folder / f"{file}.index.json"
        if index.is_file():
            return Weights(folder, (index, *_shards(index, name)), pickled)
    graph = find_graph(folder)
    if graph is not None:
        files = graph_files(graph)
        check_graph_files(files, folder, name)
        return Weights(folder, files, pickled=False, graph=True)
    raise ModelMissing(f"The model {name} has no weights in {folder} ({PLAIN}, {PICKLED} or model.onnx); fetch it again.")


def tensor_names(path: Path) -> list[str]:
    """The tensor names in a safetensors file, from its header alone. Raises ModelRefused if the file is truncated.

    The file begins with the header's length (8 bytes, little endian) and the header as JSON. The header gives the offsets
    of each tensor in the rest of the file, which ends after the last tensor.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length <= min(size, LONGEST_HEADER) else {}
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=-1)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        end, length, size, tensors = -1, 0, 0, {}
    if end < 0 or 8 + length + end != size:
        raise ModelRefused(f"{path} is cut short or is no safetensors file; fetch the model again.")
    return list(tensors)


def check_whole(weights: Weights) -> None:
    """Raises ModelRefused unless every safetensors file is complete. Pickles and graphs are checked at their first use."""
    if not weights.pickled and not weights.graph:
        for path in weights.shards:
            tensor_names(path)


def answers_questions(weights: Weights) -> bool:
    """Whether the tensors include a question answering head (safetensors only)."""
    return any("qa_outputs" in name for path in weights.shards for name in tensor_names(path))


def float32_tensor(folder: Path, names: Sequence[str]) -> NDArray[np.float32] | None:
    """The first tensor of these names in the safetensors file of `folder`; None unless it is a float32 matrix.

    It is a view of the memory-mapped file, so only the rows in use take memory.
    """
    if not (folder / PLAIN).is_file():
        return None
    tensors = mapped(folder / PLAIN)
    tensor = next((tensors[name] for name in names if name in tensors), None)
    return tensor if tensor is not None and tensor.dtype == "float32" and tensor.ndim == 2 else None


def mapped(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file as views of the memory-mapped file; those without a numpy dtype are left out."""
    import numpy as np

    dtypes = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8, "I32": np.int32, "I64": np.int64}
    tensor_names(path)
    data: Array = np.asarray(_one_map(path))
    begin = 8 + int.from_bytes(data[:8].tobytes(), "little")
    found: dict[str, Array] = {}
    for name, entry in json.loads(data[8:begin].tobytes()).items():
        if name != "__metadata__" and entry["dtype"] in dtypes:
            first, end = entry["data_offsets"]
            found[name] = data[begin + first : begin + end].view(dtypes[entry["dtype"]]).reshape(entry["shape"])
    return found


_maps: WeakValueDictionary[tuple[str, int, int, int], Any] = WeakValueDictionary()
_guard = threading.Lock()


def _one_map(path: Path) -> Any:
    """The memory map of a file: one for all models that share it, so that its pages count once."""
    import numpy as np

    facts = path.stat()
    key = (str(path.resolve()), facts.st_ino, facts.st_size, facts.st_mtime_ns)
    with _guard:
        found = _maps.get(key)
        if found is None:
            found = _maps[key] = np.memmap(path, np.uint8, "r")
        return found


def convert(weights: Weights, target: Path) -> None:
    """Convert pickled weights to one `model.safetensors` in `target`; tensors that share memory are copied.

    Raises ModelRefused if a file cannot be read or contains anything but tensors. Nothing in it is ever executed.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    for path in weights.shards:
        tensors |= _tensors_of_pickle(path)
    _save(save_file, _apart(tensors), target)


def widen(
    source: Path, target: Path, tensors: Mapping[str, Array] = MappingProxyType({}), files: Sequence[Path] = ()
) -> None:
    """Dequantize the model folder `source` to `target`, in float32: NAME = integers * NAME.scale.

    The integers are NAME.int8, or NAME.int4 with two per byte: the lower half first, and 8 represents 0. NAME.scale has
    one number for each row, or for each block of a row.
    tensors, files: what the model takes from another, stored with it. Raises ModelRefused if the weights are incomplete.
    """
    from safetensors.numpy import load_file, save_file

    tensor_names(source / STORED_SMALL)
    stored = {**tensors, **load_file(source / STORED_SMALL)}
    names = dict.fromkeys(whole_name(name) for name in stored)
    wide = {name: dequantize(stored, name) for name in names}
    _save(save_file, wide, target)
    for path in (*source.iterdir(), *files):
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.name not in (STORED_SMALL, SHARED):
            shutil.copyfile(path, target / path.name)


def whole_name(name: str) -> str:
    """The name of a tensor from the name under which it, its integers or its scales are stored."""
    whole, _, kind = name.rpartition(".")
    return whole if kind in ("int8", "int4", "scale") else name


def dequantize(stored: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """One tensor in float32 from its stored form; see `widen`. Raises KeyError if it is not stored."""
    import numpy as np

    if name in stored:
        return stored[name].astype(np.float32, copy=False)
    integers = stored[f"{name}.int8"] if f"{name}.int8" in stored else _halves(stored[f"{name}.int4"])
    scale = stored[f"{name}.scale"].astype(np.float32)
    blocks = integers.reshape(*(scale.shape if scale.ndim == 2 else (len(scale), 1)), -1)
    wide: NDArray[np.float32] = (blocks * scale.reshape(len(scale), -1, 1)).reshape(integers.shape)
    return wide


def _halves(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The integers -8 to 7 of bytes with two each, int8 [rows, 2 * bytes]."""
    import numpy as np

    return (np.stack([packed & 15, packed >> 4], axis=-1).astype(np.int8) - 8).reshape(len(packed), -1)


def narrow(source: Path, target: Path, bits: int = 8, tokens: int | None = None) -> None:
    """Quantize matrices of more than 10,000 numbers to 8 or 4 bits; the inverse of `widen`.

    tokens: bits of the token embeddings (None: as `bits`). With 8 bits, each row is scaled by its largest absolute value.
    With 4 bits, each block of 32 numbers is scaled by its largest, which becomes -8, as in ggml's Q4_0. Quantizing such a
    matrix again loses nothing. Matrices whose column count 32 does not divide get 8 bits instead.
    Other tensors are stored in float32, other files are copied. Raises ModelRefused if the weights are incomplete.
    """
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensor_names(source / PLAIN)
    small: dict[str, Any] = {}
    for name, tensor in load_file(source / PLAIN).items():
        wanted = tokens if tokens is not None and name.endswith(TOKENS) else bits
        if tensor.ndim != 2 or tensor.size <= SMALL:
            small[name] = tensor.astype(np.float32)
        elif wanted == 4 and tensor.shape[1] % BLOCK == 0:
            small[f"{name}.int4"], small[f"{name}.scale"] = _in_blocks(tensor)
        else:
            scale = np.maximum(np.abs(tensor).max(axis=1), 1e-12).astype(np.float32) / 127
            small[f"{name}.int8"], small[f"{name}.scale"] = np.rint(tensor / scale[:, None]).astype(np.int8), scale
    target.mkdir(parents=True, exist_ok=True)
    _save(save_file, small, target, STORED_SMALL)
    for path in source.iterdir():
        if path.is_file() and path.name != PLAIN:
            shutil.copyfile(path, target / path.name)


def _in_blocks(tensor: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Two numbers per byte, uint8 [rows, columns / 2], and one scale per block of 32, float16 [rows, columns / 32]."""
    import numpy as np

    blocks = tensor.astype(np.float32).reshape(len(tensor), -1, BLOCK)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[:, :, None], axis=2)
    scale = (largest / -8).astype(np.float16)
    parts = np.divide(blocks, scale.astype(np.float32), out=np.zeros_like(blocks), where=scale != 0)
    whole = (np.rint(parts).clip(-8, 7) + 8).astype(np.uint8).reshape(tensor.shape)
    return (whole[:, ::2] | whole[:, 1::2] << 4).astype(np.uint8), scale[:, :, 0]


def _save(save_file: Callable[..., None], tensors: dict[str, Any], target: Path, name: str = PLAIN) -> None:
    """Save tensors. Raises OSError if the disk is full, in place of safetensors' own error."""
    from safetensors import SafetensorError

    try:
        save_file(tensors, target / name, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{target / name} cannot be written: {error}") from error


def _shards(index: Path, name: str) -> list[Path]:
    ending = ".bin" if index.name.startswith(PICKLED) else ".safetensors"
    try:
        files = sorted({str(file) for file in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelRefused(f"{index} is no readable list of weight files; fetch the model again.") from error
    for file in files:
        if "/" in file or "\\" in file or not file.endswith(ending):
            raise ModelRefused(f"{index} names the file {file!r}, which is no weight file beside it.")
        if not (index.parent / file).is_file():
            raise ModelMissing(f"The model {name} lacks {file} in {index.parent}; fetch it again.")
    if not files:
        raise ModelRefused(f"{index} lists no weight files; fetch the model again.")
    return [index.parent / file for file in files]


def _tensors_of_pickle(path: Path) -> dict[str, Any]:
    import pickle

    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ModelRefused(f"{path} holds more than tensors and could run code; not loaded.") from error
    except Exception as error:
        kind = type(error).__name__
        raise ModelRefused(f"{path} cannot be read as weights ({kind}); fetch the model again.") from error
    if not isinstance(found, dict) or not all(_is_tensor(name, value) for name, value in found.items()):
        raise ModelRefused(f"{path} is not a plain table of tensors by name; save the model as safetensors.")
    return dict(found)


def _is_tensor(name: object, value: object) -> bool:
    import torch

    return isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided


def _apart(tensors: dict[str, Any]) -> dict[str, Any]:
    seen: set[int] = set()
    result: dict[str, Any] = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        alone = tensor.detach().clone() if memory in seen else tensor.detach()
        result[name] = alone.contiguous()
        seen.add(memory)
    return result

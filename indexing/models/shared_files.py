"""What built-in models share: tokenizer, token vectors and lowest layers, which git so stores once.

`shared.json` in a model's folder names the sibling folder, and the BLAKE2b-128 digest of each file and group of tensors
taken from it. The digests are part of the model's fingerprint, and a test compares them with what is stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import ModelRefused
from indexing.models.weights import SHARED, STORED_SMALL, mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """What a model takes from a folder.

    prefix: of this model's names, before those of the shared tensors. files: name -> digest. tensors: beginning of the
    names of shared tensors -> digest of all of them.
    """

    folder: Path
    prefix: str
    files: Mapping[str, str]
    tensors: Mapping[str, str]

    def stored(self) -> dict[str, Array]:
        """The shared tensors in stored form, under this model's names, memory-mapped. Raises ModelRefused."""
        return {self.prefix + name: array for begin in self.tensors for name, array in self._beginning(begin).items()}

    def digests(self) -> dict[str, str]:
        """The digest of each shared file, and of each group of tensors, as they are stored now."""
        found = {name: _digest([(self.folder / name).read_bytes()]) for name in self.files}
        for begin in self.tensors:
            found[begin] = _digest([array.tobytes() for _, array in sorted(self._beginning(begin).items())])
        return found

    def _beginning(self, begin: str) -> dict[str, Array]:
        found = {name: array for name, array in mapped(self.folder / STORED_SMALL).items() if name.startswith(begin)}
        if not found:
            raise ModelRefused(f"{self.folder} lacks the tensors that a built-in model shares; install docqa again.")
        return found


def shared_files(folder: Path) -> SharedFiles | None:
    """What the model in `folder` shares; None if nothing. Raises ModelRefused."""
    if not (folder / SHARED).is_file():
        return None
    try:
        stated = json.loads((folder / SHARED).read_bytes())
        name, prefix = str(stated["folder"]), str(stated["prefix"])
        files, tensors = dict(stated["files"]), dict(stated["tensors"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRefused(f"{folder / SHARED} cannot be read; install docqa again.") from error
    if name != Path(name).name or any(file != Path(file).name for file in files):
        raise ModelRefused(f"{folder / SHARED} names a file outside the built-in models; install docqa again.")
    return SharedFiles(folder.parent / name, prefix, files, tensors)


def file_of(folder: Path, name: str) -> Path:
    """The file `name` of a model: in its folder, or shared."""
    shared = None if (folder / name).is_file() else shared_files(folder)
    return shared.folder / name if shared is not None and name in shared.files else folder / name


def _digest(parts: list[bytes]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(part)
    return whole.hexdigest()

"""What one built-in model takes from another: its tokenizer and its token vectors, which git so stores once.

`shared.json` in a model's folder names the sibling folder, and the BLAKE2b-128 digest of each file and tensor taken from
it. The digests are part of the model's fingerprint, and a test compares them with what is stored.
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
    """folder: the other model's. files, tensors: names -> digests; a tensor there may have a longer name."""

    folder: Path
    files: Mapping[str, str]
    tensors: Mapping[str, str]

    def stored(self) -> dict[str, Array]:
        """The shared tensors in stored form, under this model's names, memory-mapped. Raises ModelRefused."""
        theirs = mapped(self.folder / STORED_SMALL)
        found: dict[str, Array] = {}
        for name in self.tensors:
            for full, array in theirs.items():
                at = full.find(name)
                if at >= 0:
                    found[full[at:]] = array
        if not found:
            raise ModelRefused(f"{self.folder} lacks the tensors that another built-in model shares.")
        return found

    def digests(self) -> dict[str, str]:
        """The digest of each shared file and tensor as it is stored now."""
        found = {name: _digest([(self.folder / name).read_bytes()]) for name in self.files}
        stored = self.stored()
        for name in self.tensors:
            found[name] = _digest([stored[full].tobytes() for full in sorted(stored) if full.startswith(name)])
        return found


def shared_files(folder: Path) -> SharedFiles | None:
    """What the model in `folder` shares; None if nothing. Raises ModelRefused."""
    if not (folder / SHARED).is_file():
        return None
    try:
        stated = json.loads((folder / SHARED).read_bytes())
        name, files, tensors = str(stated["folder"]), dict(stated["files"]), dict(stated["tensors"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRefused(f"{folder / SHARED} cannot be read; install docqa again.") from error
    if name != Path(name).name or any(file != Path(file).name for file in files):
        raise ModelRefused(f"{folder / SHARED} names a file outside the built-in models; install docqa again.")
    return SharedFiles(folder.parent / name, files, tensors)


def file_of(folder: Path, name: str) -> Path:
    """The file `name` of a model: in its folder, or shared."""
    shared = None if (folder / name).is_file() else shared_files(folder)
    return shared.folder / name if shared is not None and name in shared.files else folder / name


def _digest(parts: list[bytes]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(part)
    return whole.hexdigest()

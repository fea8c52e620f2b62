"""Indexing settings: one frozen value, cast strictly, stored in the index.

The index folder stores these settings in its `meta` table. Question answering reads them from there, so no second
setting can disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from indexing.errors import SettingError

VectorKind = Literal["auto", "flat", "hnsw", "ivfpq"]
Tiers = Literal["both", "token", "sentence"]


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """`value` if it is an int (not a bool) from `low` to `high`, both included; else raises SettingError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingError(f"{name} is {value!r}; it must be a whole number from {low:,} to {high:,}.")
    return value


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """`value` if it is one of `allowed`; else raises SettingError."""
    if value not in allowed:
        raise SettingError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
    return str(value)


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """Chunk size in tokens of the built-in tokenizer, and overlap in sentences.

    >>> ChunkSettings(tokens=200).tokens
    200
    """

    tokens: int = 200
    overlap_sentences: int = 1

    def __post_init__(self) -> None:
        whole_number("chunk_tokens", self.tokens, 32, 400)
        whole_number("overlap_sentences", self.overlap_sentences, 0, 5)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """All settings of a new index. Later runs read them from the folder.

    embedder: a name that `indexing.models.registry.resolve` accepts.
    vectors: the kind of FAISS index. `auto` chooses by the number of passages (`indexing.store.faiss_index.kind_for`).
    tiers: of the built-in embedder. `both` adds sentence vectors after the token vectors (`indexing.deepen`); `token` does
        not. `sentence` is for an index of sentence vectors alone. Other embedders have one tier, whatever it says.
    hidden_text: whether hidden and struck-out text of documents is read.
    """

    embedder: str = "e5-small"
    chunks: ChunkSettings = ChunkSettings()
    vectors: VectorKind = "auto"
    tiers: Tiers = "both"
    hidden_text: bool = False

    def __post_init__(self) -> None:
        if not self.embedder.strip():
            raise SettingError("embedder is empty; name a preset, a hub id or a folder (`docqa models` lists presets).")
        one_of("vectors", self.vectors, get_args(VectorKind))
        one_of("tiers", self.tiers, get_args(Tiers))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> IndexSettings:
        """Settings stored by an earlier version have no tiers; they get both, so the next run adds the second."""
        return cls(
            embedder=str(values["embedder"]),
            chunks=ChunkSettings(**values["chunks"]),
            vectors=values["vectors"],
            tiers=values.get("tiers", "both"),
            hidden_text=bool(values.get("hidden_text", False)),
        )

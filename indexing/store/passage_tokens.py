"""The distinct tokens of passages by a static embedder, stored with them, so that a question tokenizes no passage.

They stand in a table of their own, which indexes of an earlier docqa and of other embedders lack. What is missing or
damaged there is computed from the text. A deleted passage takes its tokens with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from indexing.arrays import TokenIds, unpack_tokens
from indexing.errors import IndexDamaged
from indexing.store.sqlite import Connection

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS passage_tokens (id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,"
    " tokens BLOB NOT NULL)"
)
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'passage_tokens'"
PART = 500


class Rows(Protocol):
    """What is needed of an `IndexFolder`."""

    def connection(self) -> Connection: ...

    def readable_rows(self, select: str, ids: Sequence[int]) -> list[Any]: ...


def write_tokens(connection: Connection, keys: Sequence[str], tokens: Sequence[bytes]) -> None:
    """Store the packed tokens of passages that are in the database, by key, within the caller's transaction."""
    connection.execute(SCHEMA)
    connection.executemany(
        "INSERT OR REPLACE INTO passage_tokens SELECT id, ? FROM chunks WHERE key = ?", zip(tokens, keys, strict=True)
    )


def languages_and_tokens(folder: Rows, ids: Sequence[int], vocabulary: int) -> dict[int, tuple[str, TokenIds | None]]:
    """Language and stored tokens of each of these passages that exists, by id; None for tokens that are not there.

    vocabulary: number of tokens of the embedder. Where the table is damaged, no tokens are there.
    """
    found: dict[int, tuple[str, TokenIds | None]] = {}
    for start in range(0, len(ids), PART):
        part = list(ids[start : start + PART])
        stored = _stored(folder, part)
        for number, language in folder.readable_rows("SELECT id, language FROM chunks WHERE id IN", part):
            found[number] = language, unpack_tokens(stored.get(number), vocabulary)
    return found


def _stored(folder: Rows, ids: Sequence[int]) -> dict[int, object]:
    try:
        ask = folder.connection().execute
        if ask(EXISTS).fetchone() is None:
            return {}
        return dict(ask(f"SELECT id, tokens FROM passage_tokens WHERE id IN ({','.join('?' * len(ids))})", ids))
    except IndexDamaged:
        return {}

"""The distinct tokens of passages by a static embedder, stored with them, so that a question tokenizes no passage.

They stand in a table of their own, which indexes of an earlier docqa and of other embedders lack. What is missing or
damaged there is computed from the text. A deleted passage takes its tokens with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexing.arrays import TokenIds, unpack_tokens
from indexing.store.sqlite import Connection, Database

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS passage_tokens (id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,"
    " tokens BLOB NOT NULL)"
)
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'passage_tokens'"
PART = 500


def write_tokens(connection: Connection, keys: Sequence[str], tokens: Sequence[bytes]) -> None:
    """Store the packed tokens of passages that are in the database, by key, within the caller's transaction."""
    connection.execute(SCHEMA)
    connection.executemany(
        "INSERT OR REPLACE INTO passage_tokens SELECT id, ? FROM chunks WHERE key = ?", zip(tokens, keys, strict=True)
    )


def languages_and_tokens(folder: Database, ids: Sequence[int], vocabulary: int) -> dict[int, tuple[str, TokenIds | None]]:
    """Language and stored tokens of each of these passages that exists, by id; None for tokens that are not there.

    vocabulary: number of tokens of the embedder.
    """
    found: dict[int, tuple[str, TokenIds | None]] = {}
    ask = folder.connection().execute
    there = ask(EXISTS).fetchone() is not None
    for start in range(0, len(ids), PART):
        part = ids[start : start + PART]
        marks = ",".join("?" * len(part))
        joined = "LEFT JOIN passage_tokens AS t ON t.id = c.id" if there else ""
        columns = f"c.id, c.language, {'t.tokens' if there else 'NULL'}"
        for number, language, stored in ask(f"SELECT {columns} FROM chunks AS c {joined} WHERE c.id IN ({marks})", part):
            found[number] = language, unpack_tokens(stored, vocabulary)
    return found

"""The second tier of an index: one sentence vector a passage, computed after the passage is searchable.

They stand in a table of the corpus database beside the passages. Their model is a fact of the folder; vectors of another
model are dropped when a new one begins. A deleted passage takes its vector with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from indexing.arrays import Ids, Matrix
from indexing.errors import IndexDamaged
from indexing.store.corpus_db import IndexFolder

MODEL = "sentence_model"
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sentence_vectors (id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,"
    " generation INTEGER NOT NULL, vector BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS sentence_vectors_generation ON sentence_vectors (generation)",
)
PART = 500


class SentenceVectors:
    """The sentence vectors of one index folder. Thread-safe, as the folder is."""

    def __init__(self, folder: IndexFolder) -> None:
        self._folder = folder

    # -- reading ---------------------------------------------------------------------------------------------------

    def model(self) -> dict[str, Any] | None:
        """name, fingerprint and dimension of the model, and "since": the generation at which it began. None before."""
        found = self._folder.fact_or(MODEL, None)
        return dict(found) if found else None

    def coverage(self) -> tuple[int, int]:
        """How many passages have a sentence vector, and how many there are."""
        ask = self._folder.connection().execute
        passages = int(ask("SELECT count(*) FROM chunks").fetchone()[0])
        if self.model() is None:
            return 0, passages
        return int(ask("SELECT count(*) FROM sentence_vectors").fetchone()[0]), passages

    def ids(self, after: int = -1) -> Ids:
        """The ids of passages whose vector is newer than generation `after`, ascending."""
        if self.model() is None:
            return np.empty(0, np.int64)
        rows = self._folder.connection().execute(
            "SELECT id FROM sentence_vectors WHERE generation > ? ORDER BY id", (after,)
        )
        return np.fromiter((row[0] for row in rows), dtype=np.int64)

    def vectors(self, ids: Ids) -> tuple[Ids, Matrix]:
        """Those of the ids that have a vector, ascending, and the vectors, float32 [n, d]. Raises IndexDamaged."""
        model = self.model()
        if model is None:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        found: list[int] = []
        blobs: list[bytes] = []
        size = 4 * int(model["dimension"])
        for start in range(0, len(ids), PART):
            part = ids[start : start + PART].tolist()
            marks = ",".join("?" * len(part))
            sql = f"SELECT id, vector FROM sentence_vectors WHERE id IN ({marks}) ORDER BY id"
            for number, blob in self._folder.connection().execute(sql, part):
                if len(blob) != size:
                    raise IndexDamaged(f"The sentence vector of passage {number} has {len(blob)} bytes, not {size}.")
                found.append(number)
                blobs.append(blob)
        matrix = np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), size // 4)
        return np.array(found, dtype=np.int64), matrix.astype(np.float32, copy=False)

    def missing(self, limit: int) -> list[int]:
        """The ids of at most `limit` passages without a sentence vector, newest first."""
        sql = "SELECT id FROM chunks ORDER BY id DESC LIMIT ?"
        if self.model() is not None:
            sql = (
                "SELECT id FROM chunks AS c WHERE NOT EXISTS (SELECT 1 FROM sentence_vectors AS s WHERE s.id = c.id)"
                " ORDER BY id DESC LIMIT ?"
            )
        return [row[0] for row in self._folder.connection().execute(sql, (limit,))]

    # -- writing; the caller holds `writer()` ------------------------------------------------------------------------

    def begin(self, facts: dict[str, Any]) -> None:
        """Prepare the folder for vectors of this model (name, fingerprint, dimension), and drop those of another."""
        known = self.model()
        if known is not None and known["fingerprint"] == facts["fingerprint"]:
            return
        with self._folder.writing() as (connection, generation):
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute("DELETE FROM sentence_vectors")
            self._folder.store_facts({MODEL: {**facts, "since": generation}})

    def drop(self) -> None:
        """Remove all sentence vectors and their model."""
        if self.model() is None:
            return
        with self._folder.writing() as (connection, _):
            connection.execute("DELETE FROM sentence_vectors")
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (MODEL, json.dumps(None)))

    def write(self, ids: Sequence[int], vectors: Matrix) -> int:
        """Store vectors [n, d] of passages in one transaction; deleted passages are left out. Returns how many."""
        with self._folder.writing() as (connection, generation):
            before = connection.total_changes
            connection.executemany(
                "INSERT OR REPLACE INTO sentence_vectors SELECT id, ?, ? FROM chunks WHERE id = ?",
                [
                    (generation, vector.tobytes(), number)
                    for number, vector in zip(ids, np.ascontiguousarray(vectors, dtype="<f4"), strict=True)
                ],
            )
            return connection.total_changes - before

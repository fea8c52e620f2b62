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
from indexing.models.presets import PRESETS
from indexing.store.corpus_db import IndexFolder
from indexing.store.stored_values import is_unit, sound_vectors

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
        if found is not None and not (isinstance(found, dict) and {"fingerprint", "dimension", "since"} <= found.keys()):
            raise IndexDamaged(f"The name of the sentence encoder of the index in {self._folder.path} is damaged.")
        return found

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
        """Those of the ids that have a vector, ascending, and the vectors, float32 [n, d]; damaged ones are left out."""
        model = self.model()
        if model is None:
            return np.empty(0, np.int64), np.empty((0, 0), np.float32)
        found: list[int] = []
        blobs: list[bytes] = []
        for start in range(0, len(ids), PART):
            part = ids[start : start + PART].tolist()
            marks = ",".join("?" * len(part))
            sql = f"SELECT id, vector FROM sentence_vectors WHERE id IN ({marks}) ORDER BY id"
            for number, blob in self._folder.connection().execute(sql, part):
                found.append(number)
                blobs.append(blob)
        return sound_vectors(found, blobs, int(model["dimension"]))

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

    def drop_damaged(self) -> None:
        """Remove the vectors that are no unit vectors, or of no passage; the next deepening makes them again."""
        model = self.model()
        if model is None:
            return
        ids = self.ids()
        found, matrix = self.vectors(ids)
        sound = [number for number, vector in zip(found.tolist(), matrix, strict=True) if is_unit(vector)]
        bad = np.setdiff1d(ids, np.intersect1d(np.array(sound, dtype=np.int64), self._folder.chunk_ids()))
        if len(bad):
            with self._folder.writing() as (connection, generation):
                connection.executemany("DELETE FROM sentence_vectors WHERE id = ?", [(int(number),) for number in bad])
                self._folder.store_facts({MODEL: {**model, "since": generation}})

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


def second_tier(folder: IndexFolder) -> str:
    """The name of the embedder of an index's second tier; "" if it has or wants one tier."""
    preset = PRESETS.get(("embedder", str(folder.model["name"])))
    return preset.second_tier if preset is not None and folder.settings.tiers == "both" else ""

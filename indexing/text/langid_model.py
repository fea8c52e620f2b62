"""Language identification model: py3langid's naive Bayes over byte n-grams, as plain arrays.

py3langid's wheel contains the compressed model. It is unpacked once into docqa's cache, so that processes memory-map it
in milliseconds and share the pages. Many texts pass through its automaton in parallel.

The probabilities equal py3langid's up to rounding, which a test checks. They do not depend on other texts in the batch.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.models.cache import fingerprint, make_once

FEW = 24
ARRAYS = ("steps", "rows", "features", "weights", "prior")
MADE_AS = "1"


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """The automaton and naive Bayes weights. From `state`, a byte leads to the state steps[rows[state] + byte].

    languages: [l], may contain a language twice. features: int32, the feature of each state, or -1.
    weights: float32 [features, l]. prior: float32 [l].
    """

    languages: tuple[str, ...]
    steps: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    features: NDArray[np.int32]
    weights: NDArray[np.float32]
    prior: NDArray[np.float32]

    def chances(self, texts: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """The distinct languages, and each text's probability for each: float32 [n, languages], rows sum to 1."""
        data = [_encoded(text) for text in texts]
        scores = self._scores(data) / np.sqrt([[max(1, len(one))] for one in data], dtype=np.float32).reshape(-1, 1)
        chances = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
        chances /= chances.sum(axis=1, keepdims=True)
        return _once(self.languages, chances)

    def _scores(self, data: Sequence[bytes]) -> NDArray[np.float32]:
        """log(probability) * sqrt(bytes), up to a constant shared by all languages; [n, l]."""
        scores = np.zeros((len(data), len(self.languages)), dtype=np.float32)
        met = self._steps_of_many(data) if len(data) > FEW else [self._steps_of_one(one) for one in data]
        for row, found in enumerate(met):
            if len(found):
                times = np.bincount(found)
                features = np.flatnonzero(times)
                scores[row] = np.log1p(times[features].astype(np.float32)) @ self.weights[features] + self.prior
        return scores

    def _steps_of_one(self, data: bytes) -> NDArray[np.int32]:
        """The features of one text, in the order the automaton emits them."""
        steps, rows, features = self.steps.data, self.rows.data, self.features.data
        state, found = 0, []
        for byte in data:
            state = steps[rows[state] + byte]
            feature = features[state]
            if feature >= 0:
                found.append(feature)
        return np.array(found, dtype=np.int32)

    def _steps_of_many(self, data: Sequence[bytes]) -> list[NDArray[np.int32]]:
        """The same for many texts, advancing all of them by one byte at a time."""
        lengths = np.array([len(one) for one in data])
        order = np.argsort(-lengths, kind="stable")
        bytes_at = np.zeros((int(lengths.max()), len(data)), dtype=np.uint32)
        for column, at in enumerate(order):
            bytes_at[: lengths[at], column] = np.frombuffer(data[at], dtype=np.uint8)
        states = np.zeros(bytes_at.shape, dtype=np.uint32)
        still = np.searchsorted(-lengths[order], -np.arange(len(bytes_at)), side="left")
        now = np.zeros(len(data), dtype=np.uint32)
        for at, many in enumerate(still):
            now = self.steps[self.rows[now[:many]] + bytes_at[at, :many]]
            states[at, :many] = now
        met = self.features[states]
        found: list[NDArray[np.int32]] = [met[:0, 0]] * len(data)
        for column, at in enumerate(order):
            mine = met[: lengths[at], column]
            found[at] = mine[mine >= 0]
        return found


def _once(languages: tuple[str, ...], chances: NDArray[np.float32]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Merge the columns of languages that occur twice, by adding their probabilities."""
    names = tuple(dict.fromkeys(languages))
    if len(names) == len(languages):
        return names, chances
    whole = np.zeros((len(chances), len(names)), dtype=np.float32)
    for at, language in enumerate(languages):
        whole[:, names.index(language)] += chances[:, at]
    return names, whole


def _encoded(text: str) -> bytes:
    text = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")


def load(languages: Collection[str]) -> LanguageModel:
    """The model restricted to these languages; the first call unpacks it into the cache. Raises ModelMissing."""
    from py3langid.langid import MODEL_DIR, MODEL_FILE

    packed = MODEL_DIR / MODEL_FILE
    mark = fingerprint([("/".join(sorted(languages)), packed)])
    folder = make_once(f"languages{MADE_AS}-{mark[:12]}", lambda target: _unpack(packed, set(languages), target))
    names = tuple(json.loads((folder / "languages.json").read_text("utf-8")))
    arrays: dict[str, Any] = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return LanguageModel(names, **{name: array.view(np.ndarray) for name, array in arrays.items()})


def _unpack(packed: Path, languages: Collection[str], target: Path) -> None:
    """Write the arrays of py3langid's model to files, restricted to the given languages."""
    from py3langid.langid import LanguageIdentifier

    whole = LanguageIdentifier.from_model_file(packed)
    kept = [at for at, language in enumerate(whole.nb_classes) if language in languages]
    (target / "languages.json").write_text(json.dumps([whole.nb_classes[at] for at in kept]), "utf-8")
    arrays = {
        "steps": np.asarray(whole.tk_nextmove, dtype=np.uint32),
        "rows": np.asarray(whole.tk_row, dtype=np.uint32) << 8,
        "features": np.asarray(whole.tk_output, dtype=np.int32),
        "weights": np.ascontiguousarray(whole.nb_ptc[:, kept], dtype=np.float32),
        "prior": np.asarray(whole.nb_pc[kept], dtype=np.float32),
    }
    for name, array in arrays.items():
        np.save(target / f"{name}.npy", array)

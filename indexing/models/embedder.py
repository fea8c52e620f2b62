"""Text embedding of passages and questions; the only module that computes vectors.

Any sentence-transformers model works. The model's preset gives the prefixes of questions and passages (E5: "query: ",
"passage: "). Vectors are float32 of unit length; a text without content keeps the zero vector. Static models, such as the
built-in one, are computed in numpy, and usual encoders with ONNX Runtime; neither imports torch. sentence-transformers
computes the others, and all on a GPU.

An index does not store the precision of its vectors. So every precision must give nearly the same vectors. "auto" is fp32
on each processor, but for the built-in encoder.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from indexing.arrays import Matrix, pack_tokens
from indexing.errors import SettingError
from indexing.lru_cache import LRUCache
from indexing.models.hardware import has_gpu, this_machine
from indexing.models.registry import ModelFolder, resolve
from indexing.models.sentence_modules import sentence_modules
from indexing.models.sentence_transformer import SentenceTransformerModel
from indexing.models.static_embeddings import is_static, static_model
from indexing.normal_form import normal_form

logger = logging.getLogger(__name__)

VARIABLE = "DOCQA_EMBEDDER_PRECISION"
PRECISIONS = ("auto", "fp32", "int8", "bf16")
CACHED_QUESTIONS = 1_024


class Encoder(Protocol):
    """Computes vectors of any length: float32 [n, dimension] for n texts, in order. Thread-safe."""

    dimension: int

    def encode(self, texts: Sequence[str]) -> Matrix: ...


class Embedder:
    """A loaded embedding model. Thread-safe; a question changes only a bounded cache."""

    def __init__(self, folder: ModelFolder, *, precision: str | None = None) -> None:
        """precision: of PRECISIONS; None reads DOCQA_EMBEDDER_PRECISION. Static models are always computed in fp32.

        static: the folder of a static model, which is cheap enough for every process to load its own; else None.
        tokens: the static model itself, which can do late interaction; else None.
        second_tier: the name of the embedder whose vectors may stand beside those of this one; "" for none.
        dense_score_name: identifies the dense score. Only the same weights with the same scoring share a name.
        Raises ModelRefused, ModelMissing (a full disk); SettingError for an unknown precision.
        """
        chosen = _checked(precision)
        self.name = folder.name
        self.fingerprint = folder.fingerprint
        self._prefixes = folder.prefixes
        static = static_model(folder)
        self.static = folder if static is not None else None
        self.tokens = static
        self.second_tier = folder.preset.second_tier if folder.preset else ""
        self._sentence: Embedder | None = None
        self._loading = threading.Lock()
        self.dense_score_name = dense_score_name(self.fingerprint, static=static is not None)
        self._encoder: Encoder = static or _encoder(folder, chosen)
        self.dimension = self._encoder.dimension
        self._questions: LRUCache[Matrix] = LRUCache(CACHED_QUESTIONS)

    @classmethod
    def load(cls, name: str) -> Embedder:
        """Load by preset, hub id or folder. Raises ModelMissing, ModelRefused, SettingError."""
        return cls(resolve(name, "embedder"))

    def sentence_embedder(self) -> Embedder | None:
        """The embedder of the second tier, loaded at the first call; None for a model of one tier. Raises ModelError."""
        if not self.second_tier:
            return None
        with self._loading:
            if self._sentence is None:
                self._sentence = Embedder.load(self.second_tier)
            return self._sentence

    def facts(self) -> dict[str, Any]:
        """The facts about this model that an index stores: name, fingerprint and dimension."""
        return {"name": self.name, "fingerprint": self.fingerprint, "dimension": self.dimension}

    def passages(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of passages, float32 [n, d], in order. Texts are embedded in normal form (`indexing.normal_form`)."""
        return self._encode([self._prefixes[1] + normal_form(text) for text in texts])

    def passages_with_tokens(self, texts: Sequence[str]) -> tuple[Matrix, list[bytes]]:
        """`passages`, and the distinct tokens of each as `arrays.pack_tokens` stores them; [] without token vectors.

        Also [] for a model with a prefix, whose tokens are not the passage's.
        """
        if self.tokens is None or self._prefixes[1]:
            return self.passages(texts), []
        vectors, tokens = self.tokens.encode_with_tokens([normal_form(text) for text in texts])
        return unit(vectors), [pack_tokens(ids) for ids in tokens]

    def questions(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors of questions, float32 [n, d], in order; recent ones come from an LRU cache."""
        known = self._questions.get_many(dict.fromkeys(texts))
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        made = dict(zip(missing, self._encode([self._prefixes[0] + normal_form(text) for text in missing]), strict=True))
        self._questions.put_many(made)
        known |= made
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, self.dimension), dtype=np.float32)

    def _encode(self, texts: Sequence[str]) -> Matrix:
        return unit(self._encoder.encode(texts))


def dense_score_name(fingerprint: str, *, static: bool) -> str:
    """`Embedder.dense_score_name` of a model with this fingerprint.

    >>> dense_score_name("1a2b", static=True), dense_score_name("1a2b", static=False)
    ('1a2b and tokens, languages level', '1a2b')
    """
    return f"{fingerprint} and tokens, languages level" if static else fingerprint


def unit(matrix: Matrix) -> Matrix:
    """Scale rows to unit length; zero rows and non-finite values become zero.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    clean = np.nan_to_num(matrix.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(clean, axis=1, keepdims=True)
    return np.ascontiguousarray(np.divide(clean, lengths, out=np.zeros_like(clean), where=lengths > 0))


def engine_of(name: str) -> str:
    """The engine of an embedder that is on this machine, with a reason for sentence-transformers. Raises ModelError."""
    folder = resolve(name, "embedder", offline=True)
    if is_static(folder):
        return "numpy"
    if has_gpu() and folder.graph is None:
        return "sentence-transformers, because of the GPU"
    from indexing.models.onnx_export import failed_conversion
    from indexing.models.shipped_graph import graph_engine

    found = sentence_modules(folder.source, folder.name)
    reason = found if isinstance(found, str) else failed_conversion(folder, "hidden")
    return graph_engine(folder, "hidden", reason, "sentence-transformers")


def _checked(precision: str | None) -> str:
    asked = os.environ.get(VARIABLE, "").strip() or "auto" if precision is None else precision
    if asked not in PRECISIONS:
        raise SettingError(f"{VARIABLE} is {asked!r}; it must be one of {', '.join(PRECISIONS)}.")
    return asked


def _onnx_precision(folder: ModelFolder, precision: str) -> Literal["fp32", "int8"]:
    """int8 if asked for, and by default for the built-in encoder where the processor has exact 8-bit instructions.

    Recall is the same in both precisions (docs/results.md), so an index may hold vectors of both.
    """
    machine = this_machine()
    chosen = precision == "int8" or (precision == "auto" and folder.is_builtin and machine.int8 and not machine.saturates)
    return "int8" if chosen else "fp32"


def _encoder(folder: ModelFolder, precision: str) -> Encoder:
    """The encoder on ONNX Runtime; by sentence-transformers for other models, in bf16, and on a GPU.

    sentence-transformers computes "auto" and "int8" in bfloat16 where the hardware has it, else in float32. A model that has
    only an ONNX graph is always computed by it.
    """
    if folder.graph is not None or (precision != "bf16" and not has_gpu()):
        from indexing.models.conversion import NotConvertible
        from indexing.models.onnx_embedder import load_onnx_embedder

        small = precision == "int8"
        try:
            return load_onnx_embedder(folder, _onnx_precision(folder, precision), this_machine(), shipped=not small)
        except NotConvertible as reason:
            logger.info("%s is computed with sentence-transformers because of %s", folder.name, reason)
    return SentenceTransformerModel(folder, {"fp32": False, "bf16": True}.get(precision))

"""Embedders with ONNX Runtime: texts to vectors without torch; each text on one core, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from indexing.arrays import Matrix
from indexing.models.conversion import NotConvertible
from indexing.models.hardware import Hardware
from indexing.models.onnx_encoder import GraphEncoder, OnnxEncoder
from indexing.models.onnx_export import Precision, convert_model
from indexing.models.registry import ModelFolder, load_tokenizer
from indexing.models.sentence_modules import SentenceModules, Vector, sentence_modules
from indexing.models.shipped_graph import may_use_shipped, shipped_graph
from indexing.models.threads import parallel

BLOCK = 256


class OnnxEmbedder:
    """An embedder of an encoder, pooling and further modules. Thread-safe.

    tokenizer: truncates texts as sentence-transformers does, except that of a built-in model, which the reader shares.
    Longer texts lose tokens before their last. Hidden states are pooled in the thread that computed them, so no more of
    them are held than there are threads.
    """

    def __init__(
        self,
        tokenizer: Any,
        encoder: OnnxEncoder | GraphEncoder,
        modules: SentenceModules,
        width: int,
        longest: int | None = None,
    ) -> None:
        """width: numbers per hidden state. longest: tokens of an input at most; None where the tokenizer truncates."""
        self._tokenizer = tokenizer
        self._longest = longest
        self._encoder = encoder
        self._modules = modules
        self.dimension = len(modules.vector(np.zeros((1, width), np.float32)))

    def encode(self, texts: Sequence[str]) -> Matrix:
        """The vectors of texts, float32 [n, dimension], in order; computed in blocks, the longest text of a block first."""
        result = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), BLOCK):
            encodings = self._tokenizer.encode_batch(list(texts[start : start + BLOCK]))
            vectors = parallel(self._vector, encodings, lambda encoding: len(encoding.ids))
            result[start : start + len(vectors)] = vectors
        return result

    def _vector(self, encoding: Any) -> Vector:
        ids, types = encoding.ids, encoding.type_ids
        if self._longest is not None and len(ids) > self._longest:
            ids, types = [*ids[: self._longest - 1], ids[-1]], types[: self._longest]
        return self._modules.vector(self._encoder.run(ids, types))


def load_onnx_embedder(
    folder: ModelFolder, precision: Precision, hardware: Hardware, *, shipped: bool = True
) -> OnnxEmbedder:
    """Load an embedder with ONNX Runtime, by docqa's own graph or one that the folder ships.

    shipped: whether a shipped graph may compute where the folder has weights. Raises NotConvertible, ModelRefused.
    """
    try:
        modules = sentence_modules(folder.source, folder.name)
        if isinstance(modules, str):
            raise NotConvertible(modules)
        converted = convert_model(folder, precision, "hidden", hardware)
        encoder = OnnxEncoder(modules.encoder, converted.config, converted.graph)
        tokenizer = load_tokenizer(converted.tokenizer, folder.name)
        return OnnxEmbedder(tokenizer, encoder, modules, converted.config.width, encoder.longest)
    except NotConvertible:
        if not may_use_shipped(folder, "hidden", shipped):
            raise
        return _load_shipped(folder)


def _load_shipped(folder: ModelFolder) -> OnnxEmbedder:
    found = shipped_graph(folder, "hidden")
    modules = sentence_modules(folder.source, folder.name, any_encoder=True)
    if found.pooled or isinstance(modules, str):
        modules = SentenceModules(folder.source, "cls", ())
    encoder = GraphEncoder(found.graph, found.outputs, found.pad, found.pads_alike)
    return OnnxEmbedder(load_tokenizer(found.tokenizer, folder.name), encoder, modules, found.width)

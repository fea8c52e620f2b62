"""Vectors of any texts with tiny models made here: unit length, in order, alone as together, in bfloat16 nearly the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.arrays import Matrix
from indexing.models.embedder import Embedder, Encoder
from indexing.models.registry import ModelFolder, resolve
from indexing.models.sentence_transformer import BATCH_TOKENS, batches
from tests.known import SCRIPTS
from tests.tiny import UGLY, make_reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts
    from transformers import AutoTokenizer, BertModel

    home = tmp_path_factory.mktemp("embedder")
    reader = make_reader("bert", home / "reader", 4)
    BertModel.from_pretrained(reader).save_pretrained(home / "body")
    AutoTokenizer.from_pretrained(reader).save_pretrained(home / "body")
    body = parts.Transformer(str(home / "body"), max_seq_length=64)
    SentenceTransformer(modules=[body, parts.Pooling(32)], device="cpu").save(str(home / "model"))
    return resolve(str(home / "model"), "embedder")


def test_vectors_are_of_unit_length_and_in_order(folder: ModelFolder) -> None:
    embedder = Embedder(folder, precision="fp32")
    together = embedder.passages(UGLY)
    lengths = np.linalg.norm(together, axis=1)
    assert together.dtype == np.float32 and together.shape == (len(UGLY), 32) and np.allclose(lengths, 1, atol=1e-5)
    for text, vector in zip(UGLY, together, strict=True):
        assert np.allclose(embedder.passages([text])[0], vector, atol=1e-5)
    assert embedder.passages([]).shape == (0, 32)


def test_bfloat16_gives_nearly_the_same_in_float32(folder: ModelFolder) -> None:
    texts = [text for text in SCRIPTS.values() if text.strip()]
    whole, less = Embedder(folder, precision="fp32").passages(texts), Embedder(folder, precision="bf16").passages(texts)
    nearness = (whole * less).sum(axis=1)
    assert less.dtype == np.float32 and not np.array_equal(whole, less) and nearness.min() > 0.99


class Counting:
    """An encoder that counts the texts it is given."""

    def __init__(self, encoder: Encoder) -> None:
        self.dimension, self.encoded, self._encoder = encoder.dimension, 0, encoder

    def encode(self, texts: Sequence[str]) -> Matrix:
        self.encoded += len(texts)
        return self._encoder.encode(texts)


def test_a_question_is_embedded_once(folder: ModelFolder) -> None:
    embedder = Embedder(folder, precision="fp32")
    model = Counting(embedder._encoder)
    embedder._encoder = model
    first = embedder.questions(["a", "b", "a"])
    assert np.array_equal(first[0], first[2]) and not np.array_equal(first[0], first[1])
    assert np.array_equal(embedder.questions(["b", "a"]), first[[1, 0]]) and model.encoded == 2
    assert embedder.passages(["a"]).shape == (1, 32) and model.encoded == 3, "passages are not remembered"


@given(st.lists(st.integers(1, 2 * BATCH_TOKENS), max_size=50))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int]) -> None:
    groups = list(batches(lengths, BATCH_TOKENS))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert all(len(group) == 1 or len(group) * max(lengths[row] for row in group) <= BATCH_TOKENS for group in groups)

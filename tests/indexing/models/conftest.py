"""Tiny readers and embedders of every kind, made once; no test changes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tiny import make_reader, make_xlm

KINDS = ("xlm-roberta", "bert", "distilbert", "xlm")


@pytest.fixture(scope="session")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("readers")
    made = {kind: make_reader(kind, base / kind, seed) for seed, kind in enumerate(KINDS[:3])}
    return {**made, "xlm": make_xlm(base / "xlm", 3, beam=False)}


@pytest.fixture(scope="session")
def embedders(tmp_path_factory: pytest.TempPathFactory, readers: dict[str, Path]) -> dict[str, Path]:
    """A static one, and a transformer with pooling, a dense layer and normalisation."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts
    from tokenizers import Tokenizer
    from transformers import BertModel

    base = tmp_path_factory.mktemp("embedders")
    tokenizer = Tokenizer.from_file(str(readers["xlm-roberta"] / "tokenizer.json"))
    static = SentenceTransformer(modules=[parts.StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    static.save(str(base / "static"))
    shutil.copytree(readers["bert"], base / "body")
    BertModel.from_pretrained(readers["bert"]).save_pretrained(base / "body")
    modules = [
        parts.Transformer(str(base / "body")),
        parts.Pooling(32),
        parts.Dense(32, 4),
        parts.Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(base / "deep"))
    return {"static": base / "static", "deep": base / "deep", "body": base / "body"}

"""Loads the model to fine-tune: a reader, or an encoder with a new question-answering head.

Models are resolved by folder, hub id or preset as everywhere in docqa, without executing code from their folder.
Tokenization is that of the reader at inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from indexing.errors import ModelRefused, one_line
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.reading.xlm_tokenizer import Tokens, XlmTokens

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "qa_dropout")
NO_HEAD = "no question answering head"
HEAD = "qa_outputs"


class TokenizeTexts(Protocol):
    """Tokenizes texts, with character offsets."""

    def __call__(self, texts: Sequence[str]) -> list[Tokens]: ...


@dataclass(frozen=True, slots=True)
class Tokeniser:
    """Tokenizes texts, and joins question and passage tokens to one input.

    types: whether the model uses token types. languages: language code -> id for models with language embeddings, else {}.
    """

    tokens: TokenizeTexts
    vendor: Any
    types: bool
    languages: dict[str, int]

    def joined(self, question: Sequence[int], part: Sequence[int]) -> list[int]:
        """One input: question and passage tokens with special tokens."""
        ids: list[int] = self.vendor.build_inputs_with_special_tokens(list(question), list(part))
        return ids

    def kinds(self, question: Sequence[int], part: Sequence[int]) -> list[int]:
        """Token types of `joined`: 1 for passage tokens (0 everywhere for models without token types)."""
        kinds: list[int] = self.vendor.create_token_type_ids_from_sequences(list(question), list(part))
        return kinds

    @property
    def pad(self) -> int:
        return int(self.vendor.pad_token_id)


@dataclass(frozen=True, slots=True)
class Encoder:
    """A model to fine-tune, float32 on the CPU. is_reader: whether it already had a question-answering head."""

    folder: ModelFolder
    model: Any
    tokeniser: Tokeniser
    is_reader: bool

    def save(self, folder: Path) -> None:
        """Saves a standard model folder with its tokenizer."""
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokeniser.vendor.save_pretrained(folder)


def resolve_base(name: str) -> tuple[ModelFolder, bool]:
    """The folder of a model to fine-tune, and whether it has a reader's head. Raises ModelMissing, ModelRefused."""
    try:
        return resolve(name, "reader"), True
    except ModelRefused as error:
        if NO_HEAD not in str(error):
            raise
    return resolve(name, "embedder"), False


def load_encoder(name: str, dropout: float | None = None) -> Encoder:
    """Loads a model by name; a new head is initialised from torch's generator. Raises ModelMissing, ModelRefused."""
    folder, is_reader = resolve_base(name)
    try:
        model, missing = _model(folder, dropout)
        tokeniser = _tokeniser(folder, model)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelRefused(f"{name} cannot be loaded for training: {one_line(error)}") from error
    lacking = [weight for weight in missing if not weight.startswith(HEAD)]
    if lacking:
        raise ModelRefused(f"The model {name} is not complete: its weights lack {', '.join(sorted(lacking)[:3])}.")
    return Encoder(folder, model, tokeniser, is_reader and not missing)


def _model(folder: ModelFolder, dropout: float | None) -> tuple[Any, list[str]]:
    from transformers import AutoConfig, AutoModelForQuestionAnswering

    path = str(folder.path)
    auto: Any = AutoModelForQuestionAnswering
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    if dropout is not None:
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, dropout)
    model, info = auto.from_pretrained(
        path,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        torch_dtype=torch.float32,
        output_loading_info=True,
    )
    return model, list(info["missing_keys"])


def _tokeniser(folder: ModelFolder, model: Any) -> Tokeniser:
    config = model.config
    if config.model_type == "xlm":
        xlm = XlmTokens(folder.path)
        known = dict(getattr(config, "lang2id", None) or {}) if config.use_lang_emb and config.n_langs > 1 else {}
        return Tokeniser(lambda texts: [xlm.tokens(text) for text in texts], xlm.tokenizer, False, known)
    from transformers import AutoTokenizer

    auto: Any = AutoTokenizer
    vendor = auto.from_pretrained(str(folder.path), local_files_only=True, trust_remote_code=False, use_fast=True)
    if not vendor.is_fast:
        raise ValueError("its tokenizer tells no places of tokens; save it with a tokenizer.json")
    if len(vendor.build_inputs_with_special_tokens([], [])) != vendor.num_special_tokens_to_add(pair=True):
        raise ValueError("its tokenizer does not join a question and a passage")
    types = getattr(config, "type_vocab_size", 0) > 1
    return Tokeniser(_fast(vendor), vendor, types, {})


def _fast(vendor: Any) -> TokenizeTexts:
    def tokens(texts: Sequence[str]) -> list[Tokens]:
        found = vendor(list(texts), return_offsets_mapping=True, add_special_tokens=False, verbose=False)
        return [
            Tokens(tuple(ids), tuple(start for start, _ in places), tuple(end for _, end in places))
            for ids, places in zip(found["input_ids"], found["offset_mapping"], strict=True)
        ]

    return tokens

"""Models computed by torch, with which ONNX graphs are compared. For child processes only: it imports torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from indexing.arrays import Matrix
from indexing.models.conversion import NotConvertible
from indexing.models.sentence_modules import Vector
from indexing.models.tensors import FAMILIES

CHECKED_TEXTS = (
    "",
    "The Bridge was opened in 1912.",
    "Der Fluß, 橋は長い; мост, ΣΟΦΟΣ. \u0915\u0941 ",
    "Long bridges " * 2_000,
)
BEHIND_PADDING = ("mpnet", "longformer", "xlm-roberta-xl", "xmod", "data2vec-text")
UNLIMITED = 1_000_000
TINY = 1e-12


class LoadedTokenizer:
    """The tokenizer of a folder without weights, as transformers configures it, without padding.

    limit: the most tokens that the model takes. truncate: whether the tokenizer truncates to it, as an embedder's does.
    """

    def __init__(self, folder: Path, *, truncate: bool) -> None:
        tokenizer = _tokenizer(folder)
        self.tokenizer = _backend(tokenizer)
        self.limit = _limit(folder, int(tokenizer.model_max_length))
        if truncate and self.limit < UNLIMITED:
            self.tokenizer.enable_truncation(self.limit, direction=tokenizer.truncation_side)


class LoadedReader:
    """A reader that transformers loaded. tokenizer: that of the `tokenizers` package, without truncation and padding.

    limit: as of `LoadedTokenizer`.
    """

    def __init__(self, source: Path) -> None:
        from transformers import AutoModelForQuestionAnswering

        tokenizer = _tokenizer(source)
        self.tokenizer = _backend(tokenizer)
        self.limit = _limit(source, int(tokenizer.model_max_length))
        kind: Any = AutoModelForQuestionAnswering
        self._model = kind.from_pretrained(str(source), local_files_only=True).eval()

    def run(self, ids: list[int], types: list[int]) -> Matrix:
        """torch's float32 output."""
        import torch

        found = _computed(self._model, ids, types)
        result: Matrix = torch.stack([found.start_logits, found.end_logits], dim=-1)[0].float().numpy()
        return result


class LoadedEmbedder:
    """An embedder that sentence-transformers loaded. tokenizer: as of `LoadedReader`, but it truncates to `limit`."""

    def __init__(self, source: Path, first_position: int) -> None:
        """first_position: the position number of the first token."""
        from indexing.models.sentence_transformer import load_sentence_transformer

        self._whole = load_sentence_transformer(str(source), "cpu").eval()
        self._model = self._whole[0].auto_model
        self.tokenizer = _backend(self._whole.tokenizer)
        most = getattr(self._model.config, "max_position_embeddings", None) or self._whole.max_seq_length
        positions = most - first_position
        self._fits = self._whole.max_seq_length <= positions
        self.limit = int(min(self._whole.max_seq_length, positions))
        self.tokenizer.enable_truncation(self.limit, direction=self._whole.tokenizer.truncation_side)

    def run(self, ids: list[int], types: list[int]) -> Matrix:
        """torch's float32 hidden states."""
        result: Matrix = _computed(self._model, ids, types).last_hidden_state[0].float().numpy()
        return result

    def difference(self, vector: Callable[[list[int], list[int]], Vector]) -> float:
        """The largest relative difference of the vectors of a few texts from sentence-transformers'.

        vector: from token ids and token types. Long texts are left out where sentence-transformers fails, because it
        truncates them to more tokens than positions.
        """
        largest = 0.0
        for text in CHECKED_TEXTS if self._fits else CHECKED_TEXTS[:-1]:
            encoding = self.tokenizer.encode(text)
            ours = vector(encoding.ids, encoding.type_ids)
            theirs = self._whole.encode([text], show_progress_bar=False)[0]
            if ours.shape != theirs.shape:
                raise NotConvertible("vectors of another dimension than sentence-transformers'")
            largest = max(largest, float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), TINY)))
        return largest


def first_position(folder: Path) -> int:
    """The position number of the first token of the encoder in a folder: behind the padding token's in RoBERTa's kin."""
    config = json.loads((folder / "config.json").read_bytes())
    kind = str(config.get("model_type"))
    behind = FAMILIES.get(kind) == "roberta" or kind in BEHIND_PADDING
    return int(config.get("pad_token_id") or 0) + 1 if behind else 0


def _limit(folder: Path, of_tokenizer: int) -> int:
    """The most tokens of an input: `max_seq_length` of sentence-transformers, else what tokenizer and positions allow."""
    config = json.loads((folder / "config.json").read_bytes())
    positions = config.get("max_position_embeddings")
    most = min(of_tokenizer, int(positions) - first_position(folder) if positions else of_tokenizer)
    path = folder / "sentence_bert_config.json"
    stated = json.loads(path.read_bytes()).get("max_seq_length") if path.is_file() else None
    return min(most, int(stated)) if stated else most


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)  # type: ignore[no-untyped-call]


def _backend(tokenizer: Any) -> Any:
    """The tokenizer of the `tokenizers` package in one of transformers, without truncation and padding."""
    if not tokenizer.is_fast:
        raise NotConvertible("a tokenizer that has no tokenizer.json")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer.backend_tokenizer


def _computed(model: Any, ids: list[int], types: list[int]) -> Any:
    import torch

    typed = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1
    named = {"token_type_ids": torch.tensor([types])} if typed else {}
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), **named)

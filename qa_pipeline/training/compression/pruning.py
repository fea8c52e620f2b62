"""Prunes a multilingual encoder to its first layers and to the vocabulary of given texts.

Most parameters of a multilingual model are embeddings of tokens that a corpus never uses ("Load What You Need", Abdaoui et
al. 2020). The upper layers are those most specific to the last training ("Poor Man's BERT", Sajjad et al. 2020). A text of
kept tokens is tokenized as before, and the states after each kept layer are the same. Pieces keep their scores, so a
removed piece is split into smaller ones, at worst into characters. A BERT with an XLM-R tokenizer becomes an XLM-R.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from indexing.errors import SettingError
from indexing.models.registry import ModelFolder, load_tokenizer
from qa_pipeline.datasets.examples import Example, read_text
from qa_pipeline.training.loop.run_folder import save

TOKENIZER, CONFIG = "tokenizer.json", "config.json"
CHARACTERS = 1_500_000
TEXTS_AT_ONCE = 4_096
PLACES = "embeddings.position_embeddings.weight"
OFFSET = 2
SIZES = (
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
)

Counts = NDArray[np.int64]


def prune(folder: ModelFolder, counts: Mapping[str, Counts], tokens: int, layers: int, into: Path) -> None:
    """Writes a headless XLM-R with `tokens` tokens and the first `layers` layers of `folder` into `into`.

    counts: token frequencies by language from `count_tokens`; every language has the same weight. Special tokens and all
    single characters are kept, then the most frequent tokens. Raises SettingError for an unsupported architecture.
    """
    stored = _stored(folder)
    kept = choose_tokens(stored, counts, tokens)
    model = _model(folder, kept, layers)
    into.mkdir(parents=True, exist_ok=True)

    def write(target: Path) -> None:
        model.save_pretrained(target, safe_serialization=True)
        _write_tokenizer(stored, kept, target)

    save(write, into, CONFIG)


def texts(examples: Sequence[Example], plain: Path | None) -> dict[str, Iterable[str]]:
    """Questions and contexts by language, and the lines of the files named like de.txt.xz in `plain`.

    Raises SettingError if `plain` has no such file, UnreadableFile.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    paths = sorted(plain.glob("*.txt*")) if plain else []
    if plain and not paths:
        raise SettingError(f"{plain} holds no plain text: files named de.txt or de.txt.xz, one text a line.")
    for path in paths:
        found[path.name.split(".")[0]] += read_text(path).split("\n")
    for text, language in dict.fromkeys(pair for example in examples for pair in _said(example)):
        found[language].append(text)
    draw = np.random.default_rng(1)
    return {language: [some[n] for n in draw.permutation(len(some))] for language, some in found.items()}


def count_tokens(folder: ModelFolder, some_texts: Iterable[str]) -> Counts:
    """Token frequencies in the first 1.5 million characters of the texts, int64 [V]."""
    tokenizer = load_tokenizer(folder.path / TOKENIZER, folder.name, truncates=False)
    counts: Counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for some in _at_once(some_texts):
        for encoding in tokenizer.encode_batch(some, add_special_tokens=False):
            counts += np.bincount(np.array(encoding.ids, dtype=np.int64), minlength=len(counts))
    return counts


def choose_tokens(stored: Mapping[str, Any], counts: Mapping[str, Counts], tokens: int) -> NDArray[np.int64]:
    """The ids to keep, ascending, int64 [at most tokens]. Raises SettingError."""
    pieces = [piece for piece, _ in stored["model"]["vocab"]]
    share = np.zeros(len(pieces))
    for count in counts.values():
        share += count[: len(pieces)] / max(1, count.sum())
    always = {added["id"] for added in stored["added_tokens"]} | {stored["model"]["unk_id"]}
    always |= {n for n, piece in enumerate(pieces) if len(piece) == 1}
    if len(always) > tokens:
        raise SettingError(f"{len(always):,} tokens are single characters or signs; {tokens:,} are too few for them.")
    share[list(always)] = np.inf
    best = np.argsort(-share, kind="stable")[:tokens]
    kept: NDArray[np.int64] = np.sort(best[share[best] > 0]).astype(np.int64)
    return kept


def _said(example: Example) -> tuple[tuple[str, str], tuple[str, str]]:
    return (example.question, example.question_language), (example.context, example.language)


def _at_once(some_texts: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    characters = 0
    for text in some_texts:
        part.append(text)
        characters += len(text)
        if len(part) == TEXTS_AT_ONCE:
            yield part
            part = []
        if characters >= CHARACTERS:
            break
    yield part


def _stored(folder: ModelFolder) -> dict[str, Any]:
    path = folder.path / TOKENIZER
    stored: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    if stored.get("model", {}).get("type") != "Unigram":
        raise SettingError(f"{folder.name} has no {TOKENIZER} of scored pieces, as XLM-R has; it cannot be cut.")
    return stored


def _write_tokenizer(stored: Mapping[str, Any], kept: NDArray[np.int64], target: Path) -> None:
    """Writes the tokenizer with only these pieces, in the file layout of XLM-R."""
    import transformers

    numbers = {old: new for new, old in enumerate(kept.tolist())}
    model = {**stored["model"], "vocab": [stored["model"]["vocab"][n] for n in kept.tolist()]}
    model["unk_id"] = numbers[model["unk_id"]]
    added = [{**token, "id": numbers[token["id"]]} for token in stored["added_tokens"]]
    processor = json.loads(json.dumps(stored["post_processor"]))
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [numbers[n] for n in token["ids"]]
    whole = {**stored, "model": model, "added_tokens": added, "post_processor": processor}
    whole |= {"truncation": None, "padding": None}
    path = target / TOKENIZER
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text, encoding="utf-8")
    vendor: Any = transformers
    vendor.XLMRobertaTokenizerFast(tokenizer_file=str(path), model_max_length=512).save_pretrained(target)
    path.write_text(text, encoding="utf-8")


def _model(folder: ModelFolder, kept: NDArray[np.int64], layers: int) -> Any:
    """An XLM-R from the first layers of a BERT or XLM-R, with the embeddings of these tokens. Raises SettingError."""
    import transformers

    vendor: Any = transformers
    old = vendor.AutoModel.from_pretrained(
        str(folder.path), local_files_only=True, use_safetensors=True, torch_dtype=torch.float32
    )
    kind = old.config.model_type
    if kind not in ("bert", "xlm-roberta") or not 1 <= layers <= old.config.num_hidden_layers:
        raise SettingError(f"{folder.name} is no BERT or XLM-R of {layers} layers or more; it cannot be cut.")
    weights = {name: tensor for name, tensor in old.state_dict().items() if _stays(name, layers)}
    words, kinds = "embeddings.word_embeddings.weight", "embeddings.token_type_embeddings.weight"
    weights[words] = weights[words][torch.from_numpy(kept)]
    weights[kinds] = weights[kinds][:1]
    if kind == "bert":
        weights[PLACES] = torch.cat([torch.zeros(OFFSET, weights[PLACES].shape[1]), weights[PLACES]])
    config = vendor.XLMRobertaConfig(
        vocab_size=len(kept),
        num_hidden_layers=layers,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        max_position_embeddings=len(weights[PLACES]),
        **{name: getattr(old.config, name) for name in SIZES},
    )
    new = vendor.XLMRobertaModel(config, add_pooling_layer=False)
    new.load_state_dict(weights)
    return new


def _stays(name: str, layers: int) -> bool:
    """Whether a weight is kept: embeddings and the first layers. Position ids are renumbered, so they are not."""
    if name.startswith("encoder.layer."):
        return int(name.split(".")[2]) < layers
    return name.startswith("embeddings.") and name != "embeddings.position_ids"

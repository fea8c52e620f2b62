"""A Unigram tokenizer that is loaded whole only for many texts; few texts need only a part of its vocabulary.

Loading a Unigram vocabulary builds a trie of all its tokens: 0.2 s for 111,000. But a text's segmentation depends only on
those that occur in it, and on the lowest score, which gives that of an unknown character.
Source: Kudo (2018, "Subword regularization"), section 3.2.

So a few texts are tokenized by the same library with those tokens alone. Ids, offsets and truncation are those of the whole
tokenizer, which a test checks with random Unicode.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from indexing.errors import ModelMissing
from indexing.models.cache import digest, make_once

WHOLE_FROM = 40_000  # characters; about what loading the whole tokenizer costs
WORTH = 20_000  # tokens; a smaller vocabulary loads at once
TOKENS, SCORES, REST = "tokens.json", "scores.npy", "rest.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a text or a pair, with the attributes of a `tokenizers.Encoding` that docqa reads."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    type_ids: list[int]
    sequence_ids: list[int | None]


class LazyTokenizer:
    """The tokenizer in a `tokenizer.json`, without padding. Thread-safe.

    Attributes other than `encode` and `encode_batch` are those of the whole `tokenizers.Tokenizer`, which they load.
    """

    def __init__(self, file: Path, vocabulary: Vocabulary, *, truncates: bool) -> None:
        """truncates: as the file says; else never."""
        self._file = file
        self.vocabulary = vocabulary
        self._truncates = truncates
        self._guard = threading.Lock()
        self._read = 0
        self._loaded: Tokenizer | None = None

    def encode(self, text: str, pair: str | None = None, add_special_tokens: bool = True) -> Any:
        """As `tokenizers.Tokenizer.encode`."""
        part = self._part([text] if pair is None else [text, pair])
        if part is None:
            return self.whole().encode(text, pair, add_special_tokens=add_special_tokens)
        return part.encoded(part.tokenizer.encode(text, pair, add_special_tokens=add_special_tokens))

    def encode_batch(self, texts: Sequence[str], add_special_tokens: bool = True) -> list[Any]:
        """As `tokenizers.Tokenizer.encode_batch`, of single texts."""
        few = self.few(texts, add_special_tokens)
        return self.whole().encode_batch(list(texts), add_special_tokens=add_special_tokens) if few is None else few

    def few(self, texts: Sequence[str], add_special_tokens: bool = False) -> list[Any] | None:
        """`encode_batch` without the whole tokenizer; None where that is loaded or is to be."""
        part = self._part(texts)
        if part is None:
            return None
        made = part.tokenizer.encode_batch(list(texts), add_special_tokens=add_special_tokens)
        return [part.encoded(one) for one in made]

    def whole(self) -> Tokenizer:
        """The whole tokenizer, loaded at the first call."""
        with self._guard:
            if self._loaded is None:
                self._loaded = whole_tokenizer(self._file, truncates=self._truncates)
                self.vocabulary.release()
            return self._loaded

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.whole(), name)

    def _part(self, texts: Sequence[str]) -> Part | None:
        """The part of the tokenizer that these texts need; None where the whole is loaded or is to be."""
        with self._guard:
            self._read += sum(map(len, texts))
            if self._loaded is not None or self._read > WHOLE_FROM:
                return None
        return self.vocabulary.part(texts, truncates=self._truncates)


@dataclass(frozen=True, slots=True)
class Part:
    """A tokenizer with a part of a vocabulary. numbers: the id of each of its tokens in the whole vocabulary."""

    tokenizer: Tokenizer
    numbers: list[int]

    def encoded(self, made: Any) -> Encoded:
        """An encoding by this tokenizer, with the ids of the whole one."""
        return Encoded([self.numbers[number] for number in made.ids], made.offsets, made.type_ids, made.sequence_ids)


class Vocabulary:
    """The tokens of a `tokenizer.json`, their scores, and its other parts, in the folder that `vocabulary` fills."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        stated = json.loads((folder / REST).read_text(encoding="utf-8"))
        self._always: list[int] = stated["always"]
        self._added: list[str] = stated["added"]
        self._unknown: int = stated["unknown"]
        self._rest = Tokenizer.from_str(json.dumps(stated["tokenizer"]))

    def text(self) -> str:
        """All tokens, one a line, to search in."""
        return "\n".join(self.__dict__.get("_tokens") or self._stored_tokens())

    @property
    def truncates(self) -> bool:
        """Whether the tokenizer truncates as stored."""
        return self._rest.truncation is not None

    @cached_property
    def _tokens(self) -> list[str]:
        return self._stored_tokens()

    def _stored_tokens(self) -> list[str]:
        tokens: list[str] = json.loads((self._folder / TOKENS).read_text(encoding="utf-8"))
        return tokens

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return dict(zip(self._tokens, range(len(self._tokens)), strict=True))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._tokens))

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = np.load(self._folder / SCORES, mmap_mode="r")
        return scores

    def release(self) -> None:
        """Free the tokens and their numbers, some 10 MB; they are read again where they are needed."""
        for name in ("_tokens", "_numbers"):
            self.__dict__.pop(name, None)

    def part(self, texts: Sequence[str], *, truncates: bool) -> Part | None:
        """The tokenizer of every token that occurs in `texts`; None if one contains a special token as text."""
        normalizer, splitter = self._rest.normalizer, self._rest.pre_tokenizer
        normal = [text if normalizer is None else normalizer.normalize_str(text) for text in texts]
        if any(token in text for text in (*texts, *normal) for token in self._added):
            return None
        pieces = normal if splitter is None else [piece for text in normal for piece, _ in splitter.pre_tokenize_str(text)]
        found = self._occurring(dict.fromkeys(pieces)) - set(self._always)
        numbers = [*self._always, *sorted(found)]
        tokens = self._tokens
        made = Tokenizer(Unigram([(tokens[n], float(self._scores[n])) for n in numbers], self._unknown, False))
        for name, part in (("normalizer", normalizer), ("pre_tokenizer", splitter)):
            if part is not None:
                setattr(made, name, part)
        if self._rest.post_processor is not None:
            made.post_processor = self._rest.post_processor
        if truncates and self._rest.truncation is not None:
            made.enable_truncation(**self._rest.truncation)
        return Part(made, numbers)

    def _occurring(self, pieces: Iterable[str]) -> set[int]:
        """The ids of all tokens that are a substring of a piece."""
        known, longest = self._numbers, self._longest
        found: set[int] = set()
        for piece in pieces:
            end = len(piece)
            for start in range(end):
                for stop in range(start + 1, min(end, start + longest) + 1):
                    number = known.get(piece[start:stop])
                    if number is not None:
                        found.add(number)
        return found


def whole_tokenizer(file: Path, *, truncates: bool) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`, without padding. truncates: as the file says; else never."""
    made = Tokenizer.from_file(str(file))
    made.no_padding()
    if not truncates:
        made.no_truncation()
    return made


def vocabulary(file: Path) -> Vocabulary | None:
    """The vocabulary of a `tokenizer.json`, read once and kept in the cache.

    None where a part of it would not do, and where the cache cannot be written.
    """
    try:
        folder = make_once(f"tokenizers/{digest(file)}", lambda target: _store(file, target))
    except ModelMissing:
        return None
    return Vocabulary(folder) if (folder / SCORES).is_file() else None


def _store(file: Path, target: Path) -> None:
    stated = json.loads(file.read_bytes())
    model, processor = stated["model"], stated.get("post_processor")
    if not _can_be_parted(model, processor):
        (target / REST).write_text("null", encoding="utf-8")
        return
    tokens = [token for token, _ in model["vocab"]]
    scores = np.array([score for _, score in model["vocab"]], dtype=np.float64)
    special = [n for one in (processor or {}).get("special_tokens", {}).values() for n in one["ids"]]
    always = list(dict.fromkeys([int(model["unk_id"]), *special, int(scores.argmin())]))
    if processor is not None:
        for one in processor["special_tokens"].values():
            one["ids"] = [always.index(n) for n in one["ids"]]
    unknown = always.index(int(model["unk_id"]))
    few = {**model, "unk_id": unknown, "vocab": [model["vocab"][n] for n in always]}
    rest = {
        "always": always,
        "added": [one["content"] for one in stated.get("added_tokens") or []],
        "unknown": unknown,
        "tokenizer": {**stated, "model": few, "added_tokens": [], "padding": None},
    }
    (target / TOKENS).write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
    np.save(target / SCORES, scores)
    (target / REST).write_text(json.dumps(rest, ensure_ascii=False), encoding="utf-8")


def _can_be_parted(model: dict[str, Any], processor: dict[str, Any] | None) -> bool:
    """Whether a large Unigram model without bytes as tokens, whose special tokens a template adds, if any."""
    return (
        model.get("type") == "Unigram"
        and not model.get("byte_fallback")
        and model.get("unk_id") is not None
        and len(model["vocab"]) >= WORTH
        and (processor is None or processor.get("type") == "TemplateProcessing")
    )

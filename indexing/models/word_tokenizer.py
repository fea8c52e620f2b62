"""The built-in tokenizer with a cache: each distinct word is tokenized once.

That tokenizer first splits at ASCII white space. So a text's tokens are those of its words in order, which a test checks
with random Unicode. Words repeat, and a cache lookup costs a tenth of tokenizing.

New words of common letters are tokenized together in one text, which takes a third of the time. Tokens that begin with
BEGINS show where each word starts. Long words, as in scripts without spaces, are split into clauses.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.models.lazy_tokenizer import LazyTokenizer
from indexing.models.registry import builtin_tokenizer

CACHED_WORDS = 500_000
LONGEST = 40
TOKEN_BYTES = 4
BATCH_WORDS = 1_000
BEGINS = "\u2581"
UNKNOWN = -1
# Letters, signs and combining marks that normalization neither drops nor separates by a space; a test checks all of them.
LETTERS = (
    "!-;=-~\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0386\u0388-\u03ce\u0400-\u0481\u048a-\u052f\u05d0-\u05ea\u0620-\u064a"
    "\u0904-\u0939\u0958-\u0961\u0966-\u096f\u0e01-\u0e30\u0e32\u0e40-\u0e46\u0e50-\u0e59\u3041-\u3096\u30a1-\u30fa\u30fc"
    "\u4e00-\u9fff\uac00-\ud7a3\u00ab\u00bb\u2013\u2014\u2018\u2019\u201c-\u201e\u2026\u3001\u3002\u300c\u300d\uff01\uff0c\uff1f"
)
MARKS = "\u064b-\u0652\u093a-\u093c\u093e-\u094d\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
PLAIN = re.compile(f"[{LETTERS}][{LETTERS}{MARKS}]*")
# Clause ends in scripts without spaces, and the character to which the tokenizer normalizes each.
ENDS = {"\u3002": "\u3002", "\u3001": "\u3001", "\uff0c": ",", "\uff01": "!", "\uff1f": "?"}
CLAUSES = re.compile(f"[^{''.join(ENDS)}]*[{''.join(ENDS)}]+|[^{''.join(ENDS)}]+")
STOP = "\u3002"
NEL = "\x85"


class WordTokens:
    """A bounded cache of words' token ids. Thread-safe."""

    def __init__(self) -> None:
        self._loaded = builtin_tokenizer()
        self._lazy = self._loaded if isinstance(self._loaded, LazyTokenizer) else None
        self._known: dict[str, bytes] = {"": b""}

    @cached_property
    def _tokenizer(self) -> Any:
        return self._loaded if self._lazy is None else self._lazy.whole()

    @cached_property
    def _begins(self) -> NDArray[np.int8]:
        return np.full(self._size(), UNKNOWN, dtype=np.int8)

    @cached_property
    def _stop(self) -> int:
        return len(self._tokenizer.encode(STOP, add_special_tokens=False)) * TOKEN_BYTES

    def ids(self, texts: Sequence[str]) -> list[bytes]:
        """The token ids of each text as int32 bytes, without special tokens."""
        few = None if self._lazy is None else self._lazy.few(texts)
        if few is not None:
            return [array("i", made.ids).tobytes() for made in few]
        words = [_words(text) for text in texts]
        known, rare = self._with(words)
        found: list[bytes] = []
        for mine in words:
            try:
                found.append(b"".join(map(known.__getitem__, mine)))
            except KeyError:
                found.append(b"".join([rare[word] if word in rare else known[word] for word in mine]))
        return found

    def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, without special tokens."""
        return [len(ids) // TOKEN_BYTES for ids in self.ids(texts)]

    def _with(self, words: Sequence[list[str]]) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The cache, filled with `words`, and separately the ids of overlong words, which are not cached."""
        known = self._known
        if len(known) > CACHED_WORDS:
            known = self._known = {"": b""}
        new = {word for mine in words for word in mine if word not in known}
        clauses = {word: parts for word in new if len(word) > LONGEST and (parts := self._clauses(word))}
        rare = self._learn(known, {*new.difference(clauses), *(part for parts in clauses.values() for part in parts)})
        for word, (first, *others) in clauses.items():
            ids = [known[first] if first in known else rare[first]]
            ids += [(known[part] if part in known else rare[part])[self._stop :] for part in others]
            rare[word] = b"".join(ids)
        return known, rare

    def _learn(self, known: dict[str, bytes], words: set[str]) -> dict[str, bytes]:
        """Tokenize words. Short ones are cached, the others returned."""
        new = [word for word in words if word not in known]
        rare: dict[str, bytes] = {}
        for word, ids in self._tokenized([word for word in new if PLAIN.fullmatch(word)]):
            (known if len(word) <= LONGEST else rare)[word] = ids
        for word, ids in self._one_by_one([word for word in new if word not in known and word not in rare]):
            (known if len(word) <= LONGEST else rare)[word] = ids
        return rare

    @cached_property
    def _over(self) -> set[str]:
        """The pairs of a clause end and a next character that stand inside a token."""
        if self._lazy is not None:
            tokens = self._lazy.vocabulary.text()
        else:
            tokens = "\n".join(self._tokenizer.get_vocab(with_added_tokens=True))
        return set(re.findall(f"(?=([{''.join(ENDS.values())}].))", tokens))

    def _size(self) -> int:
        """One more than the largest id. Counting the vocabulary with its added tokens copies it, which takes 27 ms."""
        added = max(self._tokenizer.get_added_tokens_decoder(), default=0)
        return max(int(self._tokenizer.get_vocab_size(False)), 1 + int(added))

    def _begin(self, ids: NDArray[np.int32]) -> NDArray[np.intp]:
        """The positions of the ids whose token begins a word. The tokens of a command's few words are looked up singly."""
        flags = self._begins[ids]
        for number in set(ids[flags == UNKNOWN].tolist()):
            self._begins[number] = (self._tokenizer.id_to_token(number) or "").startswith(BEGINS)
        return np.flatnonzero(self._begins[ids])

    def _clauses(self, word: str) -> list[str]:
        """Split a long word into clauses, each but the first after a full stop; [] if a token could cross a border.

        The word's tokens are those of the first clause, then those of each other clause without the full stop's.
        """
        if not PLAIN.fullmatch(word):
            return []
        parts: list[str] = []
        for part in CLAUSES.findall(word):
            if parts and (ENDS[parts[-1][-1]] + part[0] in self._over or not PLAIN.match(part)):
                parts[-1] += part
            else:
                parts.append(part)
        return [parts[0], *(STOP + part for part in parts[1:])] if len(parts) > 1 else []

    def _tokenized(self, words: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The ids of plain words, tokenized together. Batches whose tokens do not show the word borders are left out."""
        parts = [words[at : at + BATCH_WORDS] for at in range(0, len(words), BATCH_WORDS)]
        encodings = self._tokenizer.encode_batch_fast([" ".join(part) for part in parts], add_special_tokens=False)
        for part, encoding in zip(parts, encodings, strict=True):
            ids = np.array(encoding.ids, dtype=np.int32)
            begins = self._begin(ids)
            if len(begins) == len(part):
                data, ends = ids.tobytes(), (np.append(begins[1:], len(ids)) * TOKEN_BYTES).tolist()
                for word, begin, end in zip(part, (begins * TOKEN_BYTES).tolist(), ends, strict=True):
                    yield word, data[begin:end]

    def _one_by_one(self, words: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        encodings = self._tokenizer.encode_batch_fast(list(words), add_special_tokens=False)
        for word, encoding in zip(words, encodings, strict=True):
            yield word, array("i", encoding.ids).tobytes()


def _words(text: str) -> list[str]:
    """The words of a text; the whole text if it contains NEL, which the tokenizer drops only at an end."""
    if NEL in text:
        return [text]
    return text.replace("\n", " ").replace("\t", " ").replace("\r", " ").split(" ")


@lru_cache(maxsize=1)
def word_tokens() -> WordTokens:
    """The shared instance of this process."""
    return WordTokens()


def count_tokens(texts: Sequence[str]) -> list[int]:
    """The number of the built-in tokenizer's tokens in each text, without special tokens.

    >>> count_tokens(["", "a bridge"])[0]
    0
    """
    return word_tokens().count(texts)

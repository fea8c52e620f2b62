"""`WindowReader`: questions and texts to answer spans, with any inference engine. It imports neither torch nor Haystack.

Read `WindowReader.read_pairs`: tokenise, build windows, compute logits, decode spans.

* LRU caches hold the tokens of each text, and the result of each (question, text) pair.
* Concurrent questions run in one batch (`micro_batching`).
* Spans are decoded in one pass (`span_decoding`).

A question changes no state but caches, so the reader is thread-safe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexing.lru_cache import LRUCache
from qa_pipeline.reading.micro_batching import MicroBatcher
from qa_pipeline.reading.normal_input import read_in_normal_form
from qa_pipeline.reading.readings import BATCH_TOKENS, Reading, Span
from qa_pipeline.reading.span_decoding import Logits, TokenSpan, candidates, windows

CACHED_TOKENS = 1_000_000
CACHED_READINGS = 20_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text: ids and start offsets (code points), int32 [tokens]."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int32]


Encode = Callable[[Sequence[str]], list[Tokens]]
"""Tokenises texts, without special tokens."""


@dataclass(frozen=True, slots=True)
class InputLayout:
    """How a model joins question and text: prefix, question, middle, text, suffix. All are token ids.

    text_type: the token type of text and suffix; that of everything before is 0.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    text_type: int = 0

    @property
    def special(self) -> int:
        """The number of special tokens in an input."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def first(self, question: Sequence[int]) -> int:
        """The position of the first text token."""
        return len(self.prefix) + len(question) + len(self.middle)

    def join(self, question: Sequence[int], text: Sequence[int]) -> tuple[list[int], list[int]]:
        """Token ids and token types of one input."""
        ids = [*self.prefix, *question, *self.middle, *text, *self.suffix]
        before = self.first(question)
        return ids, [0] * before + [self.text_type] * (len(ids) - before)


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What decides a result beyond model, question and text.

    max_seq_len, doc_stride, max_query_length: in tokens, as in FARMReader. count: spans per window. apart: FARM's
    `duplicate_filtering`. exact_confidence: pad like FARM, where only that gives FARM's confidence. model: anything that
    identifies the weights.
    """

    max_seq_len: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    count: int = 1
    apart: int = 0
    exact_confidence: bool = False
    model: Any = None


@dataclass(frozen=True, slots=True)
class Window:
    """One model input. text: index of the text. tokens: (begin, end) of its tokens. first: position of the first of them."""

    text: int
    tokens: tuple[int, int]
    ids: list[int]
    types: list[int]
    first: int


@dataclass(frozen=True, slots=True)
class WindowSpans:
    """The candidates of one window, in token positions of its text."""

    spans: list[TokenSpan]
    null: TokenSpan


class InferenceEngine(Protocol):
    """Computes the logits of model inputs. Thread-safe. at_once: inputs that it computes at the same time."""

    @property
    def at_once(self) -> int: ...

    def logits(self, group: Sequence[Window], options: ReadingOptions) -> list[tuple[Logits, int]]:
        """For each window: its logits [L, 2], and how many further pad positions FARM's padding would have.

        If there are any, the last of the L positions is a pad.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """Facts for monitoring: at least precision and instruction set."""
        ...


class WindowReader:
    """Reads texts in overlapping windows.

    encode: the tokens of texts, without special tokens. options: called for each question, so they may change.
    `remember`: capacity of the result cache in (question, text) pairs; 0 disables it.
    """

    def __init__(
        self,
        encode: Encode,
        layout: InputLayout,
        engine: InferenceEngine,
        options: Callable[[], ReadingOptions],
        *,
        remember: int = CACHED_READINGS,
    ) -> None:
        self.layout = layout
        self.engine = engine
        self._encode = encode
        self._options = options
        self._tokens: LRUCache[Tokens] = LRUCache(CACHED_TOKENS, lambda tokens: len(tokens.ids) + 16)
        self._readings: LRUCache[list[WindowSpans]] = LRUCache(remember)
        self._batcher: MicroBatcher[Window, tuple[Logits, int]] = MicroBatcher(
            lambda group: self.engine.logits(group, self._options()),
            lambda window: len(window.ids),
            BATCH_TOKENS,
            engine.at_once,
        )

    @property
    def at_once(self) -> int:
        """How many texts to read in one call: as many as the engine computes at once, if no other call is running."""
        return 1 if self._batcher.busy else self.engine.at_once

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        """Return the best spans of each text, in the order of texts."""
        return self.read_pairs([(question, text) for text in texts])

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """Return the best spans of each (question, text) pair, in order; all pairs are batched together.

        Pairs are read in normal form (`normal_input`). `candidates`, on which FARMReader's interface rests, reads them as
        they are.
        """
        return read_in_normal_form(self._read_pairs, pairs)

    def _read_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        found, starts = self.candidates(pairs)
        return [
            Reading(tuple(_spans(windows_, places, text)))
            for windows_, places, (_, text) in zip(found, starts, pairs, strict=True)
        ]

    def facts(self) -> dict[str, Any]:
        """Facts for monitoring: the engine's, batch counts, and hits and misses of the caches."""
        return {
            **self.engine.facts(),
            "batches": self._batcher.batches,
            "shared_batches": self._batcher.shared,
            "tokens": self._tokens.facts(),
            "readings": self._readings.facts(),
        }

    def forget(self) -> None:
        """Clear the caches. Needed only after the model's weights were changed by hand."""
        self._readings.clear()
        self._tokens.clear()

    def candidates(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[WindowSpans]], list[NDArray[np.int32]]]:
        """For each (question, text): the candidates of its windows in order, and the start offsets of its tokens."""
        digests = [_digest(text) for _, text in pairs]
        options = self._options()
        keys = [(question, digest, options) for (question, _), digest in zip(pairs, digests, strict=True)]
        known = [self._readings.get(key) for key in keys]
        tokens = self.tokens(dict(zip(digests, (text for _, text in pairs), strict=True)))
        new = [n for n, found in enumerate(known) if found is None]
        read = self._read([(pairs[n][0], tokens[digests[n]]) for n in new], options)
        for n, found in zip(new, read, strict=True):
            known[n] = found
            self._readings.put(keys[n], found)
        return [found or [] for found in known], [tokens[digest].starts for digest in digests]

    def tokens(self, texts: dict[bytes, str]) -> dict[bytes, Tokens]:
        """The tokens of texts, by key; those not in the cache are tokenised in one call."""
        known = self._tokens.get_many(texts)
        new = [key for key in texts if key not in known]
        if new:
            made = dict(zip(new, self._encode([texts[key] for key in new]), strict=True))
            self._tokens.put_many(made)
            known.update(made)
        return known

    def inputs(self, pairs: Sequence[tuple[str, str]]) -> list[Window]:
        """The model inputs of (question, text) pairs, in order."""
        return self._inputs(
            list(zip([q for q, _ in pairs], self._encode([t for _, t in pairs]), strict=True)), self._options()
        )

    def _read(self, pairs: Sequence[tuple[str, Tokens]], options: ReadingOptions) -> list[list[WindowSpans]]:
        """The candidates of the windows of each (question, text); none for a text without tokens."""
        inputs = self._inputs(pairs, options)
        found: list[list[WindowSpans]] = [[] for _ in pairs]
        for window, (logits, missing) in zip(inputs, self._batcher(inputs), strict=True):
            found[window.text].append(_found(window, logits, missing, options))
        return found

    def _inputs(self, pairs: Sequence[tuple[str, Tokens]], options: ReadingOptions) -> list[Window]:
        asked = list(dict.fromkeys(question for question, _ in pairs))
        questions = {
            question: tokens.ids[: options.max_query_length].tolist()
            for question, tokens in zip(asked, self._encode(asked) if asked else [], strict=True)
        }
        return [
            window
            for n, (question, text) in enumerate(pairs)
            if len(text.ids)
            for window in self._windows_of(n, questions[question], text.ids.tolist(), options)
        ]

    def _windows_of(self, text: int, question: list[int], ids: list[int], options: ReadingOptions) -> Iterator[Window]:
        room = options.max_seq_len - len(question) - self.layout.special
        for begin, end in windows(len(ids), options.doc_stride, room):
            joined, types = self.layout.join(question, ids[begin:end])
            yield Window(text, (begin, end), joined, types, self.layout.first(question))


def _found(window: Window, logits: Logits, missing: int, options: ReadingOptions) -> WindowSpans:
    begin, stop = window.tokens
    spans, null = candidates(
        logits[..., 0],
        logits[..., 1],
        window.first,
        window.first + stop - begin - 1,
        missing=missing,
        count=options.count,
        apart=options.apart,
    )
    shift = begin - window.first
    return WindowSpans([TokenSpan(s.start + shift, s.end + shift, s.score, s.confidence) for s in spans], null)


def char_span(starts: NDArray[np.int32], first: int, last: int, text: str) -> tuple[int, int]:
    """Character offsets of the tokens first..last: up to the next token's start, without surrounding white space.

    starts: start offset of each token. Returns (n, n) where the tokens cover only white space.
    """
    begin = int(starts[first])
    end = int(starts[last + 1]) if last + 1 < len(starts) else len(text)
    piece = text[begin:end]
    begin += len(piece) - len(piece.lstrip())
    return begin, begin + len(piece.strip())


def _spans(found: Sequence[WindowSpans], starts: NDArray[np.int32], text: str) -> Iterator[Span]:
    """The spans of all windows of a text by falling margin; duplicates from overlapping windows are dropped."""
    seen: set[tuple[int, int]] = set()
    scored = [(span.score - part.null.score, span) for part in found for span in part.spans]
    for margin, span in sorted(scored, key=lambda item: (-item[0], item[1].start, item[1].end)):
        start, end = char_span(starts, span.start, span.end, text)
        if end > start and (start, end) not in seen:
            seen.add((start, end))
            yield Span(start, end, span.score, margin, span.confidence)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

"""Training windows: model inputs with the answer tokens labelled.

Windows are cut as the reader cuts them at inference. The labels are the first and last token that overlap the answer. A
window that does not contain all of them is labelled (0, 0), "no answer". Invariant: the text of the labelled tokens
contains the answer, and exceeds it only within the first and last token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexing.lru_cache import LRUCache
from qa_pipeline.datasets.examples import Example
from qa_pipeline.reading.span_decoding import windows
from qa_pipeline.reading.xlm_tokenizer import Tokens
from qa_pipeline.training.reader.model import Tokeniser

MAX_QUERY_LENGTH = 64
TEXTS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Window:
    """One input. ids: int32 [L]; kinds, langs: token types and language ids, [L] or None.

    Passage tokens are at first .. first + count - 1; they are tokens begin .. begin + count - 1 of the passage. start, end:
    label positions in ids, (0, 0) without the answer.
    """

    example: int
    ids: NDArray[np.int32]
    first: int
    begin: int
    count: int
    start: int
    end: int
    kinds: NDArray[np.int8] | None = None
    langs: NDArray[np.int16] | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """The windows of all examples in order. left_out: indices of examples without windows.

    Those have no tokens, or an answer that no window contains whole.
    """

    windows: list[Window]
    left_out: list[int]

    @property
    def lengths(self) -> list[int]:
        return [len(window.ids) for window in self.windows]


def build(examples: Sequence[Example], tokeniser: Tokeniser, max_seq_len: int, doc_stride: int) -> Features:
    """Windows of at most max_seq_len tokens, doc_stride passage tokens apart."""
    made: list[Window] = []
    left_out: list[int] = []
    cache: LRUCache[Tokens] = LRUCache(2 * TEXTS_AT_ONCE)
    for at in range(0, len(examples), TEXTS_AT_ONCE):
        part = examples[at : at + TEXTS_AT_ONCE]
        texts = _tokens(cache, tokeniser, [example.context for example in part])
        questions = _tokens(cache, tokeniser, [example.question for example in part])
        for n, (example, question, tokens) in enumerate(zip(part, questions, texts, strict=True), start=at):
            cut = list(_windows(n, example, question, tokens, tokeniser, max_seq_len, doc_stride))
            usable = bool(cut) and (example.is_impossible or any(window.end for window in cut))
            made += cut if usable else []
            left_out += [] if usable else [n]
    return Features(made, left_out)


def thin_windows(windows: Sequence[Window], empty: float | None, seed: int) -> list[Window]:
    """Downsamples windows without the answer: each example keeps `empty` of them on average, at random.

    An example without other windows keeps at least one.
    """
    if empty is None:
        return list(windows)
    draw = np.random.default_rng(seed)
    left = {n: int(empty + draw.random()) for n in dict.fromkeys(window.example for window in windows)}
    for n in left.keys() - {window.example for window in windows if window.end}:
        left[n] = max(1, left[n])
    kept: list[int] = []
    for n in draw.permutation(len(windows)).tolist():
        window = windows[n]
        left[window.example] -= not window.end
        if window.end or left[window.example] >= 0:
            kept.append(n)
    return [windows[n] for n in sorted(kept)]


def answer_tokens(example: Example, tokens: Tokens) -> tuple[int, int] | None:
    """First and last token that overlap the first right answer with an offset and tokens; None if there is none."""
    starts, ends = np.array(tokens.starts), np.array(tokens.ends)
    for gold in example.golds:
        begin = gold.start + len(gold.text) - len(gold.text.lstrip())
        end = gold.start + len(gold.text.rstrip())
        inside = np.flatnonzero((ends > begin) & (starts < end)) if gold.start >= 0 else np.array([])
        if len(inside):
            return int(inside[0]), int(inside[-1])
    return None


def _windows(
    number: int, example: Example, question: Tokens, tokens: Tokens, tokeniser: Tokeniser, length: int, stride: int
) -> Iterator[Window]:
    asked = list(question.ids[: min(MAX_QUERY_LENGTH, length // 2)])
    first = len(tokeniser.joined(asked, [])) - 1
    room = length - first - 1
    answer = answer_tokens(example, tokens)
    for begin, end in windows(len(tokens.ids), min(stride, room), room) if tokens.ids else []:
        part = list(tokens.ids[begin:end])
        here = answer is not None and begin <= answer[0] and answer[1] < end
        start, stop = (first + answer[0] - begin, first + answer[1] - begin) if answer and here else (0, 0)
        ids = np.array(tokeniser.joined(asked, part), dtype=np.int32)
        kinds = np.array(tokeniser.kinds(asked, part), dtype=np.int8) if tokeniser.types else None
        yield Window(number, ids, first, begin, end - begin, start, stop, kinds, langs(example, tokeniser, first, len(ids)))


def langs(example: Example, tokeniser: Tokeniser, first: int, length: int) -> NDArray[np.int16] | None:
    """Language id of each token, for models with language embeddings; 0 for unknown languages."""
    if not tokeniser.languages:
        return None
    asked, read = (tokeniser.languages.get(name, 0) for name in (example.question_language, example.language))
    return np.array([asked] * first + [read] * (length - first), dtype=np.int16)


def _tokens(cache: LRUCache[Tokens], tokeniser: Tokeniser, texts: Sequence[str]) -> list[Tokens]:
    """Tokens of texts through the cache; questions of one paragraph follow one another, so contexts are tokenized once."""
    known = cache.get_many(dict.fromkeys(texts))
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if missing:
        made = dict(zip(missing, tokeniser.tokens(missing), strict=True))
        cache.put_many(made)
        known |= made
    return [known[text] for text in texts]

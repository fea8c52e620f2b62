"""The words of texts as numbers: `word_tokens.keys` of many texts, each distinct piece of a text analysed once."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from indexing.text.search_terms import BARE_RUNS, CLUSTER, DENSE, MARKED, NOT_PLAIN, PLAIN_RUNS, run_keys, term_text
from indexing.text.word_tokens import cached_keys, pieces

Numbers = NDArray[np.uint32]
TYPE, BYTES = "<u4", 4
LONGEST_CACHED = 40  # characters of a piece; longer ones are mostly of a script without spaces, and seldom repeat


class WordNumbers:
    """Numbers words in the order of their first occurrence. words: the number of each word so far."""

    def __init__(self) -> None:
        self.words: defaultdict[str, int] = defaultdict()
        self.words.default_factory = self.words.__len__
        self._plain = _Plain(self.words)
        self._other = _Other(self.words)

    def of(self, text: str) -> Numbers:
        """Twice the number of each word of a text, in order, and 1 more if the word continues an unspaced run.

        >>> WordNumbers().of("a bridge, a 東京").tolist()
        [0, 2, 0, 4, 7]
        """
        if NOT_PLAIN.search(text) is None:
            found = b"".join(map(self._plain.__getitem__, pieces(text)))
        else:
            found = b"".join(map(self._other.of, pieces(term_text(text))))
        return np.frombuffer(found, TYPE)


class _Plain(dict[str, bytes]):
    """The numbers of the words of pieces of plain texts."""

    def __init__(self, words: defaultdict[str, int]) -> None:
        self.words = words

    def __missing__(self, piece: str) -> bytes:
        made = self[piece] = _packed(self.words, [key for run in PLAIN_RUNS.findall(piece) for key in cached_keys(run)])
        return made


class _Other(dict[str, bytes]):
    """The same for other texts, in the form of `term_text`."""

    def __init__(self, words: defaultdict[str, int]) -> None:
        self.words = words
        self.characters = _Characters(words, False), _Characters(words, True)

    def of(self, piece: str) -> bytes:
        return self[piece] if len(piece) <= LONGEST_CACHED else self._made(piece)

    def __missing__(self, piece: str) -> bytes:
        made = self[piece] = self._made(piece)
        return made

    def _made(self, piece: str) -> bytes:
        return b"".join(map(self._run, BARE_RUNS.findall(piece)))

    def _run(self, run: str) -> bytes:
        if DENSE.match(run) is None:
            return _packed(self.words, cached_keys(run))
        first, others = self.characters
        clusters = run if MARKED.search(run) is None else CLUSTER.findall(run)
        return first[clusters[0]] + b"".join(map(others.__getitem__, clusters[1:]))


class _Characters(dict[str, bytes]):
    """The number of a character with its marks, at the beginning of an unspaced run or joined."""

    def __init__(self, words: defaultdict[str, int], joined: bool) -> None:
        self.words, self.joined = words, joined

    def __missing__(self, character: str) -> bytes:
        (key,) = run_keys(character)
        made = self[character] = np.array([2 * self.words[key] + self.joined], TYPE).tobytes()
        return made


def _packed(words: defaultdict[str, int], keys: list[str] | tuple[str, ...]) -> bytes:
    return np.array([2 * words[key] for key in keys], TYPE).tobytes()

"""Sources of tokenized training pairs: questions, code-switched questions, translations, lines of text.

A draw comes from one source and one language (pair), so that in-batch negatives cannot be distinguished from positives by
their language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Example, read_text
from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences, to_ragged
from qa_pipeline.training.alignment.token_lexicon import Bitext, Choices, Encode, Lexicon, lexicon

PIVOT = "en"
LONGEST = 320
SHORTEST_LINE = 24
LEAST, MOST = 0.25, 0.5
SWITCHED, SWITCHED_BACK = 0.7, 0.9
FROM_PIVOT = 0.75
OF_ONE_MIX = 0.3

Draw = np.random.Generator
Sides = tuple[RaggedSentences, RaggedSentences]


class Source(Protocol):
    """A source of positive pairs. count: number of available pairs."""

    count: int

    def draw(self, count: int, draw: Draw) -> Sides:
        """At most `count` pairs, aligned by row, without repeated texts."""
        ...


def draw_pairs(whole: RaggedSentences, rows: NDArray[np.int64], longest: int = LONGEST) -> RaggedSentences:
    """The given rows, each truncated to `longest` tokens."""
    lengths = np.minimum(whole.lengths[rows], longest)
    begins = np.concatenate([[0], np.cumsum(lengths)])
    at = np.repeat(whole.begins[rows] - begins[:-1], lengths) + np.arange(begins[-1])
    return RaggedSentences(whole.words[at], begins)


def mix(parts: Sequence[RaggedSentences]) -> RaggedSentences:
    """Concatenates the rows of all parts."""
    begins = np.cumsum([0, *(len(part.words) for part in parts)])
    rows = [part.begins[:-1] + at for part, at in zip(parts, begins, strict=False)]
    return RaggedSentences(np.concatenate([part.words for part in parts]), np.concatenate([*rows, begins[-1:]]))


@dataclass(frozen=True, slots=True)
class QuestionPairs:
    """Answerable questions of one language. passage: index into `passages` of each question."""

    questions: RaggedSentences
    passages: RaggedSentences
    passage: NDArray[np.int64]

    def draw(self, count: int, draw: Draw) -> Sides:
        rows = draw.choice(len(self.passage), min(count, len(self.passage)), replace=False)
        rows = rows[np.unique(self.passage[rows], return_index=True)[1]]
        return draw_pairs(self.questions, rows), draw_pairs(self.passages, self.passage[rows])


class Questions:
    """Questions of all languages; a language is drawn in proportion to the square root of its size."""

    def __init__(self, by_language: Mapping[str, QuestionPairs]) -> None:
        self._asked = list(by_language.values())
        self.count = sum(len(asked.passage) for asked in self._asked)
        self._chances = _shares([len(asked.passage) ** 0.5 for asked in self._asked])

    def draw(self, count: int, draw: Draw) -> Sides:
        return self._asked[draw.choice(len(self._asked), p=self._chances)].draw(count, draw)


class CodeSwitchedPairs:
    """Code-switched questions and passages: from English into other languages, and from the others into English."""

    def __init__(self, by_language: Mapping[str, QuestionPairs], choices: Mapping[str, tuple[Choices, Choices]]) -> None:
        if PIVOT not in by_language:
            raise SettingError(f"There are no questions in {PIVOT}, the language the others learn from.")
        self.count = 0
        self._pivot = by_language[PIVOT]
        self._others = [(asked, choices[name][1]) for name, asked in by_language.items() if name in choices]
        self._into = [forth for forth, _ in choices.values()]

    def draw(self, count: int, draw: Draw) -> Sides:
        if self._others and draw.random() >= FROM_PIVOT:
            asked, back = self._others[draw.integers(len(self._others))]
            return _one_side(asked.draw(count, draw), back, draw)
        return self._sides(self._pivot.draw(count, draw), draw)

    def _sides(self, sides: Sides, draw: Draw) -> Sides:
        """Switches either side, or both, which then sometimes share a language."""
        which, first, second = draw.integers(3), *draw.integers(len(self._into), size=2)
        second = first if which == 2 and draw.random() < OF_ONE_MIX else second
        return _switch_sides(sides, int(which), (self._into[first], self._into[second]), draw)


class TranslationPairs:
    """Sentences and their translations; every language pair is equally likely."""

    def __init__(self, texts: Sequence[Bitext]) -> None:
        self._texts = list(texts)
        self.count = sum(len(text.ones) for text in self._texts)

    def draw(self, count: int, draw: Draw) -> Sides:
        text = self._texts[int(draw.integers(len(self._texts)))]
        rows = draw.choice(len(text.ones), min(count, len(text.ones)), replace=False)
        return draw_pairs(text.ones, rows), draw_pairs(text.others, rows)


class LinePairs:
    """A span of tokens from a line of plain text, paired with the rest of the line.

    This is the inverse cloze task of Lee, Chang and Toutanova 2019, "Latent retrieval for weakly supervised open domain
    question answering".
    """

    def __init__(self, by_language: Sequence[RaggedSentences]) -> None:
        self._lines = [(lines, np.flatnonzero(lines.lengths >= SHORTEST_LINE)) for lines in by_language]
        self._lines = [(lines, rows) for lines, rows in self._lines if len(rows)]
        self.count = sum(len(rows) for _, rows in self._lines)

    def draw(self, count: int, draw: Draw) -> Sides:
        lines, long = self._lines[draw.integers(len(self._lines))]
        cut = draw_pairs(lines, draw.choice(long, min(count, len(long)), replace=False))
        lengths = cut.lengths
        sizes = (lengths * draw.uniform(LEAST, MOST, len(cut))).astype(np.int64)
        first = (draw.random(len(cut)) * (lengths - sizes)).astype(np.int64)
        place = np.arange(len(cut.words)) - np.repeat(cut.begins[:-1], lengths)
        inside = (place >= np.repeat(first, lengths)) & (place < np.repeat(first + sizes, lengths))
        return _kept(cut, inside, sizes), _kept(cut, ~inside, lengths - sizes)

    def __bool__(self) -> bool:
        return bool(self._lines)


class CodeSwitchedLines:
    """`LinePairs` with one or both sides code-switched: from English into other languages, and from those into English.

    It transfers words that occur only in plain text, and in no question or sentence pair, across languages.
    """

    count = 0

    def __init__(self, by_language: Mapping[str, RaggedSentences], choices: Mapping[str, tuple[Choices, Choices]]) -> None:
        lines = {name: LinePairs([texts]) for name, texts in by_language.items() if name == PIVOT or name in choices}
        self._lines = [(some, name) for name, some in lines.items() if some]
        self._choices = choices
        self._into = [forth for forth, _ in choices.values()]

    def draw(self, count: int, draw: Draw) -> Sides:
        lines, language = self._lines[draw.integers(len(self._lines))]
        sides = lines.draw(count, draw)
        if language != PIVOT:
            return _one_side(sides, self._choices[language][1], draw)
        which, first, second = draw.integers(3), *draw.integers(len(self._into), size=2)
        return _switch_sides(sides, int(which), (self._into[first], self._into[second]), draw)

    def __bool__(self) -> bool:
        return bool(self._lines and self._into)


def question_pairs_by_language(examples: Iterable[Example], encode: Encode) -> dict[str, QuestionPairs]:
    """Answerable questions by language; cross-lingual ones are skipped."""
    by_language: dict[str, list[Example]] = {}
    for example in examples:
        if not example.is_impossible and example.question_language == example.language:
            by_language.setdefault(example.language, []).append(example)
    return {language: _asked(found, encode) for language, found in by_language.items()}


def lexicons(texts: Sequence[Bitext], size: int) -> dict[str, Lexicon]:
    """Lexicons of English with each other language. size: of the vocabulary."""
    return {text.other: lexicon(text, size) for text in texts if text.one == PIVOT}


def plain_text(folder: Path, encode: Encode, most: int | None = None) -> dict[str, RaggedSentences]:
    """The lines of each file NAME.txt (plain, .xz, .gz) of the folder, by NAME; at most `most` lines, evenly spread.

    Raises SettingError, UnreadableFile.
    """
    paths = sorted(folder.glob("*.txt*"))
    if not paths:
        raise SettingError(f"{folder} holds no plain text: files named de.txt or de.txt.xz, one text a line.")
    return {path.name.split(".")[0]: to_ragged(encode(_lines(path, most))) for path in paths}


def _lines(path: Path, most: int | None) -> list[str]:
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    if most is None or len(lines) <= most:
        return lines
    return [lines[n] for n in np.linspace(0, len(lines) - 1, most).astype(int).tolist()]


def _asked(examples: Sequence[Example], encode: Encode) -> QuestionPairs:
    passages = {context: n for n, context in enumerate(dict.fromkeys(example.context for example in examples))}
    return QuestionPairs(
        to_ragged(encode([example.question for example in examples])),
        to_ragged(encode(list(passages))),
        np.array([passages[example.context] for example in examples]),
    )


def _one_side(sides: Sides, choices: Choices, draw: Draw) -> Sides:
    """Switches nearly all tokens of one side, chosen at random."""
    one, other = sides
    if draw.random() < 0.5:
        return _switch(one, choices, SWITCHED_BACK, draw), other
    return one, _switch(other, choices, SWITCHED_BACK, draw)


def _switch_sides(sides: Sides, which: int, choices: tuple[Choices, Choices], draw: Draw) -> Sides:
    """Switches sides. which: 0 for the first, 1 for the second, 2 for both."""
    one, other = sides
    if which != 1:
        one = _switch(one, choices[0], SWITCHED, draw)
    if which != 0:
        other = _switch(other, choices[1], SWITCHED, draw)
    return one, other


def _switch(texts: RaggedSentences, choices: Choices, share: float, draw: Draw) -> RaggedSentences:
    return RaggedSentences(choices.switch(texts.words, share, draw).astype(np.int64), texts.begins)


def _kept(texts: RaggedSentences, keep: NDArray[np.bool_], lengths: NDArray[np.int64]) -> RaggedSentences:
    return RaggedSentences(texts.words[keep], np.concatenate([[0], np.cumsum(lengths)]))


def _shares(weights: Sequence[float]) -> NDArray[np.float64]:
    return np.array(weights, dtype=np.float64) / sum(weights)

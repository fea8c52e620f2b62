"""What recognition finds: lines of words on a picture, and the text of a page made of them.

Invariant, tested: the places of a page's words ascend and do not overlap, and none is empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SeenWord:
    """A word of a picture, or a part of one. box: (left, top, right, bottom) in pixels. confidence: in [0, 1].

    glued: whether no space is between it and the word before.
    """

    text: str
    box: Box
    confidence: float
    glued: bool = False


Line = tuple[SeenWord, ...]
"""Words of one printed line, in reading order."""


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word of a page's text. start, end: code points in that text.

    box: (left, top, right, bottom) from the top left of the page as it is shown, in 0..1 of its size.
    """

    start: int
    end: int
    box: Box
    confidence: float


@dataclass(frozen=True, slots=True)
class RecognisedPage:
    """The text of a page, with the places of its words. reason: why it was not recognised, or "".

    engine: what read it, such as "tesseract ara". script, language: what the next page of the file most likely has.
    """

    text: str = ""
    words: tuple[PlacedWord, ...] = ()
    engine: str = ""
    script: str = ""
    language: str = ""
    reason: str = ""

    @property
    def confidence(self) -> float:
        """Mean confidence of the words, each weighted by its characters; 0 without words."""
        return mean_confidence(self.words)

    def as_dict(self) -> dict[str, Any]:
        """The page as JSON values; the inverse of `page_of_dict`."""
        words = [[w.start, w.end, *(round(side, 5) for side in w.box), round(w.confidence, 3)] for w in self.words]
        fields = {"engine": self.engine, "script": self.script, "language": self.language, "reason": self.reason}
        return {"text": self.text, "words": words, **fields}


def page_of_dict(values: Any) -> RecognisedPage:
    """A page of its JSON values. Raises ValueError for values that are not those of a page."""
    try:
        text = str(values["text"])
        words = words_of_rows(values["words"], len(text))
        names = (values["engine"], values["script"], values["language"], values["reason"])
        return RecognisedPage(text, words, *map(str, names))
    except (KeyError, TypeError, IndexError):
        raise ValueError("no recognised page") from None


def words_of_rows(rows: Any, length: int) -> tuple[PlacedWord, ...]:
    """Words of rows (start, end, left, top, right, bottom, confidence). Raises ValueError if they are not those of a text.

    length: of the text, in code points.
    """
    words: list[PlacedWord] = []
    last = 0
    for row in rows:
        start, end, *numbers = row
        left, top, right, bottom, confidence = (min(1.0, max(0.0, float(number))) for number in numbers)
        if type(start) is not int or type(end) is not int or not last <= start < end <= length or not _finite(numbers):
            raise ValueError("words that are not in the text")
        words.append(PlacedWord(start, end, (left, top, right, bottom), confidence))
        last = end
    return tuple(words)


def _finite(numbers: Sequence[float]) -> bool:
    return all(math.isfinite(number) for number in numbers)


def mean_confidence(words: Sequence[PlacedWord]) -> float:
    """Mean confidence of words, each weighted by its characters; 0 without words.

    >>> mean_confidence([PlacedWord(0, 3, (0, 0, 1, 1), 1.0), PlacedWord(4, 5, (0, 0, 1, 1), 0.6)])
    0.9
    """
    letters = sum(word.end - word.start for word in words)
    return round(sum((word.end - word.start) * word.confidence for word in words) / letters, 9) if letters else 0.0

"""Cloze questions from plain text: a sentence with its answer, a name or number, masked.

After "Unsupervised Question Answering by Cloze Translation" (Lewis et al. 2019). The answer is a number, a capitalised
phrase or a quotation; if there is none, the sentence's rarest word. Some question words are dropped, so that string
matching alone cannot find the sentence.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import regex

from indexing.errors import SettingError, UnreadableFile
from indexing.text.language_id import LANGUAGES, detect
from indexing.text.sentences import sentences
from qa_pipeline.datasets.examples import Example, Gold, read_text
from qa_pipeline.datasets.squad_writer import GeneratedExample
from qa_pipeline.training.alignment.word_dictionary import spans

HOW = "cloze"
GAP = "___"
PASSAGE = 700
SHORTEST, LONGEST = 4, 300
DROPPED = 0.15
CANDIDATE = regex.compile(
    r"\p{N}+(?:[.,:]\p{N}+)*"
    r"|(?<=[«“„「『])[^»”“」』\n]{2,60}(?=[»”“」』])"
    r"|(?<=\w[ ,])\p{Lu}[\p{L}\p{M}]+(?:[ -]\p{Lu}[\p{L}\p{M}]+){0,3}"
)


def clozes(paths: Sequence[Path], seed: int) -> Iterator[GeneratedExample]:
    """One question per sentence that is long enough. Raises UnreadableFile, SettingError without text."""
    for path in paths:
        if not path.is_file():
            raise SettingError(f"There is no file {path}; cloze questions are made from files of plain text.")
        passages = list(_passages(read_text(path)))
        if not passages:
            raise UnreadableFile(f"{path.name} is empty.")
        language = _language(path, passages)
        frequent = Counter(word for text in passages for word in _words(text, language))
        draw = random.Random(f"{seed}:{path.name}")
        for number, passage in enumerate(passages):
            yield from _of_passage(path.name, number, passage, language, frequent, draw)


def _of_passage(
    name: str, number: int, passage: str, language: str, frequent: Counter[str], draw: random.Random
) -> Iterator[GeneratedExample]:
    for n, (begin, end) in enumerate(sentences(passage, language)):
        sentence = passage[begin:end].rstrip()
        if len(sentence) <= LONGEST and len(spans(sentence, language)) >= SHORTEST:
            answer = _answer(sentence, language, frequent, draw)
            if answer is not None:
                start, stop = answer
                question = _question(sentence, start, stop, language, draw)
                gold = Gold(sentence[start:stop], begin + start)
                made = Example(f"{name}:{number}:{n}", question, passage, (gold,), language, language, "", name)
                yield GeneratedExample(made, HOW, (f"{name}:{number}",))


def _passages(text: str) -> Iterator[str]:
    """Joins lines into passages long enough that the answer is not obvious; the rest is the last passage."""
    lines: list[str] = []
    for line in filter(None, (" ".join(line.split()) for line in text.split("\n"))):
        lines.append(line)
        if sum(map(len, lines)) >= PASSAGE:
            yield " ".join(lines)
            lines = []
    if lines:
        yield " ".join(lines)


def _answer(sentence: str, language: str, frequent: Counter[str], draw: random.Random) -> tuple[int, int] | None:
    """Span of the answer in the sentence; None if there is no candidate."""
    found: list[tuple[int, int]] = [match.span() for match in CANDIDATE.finditer(sentence)]
    if found:
        return draw.choice(found)
    words = [(begin, end) for begin, end in spans(sentence, language) if end - begin > 1]
    return min(words, key=lambda span: (frequent[sentence[span[0] : span[1]].lower()], span), default=None)


def _question(sentence: str, start: int, stop: int, language: str, draw: random.Random) -> str:
    """The sentence with the answer masked and some other words dropped."""
    pieces: list[str] = []
    at = 0
    for begin, end in [*spans(sentence, language), (len(sentence), len(sentence))]:
        if begin >= start and at <= start:
            pieces += [sentence[at:start], GAP]
            at = stop
        if begin >= stop or end <= start:
            dropped = begin < end and draw.random() < DROPPED
            pieces += [sentence[at:begin], "" if dropped else sentence[begin:end]]
            at = end
    return " ".join("".join(pieces).split())


def _words(text: str, language: str) -> list[str]:
    return [text[begin:end].lower() for begin, end in spans(text, language)]


def _language(path: Path, passages: Sequence[str]) -> str:
    """The language of the file name, as in de.txt.xz, else detected."""
    told = path.name.split(".")[0].lower()
    return told if told in LANGUAGES else detect(" ".join(passages[:5])).language

"""Code-switching: replaces some words by translations and keeps the answer offsets valid.

After "CoSDA-ML: Multi-Lingual Code-Switching Data Augmentation" (Qin et al. 2020): each word in the dictionary is replaced
at random. A word that contains an answer boundary stays, so that every answer starts and ends at word boundaries.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.datasets.squad_writer import GeneratedExample
from qa_pipeline.training.alignment.word_dictionary import Dictionary, by_source, spans

HOW = "switch"
LOWEST, HIGHEST = 0.3, 0.9


@dataclass(frozen=True, slots=True)
class CodeSwitchedText:
    """A code-switched text. befores, afters: offsets of its pieces, alternately kept and replaced, in old and new text."""

    text: str
    befores: tuple[int, ...]
    afters: tuple[int, ...]

    def new_place(self, place: int) -> int:
        """Maps an offset of the old text to the new text; it must not be inside a replaced word."""
        piece = bisect_right(self.befores, place) - 1
        return self.afters[piece] + place - self.befores[piece]


def code_switch(examples: Sequence[Example], dictionaries: Sequence[Dictionary], seed: int) -> Iterator[GeneratedExample]:
    """One variant of each example whose languages have a dictionary; question and context are switched independently.

    The share of replaced words is drawn for each text, 0.3 to 0.9. Raises SettingError if no language has a dictionary.
    """
    known = by_source(dictionaries)
    if not any(example.language in known for example in examples):
        raise SettingError("There is no dictionary for the language of any of these questions; name other sentences.")
    draw = random.Random(seed)
    for example in examples:
        if example.language in known and example.question_language in known:
            made = _variant(example, known, draw)
            if made is not None:
                yield made


def replace_words(
    text: str, dictionary: Dictionary, share: float, kept: Sequence[int], draw: random.Random
) -> CodeSwitchedText:
    """Replaces each dictionary word with probability `share`, except words that contain an offset of `kept`."""
    pieces: list[str] = []
    befores, afters = [0], [0]
    at = length = 0
    for begin, end in spans(text, dictionary.source):
        word = dictionary.words.get(text[begin:end].lower())
        if word is None or draw.random() >= share or any(begin < place < end for place in kept):
            continue
        new = _cased(word, text[begin:end])
        pieces += [text[at:begin], new]
        befores += [begin, end]
        afters += [length + begin - at, length + begin - at + len(new)]
        at, length = end, afters[-1]
    return CodeSwitchedText("".join([*pieces, text[at:]]), tuple(befores), tuple(afters))


def _variant(example: Example, known: dict[str, list[Dictionary]], draw: random.Random) -> GeneratedExample | None:
    """None if nothing was replaced, or an answer has no offset."""
    if any(gold.start < 0 for gold in example.golds):
        return None
    asked = draw.choice(known[example.question_language])
    read = draw.choice(known[example.language])
    edges = [edge for gold in example.golds for edge in (gold.start, gold.start + len(gold.text))]
    question = replace_words(example.question, asked, draw.uniform(LOWEST, HIGHEST), (), draw).text
    context = replace_words(example.context, read, draw.uniform(LOWEST, HIGHEST), edges, draw)
    if question == example.question and context.text == example.context:
        return None
    made = replace(
        example,
        id=f"{example.id}:{asked.target}+{read.target}",
        question=question,
        context=context.text,
        golds=tuple(_move_gold(gold, context) for gold in example.golds),
    )
    return GeneratedExample(made, HOW, (f"{example.origin}:{example.id}",))


def _move_gold(gold: Gold, context: CodeSwitchedText) -> Gold:
    start, end = context.new_place(gold.start), context.new_place(gold.start + len(gold.text))
    return Gold(context.text[start:end], start)


def _cased(word: str, like: str) -> str:
    """The word with the capitalisation of the word that it replaces.

    >>> _cased("brücke", "Bridge"), _cased("usa", "USA"), _cased("橋", "Bridge")
    ('Brücke', 'USA', '橋')
    """
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word

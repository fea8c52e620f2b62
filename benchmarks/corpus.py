"""A synthetic corpus of any size, from the sentences of examples/corpus and of a given folder.

A document is in one language. Sentences are drawn at random and changed by other words of the language, new names made of
halves of its words, and other numbers. So no two are equal, and the vocabulary grows with the corpus as in real text. The
same seed and sentences give the same files. No other data is used.

    python -m benchmarks.corpus INTO --passages 10000 [--seed 1] [--from FOLDER]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT

EXAMPLES = ROOT / "examples" / "corpus"
GROUPS = 100
CHANGED_WORDS = 0.15
NEW_NAMES = 0.03
CHANGED_NUMBERS = 0.7
SHORTEST, LONGEST = 15, 600


@dataclass(frozen=True, slots=True)
class Material:
    """Source material of a language: unique sentences, words with repetition, and mean characters per passage."""

    language: str
    sentences: tuple[str, ...]
    words: tuple[str, ...]
    characters: float


def material(folders: Sequence[Path]) -> list[Material]:
    """The material of each language below the folders, sorted by language code."""
    from indexing.text.sentences import sentences

    found: dict[str, dict[str, None]] = {}
    for language, text in _texts(folders):
        pieces = (" ".join(text[start:end].split()) for start, end in sentences(text, language))
        found.setdefault(language, {}).update((p, None) for p in pieces if SHORTEST <= len(p) <= LONGEST)
    return [_material(language, list(found[language])) for language in sorted(found) if len(found[language]) >= 20]


def documents(languages: Sequence[Material], passages: int, seed: int = 1) -> Iterator[tuple[str, str]]:
    """(source, text) of documents with about `passages` passages in total, languages in equal parts.

    Sources are GROUP/LANGUAGE-NUMBER.txt. There are 100 random groups, so a filter on one selects about 1 % of the
    documents. Lengths are log-normal: 4 passages at the median, 60 at most.
    """
    rng = random.Random(seed)
    made, number = 0.0, 0
    while made < passages:
        language = languages[number % len(languages)]
        size = min(max(1.0, rng.lognormvariate(1.4, 0.8)), 60.0, max(1.0, passages - made))
        yield f"g{rng.randrange(GROUPS):02d}/{language.language}-{number:06d}.txt", document(language, size, rng)
        made += size
        number += 1


def document(language: Material, passages: float, rng: random.Random) -> str:
    """A title and paragraphs of three to seven sentences, about `passages` passages long."""
    parts = [sentence(language, rng)[:60]]
    length = 0
    while length < passages * language.characters:
        paragraph = _joined([sentence(language, rng) for _ in range(rng.randint(3, 7))])
        parts.append(paragraph)
        length += len(paragraph)
    return "\n\n".join(parts) + "\n"


def sentence(language: Material, rng: random.Random) -> str:
    """A random sentence of the language, changed."""
    chosen = rng.choice(language.sentences)
    if chosen.count(" ") < len(chosen) / 25:
        return _numbers(_spliced(chosen, rng.choice(language.sentences), rng), rng)
    return _numbers(" ".join(_word(word, language, rng) for word in chosen.split(" ")), rng)


def write(into: Path, passages: int, seed: int = 1, more: Path | None = None) -> int:
    """Writes a corpus into a folder; returns the number of files."""
    count = 0
    for source, text in documents(material([EXAMPLES, *([more] if more else [])]), passages, seed):
        path = into / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        count += 1
    return count


def _texts(folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(language, text) of every readable file; the language is the first folder's name if that is a code, else detected."""
    from indexing.errors import UnreadableFile
    from indexing.files.walk import FileReader, find_files
    from indexing.text.language_id import detect

    with FileReader() as reader:
        for folder in folders:
            for file in find_files(folder):
                try:
                    texts, _ = reader.read(file)
                except UnreadableFile:
                    continue
                code = file.source.partition("/")[0]
                for text in texts:
                    yield code if len(code) == 2 else detect(text.text).language, text.text


def _material(language: str, sentences: list[str]) -> Material:
    """The material, with the mean passage length of a sample chunked as the index does."""
    from indexing.documents import Document
    from indexing.models.word_tokenizer import count_tokens
    from indexing.text.chunks import cut

    words = tuple(word for text in sentences for word in text.split(" ") if len(word) > 3 and word[:-1].isalpha())
    rough = Material(language, tuple(sentences), words, 500.0)
    sample = document(rough, 60, random.Random(0))
    (spans,) = cut([Document("", "", "", sample, language)], count_tokens)
    return Material(language, tuple(sentences), words, len(sample) / max(1, len(spans)))


def _word(word: str, language: Material, rng: random.Random) -> str:
    draw = rng.random()
    if len(word) < 4 or not language.words or not word[0].isalpha():
        return word
    if draw < NEW_NAMES:
        one, other = rng.choice(language.words), rng.choice(language.words)
        return (one[: (len(one) + 1) // 2] + other[len(other) // 2 :]).title()
    return rng.choice(language.words) if draw < NEW_NAMES + CHANGED_WORDS else word


def _numbers(text: str, rng: random.Random) -> str:
    """Replaces the digits at random; a number never starts with 0."""
    if rng.random() > CHANGED_NUMBERS:
        return text
    signs = list(text)
    for at, sign in enumerate(signs):
        if sign in "0123456789":
            signs[at] = str(rng.randint(0 if at and signs[at - 1] in "0123456789" else 1, 9))
    return "".join(signs)


def _spliced(one: str, other: str, rng: random.Random) -> str:
    """For scripts without spaces: joins the start of one sentence and the end of another, cut at clause marks."""
    cuts = [[at + 1 for at, sign in enumerate(text) if sign in "，、,； "] for text in (one, other)]
    if not cuts[0] or not cuts[1]:
        return one if rng.random() < 0.5 else other
    return one[: rng.choice(cuts[0])] + other[rng.choice(cuts[1]) :]


def _joined(sentences: Sequence[str]) -> str:
    """Joins sentences by spaces, except after a full-width full stop."""
    return "".join(text if text[-1] in "。！？" else text + " " for text in sentences).strip()


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.corpus", description="Write a synthetic multilingual corpus.")
    options.add_argument("into", type=Path)
    options.add_argument("--passages", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--from", type=Path, dest="more", help="a folder of documents to take sentences from, too")
    chosen = options.parse_args()
    print(f"{write(chosen.into, chosen.passages, chosen.seed, chosen.more):,} files in {chosen.into}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

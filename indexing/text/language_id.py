"""Language identification of documents, passages and questions.

The model is py3langid's (`langid_model`), restricted to the languages below; its wheel contains it, so nothing is
downloaded. A script used by one language decides by itself. Everything is deterministic and thread-safe.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from indexing.text.langid_model import LanguageModel, load

LANGUAGES = (
    "am ar az bg bn ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lo lt lv"
    " mk ml mn mr mt ne nl no pa pl ps pt ro ru si sk sl sq sr sv sw ta te th tr uk ur vi zh"
).split()
UNKNOWN = "und"
SAMPLE = 160
CLOSE = 0.35

SCRIPTS = (
    ("th", "\u0e00", "\u0e7f"),
    ("lo", "\u0e80", "\u0eff"),
    ("el", "\u0370", "\u03ff"),
    ("he", "\u0590", "\u05ff"),
    ("ko", "\uac00", "\ud7af"),
    ("te", "\u0c00", "\u0c7f"),
    ("bn", "\u0980", "\u09ff"),
    ("ta", "\u0b80", "\u0bff"),
    ("km", "\u1780", "\u17ff"),
    ("my", "\u1000", "\u109f"),
    ("ka", "\u10a0", "\u10ff"),
    ("hy", "\u0530", "\u058f"),
    ("gu", "\u0a80", "\u0aff"),
    ("pa", "\u0a00", "\u0a7f"),
    ("kn", "\u0c80", "\u0cff"),
    ("ml", "\u0d00", "\u0d7f"),
    ("si", "\u0d80", "\u0dff"),
    ("am", "\u1200", "\u137f"),
    ("ja", "\u3041", "\u30ff"),
    ("han", "\u3400", "\u9fff"),
)
JAPANESE, HAN = len(SCRIPTS) - 2, len(SCRIPTS) - 1
ADDRESS = re.compile(r"https?://\S+|\S+@\S+")
NOISE = re.compile(r"[\d_#*|`<>=~^/\\]+")
PLANE = 0x10000


@dataclass(frozen=True, slots=True)
class Detection:
    """A language (ISO 639-1, or "und" for unknown) and its confidence, 0 to 1."""

    language: str
    confidence: float


def detect(text: str) -> Detection:
    """The language of a text. Long texts are judged by a sample of their start, middle and end.

    >>> detect("Die Fähre fährt jeden Morgen um sieben Uhr nach Vorn.").language
    'de'
    """
    return detect_all([text])[0]


def detect_all(texts: Sequence[str]) -> list[Detection]:
    """`detect` for many texts, several times as fast."""
    samples = [_sample(text) for text in texts]
    found = [_by_script(sample) for sample in samples]
    open_ = [at for at, known in enumerate(found) if known is None and any(map(str.isalpha, samples[at]))]
    if open_:
        languages, chances = _model().chances([samples[at] for at in open_])
        for at, row, best in zip(open_, chances, chances.argmax(axis=1).tolist(), strict=True):
            found[at] = Detection(languages[best], float(row[best]))
    return [known or Detection(UNKNOWN, 0.0) for known in found]


def detect_question(text: str, among: Collection[str] = ()) -> str:
    """The language of a short question; a language in `among` (those of an index) wins if it is nearly as likely.

    >>> detect_question("When did the bridge open?", ["de", "en"])
    'en'
    """
    found = detect(text)
    known = sorted(set(among) & set(LANGUAGES))
    if found.language in known or not known or found.confidence >= 0.99 or _by_script(_sample(text)) is not None:
        return found.language
    languages, chances = _model().chances([_sample(text)])
    chance, nearest = max((float(chances[0, languages.index(one)]), one) for one in known if one in languages)
    return nearest if chance >= CLOSE * found.confidence else found.language


def _sample(text: str) -> str:
    """A text, or samples of its start, middle and end, without addresses, digits and mark-up."""
    if len(text) > 3 * SAMPLE:
        middle = len(text) // 2
        text = f"{text[:SAMPLE]} {text[middle : middle + SAMPLE]} {text[-SAMPLE:]}"
    if "://" in text or "@" in text:
        text = ADDRESS.sub(" ", text)
    return NOISE.sub(" ", text)


def _by_script(sample: str) -> Detection | None:
    """The language of a text in a script that only one language uses. Han with Kana is Japanese, Han alone Chinese."""
    if sample.isascii():
        return None
    letter, script = _tables()
    codes = np.minimum(np.frombuffer(sample.encode("utf-32-le", "surrogatepass"), dtype="<u4"), PLANE)
    letters = int(np.count_nonzero(letter[codes]))
    counts = np.bincount(script[codes], minlength=len(SCRIPTS) + 1)[1:]
    east = int(counts[JAPANESE] + counts[HAN])
    if not letters:
        return None
    if east * 2 > letters:
        return Detection("ja" if counts[JAPANESE] * 20 > east else "zh", 0.99)
    most = int(counts[:JAPANESE].argmax())
    return Detection(SCRIPTS[most][0], 0.99) if counts[most] * 2 > letters else None


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """For every code point of the basic plane: whether it is a letter, and 1 + its script's index in SCRIPTS (0: none)."""
    letter = np.fromiter(map(str.isalpha, map(chr, range(PLANE + 1))), dtype=np.bool_, count=PLANE + 1)
    script = np.zeros(PLANE + 1, dtype=np.uint8)
    for place, (_, first, last) in enumerate(SCRIPTS, start=1):
        script[ord(first) : ord(last) + 1] = place
    letter[PLANE] = False
    return letter, script


@lru_cache(maxsize=1)
def _model() -> LanguageModel:
    return load(LANGUAGES)

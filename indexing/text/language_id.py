"""Language identification of documents, passages and questions.

The model is py3langid's (`langid_model`), restricted to the languages below; its wheel contains it, so nothing is
downloaded. A script used by one language decides by itself. Of the others, only languages written in the text's script
are candidates. Everything is deterministic and thread-safe.

Unknown ("und") are texts of fewer than FEWEST letters and texts of scripts that the model does not know. Others are unknown
where no language has the probability FLOOR. Texts of 17 languages were cut to one to nine words. Of the guesses with a
probability below 0.3, 48 % or less were right; from 0.3 to 0.4 it was 62 %.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from indexing.normal_form import normal_form
from indexing.text.langid_model import LanguageModel, load

LANGUAGES = (
    "am ar az bg bn ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lo lt lv"
    " mk ml mn mr mt ne nl no pa pl ps pt ro ru si sk sl sq sr sv sw ta te th tr uk ur vi zh"
).split()
UNKNOWN = "und"
SAMPLE = 160
FEWEST = 3
FLOOR = 0.35
UNSURE = 0.5
PRIOR, PRIOR_UNSURE = 3.0, 30.0  # of a corpus's language against another, for a question; where nothing reaches UNSURE

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
FURTHER = {
    "el": "\u1f00\u1fff",
    "he": "\ufb1d\ufb4f",
    "ko": "\u1100\u11ff\u3131\u318e",
    "ka": "\u1c90\u1cbf\u2d00\u2d2d",
    "am": "\u1380\u138f\u2d80\u2dde",
    "ja": "\u31f0\u31ff",
    "han": "\u3005\u3007\uf900\ufaff",
}
# Scripts of several languages: their letters (pairs of first and last), and the languages that the model knows in them.
SHARED = {
    "Latin": (
        "AZazªªººÀÖØöøʯḀỿⱠⱿ\ua722\ua7ff",
        "az ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it lt lv mt nl no pl pt ro sk sl sq sr sv sw tr vi",
    ),
    "Cyrillic": ("\u0400\u052f\u1c80\u1c88\ua640\ua69b", "bg kk mk mn ru sr uk"),
    "Arabic": ("\u0620\u06ff\u0750\u077f\u08a0\u08ff\ufb50\ufdff\ufe70\ufefc", "ar fa ps ur"),
    "Devanagari": ("\u0900\u097f\ua8e0\ua8ff", "hi mr ne"),
}
OF_WORDS = {"ja", "ko", "zh"}
ADDRESS = re.compile(r"https?://\S+|\S+@\S+")
CODE = re.compile(r"\b[A-Za-z]{1,5}-?\d[A-Za-z0-9./-]*")
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
    scripts = [_script(sample) for sample in samples]
    found = [Detection(script, 0.99) if script in LANGUAGES else Detection(UNKNOWN, 0.0) for script in scripts]
    shared = [at for at, script in enumerate(scripts) if script in SHARED]
    languages, chances = _chances([samples[at] for at in shared], [scripts[at] for at in shared])
    for at, row, best in zip(shared, chances, chances.argmax(axis=1).tolist() if shared else (), strict=True):
        confidence = float(row[best])
        found[at] = Detection(languages[best] if confidence >= FLOOR else UNKNOWN, confidence)
    return found


def detect_question(text: str, among: Collection[str] = ()) -> str:
    """The language of a short question. A language in `among` (those of an index) has a larger prior than another.

    In a corpus of one language, a question that could be of many languages is of that one if its script allows; names and
    codes in Latin letters occur in every language.

    >>> detect_question("When did the bridge open?", ["de", "en"]), detect_question("mTLS", ["en"]), detect_question("mTLS")
    ('en', 'en', 'und')
    """
    sample = _sample(text)
    script, known = _script(sample), sorted(set(among) & set(LANGUAGES))
    if script == "zh" and "zh" not in known and "ja" in known and _only_han(sample):
        return "ja"
    if script in LANGUAGES:
        return script
    if script not in SHARED:
        return known[0] if len(known) == 1 and not script else UNKNOWN
    languages, chances = _chances([sample], [script])
    prior = PRIOR if float(chances.max()) >= UNSURE else PRIOR_UNSURE
    weighed = chances[0] * np.array([prior if language in known else 1.0 for language in languages])
    best = int(weighed.argmax())
    if weighed[best] >= FLOOR * weighed.sum() and _letters(sample) >= FEWEST:
        return languages[best]
    return known[0] if len(known) == 1 and (script == "Latin" or known[0] in SHARED[script][1].split()) else UNKNOWN


def _chances(samples: Sequence[str], scripts: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The languages, and the probability of each for each sample among those of its script: float32 [n, languages]."""
    if not samples:
        return (), np.zeros((0, 0), dtype=np.float32)
    languages, chances = _model().chances(samples)
    written = {script: np.isin(languages, SHARED[script][1].split()) for script in set(scripts)}
    chances = chances * np.array([written[script] for script in scripts])
    return languages, chances / np.maximum(chances.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _sample(text: str) -> str:
    """A text, or samples of its start, middle and end, in normal form, without addresses, codes, digits and mark-up."""
    if len(text) > 3 * SAMPLE:
        middle = len(text) // 2
        text = f"{text[:SAMPLE]} {text[middle : middle + SAMPLE]} {text[-SAMPLE:]}"
    if "://" in text or "@" in text:
        text = ADDRESS.sub(" ", text)
    return NOISE.sub(" ", CODE.sub(" ", normal_form(text)))


def _script(sample: str) -> str:
    """The language whose script most letters are of; or a script of SHARED; "und" for another one; "" for too few letters.

    Han with Kana is Japanese, Han alone Chinese.
    """
    if sample.isascii():
        return "Latin" if _letters(sample) >= FEWEST else ""
    letter, script = _tables()
    codes = _codes(sample)
    letters = int(np.count_nonzero(letter[codes]))
    counts = np.bincount(script[codes], minlength=len(SCRIPTS) + len(SHARED) + 1)[1:]
    kana, east = int(counts[JAPANESE]), int(counts[JAPANESE] + counts[HAN])
    counts[[JAPANESE, HAN]] = 0
    most = int(counts.argmax())
    if not letters or 3 * max(int(counts[most]), east) < letters:
        return UNKNOWN if letters >= FEWEST else ""
    if east >= counts[most]:
        return "ja" if kana * 20 > east else "zh"
    found = SCRIPTS[most][0] if most < len(SCRIPTS) else list(SHARED)[most - len(SCRIPTS)]
    return found if letters >= FEWEST or found in OF_WORDS else ""


def _letters(sample: str) -> int:
    return sum(map(str.isalpha, sample))


def _only_han(sample: str) -> bool:
    return not int(np.count_nonzero(_tables()[1][_codes(sample)] == JAPANESE + 1))


def _codes(sample: str) -> NDArray[np.uint32]:
    """The code points of a sample; those above the basic plane as PLANE, ideographs there as one of the basic plane."""
    codes = np.frombuffer(sample.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    if len(codes) and int(codes.max()) >= PLANE:
        codes = np.where((codes >= 2 * PLANE) & (codes < 4 * PLANE), ord("\u4e00"), np.minimum(codes, PLANE))
    return codes


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """For each code point of the basic plane and beyond: whether it is a letter, and 1 + the number of its script, or 0.

    Scripts are numbered as in SCRIPTS, then as in SHARED.
    """
    letter = np.fromiter(map(str.isalpha, map(chr, range(PLANE + 1))), dtype=np.bool_, count=PLANE + 1)
    script = np.zeros(PLANE + 1, dtype=np.uint8)
    for place, (language, first, last) in enumerate(SCRIPTS, start=1):
        _mark(script, first + last + FURTHER.get(language, ""), place)
    for place, (ranges, _) in enumerate(SHARED.values(), start=len(SCRIPTS) + 1):
        _mark(script, ranges, place)
    script[~letter] = 0
    letter[PLANE] = True
    return letter, script


def _mark(script: NDArray[np.uint8], ranges: str, place: int) -> None:
    for first, last in zip(ranges[::2], ranges[1::2], strict=True):
        script[ord(first) : ord(last) + 1] = place


@lru_cache(maxsize=1)
def _model() -> LanguageModel:
    return load(LANGUAGES)

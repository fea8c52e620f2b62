"""Chooses the engine for a picture by its script, and the language data by a first reading.

Tesseract reads every script whose data is installed. RapidOCR reads Chinese and Japanese where it is installed, and Latin
text in languages without data of tesseract: there it makes more errors and takes longer (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from indexing.ocr.languages import LANGUAGES, data_for, missing_data
from indexing.ocr.rapid import rapid_lines, rapid_version
from indexing.ocr.tesseract import Picture, orientation, tesseract_facts, tesseract_lines
from indexing.ocr.words import Line
from indexing.text.language_id import detect_all

RAPID_SCRIPTS = frozenset(("Latin", "Han", "Japanese"))
RAPID_LACKS = frozenset(("vi",))
"""Languages of these scripts with letters that its model does not have."""
OSD, ENGLISH = "osd", "eng"
WITH_ENGLISH = frozenset(("Greek", "Devanagari", "Thai"))
"""Scripts that are read better with the data for English beside their own: for names and words in Latin letters."""
LOOKALIKES = ("Latin", "Greek", "Cyrillic")
"""Scripts with many letters alike: tesseract takes Greek with a few Latin words for Latin, at 150 dpi."""
SURE = 0.75
"""Mean confidence from which a reading by the script of another page is taken, without a look at the page's own."""
_WORDS_FOR_LANGUAGE = 5
INSTALL = "install docqa[ocr] (Latin, Chinese, Japanese) or tesseract"


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of this machine: their versions, "" for a missing one, and tesseract's language data."""

    rapid: str = ""
    tesseract: str = ""
    data: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether any engine can read anything."""
        return bool(self.rapid or set(self.data) - {OSD})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def engines_here() -> Engines:
    """The engines that are installed; looked up once in a process, and nothing of them is imported."""
    version, data = tesseract_facts()
    return Engines(rapid_version(), version, data)


@dataclass(frozen=True, slots=True)
class Reading:
    """The lines of an upright picture. turns: quarter turns counterclockwise that made it upright.

    engine: what read it; "" with the reason if nothing did.
    """

    lines: Sequence[Line] = ()
    turns: int = 0
    engine: str = ""
    script: str = ""
    language: str = ""
    reason: str = ""


def read_picture(
    picture: Picture,
    engines: Engines,
    *,
    languages: Sequence[str] = (),
    hint: tuple[str, str] = ("", ""),
    dpi: int = 300,
    seconds: float = 60.0,
) -> Reading:
    """Recognise a picture, gray values [height, width].

    languages: those that can occur, () for all. hint: script and language of another page of the same document: the
    picture is read as that page was, unless the result is doubtful. Raises TesseractFailed, and subprocess.TimeoutExpired
    after `seconds` of one step.
    """
    if hint[0]:
        engine = choose(*hint, engines, languages)
        lines = _lines(picture, engine, dpi, seconds) if engine else []
        if _confidence(lines) >= SURE:
            return Reading(lines, 0, " ".join(engine), *hint)
    turns, seen = orientation(picture, seconds) if OSD in engines.data else (0, "")
    script = _script(seen or hint[0] or "Latin", languages)
    upright = np.ascontiguousarray(np.rot90(picture, turns))
    found = [_read(upright, turns, script, engines, languages, dpi, seconds)]
    if _confidence(found[0].lines) < SURE and script in LOOKALIKES and not found[0].reason:
        others = [other for other in LOOKALIKES if other != script and other == _script(other, languages)]
        readable = [other for other in others if choose(other, "", engines, languages)]
        found += [_read(upright, turns, other, engines, languages, dpi, seconds) for other in readable]
    return max(found, key=lambda reading: _confidence(reading.lines))


def _script(seen: str, languages: Sequence[str]) -> str:
    """The script that was seen, if one of these languages has it; else that of the first of them."""
    scripts = list(dict.fromkeys(LANGUAGES[code][0] for code in languages))
    return seen if not scripts or seen in scripts else scripts[0]


def _read(
    upright: Picture, turns: int, script: str, engines: Engines, languages: Sequence[str], dpi: int, seconds: float
) -> Reading:
    """Read a picture in a script; once more if the text is of a language that another engine or its data reads better."""
    engine = choose(script, "", engines, languages)
    if not engine:
        return Reading(turns=turns, script=script, reason=_advice(script, engines))
    lines = _lines(upright, engine, dpi, seconds)
    language = _language(lines, script, languages)
    better = choose(script, language, engines, languages) if language else engine
    if better and better != engine:
        again = _lines(upright, better, dpi, seconds)
        engine, lines = (better, again) if again else (engine, lines)
    return Reading(lines, turns, " ".join(engine), script, language)


def _confidence(lines: Sequence[Line]) -> float:
    """Mean confidence of the words of lines, each weighted by its characters; 0 without words."""
    words = [word for line in lines for word in line]
    letters = sum(len(word.text) for word in words)
    return sum(len(word.text) * word.confidence for word in words) / letters if letters else 0.0


def choose(script: str, language: str, engines: Engines, languages: Sequence[str] = ()) -> tuple[str, ...]:
    """The engine for a script, and tesseract's data: ("rapidocr",), ("tesseract", "ara"); () if none can read it.

    >>> both = Engines("3.10", "5.3", ("eng", "ara", "osd", "vie"))
    >>> choose("Latin", "", both), choose("Latin", "vi", both), choose("Latin", "de", both), choose("Han", "", both)
    (('tesseract', 'eng'), ('tesseract', 'vie'), ('rapidocr',), ('rapidocr',))
    >>> choose("Arabic", "", both), choose("Thai", "", both), choose("Latin", "", Engines("3.10"))
    (('tesseract', 'ara'), (), ('rapidocr',))
    """
    data = data_for(script, language, engines.data, languages)
    if engines.rapid and script in RAPID_SCRIPTS:
        exact = bool(data) and (not language or set(LANGUAGES[language][1]) & set(data))
        if script != "Latin" or not (exact or language in RAPID_LACKS and data):
            return ("rapidocr",)
    if data and script in WITH_ENGLISH and ENGLISH in engines.data:
        data = (*data, ENGLISH)
    return ("tesseract", "+".join(data)) if data else ()


def _lines(picture: Picture, engine: tuple[str, ...], dpi: int, seconds: float) -> list[Line]:
    if engine[0] == "rapidocr":
        return rapid_lines(picture)
    return tesseract_lines(picture, engine[1].split("+"), dpi, seconds)


def _language(lines: Sequence[Line], script: str, languages: Sequence[str]) -> str:
    """The language of recognised lines, if it is one of this script that can occur; else ""."""
    words = [word.text for line in lines for word in line]
    if len(words) < _WORDS_FOR_LANGUAGE:
        return ""
    code = detect_all([" ".join(words)])[0].language
    known = LANGUAGES.get(code, ("",))[0] == script and (not languages or code in languages)
    return code if known else ""


def _advice(script: str, engines: Engines) -> str:
    """Why a script cannot be read here, and what would read it."""
    if not engines.tesseract:
        return f"{script} script, which tesseract with its data for {missing_data(script)} would read"
    return f"{script} script, for which tesseract's data is missing; install it for {missing_data(script)}"

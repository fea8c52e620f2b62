"""Language codes from file names (xquad.de.json, test-context-de-question-es.json) and ids (finnish-12-0)."""

from __future__ import annotations

import re

from indexing.text.language_id import LANGUAGES

NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "chinese": "zh",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hindi": "hi",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "swahili": "sw",
    "telugu": "te",
    "thai": "th",
    "turkish": "tr",
    "vietnamese": "vi",
}
PAIR = re.compile(r"context-([a-z]{2})-question-([a-z]{2})(?![a-z])")
ENDING = re.compile(r"\.(jsonl?|ndjson|gz|xz)$")
CODE = re.compile(r"[a-z]{2,3}")


def language_code(told: str) -> str:
    """The code of a language given as code, locale or English name; "" if unknown.

    >>> [language_code(told) for told in ("de", "zh-Hans", "Finnish", "pt_BR", "")]
    ['de', 'zh', 'fi', 'pt', '']
    """
    first = re.split(r"[-_]", told.strip().lower())[0]
    return NAMES.get(first, first if CODE.fullmatch(first) else "")


def languages_of_name(name: str) -> tuple[str, str] | None:
    """Languages of the contexts and of the questions according to a file name, None if it names none.

    >>> languages_of_name("xquad.de.json"), languages_of_name("test-context-ar-question-en.json")
    (('de', 'de'), ('ar', 'en'))
    >>> languages_of_name("dev-v2.0.json"), languages_of_name("no-answers.json"), languages_of_name("sw.jsonl.xz")
    (None, None, ('sw', 'sw'))
    """
    stem = name.lower()
    while ENDING.search(stem):
        stem = ENDING.sub("", stem)
    pair = PAIR.search(stem)
    if pair:
        return pair[1], pair[2]
    parts = stem.split(".")
    last = re.split(r"[-_]", parts[-1])[-1]
    for part in (*reversed(parts[1:]), stem, last):
        code = NAMES.get(part, part)
        if code in LANGUAGES:
            return code, code
    return None


def language_of_id(id: str) -> str:
    """The language of a TyDi QA id, "" for other ids.

    >>> language_of_id("finnish-1438027099681899178-6"), language_of_id("56beb4343aeaaa14008c925b")
    ('fi', '')
    """
    name, dash, _ = id.partition("-")
    return NAMES.get(name, "") if dash else ""

"""Languages that can be recognised: their script, and the names of tesseract's data for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

LANGUAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "en": ("Latin", ("eng",)),
    "de": ("Latin", ("deu",)),
    "fr": ("Latin", ("fra",)),
    "es": ("Latin", ("spa",)),
    "it": ("Latin", ("ita",)),
    "pt": ("Latin", ("por",)),
    "nl": ("Latin", ("nld",)),
    "pl": ("Latin", ("pol",)),
    "cs": ("Latin", ("ces",)),
    "ro": ("Latin", ("ron",)),
    "tr": ("Latin", ("tur",)),
    "vi": ("Latin", ("vie",)),
    "sv": ("Latin", ("swe",)),
    "da": ("Latin", ("dan",)),
    "no": ("Latin", ("nor",)),
    "fi": ("Latin", ("fin",)),
    "hu": ("Latin", ("hun",)),
    "hr": ("Latin", ("hrv",)),
    "sk": ("Latin", ("slk",)),
    "sl": ("Latin", ("slv",)),
    "lt": ("Latin", ("lit",)),
    "lv": ("Latin", ("lav",)),
    "et": ("Latin", ("est",)),
    "ca": ("Latin", ("cat",)),
    "id": ("Latin", ("ind",)),
    "sq": ("Latin", ("sqi",)),
    "is": ("Latin", ("isl",)),
    "ga": ("Latin", ("gle",)),
    "cy": ("Latin", ("cym",)),
    "eu": ("Latin", ("eus",)),
    "gl": ("Latin", ("glg",)),
    "az": ("Latin", ("aze",)),
    "mt": ("Latin", ("mlt",)),
    "sw": ("Latin", ("swa",)),
    "eo": ("Latin", ("epo",)),
    "ru": ("Cyrillic", ("rus",)),
    "uk": ("Cyrillic", ("ukr",)),
    "bg": ("Cyrillic", ("bul",)),
    "sr": ("Cyrillic", ("srp",)),
    "mk": ("Cyrillic", ("mkd",)),
    "kk": ("Cyrillic", ("kaz",)),
    "el": ("Greek", ("ell",)),
    "ar": ("Arabic", ("ara",)),
    "fa": ("Arabic", ("fas",)),
    "ur": ("Arabic", ("urd",)),
    "ps": ("Arabic", ("pus",)),
    "he": ("Hebrew", ("heb",)),
    "hi": ("Devanagari", ("hin",)),
    "mr": ("Devanagari", ("mar",)),
    "ne": ("Devanagari", ("nep",)),
    "bn": ("Bengali", ("ben",)),
    "pa": ("Gurmukhi", ("pan",)),
    "gu": ("Gujarati", ("guj",)),
    "ta": ("Tamil", ("tam",)),
    "te": ("Telugu", ("tel",)),
    "kn": ("Kannada", ("kan",)),
    "ml": ("Malayalam", ("mal",)),
    "si": ("Sinhala", ("sin",)),
    "th": ("Thai", ("tha",)),
    "lo": ("Lao", ("lao",)),
    "km": ("Khmer", ("khm",)),
    "my": ("Myanmar", ("mya",)),
    "ka": ("Georgian", ("kat",)),
    "hy": ("Armenian", ("hye",)),
    "am": ("Ethiopic", ("amh",)),
    "ko": ("Korean", ("kor",)),
    "ja": ("Japanese", ("jpn",)),
    "zh": ("Han", ("chi_sim", "chi_tra")),
}
SCRIPTS = frozenset(script for script, _ in LANGUAGES.values())
_OTHER_NAMES = {"Hangul": "Korean", "Hiragana": "Japanese", "Katakana": "Japanese", "HanS": "Han", "HanT": "Han"}


def script_named(name: str) -> str:
    """A script by tesseract's name for it; "" for one without languages above.

    >>> script_named("Hangul"), script_named("Cyrillic"), script_named("Fraktur")
    ('Korean', 'Cyrillic', '')
    """
    name = _OTHER_NAMES.get(name, name)
    return name if name in SCRIPTS else ""


def data_for(script: str, language: str, installed: Collection[str], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of tesseract's data for a text in a script, of those installed; () if there are none.

    language: ISO 639-1 code, "" if not known yet. wanted: languages that can occur, () for all. Chinese needs both kinds
    of characters; of other scripts the data of the language, else of the script's first language that is installed.

    >>> data_for("Arabic", "fa", ("ara", "fas")), data_for("Arabic", "", ("ara", "fas")), data_for("Thai", "", ("ara",))
    (('fas',), ('ara',), ())
    >>> data_for("Latin", "", ("deu", "fra", "eng"), ("de", "fr"))
    ('deu', 'fra')
    """
    here = {code: names for code, (of, names) in LANGUAGES.items() if of == script and (not wanted or code in wanted)}
    if wanted and not language:
        return tuple(name for names in here.values() for name in names if name in installed)[:3]
    ordered = [here[language]] if language in here else []
    for names in [*ordered, *here.values()]:
        found = tuple(name for name in names if name in installed)
        if found:
            return found
    return ()


def missing_data(script: str) -> str:
    """What to install so that tesseract reads a script.

    >>> missing_data("Thai")
    'tha'
    """
    return next((names[0] for of, names in LANGUAGES.values() if of == script), "osd")

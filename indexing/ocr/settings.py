"""Settings of text recognition: when to recognise, and in which languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from indexing.errors import SettingError
from indexing.ocr.languages import LANGUAGES
from indexing.settings import one_of

OcrMode = Literal["auto", "off", "force"]


@dataclass(frozen=True, slots=True)
class OcrSettings:
    """When and how text in pictures is recognised. Raises SettingError for an unknown mode or language.

    mode: `auto` recognises pictures, and PDF pages whose text layer is missing or not legible; `force` every page of a
        PDF; `off` none.
    languages: ISO 639-1 codes of all languages that can occur; () lets each page's script decide.

    >>> OcrSettings(languages=("ar", "he")).mode
    'auto'
    """

    mode: OcrMode = "auto"
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("ocr", self.mode, get_args(OcrMode))
        object.__setattr__(self, "languages", tuple(self.languages))
        for language in self.languages:
            if language not in LANGUAGES:
                known = " ".join(LANGUAGES)
                raise SettingError(f"ocr_languages has {language!r}; it takes codes of two letters: {known}.")


def languages_of(text: str) -> tuple[str, ...]:
    """The languages of a list with commas or spaces.

    >>> languages_of("ar, he"), languages_of("")
    (('ar', 'he'), ())
    """
    return tuple(text.replace(",", " ").split())

"""Display names of texts and languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from babel import Locale


def plain(text: str, *, isolate: bool = False) -> str:
    """Text on one line, escaped for Streamlit's Markdown. isolate: isolate its writing direction.

    >>> plain("a*b_[c](d) :red[x]")
    'a\\\\*b\\\\_\\\\[c\\\\]\\\\(d\\\\) \\\\:red\\\\[x\\\\]'
    """
    shown = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    return f"\u2068{shown}\u2069" if isolate else shown


def language_name(code: str) -> str:
    """The English name of a language, or its code if unknown.

    >>> language_name("de"), language_name("xx"), language_name("")
    ('German', 'xx', 'unknown language')
    """
    return USUAL.get(code) or _names().get(code, code) or "unknown language"


@cache
def _names() -> Mapping[str, str]:
    """CLDR's English names of languages."""
    return Locale("en").languages


# Names that differ from CLDR's.
USUAL = {"bn": "Bengali"}

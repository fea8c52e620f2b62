"""Detects Arabic and Hebrew text that is stored reversed, in visual order."""

from __future__ import annotations

import re

_WORD = re.compile("[\u05d0-\u05ea\u0620-\u065f\u066e-\u06d3\ufb1d-\ufdff\ufe70-\ufefc]{2,}")
_LAST_ONLY = frozenset("ךםןףץةى")
_COMMON = frozenset(
    ["في", "من", "على", "إلى", "هذا", "التي", "الذي", "كان", "است", "این", "که", "از", "برای"]
    + ["שלא", "הוא", "היא", "של", "את", "על", "לא", "גם", "כל", "אני"]
)
_COMMON_BACKWARD = frozenset(word[::-1] for word in _COMMON)
_FORMS = re.compile("[\ufe70-\ufefc]")
# Presentation forms come in the order isolated, final, initial, medial; these are the initial and the final ones.
_INITIAL = frozenset("ﺋﺑﺗﺛﺟﺣﺧﺳﺷﺻﺿﻃﻇﻋﻏﻓﻗﻛﻟﻣﻧﻫﻳ")
_FINAL = frozenset("ﺂﺄﺆﺈﺊﺎﺐﺔﺖﺚﺞﺢﺦﺪﺬﺮﺰﺲﺶﺺﺾﻂﻆﻊﻎﻒﻖﻚﻞﻢﻦﻪﻮﻰﻲ")


def looks_reversed(text: str) -> bool:
    """Whether the right-to-left words of a text are reversed, by final letters, articles and presentation forms.

    >>> looks_reversed("רהנה דיל 1912 תנשב חתפנ רשגה. םירבדה ןמזהו ךרדה לש תא")
    True
    >>> looks_reversed("הגשר נפתח בשנת 1912 ליד הנהר של את. הדברים והזמן והדרך")
    False
    """
    backward = forward = 0
    for match in _WORD.finditer(text, 0, 100_000):
        there, back = _evidence(match.group())
        forward += there
        backward += back
    return backward >= 3 and backward > 2 * forward


def _evidence(word: str) -> tuple[int, int]:
    """(signs that a word is in logical order, signs that it is reversed)."""
    if _FORMS.search(word):
        forward = (word[0] in _INITIAL) + (word[-1] in _FINAL)
        backward = (word[0] in _FINAL) + (word[-1] in _INITIAL)
        return forward, backward
    forward = (word in _COMMON) + (word[-1] in _LAST_ONLY) + (word.startswith("ال") and len(word) > 3)
    backward = (word in _COMMON_BACKWARD) + (word[0] in _LAST_ONLY) + (word.endswith("لا") and len(word) > 4)
    return forward, backward

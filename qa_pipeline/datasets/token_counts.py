"""Token counts as the model cards of XQuAD readers count them.

Chinese uses jieba, every other language the Moses tokenizer of sacremoses. Hindi follows the original Perl script, whose
`\\p{IsAlnum}` excludes the virama (U+094D) and the nukta (U+093C), so it splits there. sacremoses does not: it counts
157.6 tokens per paragraph of XQuAD where the cards and the Perl script count 232.4.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache

from indexing.errors import SettingError
from indexing.models.cache import cache_folder

Count = Callable[[str], int]
NO_LETTERS = re.compile("[\u093c\u094d]")


@lru_cache(maxsize=64)
def counter(language: str) -> Count:
    """The token counter of a language. Raises SettingError for Chinese without jieba."""
    if language == "zh":
        return _jieba()
    moses = _moses(language)
    if language == "hi":
        return lambda text: moses(NO_LETTERS.sub(lambda mark: f" {mark.group()} ", text))
    return moses


def _moses(language: str) -> Count:
    from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(language)
    return lambda text: len(tokenizer.tokenize(text, escape=False))


def _jieba() -> Count:
    try:
        import jieba
    except ImportError:
        raise SettingError(
            "Chinese words are counted by jieba, which is not installed; `pip install 'docqa[evaluation]'` brings it."
        ) from None
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    # The default is /tmp, where anyone could plant the dictionary file that jieba unmarshals.
    tokenizer.tmp_dir = str(cache_folder())
    return lambda text: sum(1 for _ in tokenizer.cut(text))

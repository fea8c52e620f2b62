"""Token counts as the model cards of XQuAD readers count them.

Chinese by jieba, everything else by the Moses tokenizer as sacremoses has it. Hindi follows the Perl script: to its
`\\p{IsAlnum}` the virama (U+094D) and the nukta (U+093C) are no letters, so it splits at them; sacremoses keeps them in
the word and would say 157.6 tokens a paragraph of XQuAD where the cards, and the Perl script, say 232.4.
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
    """What counts the tokens of texts in a language. Raises SettingError where Chinese is asked for without jieba."""
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
    tokenizer.tmp_dir = str(cache_folder())  # else its dictionary is unmarshalled from a file anyone may put in /tmp
    return lambda text: sum(1 for _ in tokenizer.cut(text))

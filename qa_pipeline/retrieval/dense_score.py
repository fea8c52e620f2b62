"""The dense score of a passage: cosine, late interaction (MaxSim), and a length penalty."""

from __future__ import annotations

import math

SHORT, LENGTH = 32, 0.05


def dense_score(cosine: float, share: float, tokens: int) -> float:
    """cosine + MaxSim - length penalty.

        dense(q, p) = cos(q, p) + maxsim(q, p) - 0.05 * ln(max(n, 32) / 32)

    share: MaxSim of question and passage (`StaticModel.max_sim`). tokens: n, the number of distinct tokens of p.

    >>> dense_score(0.5, 0.25, 12), round(dense_score(0.5, 0.25, 320), 3)
    (0.75, 0.635)
    """
    return cosine + share - length_penalty(tokens)


def length_penalty(tokens: int) -> float:
    """The part of MaxSim that is due to chance, for a passage of so many distinct tokens.

    The more tokens a passage has, the higher the best cosine to each question token. The maximum of n numbers grows about
    as ln(n).
    """
    return LENGTH * math.log(max(tokens, SHORT) / SHORT)

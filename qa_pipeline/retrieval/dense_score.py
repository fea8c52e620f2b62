"""The dense score of a passage: cosine, late interaction (MaxSim), and a length penalty."""

from __future__ import annotations

import math

SHORT, LENGTH = 32, 0.05


def dense_score(cosine: float, share: float, tokens: int) -> float:
    """near(q, p) = cos(q, p) + match(q, p) - 0.05 * ln(n / 32) for the n > 32 different tokens of p.

    share: the match (`StaticModel.max_sim`) of a passage with so many tokens.

    >>> dense_score(0.5, 0.25, 12), round(dense_score(0.5, 0.25, 320), 3)
    (0.75, 0.635)
    """
    return cosine + share - length_penalty(tokens)


def length_penalty(tokens: int) -> float:
    """What so many different tokens match by chance: the more a passage has, the nearer to each of the question's is the
    nearest of them; the largest of n numbers grows about as ln(n)."""
    return LENGTH * math.log(max(tokens, SHORT) / SHORT)

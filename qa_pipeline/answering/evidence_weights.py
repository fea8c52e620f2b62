"""Evidence weights: the retrieval evidence of a passage, added to the reader's margin (linear score fusion).

A reader sees each passage alone. But answers in passages with a high dense score and many of the question's words are more
often right. Answers in passages that lack a fact of the question seldom are. `docqa calibrate` fits the weights of these.
The sum ranks the answers, and calibration turns it into scores and the no-answer verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

from qa_pipeline.retrieval.evidence import Evidence


@dataclass(frozen=True, slots=True)
class FactWeights:
    """Logits that missing facts cost.

    numbers * (1 if a number, year, month or code is missing) + names * (1 if a name is missing)
    """

    numbers: float
    names: float

    def cost(self, found: Evidence) -> float:
        """The logits to take from a margin, never below 0.

        >>> FactWeights(10.0, 4.0).cost(Evidence(numbers=1.0, names=1.0))
        14.0
        """
        return self.numbers * found.numbers + self.names * found.names


SHIPPED = FactWeights(11.1, 5.2)
"""Fitted for the built-in reader (docs/explanation/calibration.md); used where a calibration has no fact weights."""


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """Logits added to the margin of a span.

        near * (dense score - typical) + words * (words - typical) + sentences * (sentence score - typical)

    A score that was not computed counts as typical, as in an index of one tier.
    embedder: `Embedder.dense_score_name`; the weights do not hold for the dense score of any other embedder.
    """

    near: float
    words: float
    typical: Evidence
    embedder: str
    sentences: float = 0.0

    def of(self, found: Evidence) -> float:
        """The logits for this evidence.

        >>> EvidenceWeights(10.0, 6.0, Evidence(0.5, 0.25), "").of(Evidence(0.75, 0.5))
        4.0
        """
        return (
            self.near * _above(found.dense_score, self.typical.dense_score)
            + self.words * _above(found.words, self.typical.words)
            + self.sentences * _above(found.sentences, self.typical.sentences)
        )


def _above(value: float | None, typical: float | None) -> float:
    return 0.0 if value is None or typical is None else value - typical

"""What the finding of a passage says of an answer in it: where it is near the question, and has its words, it is more often
right.

A reader judges every passage as if nothing else were known. `docqa calibrate` learns how much the retriever's scores weigh
beside it; the sum decides which answer is best, how sure it is, and whether there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from qa_pipeline.retrieval.evidence import Evidence


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """Logits added to the margin of a span: near * (dense score - typical dense score) + words * (words - typical words).

    What nobody looked for is taken as typical. embedder: what the dense score is called (`Embedder.dense_score_name`); it
    means nothing by another name.
    """

    near: float
    words: float
    typical: Evidence
    embedder: str

    def of(self, found: Evidence) -> float:
        """
        >>> EvidenceWeights(10.0, 6.0, Evidence(0.5, 0.25), "").of(Evidence(0.75, 0.5))
        4.0
        """
        return self.near * _above(found.dense_score, self.typical.dense_score) + self.words * _above(
            found.words, self.typical.words
        )


def _above(value: float | None, typical: float | None) -> float:
    return 0.0 if value is None or typical is None else value - typical

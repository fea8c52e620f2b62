"""Platt scaling: from a reader's margin in logits to the probability that an answer is right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from indexing.models.embedder import dense_score_name
from indexing.models.presets import BUILTIN, Preset
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.answering import calibration_store
from qa_pipeline.answering.calibration_store import StoredCalibration
from qa_pipeline.answering.evidence_weights import SHIPPED, EvidenceWeights, FactWeights
from qa_pipeline.answers import Scope
from qa_pipeline.retrieval.evidence import NOTHING, Evidence


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling of a reader: the best span is right with the probability logistic(slope * (margin - offset)).

    threshold: the verdict is "no answer" when 1 - that probability is above it.
    stop_margin: reading stops at an answer with this margin, in logits, evidence included. Passages further down the
    ranking seldom beat it; docs/results.md has the cost.
    scope: "language" (fitted on questions in one language), "pooled" (on several languages), "none" (not fitted).
    evidence_weights: weights of the retrieval evidence that is added to the margin.
    languages: calibrations by question language, which replace this one.
    fact_weights: logits that missing facts of the question cost.
    found: replaces this one for passages retrieved with the embedder of its evidence weights. This one is for passages
    that a caller passes in, without retrieval.
    """

    slope: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5
    stop_margin: float = 4.6
    scope: Scope = "none"
    evidence_weights: EvidenceWeights | None = None
    languages: Mapping[str, Calibration] = field(default_factory=dict)
    found: Calibration | None = None
    fact_weights: FactWeights = SHIPPED

    def of(self, language: str) -> Calibration:
        """The calibration of a question language, else this one."""
        return self.languages.get(language, self)

    def with_embedder(self, name: str) -> Calibration:
        """The calibration for passages retrieved with an embedder, else this one. name: `Embedder.dense_score_name`."""
        evidence_weights = self.found.evidence_weights if self.found else None
        return self.found if self.found and evidence_weights and evidence_weights.embedder == name else self

    def with_evidence(self, margin: float, found: Evidence = NOTHING) -> float:
        """The margin of a span plus the weighted evidence of its passage, in logits; missing facts of the question cost."""
        margin -= self.fact_weights.cost(found)
        return margin if self.evidence_weights is None else margin + self.evidence_weights.of(found)

    def probability(self, margin: float) -> float:
        """The probability that a span with this margin is right, in [0, 1].

        >>> Calibration(offset=3.0).probability(3.0)
        0.5
        """
        return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, self.slope * (margin - self.offset)))))

    def stopping_like(self, other: Calibration) -> Calibration:
        """This calibration, stopping at the probability at which `other` stops.

        Retrieval evidence changes what a margin is worth, and stop margins are measured without it.

        >>> Calibration(slope=0.5, offset=6.0).stopping_like(Calibration(slope=1.0, offset=2.0, stop_margin=3.0)).stop_margin
        8.0
        """
        if not self.slope > 0:
            return self
        stop_margin = self.offset + other.slope * (other.stop_margin - other.offset) / self.slope
        languages = {name: replace(one, stop_margin=stop_margin) for name, one in self.languages.items()}
        return replace(self, stop_margin=stop_margin, languages=languages)


UNCALIBRATED = Calibration()
NEVER = Calibration(threshold=1.0)


def calibration_of(model: ModelFolder) -> Calibration:
    """The calibration of a reader: from `docqa calibrate`, else from its preset.

    A reader trained without unanswerable questions never gives "no answer", unless it was calibrated.
    """
    preset = model.preset
    base = UNCALIBRATED
    if preset is not None and not preset.knows_no_answer:
        base = NEVER
    elif preset is not None and preset.calibration:
        slope, offset, threshold, stop_margin = preset.calibration
        base = Calibration(slope, offset, threshold, stop_margin, "pooled")
        base = replace(base, found=_own_found(preset))
    known = calibration_store.load(model)
    if known is None:
        return base
    bare = _calibration(known, base.stop_margin)
    found = _calibration(known.found, base.stop_margin).stopping_like(bare) if known.found else None
    return replace(bare, found=found)


def _calibration(known: StoredCalibration, stop_margin: float) -> Calibration:
    facts = known.fact_weights or SHIPPED
    languages = {
        name: Calibration(*numbers, stop_margin, "language", known.evidence_weights, fact_weights=facts)
        for name, numbers in known.languages.items()
    }
    return Calibration(*known.pooled, stop_margin, "pooled", known.evidence_weights, languages=languages, fact_weights=facts)


def _own_found(preset: Preset) -> Calibration | None:
    """A preset's calibration for passages retrieved with the built-in embedder."""
    if not preset.found:
        return None
    slope, offset, threshold, stop_margin, near, words, sentences, *typical = preset.found
    dense_score, share, sentence_score = typical
    embedder = dense_score_name(resolve(BUILTIN, "embedder").fingerprint, static=True)
    evidence_weights = EvidenceWeights(
        near, words, Evidence(dense_score, share, sentences=sentence_score), embedder, sentences
    )
    return Calibration(slope, offset, threshold, stop_margin, "pooled", evidence_weights)

"""Score calibration: from a reader's margin in logits to the probability that an answer is right (Platt scaling)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from indexing.models.embedder import nearness_name
from indexing.models.presets import BUILTIN, Preset
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.answering import calibration_store
from qa_pipeline.answering.calibration_store import Known
from qa_pipeline.answering.evidence_weights import Lift
from qa_pipeline.answers import Scope
from qa_pipeline.retrieval.evidence import NOTHING, Evidence


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a reader's gaps mean: the probability that its best span is right is logistic(sharp * (gap - shift)).

    threshold: "no answer" when 1 - that probability is above it. stop_gap: a span this far (logits) above "no answer" is
    seldom beaten by passages further down the ranking, so reading stops there; docs/results.md has the cost.
    scope: "language" (learned from questions in one language), "pooled" (from several together), "none" (not learned).
    lift: what is added to a gap for how its passage was found. languages: by question language, what holds for it instead.
    found: what holds instead for passages that were found by the embedder of its lift; this is for texts given by hand.
    """

    sharp: float = 1.0
    shift: float = 0.0
    threshold: float = 0.5
    stop_gap: float = 4.6
    scope: Scope = "none"
    lift: Lift | None = None
    languages: Mapping[str, Calibration] = field(default_factory=dict)
    found: Calibration | None = None

    def of(self, language: str) -> Calibration:
        """What holds for questions in a language: its own, else this."""
        return self.languages.get(language, self)

    def with_embedder(self, nearness: str) -> Calibration:
        """What holds for passages found with the embedder of that nearness: this, where nothing was learned with it."""
        lift = self.found.lift if self.found else None
        return self.found if self.found and lift and lift.embedder == nearness else self

    def lifted(self, gap: float, found: Evidence = NOTHING) -> float:
        """The gap of a span in a passage that was found so; in logits."""
        return gap if self.lift is None else gap + self.lift.of(found)

    def probability(self, gap: float) -> float:
        """How sure the reader is of a span, in [0, 1].

        >>> Calibration(shift=3.0).probability(3.0)
        0.5
        """
        return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, self.sharp * (gap - self.shift)))))


UNCALIBRATED = Calibration()
NEVER = Calibration(threshold=1.0)


def calibration_of(model: ModelFolder) -> Calibration:
    """What is known of a reader: what `docqa calibrate` learned of it, else its preset's figures.

    One that never learned to say "no answer" never says it, unless it was calibrated.
    """
    preset = model.preset
    base = UNCALIBRATED
    if preset is not None and not preset.knows_no_answer:
        base = NEVER
    elif preset is not None and preset.calibration:
        sharp, shift, threshold, stop_gap = preset.calibration
        base = Calibration(sharp, shift, threshold, stop_gap, "pooled", found=_own_found(preset))
    known = calibration_store.load(model)
    if known is None:
        return base
    found = _made(known.found, base.stop_gap) if known.found else None
    return replace(_made(known, base.stop_gap), found=found)


def _made(known: Known, stop_gap: float) -> Calibration:
    languages = {name: Calibration(*numbers, stop_gap, "language", known.lift) for name, numbers in known.languages.items()}
    return Calibration(*known.pooled, stop_gap, "pooled", known.lift, languages)


def _own_found(preset: Preset) -> Calibration | None:
    """What a preset knows of passages that the built-in embedder found."""
    if not preset.found:
        return None
    sharp, shift, threshold, near, words, nearness, share = preset.found
    lift = Lift(near, words, Evidence(nearness, share), nearness_name(resolve(BUILTIN, "embedder").fingerprint, static=True))
    return Calibration(sharp, shift, threshold, preset.calibration[3], "pooled", lift)

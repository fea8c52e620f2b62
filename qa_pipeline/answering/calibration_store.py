"""Stores calibrations beside readers: slope, offset and threshold, by question language and pooled.

The calibration of a model in a user's folder is `docqa-calibration.json` in that folder. Models of the hub, built-in models,
and folders without write permission use the data folder instead: `calibration/<fingerprint>.json`. The data folder is
DOCQA_DATA, else XDG_DATA_HOME/docqa, else ~/.local/share/docqa. A file for other weights is ignored. docqa may ship a
calibration of its built-in reader.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexing.atomic_files import store
from indexing.errors import SettingError
from indexing.models.presets import BUILTIN
from indexing.models.registry import PACKAGED, ModelFolder
from qa_pipeline.answering.evidence_weights import EvidenceWeights, FactWeights
from qa_pipeline.retrieval.evidence import Evidence

NAME = "docqa-calibration.json"
SHIPPED = PACKAGED / "calibration" / "reader.json"
NUMBERS = ("sharp", "shift", "threshold")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """(slope, offset, threshold) of `calibration.Calibration`, pooled and by question language, and its evidence weights.

    about: how it was fitted. found: the same, for passages retrieved with the embedder of its evidence weights.
    fact_weights: None where the questions had too few near misses to fit them, and in older files.
    """

    pooled: tuple[float, float, float]
    languages: Mapping[str, tuple[float, float, float]]
    about: Mapping[str, Any] = field(default_factory=dict)
    evidence_weights: EvidenceWeights | None = None
    found: StoredCalibration | None = None
    fact_weights: FactWeights | None = None


def load(model: ModelFolder) -> StoredCalibration | None:
    """Load the calibration of a model; None where there is none, or only one of other weights."""
    for path in (*_places(model), *([SHIPPED] if model.name == BUILTIN else [])):
        try:
            found = json.loads(path.read_text("utf-8"))
            if found["fingerprint"] == model.fingerprint:
                return _from_json(found)
            logger.warning("the calibration in %s is of other weights than the reader's; it is not used", path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("the calibration in %s cannot be read (%s); it is not used", path, error)
    return None


def save(model: ModelFolder, known: StoredCalibration) -> Path:
    """Store the calibration of a model where `load` finds it; returns the file. Raises SettingError if none is writable."""
    text = json.dumps({"fingerprint": model.fingerprint, **to_json(known)}, ensure_ascii=False, indent=1)
    for path in _places(model):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            store(path, text.encode() + b"\n")
            return path
        except OSError:
            continue
    raise SettingError("The calibration cannot be written anywhere; name a writable folder by DOCQA_DATA.")


def data_folder() -> Path:
    """The user's data folder of docqa."""
    for name, below in (("DOCQA_DATA", ""), ("XDG_DATA_HOME", "docqa")):
        if os.environ.get(name):
            return Path(os.environ[name]).absolute() / below
    return Path.home() / ".local" / "share" / "docqa"


def _places(model: ModelFolder) -> list[Path]:
    """The possible files of a model's calibration; the first that exists is used."""
    shared = data_folder() / "calibration" / f"{model.fingerprint}.json"
    own = Path(model.name).expanduser()
    return [own / NAME, shared] if own.is_dir() else [shared]


def _numbers(values: Mapping[str, Any]) -> tuple[float, float, float]:
    slope, offset, threshold = (float(values[name]) for name in NUMBERS)
    if not (slope > 0 and 0 <= threshold <= 1):
        raise ValueError("its numbers cannot be")
    return slope, offset, threshold


def to_json(known: StoredCalibration) -> dict[str, Any]:
    """A calibration as in the file, whose keys are those of the first release; without the fingerprint of the model."""
    values: dict[str, Any] = {"about": dict(known.about)} if known.about else {}
    values |= {
        "pooled": dict(zip(NUMBERS, known.pooled, strict=True)),
        "languages": {name: dict(zip(NUMBERS, values, strict=True)) for name, values in sorted(known.languages.items())},
    }
    if known.evidence_weights:
        values["lift"] = _weights_to_json(known.evidence_weights)
    if known.fact_weights:
        values["facts"] = {"numbers": known.fact_weights.numbers, "names": known.fact_weights.names}
    if known.found:
        values["found"] = to_json(known.found)
    return values


def _weights_to_json(weights: EvidenceWeights) -> dict[str, Any]:
    typical = {"nearness": weights.typical.dense_score, "words": weights.typical.words}
    values = {"near": weights.near, "words": weights.words, "typical": typical, "embedder": weights.embedder}
    if weights.typical.sentences is None:
        return values
    typical["sentences"] = weights.typical.sentences
    return {**values, "sentences": weights.sentences}


def _from_json(values: Mapping[str, Any]) -> StoredCalibration:
    languages = {str(language): _numbers(values) for language, values in values["languages"].items()}
    found = _from_json(values["found"]) if "found" in values else None
    evidence_weights = _evidence_weights(values["lift"]) if "lift" in values else None
    facts = _fact_weights(values["facts"]) if "facts" in values else None
    return StoredCalibration(_numbers(values["pooled"]), languages, values.get("about", {}), evidence_weights, found, facts)


def _fact_weights(values: Mapping[str, Any]) -> FactWeights:
    numbers, names = float(values["numbers"]), float(values["names"])
    if not (0 <= numbers < math.inf and 0 <= names < math.inf):
        raise ValueError("its fact weights cannot be")
    return FactWeights(numbers, names)


def _evidence_weights(values: Mapping[str, Any]) -> EvidenceWeights:
    dense_score, share, sentence_score = (
        None if values["typical"].get(name) is None else float(values["typical"][name])
        for name in ("nearness", "words", "sentences")
    )
    typical = Evidence(dense_score, share, sentences=sentence_score)
    near, words, sentences = float(values["near"]), float(values["words"]), float(values.get("sentences", 0.0))
    if not all(0 <= weight < math.inf for weight in (near, words, sentences)):
        raise ValueError("its evidence weights cannot be")
    return EvidenceWeights(near, words, typical, str(values["embedder"]), sentences)

"""`LoadedReader`: a reader with its name and its calibration."""

from __future__ import annotations

from dataclasses import dataclass

from indexing.models.registry import resolve
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration, calibration_of
from qa_pipeline.reading.load import load_reader
from qa_pipeline.reading.readings import PassageReader


@dataclass(frozen=True, slots=True)
class LoadedReader:
    """A reader, its name, and its calibration."""

    reader: PassageReader
    name: str
    calibration: Calibration = UNCALIBRATED

    @classmethod
    def load(cls, name: str, precision: str = "auto") -> LoadedReader:
        """Load a reader. name: a preset, hub id or folder. Raises ModelMissing, ModelRefused, SettingError."""
        model = resolve(name, "reader")
        return cls(load_reader(model, precision=precision), model.name, calibration_of(model))

"""Loads a model folder as a Haystack reader."""

from __future__ import annotations

from typing import Any

import torch

from indexing.errors import ModelRefused
from indexing.models.registry import ModelFolder
from qa_pipeline.haystack.farm_reader import Reader
from qa_pipeline.reading.load import loading_errors, window_sizes


def load_farm_reader(folder: ModelFolder, **options: Any) -> Reader:
    """Load the Haystack reader of a model folder. options: arguments of `Reader`, which override `window_sizes`.

    Raises ModelMissing, ModelRefused; SettingError for a precision that the reader or device does not support.
    """
    if folder.model_type == "xlm":
        raise ModelRefused(f"FARMReader does not support the architecture of {folder.name}; use reading.load.load_reader.")
    with loading_errors(folder):
        return Reader(folder, **{"use_gpu": torch.cuda.is_available(), **window_sizes(folder), **options})

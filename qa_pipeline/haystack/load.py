"""Loads the reader of a model folder: the class of its architecture, with its window sizes."""

from __future__ import annotations

import json
from typing import Any

import torch

from indexing.errors import ModelMissing, ModelRefused, SettingError, one_line
from indexing.models.registry import ModelFolder
from qa_pipeline.haystack.farm_reader import Reader
from qa_pipeline.reading.readings import PassageReader

TRAINED = "training.json"


def load_reader(folder: ModelFolder, **options: Any) -> PassageReader:
    """Load the reader of a model folder. options: arguments of `Reader`, which override `window_sizes`.

    Raises ModelMissing, ModelRefused; SettingError for a precision that the reader or device does not support.
    """
    if folder.model_type == "xlm":
        from qa_pipeline.reading.xlm_reader import XlmReader

        if options.get("precision", "auto") not in ("auto", "fp32"):
            raise SettingError(f"The reader {folder.name} is of a kind that is computed in fp32 only.")
        xlm: PassageReader = XlmReader(folder)
        return xlm
    sizes = window_sizes(folder)
    try:
        return Reader(str(folder.path), **{"use_gpu": torch.cuda.is_available(), **sizes, **options})
    except SettingError:
        raise
    except OSError as error:
        raise ModelMissing(f"The reader {folder.name} cannot be loaded from {folder.path}: {one_line(error)}") from error
    except Exception as error:
        raise ModelRefused(f"The reader {folder.name} cannot be loaded from {folder.path}: {one_line(error)}") from error


def window_sizes(folder: ModelFolder) -> dict[str, int]:
    """{"max_seq_len", "doc_stride"} in tokens: of the preset, else those of `docqa train`, else 384 and 128."""
    usual = {"max_seq_len": 384, "doc_stride": 128}
    if folder.preset is not None:
        return {name: int(getattr(folder.preset, name)) for name in usual}
    try:
        recipe = json.loads((folder.path / TRAINED).read_text("utf-8"))["recipe"]
        sizes = {name: int(recipe[name]) for name in usual}
    except (OSError, ValueError, KeyError, TypeError):
        return usual
    return sizes if 16 <= sizes["max_seq_len"] <= 4_096 and 0 < sizes["doc_stride"] < sizes["max_seq_len"] else usual

"""Loads the reader of a model folder: the class of its architecture, with its window sizes. No Haystack is needed."""

from __future__ import annotations

import json
from typing import Any

from indexing.errors import DocqaError, ModelMissing, ModelRefused, SettingError, one_line
from indexing.models.registry import ModelFolder
from qa_pipeline.reading.readings import PassageReader
from qa_pipeline.reading.window_reader import ReadingOptions

TRAINED = "training.json"


def load_reader(folder: ModelFolder, *, precision: str = "auto", count: int = 1, **options: Any) -> PassageReader:
    """Load the reader of a model folder.

    count: spans per window. options: `max_seq_len` and `doc_stride`, which override `window_sizes`, and arguments of
    `load_torch_reader`. Raises ModelMissing, ModelRefused; SettingError for a precision that the device does not support.
    """
    if folder.model_type == "xlm":
        return _xlm(folder, precision, count)
    from qa_pipeline.reading.torch_engine import load_torch_reader

    sizes = {name: options.pop(name, size) for name, size in window_sizes(folder).items()}
    try:
        return load_torch_reader(folder, ReadingOptions(**sizes, count=count), precision=precision, **options)
    except DocqaError:
        raise
    except OSError as error:
        raise ModelMissing(f"The reader {folder.name} cannot be loaded from {folder.path}: {one_line(error)}") from error
    except Exception as error:
        raise ModelRefused(f"The reader {folder.name} cannot be loaded from {folder.path}: {one_line(error)}") from error


def _xlm(folder: ModelFolder, precision: str, count: int) -> PassageReader:
    from qa_pipeline.reading.xlm_reader import XlmReader

    if precision not in ("auto", "fp32"):
        raise SettingError(f"The reader {folder.name} is of a kind that is computed in fp32 only.")
    return XlmReader(folder, per_window=count)


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

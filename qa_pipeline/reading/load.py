"""Loads the reader of a model folder: the class of its architecture, with its window sizes. No Haystack is needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from indexing.errors import DocqaError, ModelMissing, ModelRefused, SettingError, one_line
from indexing.models.hardware import Hardware, has_gpu, this_machine
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.reading.readings import PassageReader
from qa_pipeline.reading.window_reader import CACHED_READINGS, ReadingOptions
from qa_pipeline.settings import PRECISIONS

if TYPE_CHECKING:
    from indexing.models.onnx_export import Precision

logger = logging.getLogger(__name__)

TRAINED = "training.json"
AS_SHIPPED = ("auto", "fp32")


def load_reader(
    folder: ModelFolder, *, precision: str = "auto", count: int = 1, with_torch: bool = False, **options: Any
) -> PassageReader:
    """Load the reader of a model folder.

    count: spans per window. with_torch: use torch also where ONNX Runtime could compute, as for a model in training.
    options: `max_seq_len` and `doc_stride`, which override `window_sizes`, and arguments of `load_torch_reader`.
    Raises ModelMissing, ModelRefused; SettingError for a precision that the device does not support.
    """
    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
    if folder.model_type == "xlm" and folder.graph is None:
        return _xlm(folder, precision, count)
    sizes = {name: options.pop(name, size) for name, size in window_sizes(folder).items()}
    reading = ReadingOptions(**sizes, count=count)
    with loading_errors(folder):
        found = None if with_torch else _with_onnx(folder, reading, precision, **options)
        return found or _with_torch(folder, reading, precision, **options)


@contextmanager
def loading_errors(folder: ModelFolder) -> Iterator[None]:
    """Turn what libraries raise while they load a reader into ModelMissing or ModelRefused, one sentence each."""
    try:
        yield
    except DocqaError:
        raise
    except OSError as error:
        raise ModelMissing(f"The reader {folder.name} cannot be loaded from {folder.source}: {one_line(error)}") from error
    except Exception as error:
        raise ModelRefused(f"The reader {folder.name} cannot be loaded from {folder.source}: {one_line(error)}") from error


def onnx_precision(precision: str, hardware: Hardware) -> Precision | None:
    """The precision in which ONNX Runtime computes; None where torch does: on a GPU, and in bf16 and fp16.

    "auto" is int8 where the processor multiplies 8-bit matrices in hardware, else fp32.
    """
    if hardware.device != "cpu":
        return None
    if precision == "auto":
        return "int8" if hardware.int8 else "fp32"
    return "fp32" if precision == "fp32" else "int8" if precision == "int8" else None


def precision_of(folder: ModelFolder, precision: str, hardware: Hardware) -> Precision | None:
    """`onnx_precision` for a model; one that has only a graph is always computed by it.

    Raises SettingError for such a model in a precision that its graph cannot be asked for.
    """
    if folder.graph is None:
        return onnx_precision(precision, hardware)
    if precision not in AS_SHIPPED:
        raise SettingError(f"The reader {folder.name} has only a model.onnx, which no precision changes; choose auto.")
    return "fp32"


def engine_of(name: str) -> str:
    """The engine of a reader that is on this machine, with the reason where it is torch. Raises ModelError."""
    from indexing.models.onnx_export import failed_conversion
    from indexing.models.shipped_graph import graph_engine
    from indexing.models.tensors import encoder_config

    folder = resolve(name, "reader", offline=True)
    found = encoder_config(folder.source)
    reason = found if isinstance(found, str) else failed_conversion(folder, "logits")
    return graph_engine(folder, "logits", reason, "torch")


def _with_onnx(
    folder: ModelFolder,
    options: ReadingOptions,
    precision: str,
    *,
    use_gpu: bool | None = None,
    hardware: Hardware | None = None,
    remember: int = CACHED_READINGS,
) -> PassageReader | None:
    """The reader on ONNX Runtime; None if torch has to compute it."""
    hardware = hardware or this_machine("cuda" if (has_gpu() if use_gpu is None else use_gpu) else "cpu")
    chosen = precision_of(folder, precision, hardware)
    if chosen is None:
        return None
    from indexing.models.conversion import NotConvertible
    from qa_pipeline.reading.onnx_engine import load_onnx_reader

    shipped = precision in AS_SHIPPED
    try:
        return load_onnx_reader(folder, options, chosen, remember=remember, hardware=hardware, shipped=shipped)
    except NotConvertible as reason:
        logger.info("%s is computed with torch because of %s", folder.name, reason)
        return None


def _with_torch(folder: ModelFolder, options: ReadingOptions, precision: str, **others: Any) -> PassageReader:
    from qa_pipeline.reading.torch_engine import load_torch_reader

    return load_torch_reader(folder, options, precision=precision, **others)


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
        recipe = json.loads((folder.source / TRAINED).read_text("utf-8"))["recipe"]
        sizes = {name: int(recipe[name]) for name in usual}
    except (OSError, ValueError, KeyError, TypeError):
        return usual
    return sizes if 16 <= sizes["max_seq_len"] <= 4_096 and 0 < sizes["doc_stride"] < sizes["max_seq_len"] else usual

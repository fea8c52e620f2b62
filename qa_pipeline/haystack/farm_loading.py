"""Loads the model of a FARMReader with one pass over its weights.

farm-haystack reads a model's weights twice, for the encoder and for the two-column head, and holds both copies. This module
reads them once and puts the parts where FARMReader keeps them. The resulting FARMReader is the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haystack.modeling.data_handler.processor import Processor
from haystack.modeling.infer import QAInferencer
from haystack.modeling.model.adaptive_model import AdaptiveModel
from haystack.modeling.model.language_model import (
    POOLER_PARAMETERS,
    HFLanguageModel,
    HFLanguageModelWithPooler,
    LanguageModel,
    SequenceSummary,
    _guess_language,
    capitalize_model_type,
    get_language_model_class,
)
from haystack.modeling.model.prediction_head import QuestionAnsweringHead
from haystack.modeling.utils import initialize_device_settings
from haystack.nodes import FARMReader
from haystack.nodes.reader.base import BaseReader

OWN_FORMATS = ("language_model.bin", "model.onnx")


def load_into(reader: FARMReader, stock: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Initialise a FARMReader like FARMReader.__init__ (`stock`), but read the weights once where possible."""
    bound = inspect.signature(FARMReader.__init__).bind(reader, *args, **kwargs)
    bound.apply_defaults()
    chosen = bound.arguments
    folder = Path(chosen["model_name_or_path"])
    wrapper = _wrapper(folder)
    if (
        wrapper is None
        or chosen["model_kwargs"]
        or chosen["devices"]
        or any((folder / name).exists() for name in OWN_FORMATS)
    ):
        stock(*args, **kwargs)
        return
    BaseReader.__init__(reader)
    reader.devices, reader.n_gpu = initialize_device_settings(devices=None, use_cuda=chosen["use_gpu"], multi_gpu=True)
    reader.inferencer = _inferencer(str(folder), wrapper, reader, chosen)
    head = reader.inferencer.model.prediction_heads[0]
    head.context_window_size = chosen["context_window_size"]
    head.no_ans_boost = chosen["no_ans_boost"]
    head.n_best = chosen["top_k_per_candidate"] + 1
    head.n_best_per_sample = chosen["top_k_per_sample"]
    head.duplicate_filtering = chosen["duplicate_filtering"]
    head.use_confidence_scores_for_ranking = chosen["use_confidence_scores"]
    reader.return_no_answers = chosen["return_no_answer"]
    for name in (
        "top_k",
        "top_k_per_candidate",
        "max_seq_len",
        "doc_stride",
        "max_query_length",
        "progress_bar",
        "use_confidence_scores",
        "confidence_threshold",
        "model_name_or_path",
        "preprocessing_batch_size",
    ):
        setattr(reader, name, chosen[name])


def _wrapper(folder: Path) -> type[HFLanguageModel] | None:
    """FARM's class for the encoder in a local folder; None where FARM has none, or one that is no HFLanguageModel."""
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        return None
    found = get_language_model_class(capitalize_model_type(AutoConfig.from_pretrained(str(folder)).model_type))
    return found if isinstance(found, type) and issubclass(found, HFLanguageModel) else None


def _inferencer(folder: str, wrapper: type[HFLanguageModel], reader: FARMReader, chosen: dict[str, Any]) -> QAInferencer:
    """The inferencer that QAInferencer.load builds, with the weights read once."""
    processor = Processor.convert_from_transformers(
        folder,
        task_type="question_answering",
        max_seq_len=chosen["max_seq_len"],
        doc_stride=chosen["doc_stride"],
        max_query_length=chosen["max_query_length"],
    )
    return QAInferencer(
        _adaptive(folder, wrapper, reader.devices[0]),
        processor,
        task_type="question_answering",
        batch_size=chosen["batch_size"],
        gpu=reader.n_gpu > 0,
        name=Path(folder).name,
        disable_tqdm=not chosen["progress_bar"],
        devices=reader.devices,
    )


def _adaptive(folder: str, wrapper: type[HFLanguageModel], device: Any) -> AdaptiveModel:
    """FARM's AdaptiveModel, with encoder and head taken from one transformers model."""
    from transformers import AutoModelForQuestionAnswering

    whole = AutoModelForQuestionAnswering.from_pretrained(folder, low_cpu_mem_usage=True)  # type: ignore[no-untyped-call]
    kind = capitalize_model_type(whole.config.model_type)
    encoder: Any = object.__new__(wrapper)
    LanguageModel.__init__(encoder, model_type=kind)
    encoder.model = whole.base_model
    encoder.language = _guess_language(folder)
    if isinstance(encoder, HFLanguageModelWithPooler):
        for name, value in POOLER_PARAMETERS.get(kind.lower(), {}).items():
            setattr(encoder.model.config, name, value)
        encoder.pooler = SequenceSummary(encoder.model.config)
    head = QuestionAnsweringHead(layer_dims=[whole.config.hidden_size, 2], task_name="question_answering")
    head.feed_forward.feed_forward[0].load_state_dict(whole.qa_outputs.state_dict())
    return AdaptiveModel(
        language_model=encoder,
        prediction_heads=[head],
        embeds_dropout_prob=0.1,
        lm_output_types="per_token",
        device=device,
    )

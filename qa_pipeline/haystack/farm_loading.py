"""Loads a FARMReader: its settings at once, its torch model with one pass over the weights, when it is needed.

farm-haystack reads a model's weights twice, for the encoder and for the two-column head, and holds both copies. This module
reads them once and puts the parts where FARMReader keeps them. The resulting FARMReader is the same.
"""

from __future__ import annotations

import inspect
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
from haystack.modeling.model.prediction_head import FeedForwardBlock, QuestionAnsweringHead
from haystack.modeling.utils import initialize_device_settings
from haystack.nodes import FARMReader
from haystack.nodes.reader.base import BaseReader

OWN_FORMATS = ("language_model.bin", "onnx_model_config.json")


def arguments_of(reader: FARMReader, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments of FARMReader.__init__ by name, with its defaults."""
    bound = inspect.signature(FARMReader.__init__).bind(reader, *args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def read_once(chosen: dict[str, Any]) -> bool:
    """Whether this module can load the model of these arguments; FARMReader.__init__ loads all others."""
    folder = Path(chosen["model_name_or_path"])
    return not (chosen["model_kwargs"] or any((folder / name).exists() for name in OWN_FORMATS) or _wrapper(folder) is None)


def initialise(reader: FARMReader, chosen: dict[str, Any]) -> QuestionAnsweringHead:
    """Set all that FARMReader.__init__ sets except the inferencer. Returns a head with its settings, without weights."""
    BaseReader.__init__(reader)
    reader.devices, reader.n_gpu = initialize_device_settings(
        devices=chosen["devices"], use_cuda=chosen["use_gpu"], multi_gpu=True
    )
    head = QuestionAnsweringHead(layer_dims=[1, 2], task_name="question_answering")
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
    return head


def load_inferencer(folder: Path, reader: FARMReader, chosen: dict[str, Any], head: QuestionAnsweringHead) -> QAInferencer:
    """The inferencer that QAInferencer.load builds. The head gets its weights and keeps its settings."""
    processor = Processor.convert_from_transformers(
        str(folder),
        task_type="question_answering",
        max_seq_len=chosen["max_seq_len"],
        doc_stride=chosen["doc_stride"],
        max_query_length=chosen["max_query_length"],
    )
    return QAInferencer(
        _adaptive(folder, head, reader.devices[0]),
        processor,
        task_type="question_answering",
        batch_size=chosen["batch_size"],
        gpu=reader.n_gpu > 0,
        name=folder.name,
        disable_tqdm=not chosen["progress_bar"],
        devices=reader.devices,
    )


def _wrapper(folder: Path) -> type[HFLanguageModel] | None:
    """FARM's class for the encoder in a local folder; None where FARM has none, or one that is no HFLanguageModel."""
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        return None
    found = get_language_model_class(capitalize_model_type(AutoConfig.from_pretrained(str(folder)).model_type))
    return found if isinstance(found, type) and issubclass(found, HFLanguageModel) else None


def _adaptive(folder: Path, head: QuestionAnsweringHead, device: Any) -> AdaptiveModel:
    """FARM's AdaptiveModel, with the weights of encoder and head taken from one transformers model."""
    from transformers import AutoModelForQuestionAnswering

    wrapper = _wrapper(folder)
    assert wrapper is not None
    whole = AutoModelForQuestionAnswering.from_pretrained(str(folder), low_cpu_mem_usage=True)  # type: ignore[no-untyped-call]
    kind = capitalize_model_type(whole.config.model_type)
    encoder: Any = object.__new__(wrapper)
    LanguageModel.__init__(encoder, model_type=kind)
    encoder.model = whole.base_model
    encoder.language = _guess_language(str(folder))
    if isinstance(encoder, HFLanguageModelWithPooler):
        for name, value in POOLER_PARAMETERS.get(kind.lower(), {}).items():
            setattr(encoder.model.config, name, value)
        encoder.pooler = SequenceSummary(encoder.model.config)
    head.layer_dims = head.config["layer_dims"] = [whole.config.hidden_size, 2]
    head.feed_forward = FeedForwardBlock(head.layer_dims)
    head.feed_forward.feed_forward[0].load_state_dict(whole.qa_outputs.state_dict())
    return AdaptiveModel(
        language_model=encoder,
        prediction_heads=[head],
        embeds_dropout_prob=0.1,
        lm_output_types="per_token",
        device=device,
    )

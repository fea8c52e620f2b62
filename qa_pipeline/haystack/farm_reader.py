"""A faster FARMReader with the same answers (`benchmarks/README.md` has the speed by machine).

`Reader` is farm-haystack's FARMReader, with the same constructor, `predict`, `predict_batch`, training and evaluation. It
runs in any Haystack pipeline. Its inference is that of `reading.window_reader`, with FARM's settings.

On a processor ONNX Runtime computes. The torch model is loaded at the first use of `inferencer`, so for training, evaluation
and saving. After training, torch computes.

`confidence` is FARM's: exact to 1e-6 for RoBERTa-like models. The pad positions of other models differ in their logits, so
for these `exact_confidence=True` pads as FARM does. Without it the spans are the same, but the confidence leaves out the
padding. Confidences are not comparable across passages; `margin` (span logits minus "no answer" logits) is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import numpy as np
import torch
from haystack import Document
from haystack.modeling.infer import QAInferencer
from haystack.modeling.model.predictions import QACandidate, QAPred
from haystack.nodes import FARMReader
from numpy.typing import NDArray
from torch import Tensor

from indexing.errors import SettingError
from indexing.models.conversion import NotConvertible
from indexing.models.hardware import Hardware, this_machine
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.haystack.farm_loading import OWN_FORMATS, arguments_of, initialise, load_inferencer, read_once
from qa_pipeline.reading.load import AS_SHIPPED, precision_of
from qa_pipeline.reading.onnx_engine import OnnxEngine, load_onnx_engine
from qa_pipeline.reading.readings import Reading
from qa_pipeline.reading.span_decoding import Logits, TokenSpan
from qa_pipeline.reading.tokenization import encoder_of, layout_of
from qa_pipeline.reading.torch_engine import TorchEngine
from qa_pipeline.reading.window_reader import (
    CACHED_READINGS,
    InferenceEngine,
    ReadingOptions,
    Window,
    WindowReader,
    WindowSpans,
)


class Reader(FARMReader):
    """FARMReader, faster.

    model_name_or_path: a preset, hub id or folder, or a model folder that is resolved already.
    exact_confidence: pad like FARM where only that gives FARM's confidence.
    precision: "fp32", "int8" (CPU), "bf16", "fp16" (GPU), or "auto". On a CPU "auto" is int8 where the hardware multiplies
        8-bit matrices, else fp32; on a GPU, or with torch, it is bf16 where the hardware supports it.
    `remember`: capacity of the result cache in (question, text) pairs; 0 disables it.
    hardware: the hardware for which "auto" is resolved; by default this machine's.
    With FARM's `devices` or `model_kwargs`, torch computes. Raises ModelError and its subclasses; SettingError for a
    precision that the device does not support.
    """

    def __init__(
        self,
        model_name_or_path: str | ModelFolder,
        *args: Any,
        exact_confidence: bool = False,
        precision: str = "auto",
        remember: int = CACHED_READINGS,
        hardware: Hardware | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("num_processes", 0)
        kwargs.setdefault("progress_bar", False)
        self.exact_confidence = exact_confidence
        self._asked_precision, self._hardware = precision, hardware
        self._guard = RLock()
        self._inferencer: QAInferencer | None = None
        self._onnx: OnnxEngine | None = None
        self._onnx_model: Any = None
        self._torch: tuple[Any, TorchEngine] | None = None
        name = model_name_or_path.name if isinstance(model_name_or_path, ModelFolder) else model_name_or_path
        self._component_config["params"]["model_name_or_path"] = name
        self._chosen = arguments_of(self, name, *args, **kwargs)
        self._folder = _folder(model_name_or_path, self._chosen)
        with _keep_random_state():
            if self._folder is None or not self._loads_itself(self._folder):
                super().__init__(str(self._folder.path) if self._folder else name, *args, **kwargs)
            else:
                self._own_head = initialise(self, self._chosen)
        encode, layout = self._load_engine()
        self._reading = WindowReader(encode, layout, _FarmEngine(self), self._options, remember=remember)

    def _loads_itself(self, folder: ModelFolder) -> bool:
        """Whether this class sets FARM's attributes, and loads the torch model later or never."""
        return folder.graph is not None or read_once({**self._chosen, "model_name_or_path": str(folder.source)})

    def _load_engine(self) -> tuple[Any, Any]:
        """Load ONNX Runtime, or torch where that computes. Returns tokens and layout, as `WindowReader` takes them."""
        if self._inferencer is None and self._folder is not None and not self._chosen["devices"]:
            hardware = self._hardware or this_machine(self.devices[0].type)
            chosen = precision_of(self._folder, self._asked_precision, hardware)
            try:
                if chosen is not None:
                    shipped = self._asked_precision in AS_SHIPPED
                    encode, layout, self._onnx = load_onnx_engine(self._folder, chosen, hardware, shipped=shipped)
                    return encode, layout
            except NotConvertible:
                pass
        tokenizer = self._processor.tokenizer.backend_tokenizer
        self._engine()
        return encoder_of(tokenizer), layout_of(tokenizer)

    # -- the torch model -------------------------------------------------------------------------------------------

    @property
    def inferencer(self) -> QAInferencer:
        """FARM's inferencer, with the torch model in fp32; loaded at the first use."""
        with self._guard:
            if self._inferencer is None:
                assert self._folder is not None
                with _keep_random_state():
                    loaded = load_inferencer(self._folder.path, self, self._chosen, self._own_head)
                loaded.model.eval()
                self._onnx_model = loaded.model
                self._inferencer = loaded
            return self._inferencer

    @inferencer.setter
    def inferencer(self, inferencer: QAInferencer) -> None:
        self._inferencer = inferencer
        inferencer.model.eval()

    def _engine(self) -> InferenceEngine:
        """ONNX Runtime while the weights are those of the folder, else torch."""
        onnx, loaded = self._onnx, self._inferencer
        if onnx is not None and (loaded is None or loaded.model is self._onnx_model):
            return onnx
        with self._guard:
            model = self._model
            if self._torch is None or self._torch[0] is not model:
                pad = int(self._processor.tokenizer.pad_token_id or 0)
                precision = "fp32" if onnx is not None else self._asked_precision
                engine = TorchEngine(model.language_model.model, self._head, self._forward, pad, precision, self._hardware)
                self._torch = model, engine
            return self._torch[1]

    @property
    def precision(self) -> str:
        """The precision that is computed in."""
        return str(self._engine().facts()["precision"])

    # -- docqa's interface -----------------------------------------------------------------------------------------

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        """Return the best spans of each text, in the order of texts."""
        return self._reading.read(question, texts)

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """Return the best spans of each (question, text) pair, in order; all pairs are batched together."""
        return self._reading.read_pairs(pairs)

    def facts(self) -> dict[str, Any]:
        """Facts for monitoring: precision, instruction set, batch counts, and hits and misses of the caches."""
        return self._reading.facts()

    def forget(self) -> None:
        """Clear the caches. Needed only after the torch model's weights were changed by hand; then torch computes."""
        self._onnx_model = None
        self._reading.forget()

    def _options(self) -> ReadingOptions:
        """FARM's settings, which are mutable."""
        head = self._head
        processor = None if self._inferencer is None else self._inferencer.processor
        names = ("max_seq_len", "doc_stride", "max_query_length")
        sizes = [int(self._chosen[name] if processor is None else getattr(processor, name)) for name in names]
        weights = None if self._engine() is self._onnx else id(self._model)
        return ReadingOptions(
            sizes[0],
            sizes[1],
            sizes[2],
            head.n_best_per_sample,
            head.duplicate_filtering,
            self.exact_confidence,
            (weights, head.temperature_for_confidence.item()),
        )

    def _forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self._model.forward(ids, types, mask)[0]
        return logits

    @property
    def _model(self) -> Any:
        return self.inferencer.model

    @property
    def _processor(self) -> Any:
        return self.inferencer.processor

    @property
    def _head(self) -> Any:
        """FARM's head. Before the torch model is loaded it has the settings only; loading adds the weights to it."""
        return self._own_head if self._inferencer is None else self._model.prediction_heads[0]

    def update_parameters(
        self,
        context_window_size: int | None = None,
        no_ans_boost: float | None = None,
        return_no_answer: bool | None = None,
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
    ) -> None:
        """FARMReader.update_parameters; it does not load the torch model."""
        with self._guard:
            if self._inferencer is not None:
                super().update_parameters(context_window_size, no_ans_boost, return_no_answer, max_seq_len, doc_stride)
                return
            for name, value in (("context_window_size", context_window_size), ("no_ans_boost", no_ans_boost)):
                if value is not None:
                    setattr(self._own_head, name, value)
            sizes = {"max_seq_len": max_seq_len, "doc_stride": doc_stride}
            self._chosen |= {name: size for name, size in sizes.items() if size is not None}
            self.max_seq_len = self._chosen["max_seq_len"]
            if return_no_answer is not None:
                self.return_no_answers = return_no_answer

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """FARMReader.train. Raises SettingError if the torch model's own weights are in another precision than fp32.

        A reader that ONNX Runtime computes can be trained in any precision; afterwards torch computes it in fp32.
        """
        if self._onnx is None and self.precision != "fp32":
            raise SettingError(f"A reader in {self.precision} cannot be trained; load it with precision='fp32'.")
        return super().train(*args, **kwargs)

    def _training_procedure(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._training_procedure(*args, **kwargs)
        finally:
            self._model.eval()
            self.forget()

    # -- FARMReader's interface ------------------------------------------------------------------------------------

    def predict(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """FARMReader.predict: {"query", "no_ans_gap", "answers"}, answers by falling score."""
        answers, margin = self._answers([(query, documents)], top_k)[0]
        return {"query": query, "no_ans_gap": margin, "answers": answers}

    def predict_batch(
        self,
        queries: list[str],
        documents: list[Document] | list[list[Document]],
        top_k: int | None = None,
        batch_size: int | None = None,
    ) -> dict[str, Any]:
        """FARMReader.predict_batch, with the inference of `predict`; batch_size is ignored."""
        if not documents or isinstance(documents[0], Document):
            asked = [(query, [document]) for query in queries for document in documents]
        else:
            repeated = list(queries) * len(documents) if len(queries) == 1 else list(queries)
            if len(repeated) != len(documents):
                raise SettingError("predict_batch needs as many questions as lists of documents, or one question.")
            asked = [(query, list(part)) for query, part in zip(repeated, documents, strict=True)]  # type: ignore
        results = self._answers(asked, top_k)
        answers: list[Any] = [found for found, _ in results]
        if documents and isinstance(documents[0], Document) and len(queries) > 1:
            answers = [answers[n : n + len(documents)] for n in range(0, len(answers), len(documents))]
        return {"queries": queries, "answers": answers, "no_ans_gaps": [margin for _, margin in results]}

    def _answers(self, asked: Sequence[tuple[str, list[Document]]], top_k: int | None) -> list[tuple[Any, float]]:
        """FARM's answers and no-answer margin for each question over its documents; all pairs are batched together."""
        pairs = [(query, str(document.content)) for query, documents in asked for document in documents]
        found, offsets = self._reading.candidates(pairs)
        results: list[tuple[Any, float]] = []
        at = 0
        for query, documents in asked:
            predictions = [
                self._prediction(query, document, found[at + n], offsets[at + n])
                for n, document in enumerate(documents)
                if found[at + n]
            ]
            at += len(documents)
            predictions = self._deduplicate_predictions(predictions, documents)
            answers, margin = self._extract_answers_of_predictions(predictions, self.top_k if top_k is None else top_k)
            results.append(([self._add_answer_page_number(documents, answer) for answer in answers], margin))
        return results

    def _prediction(
        self, query: str, document: Document, found: Sequence[WindowSpans], offsets: NDArray[np.int32]
    ) -> QAPred:
        """One document's candidates as FARM's QAPred, reduced by FARM's own head."""
        per_window = [
            [
                *(_candidate(span, "span", span.start, span.end) for span in part.spans),
                _candidate(part.null, "no_answer", -1, -1),
            ]
            for part in found
        ]
        predictions, margin = self._head.reduce_preds(per_window)
        return QAPred(
            id=document.id,
            prediction=predictions,
            context=str(document.content),
            question=query,
            token_offsets=offsets.tolist(),
            context_window_size=self._head.context_window_size,
            aggregation_level="document",
            no_answer_gap=margin,
        )


class _FarmEngine:
    """The engine of a Reader at any time. Its logits are divided by FARM's temperature, as FARM's head does."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def at_once(self) -> int:
        return self._reader._engine().at_once

    def facts(self) -> dict[str, Any]:
        return self._reader._engine().facts()

    def logits(self, group: Sequence[Window], options: ReadingOptions) -> list[tuple[Logits, int]]:
        """As `InferenceEngine.logits`."""
        engine = self._reader._engine()
        found = engine.logits(group, options)
        temperature = self._reader._head.temperature_for_confidence.item()
        if isinstance(engine, TorchEngine) or temperature == 1.0:
            return found
        return [(row / np.float32(temperature), missing) for row, missing in found]


def _folder(model: str | ModelFolder, chosen: dict[str, Any]) -> ModelFolder | None:
    """The checked folder of a model; None for what only FARM loads: its own formats, and private or older versions."""
    if isinstance(model, ModelFolder):
        return model
    own = any((Path(model) / name).exists() for name in OWN_FORMATS)
    return None if own or chosen["model_version"] or chosen["use_auth_token"] else resolve(model, "reader")


def _candidate(span: TokenSpan, kind: str, start: int, end: int) -> QACandidate:
    return QACandidate(
        answer_type=kind,
        score=span.score,
        offset_answer_start=start,
        offset_answer_end=end,
        offset_unit="token",
        aggregation_level="document",
        confidence=span.confidence,
    )


@contextmanager
def _keep_random_state() -> Iterator[None]:
    """Restore the state of all random generators afterwards, as loading through FARM seeds them."""
    import random

    state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)

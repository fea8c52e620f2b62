"""A faster FARMReader with the same answers (`benchmarks/README.md` has the speed by machine).

`Reader` is farm-haystack's FARMReader, with the same constructor, `predict`, `predict_batch`, training and evaluation. It
runs in any Haystack pipeline. Its inference is that of `reading.window_reader`, with FARM's settings.

`confidence` is FARM's: exact to 1e-6 for RoBERTa-like models. The pad positions of other models differ in their logits, so
for these `exact_confidence=True` pads as FARM does. Without it the spans are the same, but the confidence leaves out the
padding. Confidences are not comparable across passages; `margin` (span logits minus "no answer" logits) is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import numpy as np
import torch
from haystack import Document
from haystack.modeling.model.predictions import QACandidate, QAPred
from haystack.nodes import FARMReader
from numpy.typing import NDArray
from torch import Tensor

from indexing.errors import SettingError
from indexing.models.hardware import Hardware
from qa_pipeline.haystack.farm_loading import load_into
from qa_pipeline.reading.readings import Reading
from qa_pipeline.reading.span_decoding import TokenSpan
from qa_pipeline.reading.tokenization import encoder_of, layout_of
from qa_pipeline.reading.torch_engine import TorchEngine
from qa_pipeline.reading.window_reader import CACHED_READINGS, ReadingOptions, WindowReader, WindowSpans


class Reader(FARMReader):
    """FARMReader, faster.

    exact_confidence: pad like FARM where only that gives FARM's confidence.
    precision: "fp32", "bf16", "fp16" (GPU), "int8" (CPU), or "auto": bf16 where the hardware supports it, else fp32.
    `remember`: capacity of the result cache in (question, text) pairs; 0 disables it.
    hardware: the hardware for which "auto" is resolved; by default this machine's.
    Raises SettingError for a precision that the device does not support.
    """

    def __init__(
        self,
        model_name_or_path: str,
        *args: Any,
        exact_confidence: bool = False,
        precision: str = "auto",
        remember: int = CACHED_READINGS,
        hardware: Hardware | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("num_processes", 0)
        kwargs.setdefault("progress_bar", False)
        with _keep_random_state():
            load_into(self, super().__init__, model_name_or_path, *args, **kwargs)
        self.exact_confidence = exact_confidence
        tokenizer = self._processor.tokenizer
        engine = TorchEngine(
            self._model.language_model.model,
            self._head,
            self._forward,
            int(tokenizer.pad_token_id or 0),
            precision,
            hardware,
        )
        self.precision = engine.precision
        self._model.eval()
        self._reading = WindowReader(
            encoder_of(tokenizer.backend_tokenizer),
            layout_of(tokenizer.backend_tokenizer),
            engine,
            self._options,
            remember=remember,
        )

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
        """Clear the caches. Needed only after the model's weights were changed by hand."""
        self._reading.forget()

    def _options(self) -> ReadingOptions:
        """FARM's settings, which are mutable."""
        head, processor = self._head, self._processor
        return ReadingOptions(
            processor.max_seq_len,
            processor.doc_stride,
            processor.max_query_length,
            head.n_best_per_sample,
            head.duplicate_filtering,
            self.exact_confidence,
            (id(self._model), head.temperature_for_confidence.item()),
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
        return self._model.prediction_heads[0]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """FARMReader.train. Raises SettingError unless the precision is fp32."""
        self._refuse_unless_whole()
        return super().train(*args, **kwargs)

    def _training_procedure(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._training_procedure(*args, **kwargs)
        finally:
            self._model.eval()
            self.forget()

    def _refuse_unless_whole(self) -> None:
        if self.precision != "fp32":
            raise SettingError(f"A reader in {self.precision} cannot be trained; load it with precision='fp32'.")

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

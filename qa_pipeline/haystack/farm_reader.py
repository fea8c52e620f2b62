"""A faster FARMReader with the same answers (`benchmarks/README.md` has the speed by machine).

`Reader` is farm-haystack's FARMReader, with the same constructor, `predict`, `predict_batch`, training and evaluation. It
runs in any Haystack pipeline. Its inference differs:

* LRU caches hold the tokens of each text, and the result of each (question, text) pair.
* Inputs are computed without padding (`unpadded`).
* Concurrent questions run in one batch (`micro_batching`).
* Spans are decoded in one pass (`span_decoding`).

A question changes no state but caches, so the reader is thread-safe.

`confidence` is FARM's: exact to 1e-6 for RoBERTa-like models. The pad positions of other models differ in their logits, so
for these `exact_confidence=True` pads as FARM does. Without it the spans are the same, but the confidence leaves out the
padding. Confidences are not comparable across passages; `margin` (span logits minus "no answer" logits) is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import numpy as np
import torch
from haystack import Document
from haystack.modeling.model.predictions import QACandidate, QAPred
from haystack.nodes import FARMReader
from numpy.typing import NDArray

from indexing.errors import SettingError
from indexing.lru_cache import LRUCache
from indexing.models.hardware import Hardware, this_machine
from qa_pipeline.haystack.farm_loading import load_into
from qa_pipeline.reading import precision as precisions
from qa_pipeline.reading.micro_batching import MicroBatcher
from qa_pipeline.reading.readings import BATCH_TOKENS, Reading, Span
from qa_pipeline.reading.span_decoding import Logits, TokenSpan, candidates, windows
from qa_pipeline.reading.unpadded import unpadded_encoder

CACHED_TOKENS = 1_000_000
CACHED_READINGS = 20_000


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of a text: ids and start offsets, int32 [tokens]."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Window:
    """One model input.

    text: index of the text. tokens: (begin, end) of its tokens. first: position of the first of them in the input.
    """

    text: int
    tokens: tuple[int, int]
    ids: list[int]
    types: list[int]
    first: int


@dataclass(frozen=True, slots=True)
class _WindowSpans:
    """The candidates of one window, in token positions of its text."""

    spans: list[TokenSpan]
    null: TokenSpan


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
        self._hardware = hardware or this_machine(torch.device(self.devices[0]).type)
        self.precision = precisions.resolve_precision(precision, self._hardware)
        precisions.apply_precision(self._model.language_model.model, self._head, self.precision)
        self._model.eval()
        self._tokens: LRUCache[_Tokens] = LRUCache(CACHED_TOKENS, lambda tokens: len(tokens.ids) + 16)
        self._readings: LRUCache[list[_WindowSpans]] = LRUCache(remember)
        self._batcher: MicroBatcher[_Window, tuple[Logits, int]] = MicroBatcher(
            self._logits, lambda window: len(window.ids), BATCH_TOKENS
        )

    # -- docqa's interface and inference ---------------------------------------------------------------------------

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        """Return the best spans of each text, in the order of texts."""
        return self.read_pairs([(question, text) for text in texts])

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """Return the best spans of each (question, text) pair, in order; all pairs are batched together."""
        found, starts = self._candidates(pairs)
        return [
            Reading(tuple(_spans(windows_, places, text)))
            for windows_, places, (_, text) in zip(found, starts, pairs, strict=True)
        ]

    def facts(self) -> dict[str, Any]:
        """Facts for monitoring: precision, instruction set, batch counts, and hits and misses of the caches."""
        return {
            "precision": self.precision,
            "instruction_set": self._hardware.instruction_set(self.precision),
            "batches": self._batcher.batches,
            "shared_batches": self._batcher.shared,
            "tokens": self._tokens.facts(),
            "readings": self._readings.facts(),
        }

    def forget(self) -> None:
        """Clear the caches. Needed only after the model's weights were changed by hand."""
        self._readings.clear()
        self._tokens.clear()

    def _candidates(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[_WindowSpans]], list[NDArray[np.int32]]]:
        """For each (question, text): the candidates of its windows in order, and the start offsets of its tokens."""
        digests = [_digest(text) for _, text in pairs]
        how = self._how()
        keys = [(question, digest, how) for (question, _), digest in zip(pairs, digests, strict=True)]
        known = [self._readings.get(key) for key in keys]
        tokens = self._tokenised(dict(zip(digests, (text for _, text in pairs), strict=True)))
        new = [n for n, found in enumerate(known) if found is None]
        for n, found in zip(new, self._read([(pairs[n][0], tokens[digests[n]]) for n in new]), strict=True):
            known[n] = found
            self._readings.put(keys[n], found)
        return [found or [] for found in known], [tokens[digest].starts for digest in digests]

    def _how(self) -> tuple[Any, ...]:
        """The rest of the cache key: all that changes a result beyond question and text; FARM's settings are mutable."""
        head, processor = self._head, self._processor
        return (
            head.n_best_per_sample,
            head.duplicate_filtering,
            head.temperature_for_confidence.item(),
            id(self._model),
            processor.max_seq_len,
            processor.doc_stride,
            processor.max_query_length,
            self.exact_confidence,
        )

    def _tokenised(self, texts: dict[bytes, str]) -> dict[bytes, _Tokens]:
        """The tokens of texts, by digest; those not in the cache are tokenised in one call."""
        known = self._tokens.get_many(texts)
        new = [digest for digest in texts if digest not in known]
        if new:
            made = self._processor.tokenizer(
                [texts[digest] for digest in new], return_offsets_mapping=True, add_special_tokens=False, verbose=False
            )
            for digest, ids, offsets in zip(new, made["input_ids"], made["offset_mapping"], strict=True):
                starts = np.fromiter((start for start, _ in offsets), dtype=np.int32, count=len(offsets))
                known[digest] = tokens = _Tokens(np.array(ids, dtype=np.int32), starts)
                self._tokens.put(digest, tokens)
        return known

    def _read(self, pairs: Sequence[tuple[str, _Tokens]]) -> list[list[_WindowSpans]]:
        """The candidates of the windows of each (question, text); none for a text without tokens."""
        questions = {question: self._question_ids(question) for question, _ in pairs}
        inputs = [
            window
            for n, (question, text) in enumerate(pairs)
            if len(text.ids)
            for window in self._windows_of(n, questions[question], text.ids.tolist())
        ]
        found: list[list[_WindowSpans]] = [[] for _ in pairs]
        for window, (logits, missing) in zip(inputs, self._batcher(inputs), strict=True):
            found[window.text].append(self._found(window, logits[..., 0], logits[..., 1], missing))
        return found

    def _question_ids(self, question: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(question, add_special_tokens=False)["input_ids"]
        return ids[: self._processor.max_query_length]

    def _windows_of(self, text: int, question: list[int], ids: list[int]) -> Iterator[_Window]:
        processor, tokenizer = self._processor, self._processor.tokenizer
        room = processor.max_seq_len - len(question) - tokenizer.num_special_tokens_to_add(pair=True)
        first = processor.sp_toks_start + len(question) + processor.sp_toks_mid
        for begin, end in windows(len(ids), processor.doc_stride, room):
            part = ids[begin:end]
            yield _Window(
                text,
                (begin, end),
                tokenizer.build_inputs_with_special_tokens(question, part),
                tokenizer.create_token_type_ids_from_sequences(question, part),
                first,
            )

    def _logits(self, group: Sequence[_Window]) -> list[tuple[Logits, int]]:
        """For each window: its logits [L, 2], and how many further pad positions FARM's padding would have.

        If there are any, the last of the L positions is a pad.
        """
        full = self._processor.max_seq_len
        engine = unpadded_encoder(self._model.language_model.model, self._head)
        if engine is None or (self.exact_confidence and not engine.pads_alike):
            return [(row, 0) for row in self._padded(group)]
        found = engine.logits([window.ids for window in group], [window.types for window in group], engine.pads_alike)
        if not engine.pads_alike:
            return [(row.numpy(), 0) for row in found]
        return [(row[:full].numpy(), max(0, full - len(row))) for row in found]

    def _padded(self, group: Sequence[_Window]) -> list[Logits]:
        """Logits [L, 2] of each window. L is max_seq_len with `exact_confidence`, as in FARM, else the longest input's."""
        longest = max(len(window.ids) for window in group)
        shape = (len(group), self._processor.max_seq_len if self.exact_confidence else longest)
        ids = torch.full(shape, self._processor.tokenizer.pad_token_id, dtype=torch.long)
        mask, types = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        for n, window in enumerate(group):
            ids[n, : len(window.ids)] = torch.tensor(window.ids)
            mask[n, : len(window.ids)] = 1
            types[n, : len(window.types)] = torch.tensor(window.types)
        device = self.devices[0]
        with torch.inference_mode():
            logits = self._model.forward(ids.to(device), types.to(device), mask.to(device))[0]
        return list(logits.float().cpu().numpy())

    def _found(self, window: _Window, start: Logits, end: Logits, missing: int) -> _WindowSpans:
        begin, stop = window.tokens
        head = self._head
        spans, null = candidates(
            start,
            end,
            window.first,
            window.first + stop - begin - 1,
            missing=missing,
            count=head.n_best_per_sample,
            apart=head.duplicate_filtering,
        )
        shift = begin - window.first
        return _WindowSpans([TokenSpan(s.start + shift, s.end + shift, s.score, s.confidence) for s in spans], null)

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
        found, offsets = self._candidates(pairs)
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
        self, query: str, document: Document, found: Sequence[_WindowSpans], offsets: NDArray[np.int32]
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


def char_span(starts: NDArray[np.int32], first: int, last: int, text: str) -> tuple[int, int]:
    """Character offsets of the tokens first..last: up to the next token's start, without surrounding white space.

    starts: start offset of each token. Returns (n, n) where the tokens cover only white space.
    """
    begin = int(starts[first])
    end = int(starts[last + 1]) if last + 1 < len(starts) else len(text)
    piece = text[begin:end]
    begin += len(piece) - len(piece.lstrip())
    return begin, begin + len(piece.strip())


def _spans(found: Sequence[_WindowSpans], starts: NDArray[np.int32], text: str) -> Iterator[Span]:
    """The spans of all windows of a text by falling margin; duplicates from overlapping windows are dropped."""
    seen: set[tuple[int, int]] = set()
    scored = [(span.score - part.null.score, span) for part in found for span in part.spans]
    for margin, span in sorted(scored, key=lambda item: (-item[0], item[1].start, item[1].end)):
        start, end = char_span(starts, span.start, span.end, text)
        if end > start and (start, end) not in seen:
            seen.add((start, end))
            yield Span(start, end, span.score, margin, span.confidence)


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


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

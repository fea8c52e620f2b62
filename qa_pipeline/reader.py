"""Passages -> spans: a FARMReader with the same answers, many times faster.

`Reader` is farm-haystack's FARMReader: same constructor, `predict`, `predict_batch`, training and evaluation; it runs in
any Haystack pipeline. Its way from texts to logits is ours: the question is tokenised once, all passages in one call,
windows are sorted by length and padded to the longest of a small batch, spans are found in one pass. A question changes
no state, so several threads may ask at once.

Scores. `confidence` is FARM's: for RoBERTa-like models exact to 1e-6; for others, whose pad positions differ in their
logits, `exact_confidence=True` pads as FARM does, otherwise the spans are the same and the confidence leaves out the
padding. It cannot be compared between passages; `gap`, the span's logits over those of "no answer", can.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import numpy as np
import torch
from haystack import Document
from haystack.modeling.model.predictions import QACandidate, QAPred
from haystack.nodes import FARMReader
from numpy.typing import NDArray

from indexing.embed import batches
from indexing.errors import ModelMissing, ModelRefused, SettingError
from indexing.models import ModelFolder
from qa_pipeline.spans import TokenSpan, candidates, windows

PADDED_TOKENS = 2_560
SAME_PADS = ("xlm-roberta", "roberta", "camembert", "xlm-roberta-xl")


@dataclass(frozen=True, slots=True)
class Span:
    """A possible answer in one text: text[start:end]. score: its logits, gap: over those of "no answer" beside it."""

    start: int
    end: int
    score: float
    gap: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says to a question: spans by falling gap (none for a text without tokens)."""

    spans: tuple[Span, ...] = ()


class ReadsPassages(Protocol):
    """Something that reads: `Reader`, and `XlmReader` for the one architecture FARM does not know."""

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]: ...


@dataclass(frozen=True, slots=True)
class _Window:
    """One model input: which text, which of its tokens, and where they lie in the input."""

    text: int
    tokens: tuple[int, int]
    ids: list[int]
    types: list[int]
    first: int


@dataclass(frozen=True, slots=True)
class _Found:
    """The candidates of one window, in token positions of its text."""

    spans: list[TokenSpan]
    null: TokenSpan


class Reader(FARMReader):
    """FARMReader, faster. `exact_confidence`: pad as FARM does where that alone gives FARM's confidence."""

    def __init__(self, model_name_or_path: str, *args: Any, exact_confidence: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("num_processes", 0)
        kwargs.setdefault("progress_bar", False)
        with _random_state_kept():
            super().__init__(model_name_or_path, *args, **kwargs)
        self.exact_confidence = exact_confidence
        self._model.eval()

    # -- ours ------------------------------------------------------------------------------------------------------

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        """For each text its best spans, in the texts' order."""
        found, offsets = self._candidates([(question, text) for text in texts])
        return [
            Reading(tuple(_spans(windows_, starts, text)))
            for windows_, starts, text in zip(found, offsets, texts, strict=True)
        ]

    def _candidates(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[_Found]], list[NDArray[np.int32]]]:
        """For each (question, text): the candidates of its windows in order, and the start offset of its tokens."""
        inputs, offsets = self._windows(pairs)
        found: list[list[_Found]] = [[] for _ in pairs]
        results: list[_Found | None] = [None] * len(inputs)
        for rows in batches([len(window.ids) for window in inputs], PADDED_TOKENS):
            group = [inputs[row] for row in rows]
            start, end, missing = self._logits(group)
            for row, window, s, e in zip(rows, group, start, end, strict=True):
                results[row] = self._found(window, s, e, missing)
        for window, result in zip(inputs, results, strict=True):
            assert result is not None
            found[window.text].append(result)
        return found, offsets

    def _windows(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[_Window], list[NDArray[np.int32]]]:
        if not pairs:
            return [], []
        tokenizer = self._processor.tokenizer
        questions = {question: self._question_ids(question) for question, _ in pairs}
        texts = list(dict.fromkeys(text for _, text in pairs))
        encoded = tokenizer(texts, return_offsets_mapping=True, add_special_tokens=False, verbose=False)
        number = {text: n for n, text in enumerate(texts)}
        starts = [np.array([a for a, _ in offsets], dtype=np.int32) for offsets in encoded["offset_mapping"]]
        result: list[_Window] = []
        for n, (question, text) in enumerate(pairs):
            ids = encoded["input_ids"][number[text]]
            result += self._windows_of(n, questions[question], ids) if ids else []
        return result, [starts[number[text]] for _, text in pairs]

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
                text, (begin, end), tokenizer.build_inputs_with_special_tokens(question, part),
                tokenizer.create_token_type_ids_from_sequences(question, part), first,
            )  # fmt: skip

    def _logits(self, group: Sequence[_Window]) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """Start and end logits [windows, L], and how many pad positions FARM's padding would have had more."""
        length = min(max(len(window.ids) for window in group) + 1, self._processor.max_seq_len)
        if self.exact_confidence and not self._pads_alike:
            length = self._processor.max_seq_len
        ids = torch.full((len(group), length), self._processor.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros((len(group), length), dtype=torch.long)
        types = torch.zeros((len(group), length), dtype=torch.long)
        for n, window in enumerate(group):
            ids[n, : len(window.ids)] = torch.tensor(window.ids)
            mask[n, : len(window.ids)] = 1
            types[n, : len(window.types)] = torch.tensor(window.types)
        device = self.devices[0]
        with torch.inference_mode():
            logits = self._model.forward(ids.to(device), types.to(device), mask.to(device))[0].float().cpu().numpy()
        missing = self._processor.max_seq_len - length if self._pads_alike else 0
        return logits[..., 0], logits[..., 1], missing

    def _found(self, window: _Window, start: NDArray[np.float32], end: NDArray[np.float32], missing: int) -> _Found:
        begin, stop = window.tokens
        head = self._head
        spans, null = candidates(
            start, end, window.first, window.first + stop - begin - 1, missing=missing,
            count=head.n_best_per_sample, apart=head.duplicate_filtering,
        )  # fmt: skip
        shift = begin - window.first
        return _Found([TokenSpan(s.start + shift, s.end + shift, s.score, s.confidence) for s in spans], null)

    @property
    def _model(self) -> Any:
        return self.inferencer.model

    @property
    def _processor(self) -> Any:
        return self.inferencer.processor

    @property
    def _head(self) -> Any:
        return self._model.prediction_heads[0]

    @property
    def _pads_alike(self) -> bool:
        return str(self._model.language_model.model.config.model_type) in SAME_PADS

    # -- FARMReader's ----------------------------------------------------------------------------------------------

    def predict(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """FARMReader.predict: {"query", "no_ans_gap", "answers"}, answers by falling score."""
        answers, gap = self._answers([(query, documents)], top_k)[0]
        return {"query": query, "no_ans_gap": gap, "answers": answers}

    def predict_batch(
        self,
        queries: list[str],
        documents: list[Document] | list[list[Document]],
        top_k: int | None = None,
        batch_size: int | None = None,
    ) -> dict[str, Any]:
        """FARMReader.predict_batch, by the same way as `predict`; batch_size is not needed and is not kept."""
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
        return {"queries": queries, "answers": answers, "no_ans_gaps": [gap for _, gap in results]}

    def _answers(self, asked: Sequence[tuple[str, list[Document]]], top_k: int | None) -> list[tuple[Any, float]]:
        """FARM's answers and no-answer gap for each question over its documents; all are read in one go."""
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
            answers, gap = self._extract_answers_of_predictions(predictions, self.top_k if top_k is None else top_k)
            results.append(([self._add_answer_page_number(documents, answer) for answer in answers], gap))
        return results

    def _prediction(self, query: str, document: Document, found: Sequence[_Found], offsets: NDArray[np.int32]) -> QAPred:
        """One document's candidates in FARM's own values, reduced by FARM's own rules."""
        per_window = [
            [*(_candidate(span, "span", span.start, span.end) for span in part.spans),
             _candidate(part.null, "no_answer", -1, -1)]
            for part in found
        ]  # fmt: skip
        predictions, gap = self._head.reduce_preds(per_window)
        return QAPred(
            id=document.id, prediction=predictions, context=str(document.content), question=query,
            token_offsets=offsets.tolist(), context_window_size=self._head.context_window_size,
            aggregation_level="document", no_answer_gap=gap,
        )  # fmt: skip


def load_reader(folder: ModelFolder, **options: Any) -> ReadsPassages:
    """The reader in a model folder, with its preset's window sizes. Raises ModelMissing, ModelRefused."""
    if folder.model_type == "xlm":
        from qa_pipeline.xlm import XlmReader

        xlm: ReadsPassages = XlmReader(folder)
        return xlm
    sizes = {"max_seq_len": 384, "doc_stride": 128}
    if folder.preset is not None:
        sizes = {"max_seq_len": folder.preset.max_seq_len, "doc_stride": folder.preset.doc_stride}
    try:
        return Reader(str(folder.path), **{"use_gpu": torch.cuda.is_available(), **sizes, **options})
    except OSError as error:
        raise ModelMissing(f"The reader {folder.name} cannot be loaded from {folder.path}: {_line(error)}") from error
    except Exception as error:
        raise ModelRefused(f"The reader {folder.name} cannot be loaded from {folder.path}: {_line(error)}") from error


def char_span(starts: NDArray[np.int32], first: int, last: int, text: str) -> tuple[int, int]:
    """Character offsets of the tokens first..last: up to the next token's start, without white space around.

    starts: start offset of each token. (n, n) when there is nothing but white space.
    """
    begin = int(starts[first])
    end = int(starts[last + 1]) if last + 1 < len(starts) else len(text)
    piece = text[begin:end]
    begin += len(piece) - len(piece.lstrip())
    return begin, begin + len(piece.strip())


def _spans(found: Sequence[_Found], starts: NDArray[np.int32], text: str) -> Iterator[Span]:
    """The spans of all windows of a text by falling gap; the same span from two windows once."""
    seen: set[tuple[int, int]] = set()
    scored = [(span.score - part.null.score, span) for part in found for span in part.spans]
    for gap, span in sorted(scored, key=lambda item: (-item[0], item[1].start, item[1].end)):
        start, end = char_span(starts, span.start, span.end, text)
        if end > start and (start, end) not in seen:
            seen.add((start, end))
            yield Span(start, end, span.score, gap, span.confidence)


def _candidate(span: TokenSpan, kind: str, start: int, end: int) -> QACandidate:
    return QACandidate(
        answer_type=kind, score=span.score, offset_answer_start=start, offset_answer_end=end, offset_unit="token",
        aggregation_level="document", confidence=span.confidence,
    )  # fmt: skip


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Loading through FARM seeds every random generator of the process; give them back as they were."""
    import random

    state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

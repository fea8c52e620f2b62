"""A reader for the XLM architecture, which farm-haystack does not support.

Only transformers loads it, from a local folder. Such models have one of two heads, identified by the names of their
weights:

* The simple head gives start and end logits. `span_decoding` finds spans and "no answer" (position 0) as FARM does.
* The beam head gives P(start), P(end | start) and a no-answer logit. A span's score is log P(start) + log P(end | start).
  The candidates are the `start_n_top` most likely starts and the `end_n_top` most likely ends of each. The margin is that
  score minus the no-answer logit, which is exactly log(P(answerable) P(span) / P(no answer)). For a model trained without
  unanswerable questions the logit is meaningless and replaced by 0.

Inputs are built as in training: `<s> question </s> passage </s>` without token types. The beam head may choose only passage
tokens and the first classification token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from indexing.errors import ModelMissing, ModelRefused, one_line
from indexing.models.hardware import this_machine
from indexing.models.registry import ModelFolder
from indexing.models.sentence_transformer import batches
from qa_pipeline.reading.cancellation import check
from qa_pipeline.reading.normal_input import read_in_normal_form
from qa_pipeline.reading.readings import BATCH_TOKENS, Reading, Span
from qa_pipeline.reading.span_decoding import Logits, TokenSpan, candidates, windows
from qa_pipeline.reading.xlm_tokenizer import Tokens, XlmTokens

MAX_QUERY_LENGTH = 64
MAX_SEQ_LEN = 384
DOC_STRIDE = 128
SIMPLE = "qa_outputs.weight"
BEAM = "qa_outputs.start_logits.dense.weight"


@dataclass(frozen=True, slots=True)
class _Window:
    """One model input. Positions `first .. last` of ids hold the tokens from `begin` on of text number `text`."""

    text: int
    begin: int
    first: int
    last: int
    ids: list[int]
    langs: list[int]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Padded windows; every tensor is [windows, L]. mask: 1 for tokens. barred: 1 where no span may start or end."""

    ids: torch.Tensor
    mask: torch.Tensor
    langs: torch.Tensor
    barred: torch.Tensor


@dataclass(frozen=True, slots=True)
class _WindowSpans:
    """The candidates of one window, best first, as positions in its input. null: the score of "no answer"."""

    spans: list[TokenSpan]
    null: float


class XlmReader:
    """Reads passages with an XLM model. Thread-safe; a question changes no state.

    per_window: number of spans per window (FARM's top_k_per_sample). Raises ModelMissing, ModelRefused.
    """

    def __init__(self, folder: ModelFolder, *, per_window: int = 1) -> None:
        self._model, self._beam = _load(folder)
        self._tokens = _tokens(folder)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._hardware = this_machine(self._device.type)
        self._model.to(self._device)
        self._per_window = per_window
        config, preset = self._model.config, folder.preset
        self._length = min(preset.max_seq_len if preset else MAX_SEQ_LEN, config.max_position_embeddings)
        self._stride = preset.doc_stride if preset else DOC_STRIDE
        self._knows_no_answer = preset is None or preset.knows_no_answer
        self._languages = dict(getattr(config, "lang2id", None) or {}) if config.use_lang_emb else {}

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        """Return the best spans of each text, in the order of texts; read in normal form (`normal_input`)."""

        def read(pairs: Sequence[tuple[str, str]]) -> list[Reading]:
            return self._read(pairs[0][0], [text for _, text in pairs]) if pairs else []

        return read_in_normal_form(read, [(question, text) for text in texts])

    def _read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        tokens = [self._tokens.tokens(text) for text in texts]
        inputs = self._windows(question, texts, tokens)
        found: list[list[tuple[_Window, _WindowSpans]]] = [[] for _ in texts]
        for rows in batches([len(window.ids) for window in inputs], BATCH_TOKENS):
            check()
            group = [inputs[row] for row in rows]
            for window, result in zip(group, self._found(group), strict=True):
                found[window.text].append((window, result))
        return [Reading(tuple(_spans(parts, places))) for parts, places in zip(found, tokens, strict=True)]

    def facts(self) -> dict[str, Any]:
        """Facts for monitoring: precision (always fp32) and instruction set."""
        return {"precision": "fp32", "instruction_set": self._hardware.instruction_set("fp32")}

    def _windows(self, question: str, texts: Sequence[str], tokens: Sequence[Tokens]) -> list[_Window]:
        asked = list(self._tokens.tokens(question).ids[: min(MAX_QUERY_LENGTH, self._length // 2)])
        build = self._tokens.tokenizer.build_inputs_with_special_tokens
        first = len(build(asked, [])) - 1
        room = self._length - first - 1
        stride, language = min(self._stride, room), self._language(question, question=True)
        result: list[_Window] = []
        for n, (text, part) in enumerate(zip(texts, tokens, strict=True)):
            spoken = self._language(text)
            for begin, end in windows(len(part.ids), stride, room) if part.ids else []:
                ids = build(asked, list(part.ids[begin:end]))
                langs = [language] * first + [spoken] * (len(ids) - first)
                result.append(_Window(n, begin, first, first + end - begin - 1, ids, langs))
        return result

    def _language(self, text: str, *, question: bool = False) -> int:
        """The model's id of the text's language, or its default id for an unsupported language."""
        default = int(self._model.config.lang_id)
        if not self._languages:
            return default
        from indexing.text.language_id import detect, detect_question

        found = detect_question(text, tuple(self._languages)) if question else detect(text).language
        return int(self._languages.get(found, default))

    def _found(self, group: Sequence[_Window]) -> list[_WindowSpans]:
        batch = self._batch(group)
        with torch.inference_mode():
            return list(self._beam_found(group, batch) if self._beam else self._simple_found(group, batch))

    def _batch(self, group: Sequence[_Window]) -> _Batch:
        length = max(len(window.ids) for window in group)
        ids = torch.full((len(group), length), self._tokens.tokenizer.pad_token_id, dtype=torch.long)
        mask, langs = torch.zeros_like(ids), torch.zeros_like(ids)
        barred = torch.ones((len(group), length), dtype=torch.float32)
        for n, window in enumerate(group):
            size = len(window.ids)
            ids[n, :size] = torch.tensor(window.ids)
            mask[n, :size] = 1
            langs[n, :size] = torch.tensor(window.langs)
            barred[n, window.first : window.last + 1] = 0
            barred[n, self._class_at(window)] = 0
        return _Batch(*(tensor.to(self._device) for tensor in (ids, mask, langs, barred)))

    def _class_at(self, window: _Window) -> int:
        """The position at which the beam head scores "no answer": the first classification token, as in training."""
        token = self._tokens.tokenizer.cls_token_id
        return window.ids.index(token) if token in window.ids else 0

    def _inputs(self, batch: _Batch) -> dict[str, torch.Tensor]:
        config = self._model.config
        langs = {"langs": batch.langs} if config.use_lang_emb and config.n_langs > 1 else {}
        return {"input_ids": batch.ids, "attention_mask": batch.mask, **langs}

    def _simple_found(self, group: Sequence[_Window], batch: _Batch) -> Iterator[_WindowSpans]:
        output = self._model(**self._inputs(batch))
        start, end = (logits.float().cpu().numpy() for logits in (output.start_logits, output.end_logits))
        for n, window in enumerate(group):
            size = len(window.ids)
            logits = start[n, :size], end[n, :size]
            spans, null = candidates(*logits, window.first, window.last, count=self._per_window)
            yield _WindowSpans(spans, null.score)

    def _beam_found(self, group: Sequence[_Window], batch: _Batch) -> Iterator[_WindowSpans]:
        """The head's own beam search, restricted to passage tokens and to ends that do not precede their start."""
        head, states = self._model.qa_outputs, self._model.transformer(**self._inputs(batch))[0]
        starts = torch.log_softmax(head.start_logits(states, p_mask=batch.barred).float(), dim=-1)
        top = self._best_starts(group, starts)
        ends = [self._ends(states, column, batch) for column in torch.from_numpy(top).T]
        classes = torch.tensor([self._class_at(window) for window in group], device=self._device)
        weighted = torch.einsum("blh,bl->bh", states, starts.exp().to(states.dtype))
        null = head.answer_class(states, start_states=weighted, cls_index=classes).float().cpu().numpy()
        start = starts.cpu().numpy()
        for n, window in enumerate(group):
            spans = _beam_spans(window, start[n], top[n], [column[n] for column in ends], int(head.end_n_top))
            yield _WindowSpans(spans[: self._per_window], float(null[n]) if self._knows_no_answer else 0.0)

    def _ends(self, states: torch.Tensor, starts: torch.Tensor, batch: _Batch) -> Logits:
        """log P(end | start), [windows, L], for one start in each window."""
        logits = self._model.qa_outputs.end_logits(states, start_positions=starts.to(self._device), p_mask=batch.barred)
        result: Logits = torch.log_softmax(logits.float(), dim=-1).cpu().numpy()
        return result

    def _best_starts(self, group: Sequence[_Window], starts: torch.Tensor) -> NDArray[np.int64]:
        """The most likely starts, [windows, start_n_top]; a passage with fewer tokens repeats its first token."""
        rows, count = starts.cpu().numpy(), int(self._model.qa_outputs.start_n_top)
        top = np.empty((len(group), count), dtype=np.int64)
        for n, window in enumerate(group):
            order = np.argsort(-rows[n, window.first : window.last + 1], kind="stable")[:count]
            top[n] = window.first
            top[n, : len(order)] = window.first + order
        return top


def _beam_spans(
    window: _Window, start: Logits, top: NDArray[np.int64], ends: Sequence[Logits], count: int
) -> list[TokenSpan]:
    """The spans of the beam, best first. start, ends: log-probabilities; confidence: mean of the two probabilities."""
    found: dict[tuple[int, int], TokenSpan] = {}
    for s, end in zip(top.tolist(), ends, strict=True):
        for e in (s + np.argsort(-end[s : window.last + 1], kind="stable")[:count]).tolist():
            confidence = float(np.exp(start[s]) + np.exp(end[e])) / 2
            found[s, e] = TokenSpan(s, e, float(start[s]) + float(end[e]), confidence)
    return sorted(found.values(), key=lambda span: (-span.score, span.start, span.end))


def _spans(parts: Sequence[tuple[_Window, _WindowSpans]], tokens: Tokens) -> Iterator[Span]:
    """The spans of all windows of a text by falling margin; duplicates from overlapping windows are dropped."""
    every = [
        Span(
            tokens.starts[span.start + shift],
            tokens.ends[span.end + shift],
            span.score,
            span.score - found.null,
            span.confidence,
        )
        for shift, found in ((window.begin - window.first, found) for window, found in parts)
        for span in found.spans
    ]
    seen: set[tuple[int, int]] = set()
    for span in sorted(every, key=lambda span: (-span.margin, span.start, span.end)):
        if (span.start, span.end) not in seen:
            seen.add((span.start, span.end))
            yield span


def _load(folder: ModelFolder) -> tuple[Any, bool]:
    """The model in evaluation mode, and whether it has the beam head."""
    from transformers import XLMForQuestionAnswering, XLMForQuestionAnsweringSimple

    names = _weight_names(folder)
    if SIMPLE not in names and BEAM not in names:
        raise ModelRefused(f"The reader {folder.name} has no question answering head; fine-tune it first.")
    kind = XLMForQuestionAnswering if BEAM in names else XLMForQuestionAnsweringSimple
    try:
        with torch.random.fork_rng(devices=[]):
            model, info = kind.from_pretrained(
                str(folder.path), local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:
        raise ModelRefused(f"The reader {folder.name} cannot be loaded: {one_line(error)}") from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelRefused(f"The reader {folder.name} is not complete: its weights lack {missing}.")
    return model.eval(), BEAM in names


def _weight_names(folder: ModelFolder) -> set[str]:
    from safetensors import safe_open

    names: set[str] = set()
    try:
        for path in sorted(Path(folder.path).glob("*.safetensors")):
            with safe_open(path, framework="pt") as weights:
                names.update(weights.keys())
    except Exception as error:
        raise ModelRefused(f"The weights of {folder.name} cannot be read: {one_line(error)}") from error
    if not names:
        raise ModelMissing(f"The reader {folder.name} has no weights in {folder.path}; fetch it again.")
    return names


def _tokens(folder: ModelFolder) -> XlmTokens:
    try:
        return XlmTokens(Path(folder.path))
    except Exception as error:
        raise ModelRefused(f"The tokenizer of {folder.name} cannot be loaded: {one_line(error)}") from error

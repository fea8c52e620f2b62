"""What the built-in reader learns: answers, in any mix of languages, and that translations mean the same.

Each update is of two parts. Windows of questions, as in `reader_task`; English ones half the time with their tokens
switched into another language, question and passage each its own, others now and then into English. And sentence pairs:
after its second and its fourth layer, the states of a sentence's tokens go towards those that the model as it was at the
start had for the aligned tokens of the English side, and their mean towards the English mean ("Making monolingual sentence
embeddings multilingual", Reimers and Gurevych 2020, here for tokens as well). The English states are never changed
by it, so English teaches the others. Where token vectors are fixed, all but the others are: those go to where the body
knows its way, and English changes only by those of them that it holds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from indexing.embed import batches
from indexing.errors import SettingError
from qa_pipeline.evaluation.datasets import Example
from qa_pipeline.training.batching import collate
from qa_pipeline.training.encoder import Encoder
from qa_pipeline.training.features import Window
from qa_pipeline.training.lexicon import Bitext, Choices, Lexicon, lexicon
from qa_pipeline.training.model1 import Ragged, places, ragged
from qa_pipeline.training.pairing import PIVOT
from qa_pipeline.training.reader_task import PADDED_TOKENS, Reading, span_loss
from qa_pipeline.training.trainer import autocast

LAYERS = (2, 4)
SENTENCES = 16_000
SWITCHED, SWITCHED_BACK = 0.5, 0.2
LOWEST, HIGHEST = 0.3, 0.9
SURE = 0.3
WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class _Side:
    """Sentences as one padded batch: inputs int64 [n, L]; where their tokens lie in it, flattened: int64 [tokens]."""

    ids: torch.Tensor
    mask: torch.Tensor
    at: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Alignment:
    """Links from English tokens to the others': places here and there with their share, [links]; each other token's shares
    add up to 1. sure: how sure the links of each other token are, 0 to 1, [others]."""

    here: torch.Tensor
    there: torch.Tensor
    share: torch.Tensor
    sure: torch.Tensor

    def towards(self, states: torch.Tensor) -> torch.Tensor:
        """For each other token the mixture of the English states it is linked to, [others, hidden]."""
        mixed = torch.zeros(len(self.sure), states.shape[1], device=states.device)
        return mixed.index_add(0, self.there, states[self.here] * self.share[:, None])


class Crossing(Reading):
    """The `Task` of a reader that is to read languages it has no questions of. Raises SettingError.

    pairs: sentence pairs of an update for each of its windows. fixed: [V], token vectors to be left as they are, and with
    them all the rest of the model; None: all is trained.
    """

    def __init__(
        self, encoder: Encoder, windows: Sequence[Window], examples: Sequence[Example], texts: Sequence[Bitext],
        pairs: int, fixed: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(encoder, windows)
        self._pairs = pairs
        if not hasattr(self.model.base_model, "encoder") or len(_stack(self.model)) < max(LAYERS):
            raise SettingError(f"This recipe needs a BERT-like model of {max(LAYERS)} layers or more.")
        size = int(self.model.config.vocab_size)
        self._texts = [text for text in texts if text.one == PIVOT]
        if not self._texts:
            raise SettingError(f"There are no sentence pairs with {PIVOT} first; name a folder with files like en-de.tsv.")
        self._lexicons = [lexicon(text, size) for text in self._texts]
        self._choices = [found.choices() for found in self._lexicons]
        self._examples = examples
        self._begins = np.cumsum([0, *(len(text.ones) for text in self._texts)])
        self._joined = encoder.tokeniser.joined
        self._teacher: Any = copy.deepcopy(self.model).eval().requires_grad_(False)
        self._switched_share = SWITCHED if fixed is None else 1.0
        if fixed is not None:
            self._fix(torch.from_numpy(fixed).to(self._device))

    def _fix(self, fixed: torch.Tensor) -> None:
        """Train no vector of these tokens, and nothing else but token vectors."""
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter is self.tokens)
        self.tokens.register_hook(lambda gradient: gradient.masked_fill(fixed[:, None], 0.0))

    def groups(self, size: int, seed: int, epoch: int) -> list[list[int]]:
        """Windows, and sentence pairs as negative numbers: pair n is -1 - n. All languages alike, an update with one."""
        draw = np.random.default_rng([seed, epoch, 1])
        wanted = size * self._pairs
        found: list[list[int]] = []
        for n, rows in enumerate(super().groups(size, seed, epoch)):
            language = n % len(self._texts)
            begin, end = self._begins[language : language + 2]
            pairs = draw.choice(np.arange(begin, end), min(wanted, int(end - begin)), replace=False)
            found.append([*rows, *(-1 - pairs).tolist()])
        return found

    def backward(self, rows: Sequence[int]) -> tuple[float, int]:
        """The mean loss of the windows, and that of the pairs with its own weight."""
        draw = np.random.default_rng(int(torch.randint(1 << 62, ())))
        reading, tokens = self._reading([row for row in rows if row >= 0], draw)
        pairs = np.array([-1 - row for row in rows if row < 0], dtype=np.int64)
        language = int(np.searchsorted(self._begins, pairs[0], side="right")) - 1
        alike, more = self._aligning(language, pairs - self._begins[language])
        return reading + alike, tokens + more

    # -- reading -------------------------------------------------------------------------------------------------------

    def _reading(self, rows: Sequence[int], draw: np.random.Generator) -> tuple[float, int]:
        loss, tokens = 0.0, 0
        switched = [self._switched(self._windows[row], draw) for row in rows]
        for part in batches([len(window.ids) for window in switched], PADDED_TOKENS[self._device.type]):
            batch = collate([switched[n] for n in part], self._pad, self._device)
            with autocast(self._device, self._precision):
                output = self.model(**batch.inputs)
            share = span_loss(output.start_logits, output.end_logits, batch).sum() / len(rows)
            share.backward()  # type: ignore[no-untyped-call]
            loss, tokens = loss + float(share.detach()), tokens + batch.tokens
        return loss, tokens

    def _switched(self, window: Window, draw: np.random.Generator) -> Window:
        """The window with tokens of its question and of its passage in another language, or as it is."""
        here = self._examples[window.example].language
        ids = window.ids.copy()
        for begin, end in ((0, window.first), (window.first, window.first + window.count)):
            choices = self._drawn(here, draw)
            if choices is not None:
                ids[begin:end] = choices.switch(ids[begin:end], draw.uniform(LOWEST, HIGHEST), draw)
        return replace(window, ids=ids)

    def _drawn(self, language: str, draw: np.random.Generator) -> Choices | None:
        if language == PIVOT:
            return self._choices[draw.integers(len(self._choices))][0] if draw.random() < self._switched_share else None
        known = [n for n, text in enumerate(self._texts) if text.other == language]
        return self._choices[known[0]][1] if known and draw.random() < SWITCHED_BACK else None

    # -- aligning ------------------------------------------------------------------------------------------------------

    def _aligning(self, language: int, pairs: NDArray[np.int64]) -> tuple[float, int]:
        text = self._texts[language]
        lengths = text.others.lengths[pairs]
        loss, tokens = 0.0, 0
        for part in batches(lengths.tolist(), PADDED_TOKENS[self._device.type]):
            chosen = pairs[part]
            share = self._alike(text, self._lexicons[language], chosen) * (len(chosen) / len(pairs))
            (WEIGHT * share).backward()  # type: ignore[no-untyped-call]
            loss, tokens = loss + float(share.detach()), tokens + int(lengths[part].sum())
        return loss, tokens

    def _alike(self, text: Bitext, found: Lexicon, pairs: NDArray[np.int64]) -> torch.Tensor:
        """How far the other side is from the English one, over the spread of the English states; a number."""
        ones, others = (ragged([side[n].tolist() for n in pairs.tolist()]) for side in (text.ones, text.others))
        aligned = self._alignment(ones, others, found)
        one, other = (self._side(side) for side in (ones, others))
        with torch.no_grad():
            wanted = list(self._states(self._teacher, one))
        loss = torch.zeros((), device=self._device)
        for target, own in zip(wanted, self._states(self.model, other), strict=True):
            spread = target.var(0).sum()
            apart = (own - aligned.towards(target)).square().sum(1) * aligned.sure
            middle = (_means(own, others) - _means(target, ones)).square().sum(1)
            loss = loss + (apart.sum() / aligned.sure.sum().clamp(min=1) + middle.mean()) / spread
        return loss / len(LAYERS)

    def _alignment(self, ones: Ragged, others: Ragged, found: Lexicon) -> _Alignment:
        here, there = places(ones, others)
        likeness = found.likeness(ones.words[here], others.words[there])
        whole = np.bincount(there, likeness, len(others.words))
        kept = likeness > 0
        shares = likeness[kept] / whole[there[kept]]
        parts = (here[kept], there[kept], shares.astype(np.float32), (whole / SURE).clip(0, 1).astype(np.float32))
        return _Alignment(*(torch.from_numpy(part).to(self._device) for part in parts))

    def _side(self, sentences: Ragged) -> _Side:
        joined = [self._joined(sentences[n].tolist(), []) for n in range(len(sentences))]
        longest = max(len(ids) for ids in joined)
        ids = np.full((len(joined), longest), self._pad, dtype=np.int64)
        for n, row in enumerate(joined):
            ids[n, : len(row)] = row
        lengths = sentences.lengths
        offset = np.arange(len(sentences.words)) - np.repeat(sentences.begins[:-1], lengths)
        at = np.repeat(np.arange(len(joined)) * longest, lengths) + 1 + offset
        mask = np.arange(longest)[None] < np.array([len(row) for row in joined])[:, None]
        return _Side(torch.from_numpy(ids).to(self._device), torch.from_numpy(mask.astype(np.int64)).to(self._device), at)

    def _states(self, model: Any, side: _Side) -> Iterator[torch.Tensor]:
        """The tokens' states after each of `LAYERS`, float32 [tokens, hidden]."""
        base = model.base_model
        at = torch.from_numpy(side.at).to(self._device)
        with autocast(self._device, self._precision):
            states = base.embeddings(input_ids=side.ids)
            mask = base.get_extended_attention_mask(side.mask, side.ids.shape)
        for n, layer in enumerate(_stack(model)[: max(LAYERS)], start=1):
            with autocast(self._device, self._precision):
                states = layer(states, attention_mask=mask)[0]
            if n in LAYERS:
                yield states.float().flatten(0, 1)[at]


def _stack(model: Any) -> Any:
    return model.base_model.encoder.layer


def _means(states: torch.Tensor, sentences: Ragged) -> torch.Tensor:
    """Of each sentence's tokens, [sentences, hidden]."""
    lengths = torch.from_numpy(sentences.lengths).to(states.device)
    which = torch.repeat_interleave(torch.arange(len(lengths), device=states.device), lengths)
    sums = torch.zeros(len(lengths), states.shape[1], device=states.device).index_add(0, which, states)
    return sums / lengths[:, None]

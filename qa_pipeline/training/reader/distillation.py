"""Knowledge distillation from a larger reader, in addition to the labels.

"Distilling the knowledge in a neural network" (Hinton, Vinyals, Dean 2015), for start and end separately. The teacher
tokenizes each window's text itself, so vocabularies may differ. Its probabilities are mapped through characters. A start
goes to the student's token with the first character of the teacher's token, an end to the one with its last character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from indexing.errors import ModelRefused, SettingError
from qa_pipeline.datasets.examples import Example
from qa_pipeline.reading.xlm_tokenizer import Tokens
from qa_pipeline.training.loop.trainer import device
from qa_pipeline.training.reader.batching import Batch, collate
from qa_pipeline.training.reader.model import Encoder, Tokeniser, load_encoder
from qa_pipeline.training.reader.task import span_loss
from qa_pipeline.training.reader.windows import MAX_QUERY_LENGTH, Window, langs

WEIGHT = 0.5
LONGEST = 512


@dataclass(frozen=True, slots=True)
class _TeacherWindow:
    """A window as the teacher reads it.

    starts, lasts: positions in the student's input with the first and last character of each teacher passage token.
    """

    window: Window
    starts: NDArray[np.int64]
    lasts: NDArray[np.int64]


class Teacher:
    """A `task.TeacherLoss`: mean of the label loss and the divergence from the teacher at a temperature.

    Raises ModelMissing, ModelRefused, SettingError.
    """

    def __init__(self, name: str, temperature: float, examples: Sequence[Example], pupil: Tokeniser) -> None:
        if not temperature > 0:
            raise SettingError(f"--temperature is {temperature:g}; it must be more than 0.")
        self.encoder = _reader(name)
        self._model: Any = self.encoder.model.to(device()).eval()
        self._temperature = temperature
        self._examples, self._pupil = examples, pupil
        self._longest = min(LONGEST, int(getattr(self._model.config, "max_position_embeddings", LONGEST + 2)) - 2)

    def __call__(self, windows: Sequence[Window], batch: Batch, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        hard = span_loss(start, end, batch)
        wanted = [torch.from_numpy(side).to(start.device) for side in self.chances(windows, batch.mask.shape[1])]
        padding = batch.mask == 0
        soft = [
            self._divergence(logits.float().masked_fill(padding, float("-inf")), told)
            for logits, told in zip((start, end), wanted, strict=True)
        ]
        return (1 - WEIGHT) * hard + WEIGHT * (soft[0] + soft[1]) / 2

    def chances(self, windows: Sequence[Window], length: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Start and end probabilities at the student's positions, each float32 [windows, length]; rows sum to 1."""
        reads = [self._read(window) for window in windows]
        batch = collate([read.window for read in reads], self.encoder.tokeniser.pad, device())
        with torch.inference_mode():
            output = self._model(**batch.inputs)
        sides = []
        for logits, places in ((output.start_logits, "starts"), (output.end_logits, "lasts")):
            found = np.zeros((len(windows), length), dtype=np.float32)
            rows = (logits.float() / self._temperature).cpu()
            for n, read in enumerate(reads):
                first, count = read.window.first, read.window.count
                own = torch.cat([rows[n, :1], rows[n, first : first + count]]).softmax(0).numpy()
                np.add.at(found[n], np.concatenate([[0], getattr(read, places)]), own)
            sides.append(found)
        return sides[0], sides[1]

    def _divergence(self, logits: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """KL divergence from the teacher, times the squared temperature to preserve the gradients' scale."""
        own = functional.log_softmax(logits / self._temperature, dim=-1).masked_fill(torch.isinf(logits), 0.0)
        return functional.kl_div(own, told, reduction="none").sum(-1) * self._temperature**2

    def _read(self, window: Window) -> _TeacherWindow:
        example, tokeniser = self._examples[window.example], self.encoder.tokeniser
        seen = self._pupil.tokens([example.context])[0]
        starts = np.array(seen.starts[window.begin : window.begin + window.count])
        lo, hi = int(starts[0]), max(seen.ends[window.begin : window.begin + window.count])
        question, text = tokeniser.tokens([example.question, example.context[lo:hi]])
        asked = list(question.ids[:MAX_QUERY_LENGTH])
        first = len(tokeniser.joined(asked, [])) - 1
        part = _token_windows(text, self._longest - first - 1)
        return _TeacherWindow(
            _window(window, tokeniser, asked, part, first, example),
            _positions(starts, np.array(part.starts, dtype=np.int64) + lo, window.first),
            _positions(starts, np.array(part.ends, dtype=np.int64) + lo - 1, window.first),
        )


def _reader(name: str) -> Encoder:
    encoder = load_encoder(name)
    if not encoder.is_reader:
        raise ModelRefused(f"The teacher {name} has no question answering head of the plain kind; name a trained reader.")
    return encoder


def _token_windows(tokens: Tokens, count: int) -> Tokens:
    return Tokens(tokens.ids[:count], tokens.starts[:count], tokens.ends[:count])


def _window(window: Window, tokeniser: Tokeniser, asked: list[int], part: Tokens, first: int, example: Example) -> Window:
    ids = np.array(tokeniser.joined(asked, part.ids), dtype=np.int32)
    kinds = np.array(tokeniser.kinds(asked, part.ids), dtype=np.int8) if tokeniser.types else None
    return Window(window.example, ids, first, 0, len(part.ids), 0, 0, kinds, langs(example, tokeniser, first, len(ids)))


def _positions(starts: NDArray[np.int64], characters: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Input positions of the student's tokens that contain these characters, given its token starts."""
    found: NDArray[np.int64] = np.maximum(np.searchsorted(starts, characters, side="right") - 1, 0) + first
    return found

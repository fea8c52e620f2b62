"""Tokens and input layout of a reader, from its `tokenizers.Tokenizer`. transformers is not needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from indexing.errors import ModelRefused
from qa_pipeline.reading.window_reader import InputLayout, Tokens


def encoder_of(tokenizer: Any) -> Callable[[Sequence[str]], list[Tokens]]:
    """The function from texts to tokens of a `tokenizers.Tokenizer`."""

    def encode(texts: Sequence[str]) -> list[Tokens]:
        return [
            Tokens(
                np.array(made.ids, dtype=np.int32),
                np.fromiter((start for start, _ in made.offsets), dtype=np.int32, count=len(made.ids)),
            )
            for made in tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]

    return encode


def layout_of(tokenizer: Any) -> InputLayout:
    """How a `tokenizers.Tokenizer` joins question and text. Raises ModelRefused where that is no plain sequence."""
    made = tokenizer.encode("a", "b")
    parts = made.sequence_ids
    places = [at for at, part in enumerate(parts) if part == 0], [at for at, part in enumerate(parts) if part == 1]
    if not all(places) or places[0][-1] >= places[1][0]:
        raise ModelRefused("This reader joins question and text in an order that docqa does not know; choose another.")
    first, last = places[0][0], places[0][-1]
    begin, end = places[1][0], places[1][-1]
    return InputLayout(
        tuple(made.ids[:first]),
        tuple(made.ids[last + 1 : begin]),
        tuple(made.ids[end + 1 :]),
        int(made.type_ids[begin]),
    )

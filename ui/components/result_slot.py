"""The place of the results: the answers of one question never stand under another question.

Streamlit keeps what the last run drew until the new run draws the same place, which can be half a minute later. So
questions use two places in turn. The place of the last question is emptied before the new one is sent to the service.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import streamlit as st

SHOWN = "results_shown"


class ResultSlot:
    """The place where this run draws its results, made where it is constructed."""

    def __init__(self) -> None:
        self._outer = st.container()
        self._place: Any = None

    def leave(self, *asked: Hashable) -> None:
        """Empty the place at once if the last results were of something other than `asked`, a prefix of the key."""
        _, key = _shown()
        if key and key[: len(asked)] != asked:
            self._take(asked)

    def open(self, *key: Hashable) -> Any:
        """The container for the results of `key`; other results are emptied."""
        _, last = _shown()
        if self._place is None:
            self._take(key, turn=last != key)
        st.session_state[SHOWN] = (_shown()[0], key)
        return self._place

    def _take(self, key: tuple[Hashable, ...], *, turn: bool = True) -> None:
        at = (_shown()[0] + turn) % 2
        st.session_state[SHOWN] = (at, key)
        with self._outer:
            places = [st.container() if number == at else st.empty() for number in range(2)]
        self._place = places[at]


def _shown() -> tuple[int, tuple[Hashable, ...]]:
    """The place in use, and the key of its results."""
    found: tuple[int, tuple[Hashable, ...]] = st.session_state.get(SHOWN, (0, ()))
    return found

"""The questions and searches of this session, newest first, as links in the sidebar."""

from __future__ import annotations

import streamlit as st

from ui.client.schemas import Corpus
from ui.render.names import plain
from ui.state.query import Query
from ui.state.url import ASK, link

KEPT, SHORT = 20, 60


def remember(corpus: Corpus, asked: Query) -> None:
    """Put a question first in the history; one with the same filters stands there once."""
    entry = (corpus.name, asked)
    kept = [entry, *(one for one in _history() if one != entry)]
    st.session_state["history"] = kept[:KEPT]


def show_history(corpus: Corpus) -> None:
    """Links to the earlier questions of this session to a collection; nothing without any."""
    earlier = [asked for name, asked in _history() if name == corpus.name]
    if len(earlier) < 2:
        return
    with st.sidebar, st.expander("Your questions"):
        for asked in earlier:
            shown = asked.question if len(asked.question) <= SHORT else f"{asked.question[: SHORT - 1]}…"
            link(ASK, plain(shown, isolate=True), corpus=corpus.name, **asked.query())


def _history() -> list[tuple[str, Query]]:
    kept: list[tuple[str, Query]] = st.session_state.get("history", [])
    return kept

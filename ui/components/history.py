"""The questions and searches of one's own, newest first. The browser keeps them in its local storage, not the service."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlencode

import streamlit as st

from ui.client.schemas import Corpus
from ui.state.query import Query
from ui.state.session import CREATED, key_hash
from ui.state.url import address_is, given

KEY = "history"
KEPT = 100
HERE = Path(__file__).with_name

_history = st.components.v2.component(
    "docqa_history",
    html="""<details><summary>Your questions</summary><ul></ul>
      <p>Kept in this browser only.</p><button type="button">Clear these questions</button></details>""",
    css=HERE("history.css").read_text("utf-8"),
    js=HERE("history.js").read_text("utf-8"),
)


def show_history(corpus: Corpus, asked: Query) -> None:
    """Adds a question to the history, and lists those to this collection; those to collections that are gone are dropped.

    A question with the same filters stands there once. Those of another login on the same browser are dropped, too.
    """
    who, entry = key_hash()[:16], None
    if asked.question:
        query = urlencode(given(corpus=corpus.name, **asked.query()), doseq=True)
        entry = {"who": who, "corpus": corpus.name, "created": corpus.created, "question": asked.question, "query": query}
    data = {"entry": entry, "who": who, "corpus": corpus.name, "created": st.session_state[CREATED], "most": KEPT}
    with st.sidebar:
        _history(key=KEY, data=data, on_opened_change=_opened)


def _opened() -> None:
    address_is(parse_qs(str(st.session_state[KEY].opened), keep_blank_values=True))

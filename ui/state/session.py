"""Session state: the client, the current collection, and the display of errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ui.client.http import Client
from ui.client.schemas import ApiError, Corpus
from ui.render.names import plain
from ui.state.url import CORPORA, address, follow, followed, link, parameter

DEFAULT_API = "http://127.0.0.1:8080"


@st.cache_resource(show_spinner=False)
def _client(url: str, key: str) -> Client:
    return Client(url, key, timeout=300.0, patience=20.0)


def client() -> Client:
    """The client of the service at DOCQA_API_URL, with DOCQA_API_KEY; shared by all sessions."""
    url = os.environ.get("DOCQA_API_URL") or os.environ.get("DOCQA_API") or DEFAULT_API
    return _client(url, os.environ.get("DOCQA_API_KEY", ""))


# -- errors ------------------------------------------------------------------------------------------------------------


def show_problem(error: ApiError) -> None:
    """Shows an error's message."""
    st.error(plain(error.detail))


@contextmanager
def show_problems(*, stop: bool = True) -> Iterator[None]:
    """Shows an ApiError raised in the block; `stop` then ends the page."""
    try:
        yield
    except ApiError as error:
        show_problem(error)
        if stop:
            st.stop()


# -- the corpus --------------------------------------------------------------------------------------------------------


def pick_corpus() -> Corpus:
    """The current corpus, selected in the sidebar and kept in the URL. Ends the page if there is none."""
    with show_problems():
        corpora = {corpus.name: corpus for corpus in client().list_corpora()}
    if not corpora:
        st.info("There is no collection yet. Create one and upload documents to it.")
        link(CORPORA, "Create a collection")
        st.stop()
    wanted = parameter("corpus") or st.session_state.get("corpus_in_hand", "")
    if parameter("corpus") and wanted not in corpora:
        st.warning(plain(f"There is no collection {wanted!r}; another one is shown."))
    chosen = wanted if wanted in corpora else next(iter(corpora))
    follow("corpus_picked", chosen)
    with st.sidebar:
        st.selectbox("Collection", list(corpora), key="corpus_picked", format_func=lambda name: corpora[name].title or name)
    name = followed("corpus_picked", st.session_state["corpus_picked"])
    st.session_state["corpus_in_hand"] = name
    address(corpus=name)
    return corpora[name]

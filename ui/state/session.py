"""Session state: the client, the current collection, and the display of errors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from ui.client.http import Client
from ui.client.schemas import ApiError, Corpus
from ui.render.names import plain
from ui.state.url import ASK, CORPORA, address, follow, followed, link, parameter

DEFAULT_API = "http://127.0.0.1:8080"
TITLE = 60
AWAY = "The service does not answer at the moment. It may be starting; try again."
RETRY_SHOWN = "retry_shown"
# When each collection was created, by name.
CREATED = "collections_created"


@st.cache_resource(show_spinner=False)
def _client(url: str, key: str) -> Client:
    return Client(url, key, timeout=300.0, patience=20.0)


def client() -> Client:
    """The client of the service at DOCQA_API_URL, with DOCQA_API_KEY; shared by all sessions."""
    url = os.environ.get("DOCQA_API_URL") or os.environ.get("DOCQA_API") or DEFAULT_API
    return _client(url, os.environ.get("DOCQA_API_KEY", ""))


def name_page(subject: str) -> None:
    """Names the browser's tab after a question or a document."""
    shown = " ".join(subject.split())
    st.set_page_config(page_title=f"{shown[:TITLE]}{'…' * (len(shown) > TITLE)} · docqa")


# -- errors ------------------------------------------------------------------------------------------------------------


def show_problem(error: ApiError) -> None:
    """Shows an error's message, and a button that tries again if the service cannot be reached; the URL keeps the state."""
    st.error(plain(error.detail) if error.status else AWAY)
    if not error.status and not st.session_state.get(RETRY_SHOWN):
        st.session_state[RETRY_SHOWN] = True
        st.button("Retry", key="retry")


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
    st.session_state[CREATED] = {corpus.name: corpus.created for corpus in corpora.values()}
    if not corpora:
        st.info("There is no collection yet. Create one and upload documents to it.")
        link(CORPORA, "Create a collection")
        st.stop()
    wanted = parameter("corpus") or st.session_state.get("corpus_in_hand", "")
    if parameter("corpus") and wanted not in corpora:
        _missing(wanted, corpora)
    chosen = wanted if wanted in corpora else next(iter(corpora))
    follow("corpus_picked", chosen)
    with st.sidebar:
        st.selectbox("Collection", list(corpora), key="corpus_picked", format_func=lambda name: corpora[name].title or name)
    name = followed("corpus_picked", st.session_state["corpus_picked"])
    st.session_state["corpus_in_hand"] = name
    address(corpus=name)
    return corpora[name]


def _missing(wanted: str, corpora: Mapping[str, Corpus]) -> None:
    """Says that the collection of the URL does not exist, offers the others, and ends the page: no other one is asked."""
    st.warning(plain(f"There is no collection {wanted!r}. It was deleted, or the link is wrong. These are here:"))
    for name, corpus in corpora.items():
        link(ASK, plain(corpus.title or name, isolate=True), corpus=name)
    st.stop()

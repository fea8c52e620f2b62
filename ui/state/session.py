"""Session state: the client, the current collection, and the display of errors."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

import streamlit as st

from ui.access.guard import LOGIN, api_url
from ui.access.logins import COOKIE, LOGINS
from ui.access.page_key import page_key
from ui.client.http import Client
from ui.client.schemas import ApiError, Corpus, Limits
from ui.render.names import plain
from ui.state.url import ASK, CORPORA, address, follow, followed, link, parameter

P = ParamSpec("P")
T = TypeVar("T")

TITLE = 60
AWAY = "The service does not answer at the moment. It may be starting; try again."
RETRY_SHOWN = "retry_shown"
# When each collection was created, by name.
CREATED = "collections_created"


@st.cache_resource(show_spinner=False, max_entries=1_000)
def _client(url: str, key: str) -> Client:
    return Client(url, key, timeout=300.0, patience=20.0)


def client() -> Client:
    """The client of the service at DOCQA_API_URL, with the key of this person's login, else the page's.

    Call it while the page is drawn, not in a function that runs later: only then it knows whose page it is.
    """
    return _client(api_url(), _key())


def _key() -> str:
    return LOGINS.key(st.context.cookies.get(COOKIE, "")) or page_key()


def key_hash() -> str:
    """A hash of this person's key, which tells people apart and says nothing of the key."""
    return hashlib.sha256(_key().encode()).hexdigest()


def cached_by_key(**options: Any) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`st.cache_data` for what the service says: shared by those with the same key, and by nobody else."""

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def with_key(who: str, *arguments: P.args, **named: P.kwargs) -> T:
            return function(*arguments, **named)

        own = inspect.signature(function)
        first = inspect.Parameter("who", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        with_key.__signature__ = own.replace(parameters=[first, *own.parameters.values()])  # type: ignore[attr-defined]
        kept: Callable[Concatenate[str, P], T] = st.cache_data(**{"show_spinner": False, **options})(with_key)

        @wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            return kept(key_hash(), *arguments, **named)

        return call

    return decorated


def show_login() -> None:
    """A button in the sidebar that ends this person's login, if there is one."""
    token = st.context.cookies.get(COOKIE, "")
    if LOGINS.key(token):
        st.sidebar.button("Sign out", on_click=_sign_out, args=(token,), type="tertiary")


def _sign_out(token: str) -> None:
    LOGINS.remove(token)
    st.session_state.clear()


def name_page(subject: str) -> None:
    """Names the browser's tab after a question or a document."""
    shown = " ".join(subject.split())
    st.set_page_config(page_title=f"{shown[:TITLE]}{'…' * (len(shown) > TITLE)} · docqa")


# -- errors ------------------------------------------------------------------------------------------------------------


def show_problem(error: ApiError) -> None:
    """Shows an error's message, and a button that tries again if the service cannot be reached; the URL keeps the state."""
    st.error(plain(error.detail) if error.status else AWAY)
    if error.status == 401 or error.kind == "NotAllowed":
        here = urlsplit(st.context.url or "/")
        back = quote(here.path + (f"?{here.query}" if here.query else ""), safe="")
        st.html(f'<p><a href="{LOGIN}?next={back}" target="_self">Sign in with another key</a></p>')
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


def service_limits() -> Limits:
    """The service's limits, asked for once a session."""
    with show_problems():
        if "limits" not in st.session_state:
            st.session_state["limits"] = client().get_limits()
    kept: Limits = st.session_state["limits"]
    return kept

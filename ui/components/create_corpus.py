"""The form that creates a collection."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import streamlit as st

from ui.client.schemas import ApiError, Model
from ui.state.session import client, show_problem
from ui.state.url import address

NAME_CHARACTERS = 63


def show_form(embedders: Sequence[Model], *, is_first: bool) -> None:
    """A form that creates a corpus and then opens it."""
    usable = {model.name: model for model in embedders if model.available}
    with st.expander("New collection", expanded=is_first), st.form("new_corpus", border=False):
        title = st.text_input("Title", max_chars=200, key="new_title", autocomplete="off")
        typed = st.text_input(
            "Name in addresses",
            max_chars=NAME_CHARACTERS,
            key="new_name",
            autocomplete="off",
            help="Small letters a to z, digits, - and _. Derived from the title when it is left empty.",
        )
        embedder = st.selectbox(
            "Search model",
            list(usable) or ["builtin"],
            key="new_embedder",
            format_func=lambda one: f"{one}: {usable[one].about}" if one in usable else one,
            help="The embedder that finds passages for a question. It cannot be changed later.",
        )
        pressed = st.form_submit_button("Create collection", type="primary")
    if pressed:
        _create(typed.strip() or address_name(title), title.strip(), str(embedder))


def _create(name: str, title: str, embedder: str) -> None:
    if not name:
        st.error("Give the collection a name of small letters a to z, digits, - and _.")
        return
    try:
        made = client().create_corpus(name, title=title, embedder=embedder)
    except ApiError as error:
        wrong = error.status == 422 and not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name)
        st.error("A name has small letters a to z, digits, - and _ only.") if wrong else show_problem(error)
        return
    st.session_state["told"] = f"{made.title or made.name} is created; now upload documents."
    address(corpus=made.name)
    st.rerun()


def address_name(title: str) -> str:
    """A URL-safe name derived from a title; "" for an empty one. A title without Latin letters becomes a number of its own.

    >>> address_name("  Städte & Märkte 2024"), address_name("الجزر"), address_name(" ")
    ('stadte-markte-2024', 'collection-4d6845', '')
    """
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "-", letters).strip("-")[:NAME_CHARACTERS].strip("-")
    if name or not title.strip():
        return name
    return f"collection-{hashlib.blake2b(title.strip().encode('utf-8', 'replace'), digest_size=3).hexdigest()}"

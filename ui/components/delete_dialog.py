"""The dialog that confirms a deletion by typing the name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from ui.client.schemas import ApiError
from ui.render.highlight import escape_html, name
from ui.state.session import show_problem

WAITING = "deletion_to_confirm"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What to delete: its kind ("corpus"), name, a sentence on the consequences, and the action.

    ask: what to type, in words; "" for the name.
    """

    what: str
    called: str
    about: str
    act: Callable[[], None]
    ask: str = ""


def delete_button(label: str, deletion: Deletion, key: str, type: Literal["secondary", "tertiary"] = "tertiary") -> None:
    """A button that requests a deletion; `confirm_deletion` at the end of the page confirms it."""
    st.button(label, key=key, type=type, on_click=_wait_for, args=(deletion,))


def _wait_for(deletion: Deletion) -> None:
    st.session_state[WAITING] = deletion


def forget() -> None:
    """Cancels the pending deletion."""
    st.session_state.pop(WAITING, None)


def confirm_deletion() -> None:
    """Opens the dialog of the pending deletion, if any; a correct name deletes and reruns the page."""
    deletion: Deletion | None = st.session_state.get(WAITING)
    if deletion is not None:
        _dialog(deletion)


@st.dialog("Delete for good", on_dismiss=forget)
def _dialog(deletion: Deletion) -> None:
    asked = f"Type the name of the {escape_html(deletion.what)} to delete it: <b>{name(deletion.called)}</b>"
    st.html(f'<p dir="auto">{escape_html(deletion.about)}</p><p>{escape_html(deletion.ask) or asked}</p>')
    with st.form("confirm", border=False):
        typed = st.text_input(deletion.ask or f"Name of the {deletion.what}", autocomplete="off")
        pressed = st.form_submit_button("Delete", type="primary")
    if not pressed:
        return
    if not same_name(typed, deletion.called):
        st.error("That is not its name; nothing was deleted.")
        return
    try:
        deletion.act()
    except ApiError as error:
        show_problem(error)
        return
    forget()
    st.rerun()


def same_name(typed: str, called: str) -> bool:
    """Whether a name was typed correctly, ignoring Unicode normal form and white space.

    >>> same_name(" Cafe\\u0301.txt", "Caf\\u00e9.txt"), same_name("", ""), same_name("a.TXT", "a.txt")
    (True, False, False)
    """
    left, right = (" ".join(unicodedata.normalize("NFC", text).split()) for text in (typed, called))
    return left == right != ""

"""Page URLs: the query parameters hold the whole state of a page, and every choice is written back to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

# Not in `pages/`: Streamlit runs files of such a folder on their own if the first request is a deep link.
ASK, DOCUMENT, CORPORA = "views/ask.py", "views/document.py", "views/corpora.py"
PAGE, LEFT = "page_in_hand", "address_left"
BATCH, SAVED, QUALITY = "views/batch.py", "views/saved.py", "views/quality.py"


def parameter(name: str, default: str = "") -> str:
    """A URL parameter, or the default."""
    return str(st.query_params.get(name, default))


def parameters(name: str) -> list[str]:
    """All values of a URL parameter."""
    return list(st.query_params.get_all(name))


def number(name: str, default: int | None = None) -> int | None:
    """A whole number >= 0 from the URL, or the default, also for an invalid value."""
    text = parameter(name)
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else default


def address(**query: Any) -> None:
    """Updates these URL parameters and keeps the others; None, "", False and empty lists remove a parameter."""
    for name, value in query.items():
        said = [] if value in (None, False, "") else _said(value)
        if said and st.query_params.get_all(name) != said:
            st.query_params[name] = said
        elif not said and name in st.query_params:
            del st.query_params[name]


def _said(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else ["1" if value is True else str(value)]


@contextmanager
def addressed(page: str) -> Iterator[None]:
    """Keeps the browser's URL in sync with the page drawn in the block.

    A link to the current page reruns it but leaves the old URL in the browser, so the next click would restore the old
    state. So if the parameters differ from those of the last run, they are sent to the browser.
    """
    state: MutableMapping[Any, Any] = st.session_state
    said = _whole()
    left_at, left = state.get(LEFT, (page, said))
    if left_at == page and left != said:
        st.query_params.from_dict(said)
    try:
        yield
    finally:
        state[LEFT] = (page, _whole())


def _whole() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def url(page: str, **query: Any) -> str:
    """The absolute URL of a page in a state, for sharing. Ask, the default page, is at the site's root."""
    base = urlsplit(st.context.url or "http://localhost:8501/")
    names = {Path(one).stem for one in (ASK, DOCUMENT, CORPORA, BATCH, SAVED, QUALITY)}
    before = "/".join(part for part in base.path.split("/") if part and part not in names)
    given = [(name, one) for name, value in _given(query).items() for one in value]
    path = "/".join(["", *([before] if before else []), "" if page == ASK else Path(page).stem])
    return urlunsplit((base.scheme, base.netloc, path, urlencode(given), ""))


def given(**query: Any) -> dict[str, list[str]]:
    """The values of each URL parameter; those that `address` would remove are left out."""
    return _given(query)


def address_is(query: dict[str, list[str]]) -> None:
    """Replaces all URL parameters."""
    st.query_params.from_dict(query)


def _given(query: dict[str, Any]) -> dict[str, list[str]]:
    return {name: _said(value) for name, value in query.items() if value not in (None, "", False, [])}


def follow(key: str, given: Any, *, typed: bool = False) -> None:
    """Sets the widget `key` to the URL's value on a new page, and whenever that was not changed by the widget itself.

    Call it before the widget is created, and `followed` with the widget's value after writing that to the URL.
    The browser gets the value in each run. A widget that it draws again would report its default as a choice.
    typed: a box for text, which gets its value once, since the next run would undo what is being typed.
    """
    state: MutableMapping[Any, Any] = st.session_state
    if key not in state or state.get(f"_{key}") != (state.get(PAGE), given):
        state[key] = given
        state[f"_{key}"] = (state.get(PAGE), given)
    elif not typed:
        state[key] = state[key]


def followed(key: str, value: Any) -> Any:
    """Records that the URL has `value`, so that it does not set the widget again. Returns the value."""
    st.session_state[f"_{key}"] = (st.session_state.get(PAGE), value)
    return value


def link(page: str, label: str, **query: Any) -> None:
    """A link to a page in a state. label: Markdown; escape names by `plain`."""
    st.page_link(page, label=label, query_params=_given(query))

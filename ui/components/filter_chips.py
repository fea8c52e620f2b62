"""The filters in force, as chips above the answers: each can be removed, and all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import streamlit as st

from ui.components.filter_sidebar import field_label
from ui.render.names import language_name, plain
from ui.state.query import PARAMETERS, Query
from ui.state.url import address

KEPT = ("thorough", "top_k", "retrieve", "by_words")


def show_chips(asked: Query) -> None:
    """A button for each filter, which removes it, and [Clear all]; nothing without filters."""
    chips = list(filter_chips(asked))
    if not chips:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="chips"):
        for number, (label, without) in enumerate(chips):
            st.button(f"{plain(label, isolate=True)} ✕", key=f"chip-{number}-{label}", on_click=_become, args=(without,))
        bare = replace(Query(asked.question), **{name: getattr(asked, name) for name in KEPT})
        st.button("Clear all", key="chips-clear", on_click=_become, args=(bare,), type="tertiary")


def filter_chips(asked: Query) -> Iterator[tuple[str, Query]]:
    """The label of each filter, and the query without it.

    >>> [label for label, _ in filter_chips(Query("q", ("de",), ("pdf",), ("",), (("author", "N. N."),), "2019"))]
    ['Language: German', 'File type: PDF', 'Folder: (no folder)', 'Author: N. N.', 'From 2019']
    """
    if not asked.crosslingual:
        yield "Only the question's language", replace(asked, crosslingual=True)
    for code in asked.languages:
        yield f"Language: {language_name(code)}", replace(asked, languages=_less(asked.languages, code))
    for kind in asked.types:
        yield f"File type: {kind.upper() or 'Unknown'}", replace(asked, types=_less(asked.types, kind))
    for folder in asked.folders:
        yield f"Folder: {folder or '(no folder)'}", replace(asked, folders=_less(asked.folders, folder))
    for field, text in asked.meta:
        kept = tuple(pair for pair in asked.meta if pair != (field, text))
        yield f"{field_label(field)}: {text}", replace(asked, meta=kept)
    if asked.since:
        yield f"From {asked.since}", replace(asked, since="")
    if asked.until:
        yield f"Until {asked.until}", replace(asked, until="")


def _less(values: tuple[str, ...], value: str) -> tuple[str, ...]:
    return tuple(one for one in values if one != value)


def _become(asked: Query) -> None:
    address(**{name: asked.query().get(name) for name in PARAMETERS})

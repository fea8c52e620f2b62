"""The filters in force, as chips above the answers: each can be removed, and all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import streamlit as st

from ui.components.facets import value_label, with_state
from ui.render.html_tables import count
from ui.render.names import plain
from ui.state.query import FACETS, PARAMETERS, Query
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

    >>> asked = Query("q", ("de",), ("pdf",), ("",), (("author", "N. N."),), "2019", excluded=(("year", "2020"),))
    >>> [label for label, _ in filter_chips(asked)]
    ['Language: German', 'File type: PDF', 'Folder: (no folder)', 'Author: N. N.', 'Year: not 2020', 'From 2019']
    """
    if not asked.crosslingual:
        yield "Only the question's language", replace(asked, crosslingual=True)
    for facet in FACETS:
        for value in asked.included(facet):
            yield value_label(facet, value), with_state(asked, facet, value, "")
    for facet, value in asked.excluded:
        yield value_label(facet, value, excluded=True), with_state(asked, facet, value, "")
    if asked.documents:
        yield f"Only {count(len(asked.documents), 'document')}", replace(asked, documents=())
    if asked.since:
        yield f"From {asked.since}", replace(asked, since="")
    if asked.until:
        yield f"Until {asked.until}", replace(asked, until="")


def _become(asked: Query) -> None:
    address(**{name: asked.query().get(name) for name in PARAMETERS})

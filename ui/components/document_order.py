"""The order of documents that a reader steps through: that of the results, or that of the collection."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import streamlit as st

from ui.client.schemas import Answer, ApiError, Corpus, Passage
from ui.components.word_results import found_words
from ui.state.query import Query
from ui.state.reply_cache import get_listing, is_kept, outcome
from ui.state.url import address

Place = tuple[str, int | None, int | None]


def document_steps(corpus: Corpus, id: str, asked: Query) -> None:
    """Buttons to the previous and the next document; nothing for a single one."""
    places = document_order(corpus, asked)
    at = next((number for number, (document, _, _) in enumerate(places) if document == id), None)
    if at is None or len(places) < 2:
        return
    before, after = places[at - 1], places[(at + 1) % len(places)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="documents"):
        st.button("Previous document", on_click=partial(_go, *before), disabled=at == 0, type="tertiary")
        st.button("Next document", on_click=partial(_go, *after), disabled=at == len(places) - 1, type="tertiary")
        st.caption(f"Document {at + 1:,} of {len(places):,}", width="content")


def document_order(corpus: Corpus, asked: Query) -> list[Place]:
    """Each document once, with the first place in it, None without one.

    Of a question: as its answers and passages are ranked. Without one: as the collection lists its first documents.
    """
    try:
        if asked.question and asked.by_words:
            found = [(hit, hit.marks[0] if hit.marks else (hit.start, hit.end)) for hit in found_words(corpus, asked).hits]
            return _distinct((hit.document_id, start, end) for hit, (start, end) in found)
        if asked.question:
            reply = outcome(corpus, asked).reply if is_kept(corpus, asked) else None
            quoted: tuple[Answer | Passage, ...] = (*reply.answers, *reply.passages) if reply else ()
            return _distinct((one.document_id, one.start, one.end) for one in quoted)
        listing = get_listing(corpus.name, corpus.created, corpus.generation)
        return [(one.id, None, None) for one in listing.documents]
    except ApiError:
        return []


def _distinct(places: Iterable[Place]) -> list[Place]:
    first: dict[str, Place] = {}
    for place in places:
        first.setdefault(place[0], place)
    return list(first.values())


def _go(document: str, start: int | None, end: int | None) -> None:
    address(document=document, start=start, end=end, part=None, page=None, find=None)

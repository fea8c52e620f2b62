"""The results of a search by words: counts, passages with the words marked, and further pages."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from ui.client.schemas import Corpus, WordHit, WordHits
from ui.components.answer_cards import Documents, beside_link, where
from ui.components.selection import tick
from ui.render.highlight import FOUND, Mark, block, mark_html, name
from ui.render.html_tables import count
from ui.state.query import Query
from ui.state.reply_cache import get_cited, question_language
from ui.state.session import cached_by_key, client, show_problems
from ui.state.url import DOCUMENT, address, link, number

SHOWN, MOST = 20, 100
HELP = (
    'Both words: `bridge harbour`. A phrase: `"old bridge"`. Either: `bridge OR harbour`. Without: `bridge NOT harbour`. '
    'Beginning: `bridg*`. Near: `bridge NEAR/5 harbour`. A field: `language:de`, `author:"N. N."`.'
)


@cached_by_key(max_entries=64, ttl=600)
def find_words(
    corpus: str, created: str, generation: int, words: str, filters: dict[str, Any] | None, limit: int = MOST
) -> WordHits:
    """The first `limit` passages with the words, from one generation of a corpus. Raises ApiError."""
    return client().search_words(corpus, words, filters, limit=limit)


def found_words(corpus: Corpus, asked: Query) -> WordHits:
    """The hits that the page shows. Raises ApiError."""
    own = "" if asked.crosslingual else question_language(corpus.name, asked.question)
    return find_words(corpus.name, corpus.created, corpus.generation, asked.question, asked.filters(own), _limit())


def _limit() -> int:
    return min(MOST, max(SHOWN, number("shown") or SHOWN))


def show_word_results(corpus: Corpus, asked: Query) -> None:
    """Searches and shows what was found, or why the query cannot be understood."""
    limit = _limit()
    with show_problems():
        found = found_words(corpus, asked)
        ids = tuple(sorted({hit.document_id for hit in found.hits}))
        documents = get_cited(corpus.name, corpus.created, corpus.generation, ids)
    hits = {one.document_id: one.passages for one in found.by_document}
    st.html(f'<p class="docqa-count" role="status">{counts(found)}</p>')
    if not found.passages:
        st.caption(HELP)
    for hit in found.hits:
        _show_hit(corpus, asked, hit, hits.get(hit.document_id, 1), documents)
    if found.passages > len(found.hits) and limit < MOST:
        st.button("Show more", on_click=address, kwargs={"shown": limit + SHOWN})
    elif found.passages > len(found.hits):
        st.caption(f"The first {len(found.hits):,} of {found.passages:,} passages; more words or a filter narrow them.")


def counts(found: WordHits) -> str:
    """How much was found, as HTML."""
    if not found.passages:
        return "<strong>No passage has these words</strong>"
    return f"<strong>{count(found.passages, 'passage')}</strong> in {count(found.documents, 'document')}"


def _show_hit(corpus: Corpus, asked: Query, hit: WordHit, passages: int, documents: Documents) -> None:
    with st.container(border=True, key=f"hit-{hit.document_id}-{hit.start}"):
        st.html(hit_html(hit, documents, passages))
        start, end = hit.marks[0] if hit.marks else (hit.start, hit.end)
        place = {"corpus": corpus.name, "document": hit.document_id, "start": str(start), "end": str(end)}
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            beside_link(**place, **asked.query(), shown=number("shown"))
            link(DOCUMENT, "Open in the document", **place, **asked.query())
            tick(corpus, documents.get(hit.document_id), f"hit-{hit.document_id}-{hit.start}", labelled=True)


def hit_html(hit: WordHit, documents: Documents, passages: int) -> str:
    """A passage with its words marked, and the number of passages of its document, as HTML."""
    marked = mark_html(hit.text, [Mark(start, end, FOUND) for start, end in hit.marks], hit.start)
    text = block(re.sub(r"\n\s*\n", "\n", marked), hit.language)
    more = f'<p class="docqa-more">{passages:,} such passages in {name(hit.source)}</p>' if passages > 1 else ""
    return f'<article class="docqa-answer" tabindex="-1">{text}{where(hit, documents.get(hit.document_id))}{more}</article>'

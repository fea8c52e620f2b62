"""The page Document: the list of documents, and one of them with its answers marked."""

from __future__ import annotations

import streamlit as st

from ui.client.schemas import Corpus, ListedDocument
from ui.components.document_files import name_pattern
from ui.components.document_view import fetch_document, show_document
from ui.components.keyboard import arrows
from ui.render.names import language_name, plain
from ui.state.query import from_query
from ui.state.reply_cache import get_listing
from ui.state.session import pick_corpus, show_problems
from ui.state.url import DOCUMENT, address, follow, followed, link, parameter, parameters

LISTED = 50


def view() -> None:
    """Draws the page from its URL."""
    corpus = pick_corpus()
    id = parameter("document")
    if not id:
        choose(corpus)
        return
    with show_problems(stop=False):
        document = fetch_document(corpus.name, corpus.created, corpus.generation, id)
        show_document(corpus, document, from_query(parameter, parameters))
        arrows()
        return
    link(DOCUMENT, "All documents of the collection", corpus=corpus.name)


# -- list of documents -------------------------------------------------------------------------------------------------


def choose(corpus: Corpus) -> None:
    """Lists the documents of the corpus."""
    st.title("Documents")
    follow("wanted", parameter("find"), typed=True)
    wanted = st.text_input("Find a document", key="wanted", placeholder="Part of its name or title")
    address(find=followed("wanted", wanted))
    with show_problems():
        found, more = _found(corpus, wanted)
    for one in found[:LISTED]:
        title = f"{plain(one.title, isolate=True)} · " if one.title else ""
        with st.container(horizontal=True, vertical_alignment="center"):
            link(DOCUMENT, plain(one.source, isolate=True), corpus=corpus.name, document=one.id)
            st.caption(f"{title}{language_name(one.language)}, {one.characters:,} characters")
    count = f"{min(LISTED, len(found)):,} of {max(more, len(found)):,} documents"
    st.caption(count if found else "No document has that in its name or title.")


def _found(corpus: Corpus, wanted: str) -> tuple[list[ListedDocument], int]:
    """Documents with these words in name or title, and their number; only the first documents are searched by title."""
    first = get_listing(corpus.name, corpus.created, corpus.generation)
    words = wanted.casefold().split()
    found = [one for one in first.documents if all(word in f"{one.source} {one.title}".casefold() for word in words)]
    if not words or first.total == len(first.documents):
        return found, first.total if not words else 0
    named = get_listing(corpus.name, corpus.created, corpus.generation, name_pattern("*".join(words)).replace("[*]", "*"))
    known = {one.id for one in found}
    return [*found, *(one for one in named.documents if one.id not in known)], named.total


if __name__ == "__main__":
    view()

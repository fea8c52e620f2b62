"""One document: its whole text with marks, or the pages of a PDF or a picture with boxes; and the way from hit to hit."""

from __future__ import annotations

from functools import partial

import streamlit as st

from ui.client.http import Client
from ui.client.schemas import ApiError, Corpus, Document, Page, Reply
from ui.components.document_order import document_steps
from ui.components.hit_navigation import Hits, Span, hits_of, page_of, window
from ui.components.keyboard import bring
from ui.components.word_results import find_words
from ui.render.also_in import also_in
from ui.render.highlight import MAX_FOUND, block, escape_html, find, mark_html, name
from ui.render.names import language_name
from ui.state.query import Query
from ui.state.reply_cache import is_kept, outcome
from ui.state.session import cached_by_key, client, name_page, show_problem
from ui.state.url import ASK, DOCUMENT, address, follow, followed, link, number, parameter

VIEWS = ("Page", "Text")
DRAWN = ("pdf", "png", "jpg", "tiff", "webp")


@cached_by_key(max_entries=16)
def fetch_document(corpus: str, created: str, generation: int, id: str) -> Document:
    """A document with its text, cached per generation of the corpus. Raises ApiError."""
    return client().get_document(corpus, id)


def show_document(corpus: Corpus, document: Document, asked: Query, *, beside: bool = False) -> None:
    """Shows a document with marks and navigation. beside: next to the answers, on their page."""
    if not beside:
        name_page(str(document.meta.get("title") or "") or document.source)
    head(corpus, document, asked, beside=beside)
    order = st.container()
    found, has_more = search_hits(document)
    if found is None and asked.by_words and asked.question:
        found, has_more = word_hits(corpus, document.id, asked.question)
    span = span_of(document)
    reply = reply_for(corpus, document, asked, span)
    with order:
        document_steps(corpus, document.id, asked)
    hits = hits_of(reply, document.id, found, span)
    # An attachment of a mail or a member of an archive has no file of its own to draw pages of.
    as_page = bool(document.pages) and document.meta.get("file_type") in DRAWN and "parent" not in document.meta
    with st.container(horizontal=True, vertical_alignment="center", key="hits"):
        is_page = as_page and chosen_view() == VIEWS[0]
        steps(hits, span, has_more)
    if is_page:
        show_page(corpus, document, hits, span)
    else:
        show_text(document, hits, span)
    facts(document)


def span_of(document: Document) -> Span | None:
    """The span in the URL, if it is inside the text."""
    start, end = number("start"), number("end")
    if start is None or end is None or not start < end <= document.characters:
        return None
    return start, end


def head(corpus: Corpus, document: Document, asked: Query, *, beside: bool = False) -> None:
    """Title, facts and links of the document."""
    title = str(document.meta.get("title") or "") or document.source
    level = "h2" if beside else "h1"
    st.html(f'<{level} class="docqa-title">{name(title)}</{level}>')
    said = [name(document.source)] if title != document.source else []
    said += [escape_html(language_name(document.language)), f"{document.characters:,} characters"]
    said += [f"{document.page_count:,} page{'s' * (document.page_count > 1)}"] if document.page_count else []
    said += recognised_text(document)
    said += also_in(document.also_in)
    st.html(f'<div class="docqa-where">{"<span>·</span>".join(said)}</div>')
    with st.container(horizontal=True, vertical_alignment="center"):
        if asked.question:
            back = "Close" if beside else "Back to the answers"
            link(ASK, back, corpus=corpus.name, **asked.query(), order=parameter("order"))
        if beside:
            place = {name: parameter(name) for name in ("start", "end", "find")}
            link(DOCUMENT, "Open alone", corpus=corpus.name, document=document.id, **place, **asked.query())
        original = partial(_original, client(), corpus.name, document.id)
        file = document.source.rpartition("/")[2]
        st.download_button("Download the original", original, file_name=file, on_click="ignore")


def recognised_text(document: Document) -> list[str]:
    """How much of the text was recognised, as HTML; nothing for a document with its own text."""
    pages, confidence = document.meta.get("recognised_pages"), document.meta.get("recognition_confidence")
    if not document.meta.get("recognised") or not isinstance(pages, str):
        return []
    where = f" on page{'s' * (not pages.isdecimal())} {escape_html(pages)}" if document.page_count > 1 else ""
    sure = f", mean confidence {confidence:.0%}" if isinstance(confidence, (int, float)) else ""
    return [f"recognised text{where}{sure}"]


def _original(asker: Client, corpus: str, id: str) -> bytes:
    return asker.get_original(corpus, id).data


def reply_for(corpus: Corpus, document: Document, asked: Query, span: Span | None) -> Reply | None:
    """The reply to the question in the URL, None without one. The text is shown while the reply is computed."""
    if not asked.question or asked.by_words:
        return None
    place = st.empty()
    if not is_kept(corpus, asked):
        first, last = window(len(document.text), span, number("part"))
        marks = hits_of(None, document.id, None, span).marks
        with place.container():
            st.caption("Asking the question again, to mark all its answers here.")
            st.html(block(mark_html(document.text[first:last], marks, first), document.language, "whole"))
    try:
        return outcome(corpus, asked).reply
    except ApiError as error:
        show_problem(error)
        return None
    finally:
        place.empty()


def search_hits(document: Document) -> tuple[list[Span] | None, bool]:
    """Spans of the searched words, and whether there are more than MAX_FOUND; None without a search.

    A new search goes to its first hit.
    """
    follow("find", parameter("find"), typed=True)
    words = followed("find", st.text_input("Find in the text", key="find"))
    found = find(document.text, words, MAX_FOUND + 1) if words.strip() else None
    if words != parameter("find") or (found and number("start") is None):
        start, end = found[0] if found else (None, None)
        address(find=words, start=start, end=end, part=None, page=None)
    return (None, False) if found is None else (found[:MAX_FOUND], len(found) > MAX_FOUND)


def word_hits(corpus: Corpus, id: str, words: str) -> tuple[list[Span] | None, bool]:
    """The places of the words of a search in a document, and whether there are more.

    None instead of places if the query cannot be understood any more.
    """
    try:
        found = find_words(corpus.name, corpus.created, corpus.generation, words, {"document_id": id})
    except ApiError as error:
        show_problem(error)
        return None, False
    st.html(f'<p class="docqa-quiet">Marked: {name(words)}</p>')
    return sorted((start, end) for hit in found.hits for start, end in hit.marks), found.passages > len(found.hits)


def chosen_view() -> str:
    """Page or Text, kept in the URL."""
    follow("view", VIEWS[1] if parameter("view") == "text" else VIEWS[0])
    picked = st.segmented_control("View", VIEWS, key="view", label_visibility="collapsed", required=True)
    address(view="text" if followed("view", picked) == VIEWS[1] else None)
    return str(picked)


def steps(hits: Hits, span: Span | None, has_more: bool = False) -> None:
    """Buttons to the previous and the next hit."""
    if not hits.steps:
        st.caption("Nothing is marked in this text." if not parameter("find") else "Not found in this text.")
        return
    at = hits.at(span)
    st.button("Previous", on_click=partial(go, hits.next(span, -1)), disabled=len(hits.steps) == 1 and at == 0)
    st.button("Next", on_click=partial(go, hits.next(span, 1)), disabled=len(hits.steps) == 1 and at == 0)
    total = f"{len(hits.steps):,}{'+' * has_more}"
    st.markdown(f"Hit {at + 1:,} of {total}" if at is not None else f"{total} hit{'s' * (len(hits.steps) != 1)}")


def go(span: Span | None) -> None:
    """Selects another span."""
    if span is not None:
        address(start=str(span[0]), end=str(span[1]), part=None, page=None)


def show_text(document: Document, hits: Hits, span: Span | None) -> None:
    """The text, or the part around the span if it is very long."""
    first, last = window(len(document.text), span, number("part"))
    if (first, last) != (0, len(document.text)):
        _parts(first, last, len(document.text))
    st.html(block(mark_html(document.text[first:last], hits.marks, first), document.language, "whole"))
    if span is not None and first <= span[0] < last:
        bring("docqa-here", f"{span}")


def _parts(first: int, last: int, length: int) -> None:
    size = last - first
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Earlier text", on_click=lambda: address(part=str(max(0, first - size))), disabled=first == 0)
        st.button("Later text", on_click=lambda: address(part=str(last)), disabled=last == length)
        st.caption(f"Characters {first + 1:,} to {last:,} of {length:,}")


# -- pages of a PDF, and pictures --------------------------------------------------------------------------------------


def show_page(corpus: Corpus, document: Document, hits: Hits, span: Span | None) -> None:
    """A page of a PDF or a picture with a box around the span; its text if the box cannot be placed reliably."""
    usual = page_of(document.pages, span[0]) if span else 1
    at = min(max(1, number("page") or usual), document.page_count)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Page before", on_click=lambda: address(page=str(at - 1)), disabled=at == 1)
        st.button("Page after", on_click=lambda: address(page=str(at + 1)), disabled=at == document.page_count)
        st.caption(f"Page {at:,} of {document.page_count:,}")
    here = span if span and page_of(document.pages, span[0]) <= at <= page_of(document.pages, span[1] - 1) else None
    try:
        drawn = page_image(corpus.name, document.content_hash, document.id, at, here)
    except ApiError as error:
        show_problem(error)
        drawn = None
    if drawn is not None:
        st.html(page_html(drawn))
        if here is not None and drawn.exact:
            bring("docqa-box-0", f"{here}")
    if drawn is None or (here is not None and not drawn.exact):
        if drawn is not None:
            st.warning(
                "The exact place could not be found on the picture of this page; it is marked in the page's text below."
            )
        first = document.pages[at - 1]
        last = document.pages[at] if at < document.page_count else len(document.text)
        st.html(block(mark_html(document.text[first:last], hits.marks, first), document.language, "whole"))


@cached_by_key(max_entries=32)
def page_image(corpus: str, content_hash: str, id: str, page: int, span: Span | None) -> Page:
    """The image of a page with the boxes of a span. Raises ApiError."""
    start, end = span or (None, None)
    return client().get_page_image(corpus, id, page, start=start, end=end)


def page_html(page: Page) -> str:
    """The image with its boxes, at any width."""
    places = [
        f"left:{left:.4%};top:{top:.4%};width:{right - left:.4%};height:{bottom - top:.4%}"
        for left, top, right, bottom in page.boxes
    ]
    boxes = [f'<div class="docqa-box" id="docqa-box-{n}" style="{place}"></div>' for n, place in enumerate(places)]
    image = f'<img src="{escape_html(page.image)}" alt="Page {page.page}" width="{page.width}" height="{page.height}">'
    return f'<div class="docqa-page">{image}{"".join(boxes if page.exact else [])}</div>'


def facts(document: Document) -> None:
    """Shows the metadata of the document."""
    with st.expander("About this document"):
        known = {**document.meta, "id": document.id, "content hash": document.content_hash}
        rows = "".join(f"<tr><th>{name(str(key))}</th><td>{name(str(value))}</td></tr>" for key, value in known.items())
        st.html(f'<table class="docqa-why"><tbody>{rows}</tbody></table>')

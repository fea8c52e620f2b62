"""Cards of answers and passages, during streaming and when complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui.client.schemas import Answer, ApiError, Corpus, Event, ListedDocument, Passage, Reply, WordHit
from ui.components.feedback import correction_button, thumbs
from ui.components.score_explanation import named, why
from ui.components.selection import tick
from ui.render.also_in import also_in
from ui.render.answer_groups import (
    AnswerGroup,
    by_language,
    competing_answers,
    confidence,
    documents_say,
    group_answers,
    group_passages,
)
from ui.render.any_word import any_word
from ui.render.export import citation, citations, passages_read, table
from ui.render.highlight import ANSWER, SENTENCE, Mark, block, escape_html, excerpt, name, sentence
from ui.render.html_tables import count
from ui.render.names import language_name, plain
from ui.state.query import Query
from ui.state.reply_cache import CachedReply
from ui.state.session import client, show_problem
from ui.state.url import ASK, DOCUMENT, address, follow, followed, link, parameter, url

Documents = Mapping[str, ListedDocument]
WHILE_READING = 3
SHORT = 500
MORE, MOST_READ = 50, 100
RECOGNISED = (
    '<abbr title="Read from a picture, so letters can be wrong. Look at the page before you quote it.">'
    "recognised text</abbr>"
)
ORDERS = ("By confidence", "By language")


def show_progress(place: Any, event: Event) -> None:
    """Shows the progress of a streamed reply: passages read, best answers, closest passages."""
    with place.container():
        total = len(event.passages) or event.of
        if event.name == "passages":
            st.session_state["passages_coming"] = event.passages
            st.progress(0.0, f"Found {total} passage{'s' * (total != 1)}; reading them.")
        else:
            st.progress(event.read / max(1, event.of), f"Read {event.read} of {event.of} passages.")
        for answer in event.answers[:WHILE_READING]:
            st.html(answer_html(answer, _score(answer)))
        for passage in st.session_state.get("passages_coming", ())[:WHILE_READING]:
            st.html(passage_html(passage))


def show_answers(corpus: Corpus, asked: Query, found: CachedReply, documents: Documents) -> None:
    """Shows the complete reply to a question."""
    reply = found.reply
    if reply.no_answer.is_no_answer or not reply.answers:
        show_no_answer(asked, found)
        read_more(asked, reply)
        show_passages(corpus, asked, reply, documents)
    else:
        said = group_answers(reply.answers, reply.originals)
        show_disagreement(said)
        read_more(asked, reply)
        _grouped(corpus, asked, found, documents, said)
        with st.expander(f"The {len(reply.passages)} closest passages; {passages_read(reply)}"):
            show_passages(corpus, asked, reply, documents)
    tools(corpus, asked, found, documents)


def show_no_answer(asked: Query, found: CachedReply) -> None:
    """Shows that there is no answer in the passages that were read."""
    reply, verdict = found.reply, found.reply.no_answer
    limited = asked.is_filtered or bool(found.own)
    none = f"No answer in the {reply.passages_read} closest passages" if reply.passages else "No passage was found"
    about = "Only part of the documents was searched; filters are on." if limited else ""
    if reply.passages:
        facts = f"no-answer score {verdict.score:.2f}, threshold {verdict.threshold:.2f}"
        whole = reply.passages_read == reply.passages_retrieved < asked.retrieve
        read = "There are no other passages" if whole else "Another passage may have one"
        about = f"{read} ({facts}). {about} These are the closest:"
    st.html(f'<div class="docqa-none" role="status"><strong>{none}</strong><p>{about}</p></div>')


def show_disagreement(said: list[AnswerGroup]) -> None:
    """Shows the confident answers that compete, with the number of documents for each."""
    held = competing_answers(said)
    if held:
        parts = [
            f"{documents_say(count, first=number == 0)} <bdi><strong>{escape_html(short(text))}</strong></bdi>"
            for number, (count, text) in enumerate(held)
        ]
        st.html(f'<p class="docqa-against">{", ".join(parts)}.</p>')


def read_more(asked: Query, reply: Reply) -> None:
    """How many passages were read, with buttons that read the others, and further ones."""
    if not reply.passages_retrieved:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="reading"):
        st.html(f'<p class="docqa-quiet">{passages_read(reply)}</p>', width="content")
        if reply.passages_read < reply.passages_retrieved:
            st.button(f"Read all {reply.passages_retrieved}", on_click=_read, args=(asked.retrieve,), type="tertiary")
        more = min(MORE, MOST_READ - asked.retrieve)
        if more > 0 and reply.passages_retrieved == asked.retrieve:
            st.button(f"Read {more} more", on_click=_read, args=(asked.retrieve + more,), type="tertiary")
        words = any_word(asked.question)
        if reply.no_answer.is_no_answer and words:
            st.button(
                "Show passages with these words", on_click=address, kwargs={"q": words, "mode": "words"}, type="tertiary"
            )


def _read(passages: int) -> None:
    """Read this many passages, all of them."""
    address(read=passages, thorough=True)


def _grouped(corpus: Corpus, asked: Query, found: CachedReply, documents: Documents, said: list[AnswerGroup]) -> None:
    groups = by_language(said)
    if len(groups) > 1 and order() == ORDERS[1]:
        for language, items in groups.items():
            st.html(f'<h2 class="docqa-language">{escape_html(language_name(language))} <span>{len(items)}</span></h2>')
            _cards(corpus, asked, found, documents, items)
    else:
        _cards(corpus, asked, found, documents, said)


def _cards(corpus: Corpus, asked: Query, found: CachedReply, documents: Documents, said: list[AnswerGroup]) -> None:
    """Answers as cards, and those of low confidence, unless all are, in one line each."""
    all_low = all(confidence(one.best.score) == "low" for one in said)
    for one in said:
        if all_low or confidence(one.best.score) != "low":
            _card(corpus, asked, found, documents, one)
        else:
            _line(corpus, asked, documents, one.best)


def _line(corpus: Corpus, asked: Query, documents: Documents, answer: Answer) -> None:
    """An answer of low confidence in one line, with a link to its place."""
    key = f"low-{answer.document_id}-{answer.start}-{answer.end}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=key):
        said = f'<span dir="auto" lang="{escape_html(answer.language)}">{escape_html(short(answer.text))}</span>'
        about = where(answer, documents.get(answer.document_id))
        st.html(f'<article class="docqa-answer docqa-line" tabindex="-1">{said}{_score(answer)}{about}</article>')
        _document_link("Open", corpus, asked, answer)
        tick(corpus, documents.get(answer.document_id), key)


def order() -> str:
    """The selected order, one of ORDERS; kept in the URL."""
    follow("order", ORDERS[1] if parameter("order") == "language" else ORDERS[0])
    picked = st.segmented_control("Order", ORDERS, key="order", label_visibility="collapsed", required=True)
    address(order="language" if followed("order", picked) == ORDERS[1] else None)
    return str(picked)


def _card(corpus: Corpus, asked: Query, found: CachedReply, documents: Documents, said: AnswerGroup) -> None:
    """One answer with the documents that support it."""
    best, key = said.best, f"{said.best.document_id}-{said.best.start}-{said.best.end}"
    with st.container(border=True, key=f"answer-{key}"):
        st.html(answer_html(best, _score(best), _support(said), documents.get(best.document_id)))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _document_link("Open in the document", corpus, asked, best)
            thumbs(corpus, asked.question, best)
            _copy_button(corpus, asked, best, documents.get(best.document_id))
            tick(corpus, documents.get(best.document_id), key, labelled=True)
            if best.passage is not None:
                correction_button(corpus, asked.question, best.passage, (best.start, best.end), f"span-{key}")
        if len(said.places) > 1:
            with st.expander(f"Said in {len(said.places)} places"):
                for place in said.places:
                    st.html(answer_html(place, _score(place), _copy(said, place), documents.get(place.document_id)))
                    _document_link("Open in the document", corpus, asked, place)
        with st.expander("Why this answer"):
            st.html(why(best, found))


def _copy_button(corpus: Corpus, asked: Query, answer: Answer, document: ListedDocument | None) -> None:
    """A button that copies the citation of an answer; the script of the keys does it."""
    there = url(DOCUMENT, **_place(corpus, asked, answer.document_id, answer.start, answer.end))
    cited = escape_html(citation(answer, document.meta if document else {}, there))
    button = f'<button type="button" class="docqa-copy" data-citation="{cited}">Copy citation</button>'
    st.html(f'<span class="docqa-copying">{button}<span role="status"></span></span>', width="content")


def _score(answer: Answer) -> str:
    words = confidence(answer.score)
    return f'<span class="docqa-score docqa-{words}">{words} confidence <b>{answer.score:.2f}</b></span>'


def _support(said: AnswerGroup) -> str:
    if said.documents < 2:
        return ""
    languages = ", ".join(
        f"{escape_html(language_name(code))}{f' {count}' if count > 1 else ''}" for code, count in said.languages.items()
    )
    return f'<span class="docqa-support">{said.documents} documents say so: {languages}</span>'


def _copy(said: AnswerGroup, place: Answer) -> str:
    """Says of which document the text of this occurrence is a copy, as HTML; "" for an original."""
    original = said.original(place)
    if original == place.document_id:
        return ""
    source = next((one.source for one in said.places if one.document_id == original), "")
    return (
        f'<span class="docqa-support">copy of {name(source)}</span>' if source else '<span class="docqa-support">copy</span>'
    )


def answer_html(answer: Answer, score: str, support: str = "", document: ListedDocument | None = None) -> str:
    """An answer as HTML: its text, confidence, and sentence in context. score, support: HTML."""
    lang = escape_html(answer.language)
    head = f'<span class="docqa-said" dir="auto" lang="{lang}">{escape_html(answer.text)}</span>{score}{support}'
    text = ""
    if answer.passage is not None:
        passage = answer.passage
        first, last = sentence(passage.text, answer.start - passage.start, answer.end - passage.start)
        marks = [Mark(first + passage.start, last + passage.start, SENTENCE), Mark(answer.start, answer.end, ANSWER)]
        text = excerpt(passage.text, marks, passage.start, (first + passage.start, last + passage.start), answer.language)
    about = where(answer, document)
    return f'<article class="docqa-answer" tabindex="-1"><header>{head}</header>{text}{about}</article>'


def passage_html(passage: Passage, document: ListedDocument | None = None) -> str:
    """A passage as HTML, truncated if long."""
    text = re.sub(r"\n\s*\n", "\n", escape_html(short(passage.text, SHORT)))
    lacks = f'<p class="docqa-lacks">Not in this passage: {named(passage.missing)}</p>' if passage.missing else ""
    return f'<article class="docqa-passage">{block(text, passage.language)}{lacks}{where(passage, document)}</article>'


def short(text: str, size: int = 80) -> str:
    """The text, truncated with an ellipsis.

    >>> short("abcdef", 3)
    'abc…'
    """
    return text if len(text) <= size else text[:size].rstrip() + "…"


def where(item: Answer | Passage | WordHit, document: ListedDocument | None = None) -> str:
    """Source, page, language and date, as HTML."""
    facts = [name(item.source)]
    if document is not None and document.title and document.title != item.source:
        facts.insert(0, name(document.title))
    facts += [f"page {item.page}"] if item.page else []
    facts.append(escape_html(language_name(item.language)))
    facts += [RECOGNISED] if item.recognised else []
    dated = str(document.meta.get("date") or "") if document is not None else ""
    facts += [f"<time>{escape_html(dated)}</time>"] if dated else []
    passage = item.passage if isinstance(item, Answer) else item
    facts += also_in(passage.also_in if isinstance(passage, Passage) else ())
    return f'<footer class="docqa-where">{"<span>·</span>".join(facts)}</footer>'


def show_passages(corpus: Corpus, asked: Query, reply: Reply, documents: Documents) -> None:
    """Shows passages, closest first, each with a link to its document; those of copies together."""
    for first, *others in group_passages(reply.passages, reply.originals):
        key = f"{first.document_id}-{first.start}"
        with st.container(border=True, key=f"passage-{key}"):
            st.html(passage_html(first, documents.get(first.document_id)))
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                _document_link("Open in the document", corpus, asked, first)
                correction_button(corpus, asked.question, first, None, f"passage-span-{key}")
                tick(corpus, documents.get(first.document_id), f"passage-{key}", labelled=True)
            if others:
                with st.expander(f"The same in {count(len(others), 'copy', 'copies')}"):
                    for passage in others:
                        st.html(where(passage, documents.get(passage.document_id)))
                        _document_link("Open in the document", corpus, asked, passage)


def _document_link(label: str, corpus: Corpus, asked: Query, item: Answer | Passage) -> None:
    place = _place(corpus, asked, item.document_id, item.start, item.end)
    beside_link(**place)
    link(DOCUMENT, label, **place)


def beside_link(**place: Any) -> None:
    """A link that shows a place of a document beside the list; the style sheet hides it on narrow screens."""
    link(ASK, "Show beside", **place)


def _place(corpus: Corpus, asked: Query, document_id: str, start: int, end: int) -> dict[str, Any]:
    place = {"corpus": corpus.name, "document": document_id, "start": str(start), "end": str(end)}
    return {**place, **asked.query(), "order": parameter("order")}


def tools(corpus: Corpus, asked: Query, found: CachedReply, documents: Documents) -> None:
    """Downloads of the results, and the button that saves the question."""
    reply = found.reply

    def address_of(document_id: str, start: int, end: int) -> str:
        return url(DOCUMENT, **_place(corpus, asked, document_id, start, end))

    metas = {id: document.meta for id, document in documents.items()}
    with st.container(horizontal=True, key="tools"):
        st.download_button("Results as CSV", table(reply, address_of), "results.csv", "text/csv", on_click="ignore")
        listed = citations(reply, metas, address_of)
        st.download_button(
            "Citation list", listed.encode("utf-8", "replace"), "citations.txt", "text/plain", on_click="ignore"
        )
        if st.button("Save this question"):
            _save(corpus, asked, found)
    used = ", ".join(f"{kind} {plain(model)}" for kind, model in reply.models.items())
    st.caption(f"{reply.timings_ms.get('total', 0):,.0f} ms · question in {language_name(reply.language)} · {used}")


def _save(corpus: Corpus, asked: Query, found: CachedReply) -> None:
    try:
        client().save_question(corpus.name, asked.question, asked.filters(found.own), asked.settings())
    except ApiError as error:
        show_problem(error)
    else:
        st.success("Saved. The page Saved questions asks it again and shows what changed.")

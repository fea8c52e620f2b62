"""The page Ask: one question box; passages appear first, answers as they are read."""

from __future__ import annotations

import streamlit as st

from ui.client.schemas import Answer, Corpus, Passage
from ui.components.answer_cards import show_answers, show_progress
from ui.components.filter_sidebar import choose
from ui.components.keyboard import arrows
from ui.components.result_slot import ResultSlot
from ui.state.query import PARAMETERS, QUESTION_CHARACTERS, Query, from_query
from ui.state.reply_cache import get_cited, outcome
from ui.state.session import pick_corpus, show_problems
from ui.state.url import address, follow, followed, parameter, parameters


def page() -> None:
    """Draws the page from its URL."""
    asked = from_query(parameter, parameters)
    question = box(asked)
    slot = ResultSlot()
    slot.leave(question, str(st.session_state.get("corpus_picked", "")))
    corpus = pick_corpus()
    asked = choose(corpus, asked, question)
    address(**{name: asked.query().get(name) for name in PARAMETERS})
    place = slot.open(asked.question, corpus.name, corpus.created, corpus.generation, asked)
    if corpus.documents == 0:
        st.info("This collection has no documents yet. Upload some on the page Collections.")
    elif not asked.question:
        about(corpus)
    else:
        with place:
            results(corpus, asked)
    arrows()


def box(asked: Query) -> str:
    """The question box; returns the submitted question."""
    follow("question", asked.question)
    with st.form("ask", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Question",
            key="question",
            max_chars=QUESTION_CHARACTERS,
            placeholder="Ask a question, in any language",
            label_visibility="collapsed",
            autocomplete="off",
        )
        st.form_submit_button("Ask", type="primary")
    return str(followed("question", typed.strip()))


def about(corpus: Corpus) -> None:
    """Describes the corpus before the first question."""
    count, languages = corpus.documents, len(corpus.languages)
    st.html(
        f'<p class="docqa-quiet">{count:,} document{"s" * (count != 1)} in {languages} language{"s" * (languages != 1)}.'
        " Answers are quoted from them, each marked in its place.</p>"
    )


def results(corpus: Corpus, asked: Query) -> None:
    """Shows the answers, or that there is none."""
    place = st.empty()
    with show_problems():
        found = outcome(corpus, asked, lambda event: show_progress(place, event))
        place.empty()
        quoted: tuple[Answer | Passage, ...] = (*found.reply.answers, *found.reply.passages)
        ids = {one.document_id for one in quoted}
        documents = get_cited(corpus.name, corpus.created, corpus.generation, tuple(sorted(ids)))
    show_answers(corpus, asked, found, documents)


if __name__ == "__main__":
    page()

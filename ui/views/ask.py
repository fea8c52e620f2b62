"""The page Ask: one question box; passages appear first, answers as they are read."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from ui.client.schemas import Answer, Corpus, Passage
from ui.components.answer_cards import show_answers, show_progress
from ui.components.delete_dialog import confirm_deletion
from ui.components.document_view import fetch_document, show_document
from ui.components.filter_chips import show_chips
from ui.components.filter_sidebar import choose
from ui.components.history import show_history
from ui.components.keyboard import arrows
from ui.components.result_slot import ResultSlot
from ui.components.selection import selection_bar
from ui.components.start import has_corpora, show_indexing, show_questions, show_start
from ui.components.word_results import HELP, show_word_results
from ui.render.names import plain
from ui.state.query import PARAMETERS, QUESTION_CHARACTERS, TYPED_CHARACTERS, Query, from_query
from ui.state.reply_cache import get_cited, outcome
from ui.state.session import name_page, pick_corpus, show_problems
from ui.state.url import ASK, address, follow, followed, link, parameter, parameters

MODES = ("Ask", "Search")
# What the URL says of the document beside the list.
BESIDE = ("document", "start", "end", "part", "page", "view", "find")
PLACEHOLDERS = ("Ask a question, in any language", 'Search for words: "old bridge" OR tow*')


def page() -> None:
    """Draws the page from its URL."""
    asked = from_query(parameter, parameters)
    if not asked.question and not parameter("corpus") and not has_corpora():
        show_start()
        return
    first = st.container()
    asked = replace(asked, by_words=mode(asked))
    with first:
        question = box(asked)
    chips = st.container()
    if question != asked.question:
        address(**dict.fromkeys(BESIDE))
    beside = parameter("document") if question else ""
    listed, document = st.columns((5, 6), gap="medium") if beside else (st.container(), None)
    with listed:
        slot = ResultSlot()
    if question:
        name_page(question)
    slot.leave((question, asked.by_words), str(st.session_state.get("corpus_picked", "")))
    corpus = pick_corpus()
    asked = choose(corpus, asked, question)
    address(**{name: asked.query().get(name) for name in PARAMETERS})
    with chips:
        show_chips(asked)
        if told := st.session_state.pop("told", ""):
            st.success(plain(told))
        selection_bar(corpus, asked)
    place = slot.open((asked.question, asked.by_words), corpus.name, corpus.created, corpus.generation, asked)
    show_history(corpus, asked)
    if corpus.documents == 0 and show_indexing(corpus):
        pass
    elif corpus.documents == 0:
        st.info("This collection has no documents yet. Upload some on the page Collections.")
    elif not asked.question:
        about(corpus)
        show_questions(corpus)
        if asked.by_words:
            st.caption(HELP)
    elif asked.by_words:
        with place:
            show_word_results(corpus, asked)
    elif len(asked.question) > QUESTION_CHARACTERS:
        st.warning(too_long(asked.question))
    else:
        with place:
            results(corpus, asked)
    if document is not None:
        with document, st.container(key="beside"):
            show_beside(corpus, beside, asked)
    arrows()
    confirm_deletion()


def show_beside(corpus: Corpus, id: str, asked: Query) -> None:
    """Shows the document of the URL beside the list."""
    with show_problems(stop=False):
        document = fetch_document(corpus.name, corpus.created, corpus.generation, id)
        show_document(corpus, document, asked, beside=True)
        return
    link(ASK, "Close", corpus=corpus.name, **asked.query())


def mode(asked: Query) -> bool:
    """Whether the box searches by words; the choice Ask or Search, kept in the URL."""
    follow("mode", MODES[asked.by_words])
    picked = st.segmented_control("What the box does", MODES, key="mode", label_visibility="collapsed", required=True)
    if followed("mode", picked) != MODES[asked.by_words]:
        address(mode="words" if picked == MODES[1] else None, shown=None)
    return bool(picked == MODES[1])


def box(asked: Query) -> str:
    """The question box; returns the submitted question."""
    follow("question", asked.question, typed=True)
    with st.form("ask", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            "Question",
            key="question",
            max_chars=TYPED_CHARACTERS,
            placeholder=PLACEHOLDERS[asked.by_words],
            label_visibility="collapsed",
            autocomplete="off",
        )
        st.form_submit_button(MODES[asked.by_words], type="primary")
    return str(followed("question", typed.strip()))


def too_long(question: str) -> str:
    """What to do about a question of more than QUESTION_CHARACTERS characters; nothing of it is cut off silently."""
    most, more = QUESTION_CHARACTERS, len(question) - QUESTION_CHARACTERS
    return f"The question has {len(question):,} characters, and {most} are the most. Shorten it by {more:,}."


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

"""The page Saved questions: runs them again and shows only what changed."""

from __future__ import annotations

import streamlit as st

from ui.client.schemas import Answer, ApiError, Change, Corpus, SavedQuestion
from ui.components.answer_cards import where
from ui.render.answer_groups import confidence
from ui.render.highlight import ANSWER, SENTENCE, Mark, escape_html, excerpt, name, sentence
from ui.render.html_tables import STYLE, count, facts, heading, when
from ui.render.names import plain
from ui.state.query import RETRIEVE, TOP_K
from ui.state.saved_filters import filter_words, query_of
from ui.state.session import client, pick_corpus, show_problem, show_problems
from ui.state.url import ASK, DOCUMENT, link


def page() -> None:
    """Lists the saved questions of a corpus, each with the changes of its last run."""
    st.html(STYLE)
    corpus = pick_corpus()
    st.title("Saved questions")
    with show_problems():
        saved = client().list_saved_questions(corpus.name)
        jobs = [job for job in client().list_jobs(corpus.name) if job.kind == "index" and job.state == "done"]
    if not saved:
        st.info("No question is saved for this collection. Ask one, then save it below its answers.")
        link(ASK, "Ask", corpus=corpus.name)
        return
    changed = max((job.ended or "" for job in jobs), default="")
    stale = {question.id for question in saved if question.ran and question.ran < changed}
    _all(corpus, saved, len(stale))
    for question in saved:
        entry(corpus, question, question.id in stale)


def _changes() -> dict[str, Change]:
    """The changes found by the runs of this session, by question."""
    kept: dict[str, Change] = st.session_state.setdefault("changes", {})
    return kept


def _all(corpus: Corpus, saved: tuple[SavedQuestion, ...], stale: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Ask all again", type="primary")
        if stale:
            st.caption(f"Documents were added or removed since {count(stale, 'of these was', 'of these were')} asked.")
    if not pressed:
        return
    bar = st.progress(0.0)
    for number, question in enumerate(saved):
        bar.progress(number / len(saved), f"{number + 1:,} of {len(saved):,}: {plain(question.question, isolate=True)}")
        if not _run(corpus, question):
            return
    bar.empty()
    st.rerun()


def _run(corpus: Corpus, question: SavedQuestion) -> bool:
    """Runs a question again and stores the change; returns whether that succeeded."""
    try:
        _changes()[question.id] = client().run_saved_question(corpus.name, question.id)
    except ApiError as error:
        show_problem(error)
        return False
    return True


def entry(corpus: Corpus, question: SavedQuestion, stale: bool) -> None:
    """One question: filters, buttons, changes."""
    with st.container(border=True, key=f"saved-{question.id}"):
        st.html(f"{heading(escape_html(question.question))}{facts(_about(question, stale))}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            again = st.button("Ask again", key=f"run-{question.id}")
            _ask_link(corpus, question)
            gone = st.button("Delete", key=f"forget-{question.id}", type="tertiary")
        if again:
            with st.spinner("Asking."):
                if _run(corpus, question):
                    st.rerun()
        if gone:
            _forget(corpus, question)
        if question.id in _changes():
            show_change(corpus, question, _changes()[question.id])
        _stored(corpus, question)


def _stored(corpus: Corpus, question: SavedQuestion) -> None:
    """The current answers, and what changed in them until it is marked as seen."""
    if question.new or question.gone:
        parts = [
            f"{len(question.new):,} new" if question.new else "",
            f"{len(question.gone):,} gone" if question.gone else "",
        ]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**Changed: {', '.join(part for part in parts if part)}**", width="content")
            st.button("Seen", key=f"seen-{question.id}", on_click=_see, args=(corpus.name, question.id))
        for answer in question.gone:
            st.html(f'<p class="docqa-more"><span class="docqa-gone">{name(answer.text)}</span> {name(answer.source)}</p>')
    spans = {(answer.document_id, answer.start) for answer in question.new}
    with st.expander(f"Answers now: {len(question.answers):,}" if question.ran else "Answers: not asked yet"):
        for answer in question.answers:
            is_new = " <b>new</b>" if (answer.document_id, answer.start) in spans else ""
            st.html(f'<div class="docqa-more"><strong>{name(answer.text)}</strong>{is_new}{where(answer)}</div>')


def _see(corpus: str, id: str) -> None:
    try:
        client().see_saved_question(corpus, id)
        _changes().pop(id, None)
    except ApiError as error:
        st.toast(plain(error.detail))


def _about(question: SavedQuestion, stale: bool) -> list[str]:
    settings = question.settings
    usual = {"top_k": TOP_K, "retrieve": RETRIEVE, "thorough": False}
    own = [
        f"{escape_html(key.replace('_', ' '))} {escape_html(str(held))}"
        for key, held in settings.items()
        if held != usual.get(key)
    ]
    ran = f"asked {escape_html(when(question.ran))}" if question.ran else "not asked yet"
    return [escape_html(filter_words(question.filters)), *own, ran, "<b>documents changed since</b>" if stale else ""]


def _ask_link(corpus: Corpus, question: SavedQuestion) -> None:
    """A link to the page Ask with the same filters, if that page can express them."""
    asked = query_of(question.question, question.filters, question.settings)
    if asked is not None:
        link(ASK, "Open in Ask", corpus=corpus.name, **asked.query())


def _forget(corpus: Corpus, question: SavedQuestion) -> None:
    try:
        client().delete_saved_question(corpus.name, question.id)
    except ApiError as error:
        show_problem(error)
        return
    _changes().pop(question.id, None)
    st.rerun()


# -- what changed ------------------------------------------------------------------------------------------------------


def show_change(corpus: Corpus, question: SavedQuestion, change: Change) -> None:
    """Shows new and disappeared answers."""
    st.markdown(f"**{change_words(change)}**")
    for answer in change.new:
        st.html(_new(answer))
        place = {"document": answer.document_id, "start": answer.start, "end": answer.end, "q": question.question}
        link(DOCUMENT, "Open in the document", corpus=corpus.name, **place)
    for answer in change.gone:
        st.html(
            f'<article class="docqa-passage"><span class="docqa-gone">{name(answer.text)}</span>{where(answer)}</article>'
        )


def change_words(change: Change) -> str:
    """The change in one line."""
    same = f"{count(change.same, 'answer')} as before" if change.same else ""
    if change.since is None:
        return (
            f"Asked for the first time: {count(len(change.new), 'answer')}."
            if change.new
            else "No answer in the closest passages."
        )
    parts = [f"{len(change.new):,} new" if change.new else "", f"{len(change.gone):,} gone" if change.gone else "", same]
    if not change.new and not change.gone:
        return f"Nothing changed since {when(change.since)}: {same or 'no answer in the closest passages'}."
    return f"Since {when(change.since)}: {', '.join(part for part in parts if part)}."


def _new(answer: Answer) -> str:
    words = confidence(answer.score)
    score = f'<span class="docqa-score docqa-{words}">{words} confidence <b>{answer.score:.2f}</b></span>'
    said = f'<span class="docqa-said" dir="auto" lang="{escape_html(answer.language)}">{escape_html(answer.text)}</span>'
    shown = ""
    if (passage := answer.passage) is not None:
        first, last = sentence(passage.text, answer.start - passage.start, answer.end - passage.start)
        span = (first + passage.start, last + passage.start)
        marks = [Mark(*span, SENTENCE), Mark(answer.start, answer.end, ANSWER)]
        shown = excerpt(passage.text, marks, passage.start, span, answer.language)
    return f'<article class="docqa-answer"><header>{said}{score}</header>{shown}{where(answer)}</article>'


page()

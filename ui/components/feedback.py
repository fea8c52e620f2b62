"""Feedback on answers: right, wrong, or corrected."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from ui.client.schemas import Answer, ApiError, Corpus, Feedback, Passage
from ui.components.text_selection import pick
from ui.render.highlight import ANSWER, Mark, block, mark_html, name
from ui.render.names import plain
from ui.state.session import client, show_problem

WRONG, RIGHT = 0, 1


def thumbs(corpus: Corpus, question: str, answer: Answer) -> None:
    """Thumbs up or down for an answer; pressing again removes the feedback."""
    key = f"thumbs-{corpus.name}-{question}-{answer.document_id}-{answer.start}-{answer.end}"
    known = _judged(corpus).get((question, answer.document_id, answer.start, answer.end))
    if known is not None and key not in st.session_state:
        st.session_state[key] = RIGHT if known.verdict == "right" else WRONG
        st.session_state.setdefault("said", {})[key] = known.id
    st.feedback("thumbs", key=key, on_change=partial(_send, corpus.name, question, answer, key))


def _judged(corpus: Corpus) -> dict[Any, Feedback]:
    """The newest judgement of each answer of a collection, as stored when the session first showed it."""
    kept: dict[str, dict[Any, Feedback]] = st.session_state.setdefault("judged", {})
    if corpus.name not in kept:
        try:
            stored = [one for one in client().list_feedback(corpus.name) if one.verdict in ("right", "wrong")]
        except ApiError as error:
            st.toast(plain(error.detail))
            stored = []
        kept[corpus.name] = {(one.question, one.document_id, one.start, one.end): one for one in reversed(stored)}
    return kept[corpus.name]


def _send(corpus: str, question: str, answer: Answer, key: str) -> None:
    said: dict[str, str] = st.session_state.setdefault("said", {})
    pressed = st.session_state.get(key)
    try:
        if key in said:
            client().delete_feedback(corpus, said.pop(key))
        if pressed in (RIGHT, WRONG):
            verdict = "right" if pressed == RIGHT else "wrong"
            span: dict[str, Any] = {"start": answer.start, "end": answer.end, "text": answer.text}
            said[key] = client().add_feedback(corpus, question, verdict, document_id=answer.document_id, **span).id
            st.toast(f"Noted as {verdict}. Press it again to undo.")
    except ApiError as error:
        st.toast(plain(error.detail))


def correction_button(corpus: Corpus, question: str, passage: Passage, span: tuple[int, int] | None, key: str) -> None:
    """A button that opens the correction dialog."""
    if st.button("Correct this answer", key=key, type="tertiary"):
        correct_answer(corpus, question, passage, span)


@st.dialog("Correct this answer", width="large")
def correct_answer(corpus: Corpus, question: str, passage: Passage, span: tuple[int, int] | None) -> None:
    """A dialog in which the user selects the right answer in the passage."""
    st.html(f'<p class="docqa-quiet">{name(question)}</p>')
    st.caption("Select the words in the passage that answer the question, then save.")
    first, last = (span[0] - passage.start, span[1] - passage.start) if span else (0, 0)
    picked = pick(passage.text, (first, last), passage.language, key=f"pick-{passage.document_id}-{passage.start}-{first}")
    if picked is None:
        return
    start, end = passage.start + picked[0], passage.start + picked[1]
    selected = mark_html(passage.text[picked[0] : picked[1]], [Mark(start, end, ANSWER)], start)
    st.html(f'<p class="docqa-quiet">Selected:</p>{block(selected, passage.language, "picked")}')
    if st.button("Save this span", type="primary"):
        try:
            client().add_feedback(
                corpus.name,
                question,
                "corrected",
                document_id=passage.document_id,
                start=start,
                end=end,
                text=passage.text[picked[0] : picked[1]],
            )
            st.success("Saved.")
        except ApiError as error:
            show_problem(error)

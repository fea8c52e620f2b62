"""The start: what an empty home shows, the example documents, and questions about them to click."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import streamlit as st

from ui.client.schemas import ENDED, ApiError, Corpus, Job
from ui.components.job_progress import ended_badly, watch
from ui.render.highlight import escape_html
from ui.render.names import plain
from ui.state.session import client, show_problem, show_problems
from ui.state.url import ASK, CORPORA, address, link, parameter

MARK = Path(__file__).parent.parent / "icon.svg"
# Beside the page where it runs from a checkout; an installed page has no example documents to offer.
EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "corpus"
NAME, TITLE = "examples", "Example documents"
QUESTIONS = (
    "When was Kestrel Bridge opened?",
    "¿Cuánto cuesta la entrada al museo de la mina?",
    "灯台を設計した技師の名前は何ですか。",
    "كم يدفع سكان فورن الذين يحملون البطاقة الزرقاء ثمنًا للتذكرة؟",
    "माउंट ओर्वेथ की ऊँचाई कितनी है?",
)
ABOUT = "Ask your documents in any language. Every answer is quoted from them, and marked in its place."


def show_start() -> None:
    """What a home without collections shows: the name, one sentence, and two ways to begin."""
    mark = base64.b64encode(MARK.read_bytes()).decode()
    image = f'<img src="data:image/svg+xml;base64,{mark}" alt="">'
    st.html(f'<div class="docqa-start">{image}<h1>docqa</h1><p>{escape_html(ABOUT)}</p></div>')
    with st.container(horizontal=True, horizontal_alignment="center", key="start"):
        if EXAMPLES.is_dir():
            st.button("Try with the example documents", type="primary", on_click=_begin)
        link(CORPORA, "Upload your own")


def _begin() -> None:
    """Create the collection of examples and upload them; its page shows the progress."""
    try:
        client().create_corpus(NAME, title=TITLE)
        sent = client().upload(NAME, [("examples.zip", _packed())])
    except ApiError as error:
        st.toast(plain(error.detail))
        return
    address(corpus=NAME, job=sent.job.id if sent.job else None)


def _packed() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(EXAMPLES.rglob("*.*")):
            archive.write(path, path.relative_to(EXAMPLES))
    return packed.getvalue()


def show_indexing(corpus: Corpus) -> bool:
    """Shows the job in the URL while it indexes this collection; returns whether it is still running."""
    id = parameter("job")
    if not id:
        return False
    with show_problems(stop=False):
        job: Job = client().get_job(id)
        if job.state not in ENDED:
            st.html('<p class="docqa-quiet" role="status">The example documents are read; this takes some seconds.</p>')
            watch(job)
            return True
        ended_badly(job)
    address(job=None)
    return False


def show_questions(corpus: Corpus) -> None:
    """Questions about the example documents, in five languages."""
    if corpus.name != NAME or corpus.title != TITLE:
        return
    with st.container(key="example-questions"):
        for question in QUESTIONS:
            link(ASK, plain(question, isolate=True), corpus=corpus.name, q=question)


def has_corpora() -> bool:
    """Whether there is any collection; an error of the service is shown and ends the page."""
    try:
        return bool(client().list_corpora())
    except ApiError as error:
        show_problem(error)
        st.stop()

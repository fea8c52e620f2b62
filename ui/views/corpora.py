"""The page Collections: list, status, files, uploads with reports, deletion."""

from __future__ import annotations

from functools import partial

import streamlit as st

from ui.client.schemas import ENDED, Corpus
from ui.components.create_corpus import show_form
from ui.components.delete_dialog import Deletion, confirm_deletion, delete_button, forget
from ui.components.document_files import show_files, show_skipped, show_upload
from ui.render.highlight import escape_html, name
from ui.render.html_tables import STYLE, count, facts, figure, size, table, text, when
from ui.render.names import language_name, plain
from ui.state.session import client, show_problems
from ui.state.url import ASK, CORPORA, address, link, parameter

LANGUAGES_SHOWN = 8
COLUMNS = ("Language", "Documents", "Passages")


def page() -> None:
    """Shows the corpus in the URL, or all of them."""
    st.html(STYLE)
    if told := st.session_state.pop("told", ""):
        st.success(plain(told))
    if wanted := parameter("corpus"):
        one(wanted)
    else:
        overview()


# -- all corpora -------------------------------------------------------------------------------------------------------


def overview() -> None:
    """Lists all corpora with their state, and a form to create one."""
    forget()
    st.title("Collections")
    with show_problems():
        corpora, models = client().list_corpora(), client().list_models()
        busy = {job.corpus for job in client().list_jobs(limit=1_000) if job.state not in ENDED}
    for corpus in corpora:
        with st.container(border=True, key=f"corpus-{corpus.name}"):
            st.html(
                f'<div class="docqa-entry">{name(corpus.title or corpus.name)}</div>{state(corpus, corpus.name in busy)}'
            )
            with st.container(horizontal=True, gap="medium"):
                link(CORPORA, "Open", corpus=corpus.name)
                link(ASK, "Ask", corpus=corpus.name)
    if not corpora:
        st.info("There is no collection yet. Create one, then upload documents to it.")
    show_form([model for model in models if model.kind == "embedder"], is_first=not corpora)


def state(corpus: Corpus, busy: bool = False) -> str:
    """Counts of a corpus by language, as HTML."""
    held = list(_languages(corpus).items())
    shown = [f"{escape_html(language_name(code))} {counts['documents']:,}" for code, counts in held[:LANGUAGES_SHOWN]]
    more = len(held) - LANGUAGES_SHOWN
    about = [
        escape_html(corpus.name),
        count(corpus.documents, "document"),
        count(corpus.passages, "passage"),
        size(corpus.bytes),
        deepened(corpus),
        "<b>being indexed or asked now</b>" if busy else "",
    ]
    return facts(about) + facts([*shown, f"and {count(more, 'more language')}" if more > 0 else ""])


def deepened(corpus: Corpus) -> str:
    """How far the second tier is, while it is not complete: until then questions across languages find less."""
    share = corpus.deepened
    return "" if share is None or share >= 1 else f"deepened {int(100 * share)} %"


def _languages(corpus: Corpus) -> dict[str, dict[str, int]]:
    """The languages, by descending number of documents."""
    return dict(sorted(corpus.languages.items(), key=lambda item: (-item[1]["documents"], item[0])))


# -- one corpus --------------------------------------------------------------------------------------------------------


def one(wanted: str) -> None:
    """Shows a corpus with all its actions."""
    link(CORPORA, "All collections")
    with show_problems():
        corpus = client().get_corpus(wanted)
    st.session_state["corpus_in_hand"] = corpus.name
    head(corpus)
    st.header("Upload")
    show_upload(corpus)
    if corpus.documents:
        st.header("Documents")
        show_files(corpus)
    show_skipped(corpus)
    _deletion(corpus)


def head(corpus: Corpus) -> None:
    """Title, counts, and a table by language."""
    st.html(f'<h1 class="docqa-title">{name(corpus.title or corpus.name)}</h1>')
    about = [
        escape_html(corpus.name),
        count(corpus.documents, "document"),
        count(corpus.passages, "passage"),
        size(corpus.bytes),
        deepened(corpus),
        f"search model {name(corpus.embedder)}",
        f"created {escape_html(when(corpus.created))}",
    ]
    st.html(facts(about))
    if corpus.documents:
        with st.expander(count(len(corpus.languages), "language")):
            held = _languages(corpus).items()
            rows = [[text(language_name(code)), figure(one["documents"]), figure(one["passages"])] for code, one in held]
            st.html(table(COLUMNS, rows, COLUMNS[1:]))
        link(ASK, "Ask this collection", corpus=corpus.name)


def _deletion(corpus: Corpus) -> None:
    st.header("Delete")
    held = f"{count(corpus.documents, 'document')}, the index, the feedback and the saved questions are deleted with it."
    about = f"{corpus.title or corpus.name}: {held}"
    deletion = Deletion("corpus", corpus.name, about, partial(_delete, corpus.name))
    delete_button("Delete this collection", deletion, "delete-corpus", "secondary")
    confirm_deletion()


def _delete(corpus: str) -> None:
    client().delete_corpus(corpus)
    st.session_state.pop("corpus_in_hand", None)
    st.session_state["told"] = f"The collection {corpus} is deleted."
    address(corpus=None, job=None, name=None, language=None, at=None, upload=None)


page()

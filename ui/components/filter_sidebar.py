"""The filter sidebar: facets with counts, languages, and reading options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from ui.client.schemas import ApiError, Corpus, Documents
from ui.components.facets import show_facets
from ui.render.names import language_name
from ui.state.query import QUESTION_CHARACTERS, Query, date
from ui.state.reply_cache import count_facets, question_language
from ui.state.session import show_problem
from ui.state.url import follow, followed


def choose(corpus: Corpus, asked: Query, question: str) -> Query:
    """The query with the current choices of the sidebar."""
    with st.sidebar:
        crosslingual = _toggle("Answers in any language", "crosslingual", asked.crosslingual)
        asked = replace(asked, question=question, crosslingual=crosslingual)
        if not crosslingual:
            _own_language(corpus, asked)
        thorough = _toggle(
            "Read everything", "thorough", asked.thorough, help="Read all passages, without early stopping; slower."
        )
        asked = replace(asked, thorough=thorough)
        try:
            return _more(_filters(corpus, asked))
        except ApiError as error:
            show_problem(error)
            return asked


def _toggle(label: str, key: str, value: bool, **more: Any) -> bool:
    follow(key, value)
    return bool(followed(key, st.toggle(label, key=key, **more)))


def _own_language(corpus: Corpus, asked: Query) -> None:
    if not asked.question or not corpus.documents or len(asked.question) > QUESTION_CHARACTERS:
        return
    try:
        language = question_language(corpus.name, asked.question)
    except ApiError as error:
        show_problem(error)
        return
    st.caption(f"The question is in {language_name(language)}; only {language_name(language)} is searched.")


def _filters(corpus: Corpus, asked: Query) -> Query:
    """The facets, and the bounds of the date."""
    st.html('<h2 class="docqa-filters">Filters</h2>')
    found = count_facets(corpus.name, corpus.created, corpus.generation, filters_of(asked))
    show_facets(found, asked)
    since, until = _dates(found, asked)
    return replace(asked, since=since, until=until)


def filters_of(asked: Query) -> Query:
    """The filters alone, as cache key, so that another question does not repeat the count."""
    kept = ("languages", "types", "folders", "years", "meta", "excluded", "since", "until", "documents")
    return Query(**{name: getattr(asked, name) for name in kept})


def _dates(found: Documents, asked: Query) -> tuple[str, str]:
    if "date" not in found.fields and not (asked.since or asked.until):
        return "", ""
    left, right = st.columns(2)
    return _date(left, "From", "since", asked.since), _date(right, "Until", "until", asked.until)


def _date(place: Any, label: str, key: str, value: str) -> str:
    follow(key, value, typed=True)
    typed = place.text_input(
        label, key=key, placeholder="2019-07", help="A year, a month or a day: 2019, 2019-07, 2019-07-01"
    )
    if typed and not date(typed):
        place.caption("Not a date; write 2019, 2019-07 or 2019-07-01.")
        return ""
    return str(followed(key, date(typed)))


def _more(asked: Query) -> Query:
    with st.expander("How much"):
        follow("top_k", asked.top_k)
        follow("retrieve", asked.retrieve)
        top_k = st.number_input("Answers", 1, 100, key="top_k")
        retrieve = st.number_input("Passages to read", 1, 100, key="retrieve")
    return replace(asked, top_k=int(followed("top_k", top_k)), retrieve=int(followed("retrieve", retrieve)))

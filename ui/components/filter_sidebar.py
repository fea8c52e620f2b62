"""The filter sidebar: facets with counts, languages, and reading options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from ui.client.schemas import ApiError, Corpus, Documents
from ui.render.names import language_name, plain
from ui.state.query import OWN_PLACE, QUESTION_CHARACTERS, Query, date
from ui.state.reply_cache import count_facets, question_language
from ui.state.session import show_problem
from ui.state.url import follow, followed

MOST_FIELDS = 8


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
    """The filters; each facet counts under the filters of all others."""
    st.markdown("###### Filters")
    found = count_facets(corpus.name, corpus.created, corpus.generation, filters_of(asked))
    languages = _facet("Language", "language", found.facets["language"], asked.languages, language_name)
    types = _facet("File type", "type", found.facets["type"], asked.types, lambda kind: kind.upper() or "Unknown")
    folders = _facet("Folder", "folder", found.facets["folder"], asked.folders, lambda folder: folder or "(no folder)")
    meta = _meta(found, asked)
    since, until = _dates(found, asked)
    return replace(asked, languages=languages, types=types, folders=folders, meta=meta, since=since, until=until)


def filters_of(asked: Query) -> Query:
    """The filters alone, as cache key, so that another question does not repeat the count."""
    kept = {name: getattr(asked, name) for name in ("languages", "types", "folders", "meta", "since", "until")}
    return Query(**kept)


def _facet(
    label: str, key: str, counts: Mapping[str, int], chosen: Sequence[str], named: Callable[[str], str], total: int = 0
) -> tuple[str, ...]:
    """The selected values of a facet; a selected value stays even without documents.

    total: number of documents of the counts, 0 if every document has a value. A facet with one value for all is hidden.
    """
    options = list(dict.fromkeys([*counts, *chosen]))
    if len(options) < 2 and not chosen and sum(counts.values()) >= total:
        return ()
    follow(f"facet_{key}", list(chosen))
    picked = st.multiselect(
        label,
        options,
        key=f"facet_{key}",
        placeholder="All",
        format_func=lambda one: f"{named(one)} ({counts.get(one, 0):,})",
    )
    return tuple(followed(f"facet_{key}", list(picked)))


def _meta(found: Documents, asked: Query) -> tuple[tuple[str, str], ...]:
    """Filters by metadata fields."""
    facets = dict([(name, values) for name, values in found.meta.items() if name not in OWN_PLACE][:MOST_FIELDS])
    chosen: dict[str, list[str]] = {}
    for field, text in asked.meta:
        chosen.setdefault(field, []).append(text)
    picked = []
    for field in dict.fromkeys([*facets, *chosen]):
        counts, label = facets.get(field, {}), plain(field_label(field))
        values = _facet(label, f"meta_{field}", counts, chosen.get(field, []), str, found.total)
        picked += [(field, text) for text in values]
    return tuple(picked)


def field_label(field: str) -> str:
    """A label for a metadata field.

    >>> field_label("publication_date"), field_label("URL"), field_label("_")
    ('Publication date', 'URL', '_')
    """
    words = " ".join(field.replace("_", " ").split()) or field
    return words[:1].upper() + words[1:]


def _dates(found: Documents, asked: Query) -> tuple[str, str]:
    if "date" not in found.fields and not (asked.since or asked.until):
        return "", ""
    left, right = st.columns(2)
    return _date(left, "From", "since", asked.since), _date(right, "Until", "until", asked.until)


def _date(place: Any, label: str, key: str, value: str) -> str:
    follow(key, value)
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

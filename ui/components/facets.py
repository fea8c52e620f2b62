"""Facets as open lists with counts: a click includes a value, a second control excludes it; both are in the URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from ui.client.schemas import Documents
from ui.render.names import language_name
from ui.state.query import OWN_PLACE, PARAMETERS, Query, from_query
from ui.state.url import address, parameter, parameters

FIRST, MOST_FIELDS, MOST_YEARS = 6, 8, 60
KEY = "facets"
LABELS = {"language": "Language", "type": "File type", "folder": "Folder", "year": "Year"}
HERE = Path(__file__).with_name

_lists = st.components.v2.component(
    "docqa_facets",
    html='<div id="facets"></div>',
    css=HERE("facets.css").read_text("utf-8"),
    js=HERE("facets.js").read_text("utf-8"),
)


def show_facets(found: Documents, asked: Query) -> None:
    """Draws the facets under the current choices; each counts under the filters of all others."""
    facets = list(facet_lists(found, asked))
    if facets:
        _lists(key=KEY, data={"first": FIRST, "facets": facets}, on_chosen_change=_chosen)


def facet_lists(found: Documents, asked: Query) -> Iterator[dict[str, Any]]:
    """The facets to draw: key, label, values with count and state ("in", "out" or ""), and the histogram of years.

    A facet with one value for all documents is left out, unless it has a choice. A chosen value stays without documents.
    """
    for facet in LABELS:
        values = _values(facet, found.facets.get(facet, {}), asked.included(facet), asked.excludes(facet))
        if facet == "year":
            yield from _years(values)
        elif _tells(values):
            yield {"key": facet, "label": LABELS[facet], "values": values}
    chosen = [pair.partition("=")[::2] for pair in (*asked.included("meta"), *asked.excludes("meta"))]
    fields = [name for name in found.meta if name not in OWN_PLACE][:MOST_FIELDS]
    for field in dict.fromkeys([*fields, *(name for name, _ in chosen)]):
        included = [text for name, text in asked.meta if name == field]
        excluded = [pair.partition("=")[2] for pair in asked.excludes("meta") if pair.partition("=")[0] == field]
        values = _values("meta", found.meta.get(field, {}), included, excluded)
        if _tells(values, found.total):
            yield {"key": f"meta {field}", "label": field_label(field), "values": values}


def _values(facet: str, counts: Mapping[str, int], included: Sequence[str], excluded: Sequence[str]) -> list[dict[str, Any]]:
    states = {**dict.fromkeys(excluded, "out"), **dict.fromkeys(included, "in")}
    label = NAMES.get(facet, str)
    return [
        {"value": value, "label": label(value), "count": counts.get(value, 0), "state": states.get(value, "")}
        for value in dict.fromkeys([*counts, *states])
    ]


def _tells(values: Sequence[Mapping[str, Any]], total: int = 0) -> bool:
    """Whether a choice among these values can change something, or one was made."""
    held = sum(value["count"] for value in values)
    return len(values) > 1 or any(value["state"] for value in values) or held < total


def _years(values: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The facet of years, newest first, with a histogram without gaps; nothing if no document has a date."""
    dated = sorted((one for one in values if one["value"]), key=lambda one: str(one["value"]))
    if not dated:
        return
    facet: dict[str, Any] = {"key": "year", "label": LABELS["year"], "values": [*reversed(dated), *values_without(values)]}
    first, last = int(dated[0]["value"]), int(dated[-1]["value"])
    known = {int(one["value"]): one for one in dated}
    empty = {"count": 0, "state": ""}
    years = [{"value": f"{year:04}", "label": f"{year:04}", **known.get(year, empty)} for year in _span(first, last)]
    if len(years) > 1:
        facet["histogram"] = years
    yield facet


def values_without(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entry for documents without a value."""
    return [one for one in values if not one["value"]]


def _span(first: int, last: int) -> range:
    """The newest MOST_YEARS years."""
    return range(max(first, last - MOST_YEARS + 1), last + 1)


def field_label(field: str) -> str:
    """A label for a metadata field.

    >>> field_label("publication_date"), field_label("URL"), field_label("_")
    ('Publication date', 'URL', '_')
    """
    words = " ".join(field.replace("_", " ").split()) or field
    return words[:1].upper() + words[1:]


NAMES: Mapping[str, Callable[[str], str]] = {
    "language": language_name,
    "type": lambda kind: kind.upper() or "Unknown",
    "folder": lambda folder: folder or "(no folder)",
    "year": lambda year: year or "(no date)",
}


def value_label(facet: str, value: str, *, excluded: bool = False) -> str:
    """A facet and its value, for a chip.

    >>> value_label("language", "de"), value_label("meta", "author=N. N.", excluded=True)
    ('Language: German', 'Author: not N. N.')
    """
    no = "not " * excluded
    if facet == "meta":
        field, _, text = value.partition("=")
        return f"{field_label(field)}: {no}{text}"
    return f"{LABELS[facet]}: {no}{NAMES[facet](value)}"


def _chosen() -> None:
    """Writes a choice to the URL; the page that follows is drawn from it."""
    chosen = st.session_state[KEY].chosen
    key, _, field = str(chosen["facet"]).partition(" ")
    value = f"{field}={chosen['value']}" if field else str(chosen["value"])
    asked = with_state(from_query(parameter, parameters), key, value, str(chosen["state"]))
    address(**{name: asked.query().get(name) for name in PARAMETERS}, shown=None)


def with_state(asked: Query, facet: str, value: str, state: str) -> Query:
    """The query with a value of a facet included ("in"), excluded ("out"), or neither ("").

    >>> asked = with_state(Query("q", languages=("de",)), "language", "de", "out")
    >>> asked.languages, asked.excluded
    ((), (('language', 'de'),))
    """
    included = [one for one in asked.included(facet) if one != value] + [value] * (state == "in")
    excluded = tuple(pair for pair in asked.excluded if pair != (facet, value))
    excluded += ((facet, value),) * (state == "out")
    if facet == "meta":
        pairs = tuple((name, text) for name, _, text in (one.partition("=") for one in included))
        return replace(asked, meta=pairs, excluded=excluded)
    name = {"language": "languages", "type": "types", "folder": "folders", "year": "years"}[facet]
    changed: dict[str, Any] = {name: tuple(included), "excluded": excluded}
    return replace(asked, **changed)

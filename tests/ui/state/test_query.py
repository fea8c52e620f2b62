"""A question with its filters: to the address and back, and as filters of the service."""

from __future__ import annotations

import pytest

from indexing.store.filters import where
from ui.state.query import Query, from_query
from ui.state.saved_filters import filter_words, query_of


def read_back(asked: Query) -> Query:
    said = asked.query()

    def many(name: str) -> list[str]:
        value = said.get(name, [])
        return value if isinstance(value, list) else [str(value)]

    return from_query(lambda name: "1" if said.get(name) is True else str(said.get(name, "")), many)


@pytest.mark.parametrize(
    "asked",
    [
        Query(),
        Query("q & a? ü=1", ("de", "fr"), ("pdf",), ("", "a b"), (("author", "x=y"), ("n", "3")), "2019", "2020-01"),
        Query("q", crosslingual=False, thorough=True, top_k=3, retrieve=99),
        Query("q", years=("2019", ""), excluded=(("language", "de"), ("folder", ""), ("year", "2020"), ("meta", "a=b=c"))),
        Query("q", documents=("0a", "1b")),
    ],
)
def test_what_is_asked_survives_the_address(asked: Query) -> None:
    assert read_back(asked) == asked


@pytest.mark.parametrize("name", ["top", "read", "since", "until", "own", "thorough", "meta", "q"])
def test_nonsense_in_the_address_is_as_usual(name: str) -> None:
    said = {name: "\x00nonsense"} if name != "q" else {name: "   "}
    assert (
        from_query(lambda one: said.get(one, ""), lambda one: [said[one]] if one in said and one == "meta" else [])
        == Query()
    )


def test_filters_are_the_service_s() -> None:
    asked = Query("q", ("de",), ("pdf",), ("a*", ""), (("n", "3"), ("n", "x"), ("ok", "true")), "2019", "2020")
    assert where(asked.filters("de")) is not None and Query("q").filters() is None
    assert asked.filters()["$and"][-1] == {"date": {"$gte": "2019", "$lt": "2020\uffff"}}  # type: ignore[index]
    assert Query("q").filters("ar") == {"$and": [{"language": "ar"}]}


EXCLUDING = Query(
    "q",
    ("de",),
    folders=("a",),
    years=("2019", ""),
    documents=("a1", "b2"),
    excluded=(("language", "fr"), ("type", "pdf"), ("folder", "b*"), ("folder", ""), ("year", "2020"), ("meta", "n=x")),
)


def test_what_is_excluded_is_a_filter_and_comes_back_from_a_saved_question() -> None:
    filters = EXCLUDING.filters()
    assert where(filters) is not None
    assert {"$not": {"$or": [{"source": {"$glob": "b[*]/*"}}, {"$not": {"source": {"$glob": "*/*"}}}]}} in filters["$and"]  # type: ignore[index]
    assert query_of("q", filters, {}) == EXCLUDING
    assert "not (language French)" in filter_words(filters) and "not (file type pdf)" in filter_words(filters)

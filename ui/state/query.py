"""A question with its filters and options, converted to and from the URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

FACETS = ("language", "type", "folder", "year", "meta")
FILTERS = (*FACETS, *(f"not_{name}" for name in FACETS), "since", "until")
PARAMETERS = ("q", "mode", *FILTERS, "only", "own", "thorough", "top", "read")
TOP_K, RETRIEVE, READ_AT_LEAST = 10, 10, 3
QUESTION_CHARACTERS = 512
TYPED_CHARACTERS = 10_000
MOST_DOCUMENTS = 200
# Metadata fields that are shown elsewhere on the page, or say nothing about the content.
OWN_PLACE = ("file_type", "title", "date", "encoding", "page_count")


@dataclass(frozen=True, slots=True)
class Query:
    """A question and its settings. folders: top-level folders, "" for none; meta: (field, value as text) pairs.

    documents: ids, at most MOST_DOCUMENTS, () for all.
    years: of the date field, "" for none. excluded: (facet, value) pairs, facet one of FACETS, a value of meta "field=text".
    crosslingual: False restricts to the question's language. since, until: of the date field, ISO 8601 or a prefix of it.
    by_words: the question is a query of words.
    """

    question: str = ""
    languages: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()
    since: str = ""
    until: str = ""
    crosslingual: bool = True
    thorough: bool = False
    top_k: int = TOP_K
    retrieve: int = RETRIEVE
    by_words: bool = False
    years: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    documents: tuple[str, ...] = ()

    def included(self, facet: str) -> tuple[str, ...]:
        """The chosen values of one of FACETS; those of meta as "field=text"."""
        if facet == "meta":
            return tuple(f"{name}={text}" for name, text in self.meta)
        return {"language": self.languages, "type": self.types, "folder": self.folders, "year": self.years}[facet]

    def excludes(self, facet: str) -> tuple[str, ...]:
        """The excluded values of one of FACETS."""
        return tuple(value for name, value in self.excluded if name == facet)

    def query(self) -> dict[str, Any]:
        """The URL parameters; defaults are omitted."""
        said = {
            "q": self.question,
            "mode": "words" if self.by_words else None,
            **{name: [_address(name, value) for value in self.included(name)] for name in FACETS},
            **{f"not_{name}": [_address(name, value) for value in self.excludes(name)] for name in FACETS},
            "since": self.since,
            "until": self.until,
            "only": list(self.documents),
            "own": not self.crosslingual,
            "thorough": self.thorough,
            "top": self.top_k if self.top_k != TOP_K else None,
            "read": self.retrieve if self.retrieve != RETRIEVE else None,
        }
        return {name: value for name, value in said.items() if value not in (None, "", False, [])}

    def settings(self) -> dict[str, Any]:
        """The settings of the API's ask request."""
        how = {"thorough": True} if self.thorough else {"read_at_least": READ_AT_LEAST}
        return {"top_k": self.top_k, "retrieve": self.retrieve, **how}

    def filters(self, own: str = "") -> dict[str, Any] | None:
        """The filters in the API's syntax. own: restrict to this language, "" for any.

        >>> Query("q", languages=("de", "fr"), folders=("a*b",)).filters()
        {'$and': [{'language': ['de', 'fr']}, {'$or': [{'source': {'$glob': 'a[*]b/*'}}]}]}
        """
        terms: list[dict[str, Any]] = [{"language": own}] if own else []
        terms += [{"language": list(self.languages)}] if self.languages else []
        terms += [{"file_type": list(self.types)}] if self.types else []
        terms += [{"$or": [_folder(folder) for folder in self.folders]}] if self.folders else []
        for field in dict.fromkeys(field for field, _ in self.meta):
            terms.append({"$or": [one for name, text in self.meta if name == field for one in _equal(field, text)]})
        dates = {"$gte": self.since} if self.since else {}
        dates |= {"$lt": _after(self.until)} if self.until else {}
        terms += [{"date": dates}] if dates else []
        terms += [{"$or": [_year(year) for year in self.years]}] if self.years else []
        terms += [{"document_id": list(self.documents)}] if self.documents else []
        for facet in FACETS:
            if values := self.excludes(facet):
                terms.append({"$not": {"$or": [one for value in values for one in _matches(facet, value)]}})
        return {"$and": terms} if terms else None

    @property
    def is_filtered(self) -> bool:
        return self.filters() is not None


def from_query(one: Callable[[str], str], many: Callable[[str], Sequence[str]]) -> Query:
    """Parses the URL parameters; invalid values become defaults. one, many: return one value, or all, of a parameter."""
    pairs = (pair.partition("=") for pair in many("meta"))
    return Query(
        one("q").strip()[:TYPED_CHARACTERS],
        tuple(many("language")),
        tuple(many("type")),
        tuple("" if folder == "." else folder for folder in many("folder")),
        tuple((name, text) for name, sign, text in pairs if name and sign),
        date(one("since")),
        date(one("until")),
        one("own") != "1",
        one("thorough") == "1",
        _within(one("top"), TOP_K),
        _within(one("read"), RETRIEVE),
        one("mode") == "words",
        _years(many("year")),
        tuple((facet, value) for facet in FACETS for value in _excluded(facet, many(f"not_{facet}"))),
        tuple(id for id in many("only") if 0 < len(id) <= 100)[:MOST_DOCUMENTS],
    )


def _excluded(facet: str, values: Sequence[str]) -> tuple[str, ...]:
    if facet == "year":
        return _years(values)
    if facet == "meta":
        return tuple(value for value in values if "=" in value[1:])
    return tuple("" if (facet, value) == ("folder", ".") else value for value in values)


def _years(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(year for year in values if re.fullmatch(r"([0-9]{4})?", year, re.ASCII))


def _address(facet: str, value: str) -> str:
    return value or "." if facet == "folder" else value


def date(text: str) -> str:
    """A year, month or day in ISO 8601; "" for anything else.

    >>> date("2019"), date("2019-07"), date("July")
    ('2019', '2019-07', '')
    """
    return text.strip() if re.fullmatch(r"\s*\d{4}(-\d\d(-\d\d)?)?\s*", text, re.ASCII) else ""


def _within(text: str, usual: int) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) and 1 <= int(text) <= 100 else usual


def _after(date: str) -> str:
    """An upper bound above all dates with this prefix, as text: "2019" includes all of 2019."""
    return f"{date}\uffff"


def _folder(folder: str) -> dict[str, Any]:
    if not folder:
        return {"$not": {"source": {"$glob": "*/*"}}}
    return {"source": {"$glob": re.sub(r"([*?\[])", r"[\1]", folder) + "/*"}}


def _year(year: str) -> dict[str, Any]:
    if not year:
        return {"$not": {"date": {"$glob": "[0-9][0-9][0-9][0-9]*"}}}
    return {"date": {"$glob": f"{year}*"}}


def _matches(facet: str, value: str) -> list[dict[str, Any]]:
    """Conditions of which one holds for documents with this value of a facet."""
    if facet == "meta":
        field, _, text = value.partition("=")
        return _equal(field, text)
    if facet in ("folder", "year"):
        return [_folder(value) if facet == "folder" else _year(value)]
    return [{"file_type" if facet == "type" else facet: value}]


def _equal(field: str, text: str) -> list[dict[str, Any]]:
    """Conditions that a field equals this text, or the number or boolean that it denotes."""
    values: list[Any] = [text]
    if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        values.append(float(text) if "." in text else int(text))
    if text in ("true", "false"):
        values.append(text == "true")
    return [{field: value} for value in values]

"""Filters of saved questions in words, and converted back to a `Query`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ui.render.names import language_name
from ui.state.query import RETRIEVE, TOP_K, Query

NAMES = {"file_type": "file type", "source": "file", "document_id": "document"}
SIGNS = {"$ne": "not", "$gt": "above", "$gte": "from", "$lt": "below", "$lte": "up to", "$glob": "like"}
LAST = "\uffff"


def filter_words(filters: Mapping[str, Any] | None) -> str:
    """A filter in words, "" for none. It handles all filters of the service, also those that the page cannot create.

    >>> filter_words({"$and": [{"language": ["de", "fr"]}, {"date": {"$gte": "2019", "$lt": "2020\\uffff"}}]})
    'language German or French; date from 2019, up to 2020'
    """
    return "; ".join(_all_of(filters)) if filters else ""


def _all_of(clause: Any) -> list[str]:
    if not isinstance(clause, Mapping):
        return [str(clause)]
    return [words for name, held in clause.items() for words in _clause(str(name), held)]


def _clause(name: str, held: Any) -> list[str]:
    if name in ("$and", "$or", "$not"):
        parts = held if isinstance(held, Sequence) and not isinstance(held, str) else [held]
        if name == "$and":
            return [words for part in parts for words in _all_of(part)]
        if name == "$or":
            return [" or ".join(dict.fromkeys(" and ".join(_all_of(part)) for part in parts)) or "nothing"]
        return [f"not ({'; '.join(words for part in parts for words in _all_of(part))})"]
    if isinstance(held, Mapping):
        return [f"{_named(name)} {', '.join(_compared(name, sign, value) for sign, value in held.items())}"]
    return [f"{_named(name)} {_value(name, held)}"]


def _named(name: str) -> str:
    return NAMES.get(name, name)


def _compared(name: str, sign: str, value: Any) -> str:
    if sign == "$lt" and isinstance(value, str) and value.endswith(LAST):
        return f"up to {value.rstrip(LAST)}"
    if sign in ("$eq", "$in", "$nin"):
        return f"{'none of ' * (sign == '$nin')}{_value(name, value)}"
    return f"{SIGNS.get(sign, sign)} {_value(name, value)}"


def _value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return " or ".join(_value(name, one) for one in value) or "nothing"
    return language_name(str(value)) if name == "language" else str(value)


def query_of(question: str, filters: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Query | None:
    """The query of the page Ask with this filter; None if that page cannot express it.

    >>> query_of("q", {"$and": [{"language": ["de"]}]}, {"top_k": 3})
    Query(question='q', languages=('de',), types=(), folders=(), meta=(), since='', until='', crosslingual=True, \
thorough=False, top_k=3, retrieve=10, by_words=False, years=(), excluded=(), documents=())
    """
    found: dict[str, Any] = {"folders": (), "meta": (), "excluded": ()}
    own = ""
    for term in (filters or {}).get("$and", []):
        if isinstance(term.get("language"), str):
            own = term["language"]
        for name, value in _choice(term).items():
            found[name] = found[name] + value if name in ("folders", "meta", "excluded") else value
    asked = Query(
        question,
        **found,
        crosslingual=not own,
        thorough=bool(settings.get("thorough")),
        top_k=int(settings.get("top_k") or TOP_K),
        retrieve=int(settings.get("retrieve") or RETRIEVE),
    )
    return asked if asked.filters(own) == (dict(filters) if filters else None) else None


def _choice(term: Mapping[str, Any]) -> dict[str, Any]:
    """The choice behind one term of a filter; for another term a wrong one, which the caller detects."""
    for field, name in (("language", "languages"), ("file_type", "types"), ("document_id", "documents")):
        if isinstance(term.get(field), list):
            return {name: tuple(map(str, term[field]))}
    if isinstance(term.get("date"), Mapping):
        dates = term["date"]
        return {"since": str(dates.get("$gte", "")), "until": str(dates.get("$lt", "")).rstrip(LAST)}
    if isinstance(term.get("$not"), Mapping):
        return {"excluded": tuple(_excluded(term["$not"].get("$or")))}
    choices = term.get("$or")
    parts = [part for part in choices if isinstance(part, Mapping) and part] if isinstance(choices, list) else []
    if any(_is_year(part) for part in parts):
        return {"years": tuple(_year(part) for part in parts)}
    if any("source" in part or "$not" in part for part in parts):
        return {"folders": tuple(_folder(part) for part in parts)}
    pairs = [(str(name), value) for part in parts for name, value in part.items()]
    return {"meta": tuple((name, value) for name, value in pairs if isinstance(value, str))} if pairs else {}


def _excluded(choices: Any) -> Iterator[tuple[str, str]]:
    for part in choices if isinstance(choices, list) else []:
        for name, value in part.items():
            if _is_year(part):
                yield "year", _year(part)
            elif name in ("source", "$not"):
                yield "folder", _folder(part)
            elif name in ("language", "file_type") and isinstance(value, str):
                yield "type" if name == "file_type" else name, value
            elif isinstance(value, str):
                yield "meta", f"{name}={value}"


def _is_year(part: Mapping[str, Any]) -> bool:
    inner = part.get("$not", part)
    return isinstance(inner, Mapping) and isinstance(inner.get("date"), Mapping) and "$glob" in inner["date"]


def _year(part: Mapping[str, Any]) -> str:
    return "" if "$not" in part else str(part["date"]["$glob"]).removesuffix("*")


def _folder(part: Mapping[str, Any]) -> str:
    source = part.get("source")
    pattern = str(source.get("$glob", "")) if isinstance(source, Mapping) else ""
    for sign in "*?[":
        pattern = pattern.replace(f"[{sign}]", f"\0{ord(sign)}\0")
    pattern = pattern.removesuffix("/*")
    for sign in "*?[":
        pattern = pattern.replace(f"\0{ord(sign)}\0", sign)
    return pattern

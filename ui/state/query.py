"""A question with its filters and options, to and from the address."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

PARAMETERS = ("q", "language", "type", "folder", "meta", "since", "until", "own", "thorough", "top", "read")
TOP_K, RETRIEVE, READ_AT_LEAST = 10, 10, 3
QUESTION_CHARACTERS = 512
# Fields of meta that have a place of their own on the page, or tell nothing of what a document says.
OWN_PLACE = ("file_type", "title", "date", "encoding", "page_count")


@dataclass(frozen=True, slots=True)
class Query:
    """A question and its settings. folders: first folders of files, "" for none; meta: (field, value written) pairs.

    crosslingual: False keeps to the question's own language. since, until: of the date field, ISO 8601 or a beginning of it.
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

    def query(self) -> dict[str, Any]:
        """What the address says: only what is not as usual."""
        said = {
            "q": self.question,
            "language": list(self.languages),
            "type": list(self.types),
            "folder": [folder or "." for folder in self.folders],
            "meta": [f"{k}={v}" for k, v in self.meta],
            "since": self.since,
            "until": self.until,
            "own": not self.crosslingual,
            "thorough": self.thorough,
            "top": self.top_k if self.top_k != TOP_K else None,
            "read": self.retrieve if self.retrieve != RETRIEVE else None,
        }
        return {name: value for name, value in said.items() if value not in (None, "", False, [])}

    def settings(self) -> dict[str, Any]:
        """How it is answered, in the service's words."""
        how = {"thorough": True} if self.thorough else {"read_at_least": READ_AT_LEAST}
        return {"top_k": self.top_k, "retrieve": self.retrieve, **how}

    def filters(self, own: str = "") -> dict[str, Any] | None:
        """Which passages may be seen, in the service's notation; own: the only language, "" for any.

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
        return {"$and": terms} if terms else None

    @property
    def is_filtered(self) -> bool:
        return self.filters() is not None


def from_query(one: Callable[[str], str], many: Callable[[str], Sequence[str]]) -> Query:
    """What an address says; what it says wrongly is as usual. one, many: the value, the values of a parameter."""
    pairs = (pair.partition("=") for pair in many("meta"))
    return Query(
        one("q").strip()[:QUESTION_CHARACTERS],
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
    )


def date(text: str) -> str:
    """A year, month or day, ISO 8601; "" for anything else.

    >>> date("2019"), date("2019-07"), date("July")
    ('2019', '2019-07', '')
    """
    return text.strip() if re.fullmatch(r"\s*\d{4}(-\d\d(-\d\d)?)?\s*", text, re.ASCII) else ""


def _within(text: str, usual: int) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) and 1 <= int(text) <= 100 else usual


def _after(date: str) -> str:
    """What comes after every date that begins so, as text: "2019" takes in all of 2019."""
    return f"{date}\uffff"


def _folder(folder: str) -> dict[str, Any]:
    if not folder:
        return {"$not": {"source": {"$glob": "*/*"}}}
    return {"source": {"$glob": re.sub(r"([*?\[])", r"[\1]", folder) + "/*"}}


def _equal(field: str, text: str) -> list[dict[str, Any]]:
    """The field is this text, or the number or truth it writes."""
    values: list[Any] = [text]
    if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        values.append(float(text) if "." in text else int(text))
    if text in ("true", "false"):
        values.append(text == "true")
    return [{field: value} for value in values]

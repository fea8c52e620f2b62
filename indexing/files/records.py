"""Records with a text field as documents: their other fields follow as lines, and are meta that can be filtered by.

A text field is a column or key named text, content, contents or body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from indexing.files.charset import DecodedText
from indexing.files.file_text import DEEPEST_HEADING, FileText, Heading, Scalar, check_chars, clean_meta

EXPORT = 1
TEXT_FIELDS = ("text", "content", "contents", "body")
NAME_FIELDS = ("id", "_id", "name")
# Fields that identify or describe a record for programs, and its title, which comes first in its text.
_NO_LINES = frozenset(("id", "_id", "title", "lang", "language"))
_MARKUP = re.compile(r"</(?:p|div|b|i|a|li|ul|ol|h[1-6]|span|strong|em|td|tr|table)>|<br\s*/?>", re.I)


class Records:
    """Turns records into documents, with names unique in the file."""

    def __init__(self, decoded: DecodedText, kind: str, max_chars: int) -> None:
        self.facts: dict[str, Scalar] = {"file_type": kind, "encoding": decoded.encoding}
        self.notes = list(decoded.notes)
        self.texts: list[FileText] = []
        self.without = 0
        self._left = self._allowed = max_chars
        self._names: set[str] = set()

    def add(self, record: Mapping[str, object], number: int) -> None:
        """Add one record; `number` is its position in the file, from 1."""
        if record.get("docqa_export") == EXPORT and isinstance(record.get("text"), str):
            self._add_exported(record, str(record["text"]), number)
            return
        fields = {str(name).strip().lower(): name for name in reversed(list(record))}
        keys = [fields[name] for name in TEXT_FIELDS if name in fields]
        bodies = {key: text for key in keys if (text := body_of(record[key])).strip()}
        lines = [
            f"{path}: {leaf}" if path else leaf
            for name, value in record.items()
            if name not in bodies and str(name).strip().lower() not in _NO_LINES
            for path, leaf in leaves(value, str(name).strip())
        ]
        bodies_text = "\n\n".join(_shown(text, self._allowed) for text in bodies.values())
        if not bodies and not any(line.rpartition(": ")[2] not in ("", "null") for line in lines):
            self.without += 1
            return
        title = record.get(fields.get("title", ""), "")
        body = "\n\n".join(filter(None, (bodies_text, "\n".join(lines))))
        text, headings = _titled(title if isinstance(title, str) else "", body)
        self._left -= len(text)
        check_chars(self._allowed - self._left, self._allowed)
        meta = clean_meta((name, value) for name, value in record.items() if name not in bodies)
        self.texts.append(FileText(text, (), {**meta, **self.facts}, headings, (), self._name(record, fields, number)))

    def _add_exported(self, record: Mapping[str, object], text: str, number: int) -> None:
        """A document of `docqa export`: its text verbatim, with its pages, headings and meta where they fit the text."""
        self._left -= len(text)
        check_chars(self._allowed - self._left, self._allowed)
        pages = _rows(record.get("pages"), 1)
        if pages and (pages[0] != [0] or pages != sorted(pages) or pages[-1][0] > len(text)):
            pages = []
        headings = _rows(record.get("headings"), 3)
        if not _are_headings(headings, text):
            headings = []
        stored = record.get("meta")
        meta = {**self.facts, **clean_meta(stored.items() if isinstance(stored, dict) else ())}
        marks = tuple((start, end, level) for start, end, level in headings)
        name = self._name(record, {"id": "id"} if "id" in record else {}, number)
        self.texts.append(FileText(text, tuple(page for (page,) in pages), meta, marks, (), name))

    def _name(self, record: Mapping[str, object], fields: Mapping[str, str], number: int) -> str:
        """The record's own name, else its number; a duplicate name gets the number appended."""
        values = (record[fields[name]] for name in NAME_FIELDS if name in fields)
        scalars = (str(value).strip() for value in values if isinstance(value, (str, int, float)))
        wanted = " ".join(next((value for value in scalars if value), str(number)).split())[:200]
        name, count = wanted, number
        while name in self._names:
            name, count = f"{wanted} ({count})", count + 1
        self._names.add(name)
        return name

    def result(self) -> list[FileText]:
        """All documents; remarks about the whole file are attached to the first."""
        if self.without:
            self.notes.append(f"{self.without:,} record{'s' * (self.without > 1)} without text left out")
        if not self.texts:
            return [FileText("", notes=tuple(self.notes))]
        first = self.texts[0]
        noted = FileText(first.text, first.pages, first.meta, first.headings, tuple(self.notes), first.record)
        return [noted, *self.texts[1:]]


def _rows(stored: object, width: int) -> list[list[int]]:
    """Rows of `width` whole numbers; none if the stored value is anything else."""
    rows = [one if isinstance(one, list) else [one] for one in stored] if isinstance(stored, list) else []
    return rows if all(len(row) == width and all(type(n) is int for n in row) for row in rows) else []


def _are_headings(rows: list[list[int]], text: str) -> bool:
    """Whether rows of (start, end, level) keep the invariants of the headings of a text."""
    last = 0
    for start, end, level in rows:
        if (
            not (last <= start < end <= len(text) and 1 <= level <= DEEPEST_HEADING)
            or text[start:end].strip() != text[start:end]
        ):
            return False
        last = end
    return True


def has_text(record: object) -> bool:
    """Whether a record has a text field: a string, or the runs of one."""
    return isinstance(record, dict) and any(
        str(name).strip().lower() in TEXT_FIELDS and (isinstance(value, str) or body_of(value))
        for name, value in record.items()
    )


def body_of(value: object) -> str:
    """The text of a field: a string, or a list of strings and of objects with a `text`, as chat exports write it.

    >>> body_of([{"type": "bold", "text": "Pier"}, " is deep"]), body_of([1, 2])
    ('Pier is deep', '')
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    runs = [run.get("text") if isinstance(run, dict) else run for run in value]
    texts = [run for run in runs if isinstance(run, str)]
    return "".join(texts) if len(texts) == len(runs) else ""


def _shown(body: str, max_chars: int) -> str:
    """A text; of HTML, what is visible."""
    if not _MARKUP.search(body[:20_000]):
        return body
    from indexing.files.html import html_text

    return html_text(body, max_chars)[0]


def _titled(title: str, body: str) -> tuple[str, tuple[Heading, ...]]:
    """Join a title and a text, unless the text already begins with the title."""
    title = title.strip()
    if not title:
        return body, ()
    if body == title or body.startswith((title + "\n", title + "\r\n")):
        return body, ((0, len(title), 1),)
    return f"{title}\n\n{body}" if body else title, ((0, len(title), 1),)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, value) of each leaf, in order, without recursion. Paths look like `a.b[0]`; empty texts are left out.

    >>> list(leaves({"pump": {"on": True, "alarm": None, "rates": [1.5]}}))
    [('pump.on', 'true'), ('pump.alarm', 'null'), ('pump.rates[0]', '1.5')]
    """
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((f"{path}.{name}" if path else str(name), inner) for name, inner in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{path}[{at}]", inner) for at, inner in reversed(list(enumerate(value))))
        elif value is None or isinstance(value, bool):
            yield path, {None: "null", True: "true", False: "false"}[value]
        elif isinstance(value, (int, float)) or (isinstance(value, str) and value.strip()):
            yield path, str(value)

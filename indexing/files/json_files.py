"""Parsers of JSON and JSON lines: records with a text field become documents, all other values lines "path: value"."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.charset import DecodedText, decode_text
from indexing.files.file_text import FileLimits, FileText, TextBuilder
from indexing.files.records import Records, has_text, leaves

_MOST_DIGITS = 4_000


class _Number(float):
    """A number with decimals that keeps how it is written: 0.10 is no 0.1."""

    text: str

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def read_json(data: bytes, limits: FileLimits) -> list[FileText]:
    """Documents from an array of records with texts, or from one such record; any other JSON as lines "path: value"."""
    decoded = decode_text(data, "JSON")
    try:
        value = _value(decoded.text)
    except json.JSONDecodeError as error:
        lines = [line for line in decoded.text.splitlines() if line.strip()]
        if len(lines) > 1 and _is_json(lines[0]):
            return _json_lines(decoded, "json", limits)
        raise UnreadableFile(f"not valid JSON ({_where(error)})") from None
    found = value if isinstance(value, list) else [value]
    if any(map(has_text, found)):
        records = Records(decoded, "json", limits.max_chars)
        for number, record in enumerate(found, 1):
            records.add(record if isinstance(record, dict) else {"value": record}, number)
        return records.result()
    return [_as_lines([value], decoded, "json", limits)]


def read_jsonl(data: bytes, limits: FileLimits) -> list[FileText]:
    """Documents from one JSON value per line: records with texts, else lines "path: value"."""
    return _json_lines(decode_text(data, "JSON lines"), "jsonl", limits)


def _json_lines(decoded: DecodedText, kind: str, limits: FileLimits) -> list[FileText]:
    values: list[tuple[int, Any]] = []
    bad: list[int] = []
    for number, line in enumerate(decoded.text.split("\n"), 1):
        if line.strip():
            try:
                values.append((number, _value(line)))
            except (ValueError, RecursionError):
                bad.append(number)
    if not values:
        raise UnreadableFile("no line of it is valid JSON" if bad else "no text in it")
    notes = _bad_lines(bad)
    if any(has_text(value) for _, value in values):
        records = Records(decoded, kind, limits.max_chars)
        records.notes += notes
        for number, record in values:
            records.add(record if isinstance(record, dict) else {"value": record}, number)
        return records.result()
    return [_as_lines((value for _, value in values), decoded, kind, limits, notes)]


def _bad_lines(bad: Sequence[int]) -> tuple[str, ...]:
    if not bad:
        return ()
    shown = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
    return (f"{len(bad):,} line{'s' * (len(bad) > 1)} not valid JSON, left out: {shown}",)


def _is_json(line: str) -> bool:
    try:
        return isinstance(_value(line), (dict, list))
    except ValueError:
        return False


def _value(text: str) -> Any:
    """The value of a JSON text, numbers as they are written. Raises ValueError."""
    return json.loads(text, parse_float=_Number, parse_int=_whole, parse_constant=str)


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _MOST_DIGITS else text


def _where(error: json.JSONDecodeError) -> str:
    return f"{error.msg.lower()}, line {error.lineno:,}"


def _as_lines(
    values: Iterable[Any], decoded: DecodedText, kind: str, limits: FileLimits, notes: tuple[str, ...] = ()
) -> FileText:
    """One document with each leaf value on a line, and a blank line between the given values."""
    builder = TextBuilder(limits.max_chars)
    for value in values:
        gap = "\n\n"
        for path, leaf in leaves(value):
            builder.add(f"{path}: {leaf}" if path else leaf, gap)
            gap = "\n"
    return FileText(builder.text(), (), {"file_type": kind, "encoding": decoded.encoding}, (), decoded.notes + notes)

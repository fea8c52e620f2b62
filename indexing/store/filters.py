"""Compiles metadata filters to SQL. A filter is a security boundary.

A filter is `None` (no filter: everything matches), or nested dictionaries in Haystack's notation:

    {"language": "de"}                                equal
    {"language": ["de", "fr"]}                        one of these
    {"source": {"$glob": "reports/*"}}                pattern on a string (`*`, `?`, `[...]`; `*` crosses "/")
    {"source": {"$path": "report[1].txt"}}            the file of that name; if there is none, `*` and `?` are a pattern
    {"year": {"$gte": 2019, "$lt": 2024}}             comparisons, typed: numbers with numbers, text with text
    {"$or": [{"a": 1}, {"$not": {"b": 2}}]}           and, or, not

Names: `language` and `page` (of the passage); `source`, `document_id` and `content_hash` (of the document); any other name
is a field of the document's meta. Sources are compared in canonical composition (NFC), as they are stored.

A filter that cannot be honoured raises FilterError and is never ignored. An empty list or an empty "$or" matches nothing.
A document without the field matches only "$ne", "$nin" and "$not".
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexing.errors import FilterError

Filter = Mapping[str, Any]

COLUMNS = {
    "language": "c.language",
    "page": "c.page",
    "document_id": "c.document_id",
    "source": "d.source",
    "content_hash": "d.content_hash",
}
COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
OPERATORS = ("$eq", "$ne", "$in", "$nin", "$glob", "$path", *COMPARISONS)
META = "d.meta"
MAX_DEPTH = 32
NOTHING = "0"
EVERYTHING = "1"


@dataclass(frozen=True, slots=True)
class Where:
    """A condition over `chunks AS c JOIN documents AS d`, and its parameters in order."""

    sql: str
    values: tuple[Any, ...] = ()


def where(filters: Filter | None) -> Where | None:
    """The SQL condition of a filter; None for None. Raises FilterError.

    >>> where({"language": ["de", "fr"]})
    Where(sql='(((coalesce(c.language IN (SELECT value FROM json_each(?)), 0))))', values=('["de", "fr"]',))
    """
    if filters is None:
        return None
    found = _all_of(filters, 0)
    # A document with damaged meta matches no filter on it, negated or not; CASE is evaluated in order.
    return Where(f"(CASE WHEN json_valid(d.meta) THEN {found.sql} ELSE 0 END)", found.values) if META in found.sql else found


def parse_terms(terms: Iterable[str]) -> Filter | None:
    """Parse filters from a command line: `name=value`. Repeated names mean "or", different names mean "and".

    `source=report[1].txt` is the file of that name; only if there is none, `*` and `?` in it are a pattern. `name~pattern`
    is a pattern in any case (`*`, `?`, `[...]`). `name>=3`, `name<3` (and `>`, `<=`) compare. `name!=value` and
    `name!~pattern` exclude, each of several. Digits are a number, except for `source`, `language`, `document_id` and
    `content_hash`. Raises FilterError.

    >>> parse_terms(["language=de", "language=fr"])
    {'$and': [{'$or': [{'language': {'$eq': 'de'}}, {'language': {'$eq': 'fr'}}]}]}
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for term in terms:
        name, operator, value = _split(term)
        is_path = name == "source" and any(sign in str(value) for sign in "*?")
        test = {"$path" if operator in ("$eq", "$ne") and is_path else operator: value}
        excludes = operator == "$ne" and is_path
        if operator == "$!glob":
            test, excludes = {"$glob": value}, True
        kind = "or" if operator in ("$eq", "$glob") else term
        groups.setdefault((name, kind), []).append({name: {"$not": test} if excludes else test})
    return {"$and": [{"$or": group} for group in groups.values()]} if groups else None


def _split(term: str) -> tuple[str, str, Any]:
    for sign, operator in (
        (">=", "$gte"),
        ("<=", "$lte"),
        ("!=", "$ne"),
        ("!~", "$!glob"),
        (">", "$gt"),
        ("<", "$lt"),
        ("=", "$eq"),
        ("~", "$glob"),
    ):
        name, found, value = term.partition(sign)
        if found and not any(other in name for other in "<>!=~"):
            return (
                _named(name.strip(), term),
                operator,
                value.strip() if sign in ("~", "!~") else _typed(name.strip(), value.strip()),
            )
    raise FilterError(f"The filter {term!r} is not of the form name=value (also: ~, !=, !~, >=, <=, >, <).")


def _named(name: str, term: str) -> str:
    if not name or name.startswith("$"):
        raise FilterError(f"The filter {term!r} has no field name before its sign.")
    return name


def _typed(name: str, value: str) -> Any:
    if name in COLUMNS and name != "page":
        return value
    for cast in (int, float):
        try:
            return cast(value)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(value.lower(), value)


def _all_of(clause: object, depth: int) -> Where:
    if not isinstance(clause, Mapping):
        raise FilterError(f"A filter must be a dictionary of fields and values, not {type(clause).__name__}.")
    if depth > MAX_DEPTH:
        raise FilterError(f"The filter is nested more than {MAX_DEPTH} levels deep.")
    parts = [_clause(str(name), value, depth) for name, value in clause.items()]
    return _join(parts, " AND ", EVERYTHING)


def _clause(name: str, value: object, depth: int) -> Where:
    if name in ("$and", "$or", "$not"):
        parts = [_all_of(part, depth + 1) for part in _parts(name, value)]
        if name == "$or":
            return _join(parts, " OR ", NOTHING)
        joined = _join(parts, " AND ", EVERYTHING)
        return Where(f"(NOT {joined.sql})", joined.values) if name == "$not" else joined
    if name.startswith("$"):
        raise FilterError(f"The filter operator {name} stands where a field name should be.")
    return _field(name, value)


def _parts(name: str, value: object) -> Sequence[object]:
    """The operands of a logical operator: a list of clauses, or one dictionary whose fields are the clauses."""
    if isinstance(value, Mapping):
        return [{key: part} for key, part in value.items()] if name == "$or" else [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    raise FilterError(f"The filter operator {name} takes a list or a dictionary, not {type(value).__name__}.")


def _field(name: str, value: object) -> Where:
    if isinstance(value, Mapping):
        if not value:
            raise FilterError(f"The filter on {name!r} is empty.")
        return _join([_compare(name, str(op), operand) for op, operand in value.items()], " AND ", EVERYTHING)
    return _compare(name, "$in" if _is_list(value) else "$eq", value)


def _compare(name: str, operator: str, operand: object) -> Where:
    if operator == "$not":
        inner = _field(name, operand)
        return Where(f"(NOT {inner.sql})", inner.values)
    if operator not in OPERATORS:
        raise FilterError(f"The filter operator {operator} is not known; use one of {', '.join(OPERATORS)}.")
    if operator in ("$ne", "$nin"):
        inner = _compare(name, "$in" if operator == "$nin" else "$eq", operand)
        return Where(f"(NOT {inner.sql})", inner.values)
    if operator == "$in":
        if not _is_list(operand):
            raise FilterError(f"The filter on {name!r}: $in takes a list, not {type(operand).__name__}.")
        return _one_of(name, list(operand))  # type: ignore[call-overload]
    if operator == "$glob":
        if not isinstance(operand, str):
            raise FilterError(f"The filter on {name!r}: $glob takes a pattern, not {type(operand).__name__}.")
        return _test(name, "GLOB ?", operand, composed(name, operand))
    if operator == "$path":
        if name != "source" or not isinstance(operand, str):
            raise FilterError(f"The filter on {name!r}: $path takes the name of a file, and stands with source only.")
        return path_condition(operand)
    if operator != "$eq" and isinstance(operand, bool):
        raise FilterError(f"The filter on {name!r}: true and false can only be equal or not, not greater or less.")
    return _test(name, f"{COMPARISONS.get(operator, '=')} ?", operand, composed(name, operand))


def path_condition(path: str) -> Where:
    """The condition that a document has this source, or, if no document has it, that `*` and `?` in it match."""
    _kind("source", path)
    path = str(composed("source", path))
    glob = _pattern(path)
    sql = "(d.source = ? OR (d.source GLOB ? AND NOT EXISTS (SELECT 1 FROM documents WHERE source = ?)))"
    return Where(sql, (path, glob, path))


def _pattern(path: str) -> str:
    """A pattern in which only `*` and `?` have a meaning."""
    return path.replace("[", "[[]")


def with_known_paths(filters: Filter, exists: Callable[[str], bool]) -> Filter:
    """A filter with `$in` or `$glob` for each `$path`: what it means where `exists` says which sources there are.

    For a part of an index, where the file of that name can be in another part. Raises FilterError.

    >>> with_known_paths({"source": {"$path": "a?.txt"}}, lambda source: False)
    {'source': {'$glob': 'a?.txt'}}
    """
    where(filters)

    def known(value: Any) -> Any:
        if _is_list(value):
            return [known(one) for one in value]
        if not isinstance(value, Mapping):
            return value
        found = {name: known(one) for name, one in value.items() if name != "$path"}
        if "$path" in value:
            path = str(composed("source", value["$path"]))
            operator, operand = ("$in", [path]) if exists(path) else ("$glob", _pattern(path))
            if operator in found:
                raise FilterError(
                    f"The filter has $path beside {operator} on one field; an index in parts takes one of them."
                )
            found[operator] = operand
        return found

    return dict(known(filters))


def composed(name: str, value: object) -> object:
    """The value as sources are stored, in NFC; other fields as they are."""
    return unicodedata.normalize("NFC", value) if name == "source" and isinstance(value, str) else value


def _one_of(name: str, items: Sequence[object]) -> Where:
    """Membership in a list of any length, with one JSON parameter for each type of value in it."""
    groups: dict[str, list[object]] = {}
    for item in items:
        groups.setdefault(_kind(name, item), []).append(composed(name, item))
    tests = [_test(name, "IN (SELECT value FROM json_each(?))", group[0], json.dumps(group)) for group in groups.values()]
    return _join(tests, " OR ", NOTHING)


def _kind(name: str, operand: object) -> str:
    """The JSON types that an operand can be compared with. Raises FilterError if there are none."""
    if isinstance(operand, bool):
        return "'true', 'false'"
    if isinstance(operand, str) and not any("\ud800" <= character <= "\udfff" for character in operand):
        return "'text'"
    if isinstance(operand, int | float) and math.isfinite(operand) and abs(operand) < 2**63:
        return "'integer', 'real'"
    raise FilterError(f"The filter on {name!r} compares with {operand!r}; use text, a number, true, false or a list.")


def _test(name: str, comparison: str, sample: object, value: object) -> Where:
    """One typed comparison. It is false, never NULL, if the field is missing or has another type than `sample`."""
    kind = _kind(name, sample)
    if name in COLUMNS:
        if (name == "page") != (kind == "'integer', 'real'"):
            expected = "a number" if name == "page" else "text"
            raise FilterError(f"The filter on {name!r} takes {expected}, not {sample!r}.")
        return Where(f"(coalesce({COLUMNS[name]} {comparison}, 0))", (value,))
    if not name or '"' in name or "\0" in name:
        raise FilterError(f"The filter field {name!r} is not a name a field can have.")
    path = f'$."{name}"'
    sql = f"(coalesce(json_type(d.meta, ?) IN ({kind}) AND json_extract(d.meta, ?) {comparison}, 0))"
    return Where(sql, (path, path, value))


def _join(parts: Sequence[Where], word: str, empty: str) -> Where:
    if not parts:
        return Where(empty)
    values = tuple(value for part in parts for value in part.values)
    return Where("(" + word.join(part.sql for part in parts) + ")", values)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset)

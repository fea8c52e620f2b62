"""Filters against a naive reading of the same notation, over typed meta; and what cannot be honoured."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import FilterError
from indexing.store.filters import parse_terms, where

ROWS: list[dict[str, Any]] = [
    {"language": "de", "source": "a/x.txt", "page": 1, "year": 9, "tag": "red"},
    {"language": "de", "source": "a/y.txt", "page": None, "year": 10, "open": True},
    {"language": "en", "source": "b/x.txt", "page": 2, "year": 100.5, "tag": "50"},
    {"language": "ja", "source": "b/深い/z.md", "page": 7, "year": "2000", "open": False},
    {"language": "en", "source": "c.pdf", "page": 3, "tag": ""},
]
COLUMNS = ("language", "source", "page")


def select(filters: Any, rows: list[dict[str, Any]] = ROWS) -> list[int]:
    """Rows a filter allows, by the SQL that is really used."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE c (id, document_id, language, page)")
    connection.execute("CREATE TABLE documents (id, source, content_hash, meta)")
    for number, row in enumerate(rows):
        meta = json.dumps({k: v for k, v in row.items() if k not in COLUMNS})
        connection.execute("INSERT INTO c VALUES (?, ?, ?, ?)", (number, number, row["language"], row["page"]))
        connection.execute("INSERT INTO documents VALUES (?, ?, '', ?)", (number, row["source"], meta))
    condition = where(filters)
    assert condition is not None
    sql = f"SELECT c.id FROM c JOIN documents AS d ON d.id = c.document_id WHERE {condition.sql} ORDER BY c.id"
    return [row[0] for row in connection.execute(sql, condition.values)]


def holds(filters: dict[str, Any], row: dict[str, Any]) -> bool:
    """The same notation, read naively."""
    return all(_clause(name, value, row) for name, value in filters.items())


def _clause(name: str, value: Any, row: dict[str, Any]) -> bool:
    if name == "$not":
        return not all(holds(part, row) for part in value)
    if name in ("$and", "$or"):
        return (all if name == "$and" else any)(holds(part, row) for part in value)
    if isinstance(value, dict):
        return all(_compare(op, row.get(name), operand) for op, operand in value.items())
    return _compare("$in" if isinstance(value, list) else "$eq", row.get(name), value)


def _same_type(a: Any, b: Any) -> bool:
    kinds = (bool, str, (int, float))
    return any(isinstance(a, kind) and isinstance(b, kind) for kind in kinds if isinstance(a, bool) == isinstance(b, bool))


def _compare(op: str, value: Any, operand: Any) -> bool:
    if op in ("$ne", "$nin"):
        return not _compare("$eq" if op == "$ne" else "$in", value, operand)
    if op == "$in":
        return any(_compare("$eq", value, item) for item in operand)
    if not _same_type(value, operand):
        return False
    if op == "$glob":
        return fnmatchcase(value, operand)
    tests = {"$eq": value == operand, "$gt": value > operand, "$gte": value >= operand, "$lt": value < operand}
    return bool(tests.get(op, value <= operand))


texts = st.sampled_from(["de", "en", "xx", "red", "50", "", "2000", "a/x.txt"])
numbers = st.sampled_from([1, 2, 9, 10, 50, 100.5, 2000])


def fields() -> st.SearchStrategy[dict[str, Any]]:
    text_field = st.sampled_from(["language", "source", "tag", "missing"])
    number_field = st.sampled_from(["page", "year", "missing"])
    order = st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"])
    return st.one_of(
        st.builds(lambda n, v: {n: v}, text_field, texts),
        st.builds(lambda n, v: {n: v}, text_field, st.lists(texts, max_size=3)),
        st.builds(lambda n, o, v: {n: {o: v}}, number_field, order, numbers),
        st.builds(lambda n, v: {n: {"$nin": v}}, number_field, st.lists(numbers, max_size=3)),
        st.builds(lambda v: {"open": v}, st.booleans()),
        st.builds(lambda v: {"source": {"$glob": v}}, st.sampled_from(["a/*", "*x*", "b/?.txt", "*", "none*"])),
    )


filters = st.recursive(
    fields(),
    lambda inner: st.builds(
        lambda op, parts: {op: parts}, st.sampled_from(["$and", "$or", "$not"]), st.lists(inner, max_size=3)
    ),
    max_leaves=6,
)


@given(filters)
def test_a_filter_allows_what_its_notation_says(asked: dict[str, Any]) -> None:
    assert select(asked) == [number for number, row in enumerate(ROWS) if holds(asked, row)]


def test_numbers_are_compared_as_numbers() -> None:
    assert select({"year": {"$gte": 50}}) == [2]
    assert select({"year": "2000"}) == [3]
    assert select({"tag": "50"}) == [2] and select({"tag": 50}) == []


def test_none_is_everything_and_empty_lists_are_nothing() -> None:
    assert where(None) is None
    assert select({}) == [0, 1, 2, 3, 4]
    assert select({"language": []}) == [] == select({"$or": []})
    assert select({"language": "absent"}) == []


def test_a_list_of_any_length_is_one_parameter() -> None:
    assert select({"language": [f"l{n}" for n in range(100_000)] + ["ja"]}) == [3]


@pytest.mark.parametrize(
    "bad",
    [
        "de",
        ["de"],
        {"$xor": []},
        {"year": {"$like": 3}},
        {"year": {}},
        {"$and": 3},
        {"year": None},
        {"year": {"$gt": True}},
        {"page": "1"},
        {"language": 3},
        {"$eq": 1},
        {'a"b': 1},
        {"": 1},
        {"year": float("nan")},
        {"year": 2**70},
        {"source": {"$glob": 3}},
        {"source": {"$path": 3}},
        {"tag": {"$path": "red"}},
        {"language": {"$in": "de"}},
        {"tag": "\ud800"},
    ],
)
def test_what_cannot_be_honoured_is_an_error(bad: Any) -> None:
    with pytest.raises(FilterError):
        where(bad)


def test_a_filter_nested_too_deep_is_an_error() -> None:
    nested: dict[str, Any] = {"language": "de"}
    for _ in range(200):
        nested = {"$and": [nested]}
    with pytest.raises(FilterError):
        where(nested)


def test_sql_in_names_and_values_stays_text() -> None:
    assert select({"x') OR 1=1 --": "a"}) == []
    assert select({"tag": "' OR 1=1 --"}) == []


def test_terms_of_a_command_line() -> None:
    assert select(parse_terms(["language=de"])) == [0, 1]
    assert select(parse_terms(["language=de", "language=en", "source=*/x*"])) == [0, 2]
    assert select(parse_terms(["year>=10", "year<200"])) == [1, 2]
    assert select(parse_terms(["language!=de", "language!=en"])) == [3]
    assert select(parse_terms(["open=true"])) == [1]
    assert parse_terms([]) is None
    for bad in ("language", "=de", "$or=3", ">3"):
        with pytest.raises(FilterError):
            parse_terms([bad])


NAMES = [
    "report[1].txt",
    "report1.txt",
    "what?.txt",
    "whats.txt",
    "a*b.md",
    "axb.md",
    "x/[old] plan.pdf",
    "x/o plan.pdf",
    "Straße.txt",
]
FILES = [{"language": "en", "source": name, "page": 1} for name in [*NAMES, "Caf\u00e9/m\u1ec7nh.txt", "\uccad\uc1a1.txt"]]


@pytest.mark.parametrize("number", range(len(FILES)))
def test_the_name_of_a_file_selects_that_file_alone(number: int) -> None:
    name = FILES[number]["source"]
    for written in (name, unicodedata.normalize("NFD", str(name))):
        assert select(parse_terms([f"source={written}"]), FILES) == [number]
        assert select({"source": written}, FILES) == select({"source": [written]}, FILES) == [number]
        assert number not in select({"source": {"$ne": written}}, FILES)


@pytest.mark.parametrize(
    ("term", "names"),
    [
        ("source=report*", ["report[1].txt", "report1.txt"]),
        ("source=report[1]*", ["report[1].txt"]),
        ("source=a?b.md", ["a*b.md", "axb.md"]),
        ("source=a*b.md", ["a*b.md"]),
        ("source=x/[old]*", ["x/[old] plan.pdf"]),
        ("source=report[2].txt", []),
        ("source~report[1].txt", ["report1.txt"]),
        ("source~report[[]1].txt", ["report[1].txt"]),
        ("source~what?.txt", ["what?.txt", "whats.txt"]),
        ("source~x/[a-o]*", ["x/o plan.pdf"]),
        ("source ~ *.md", ["a*b.md", "axb.md"]),
        ("source!=report[1].txt", [name["source"] for name in FILES if name["source"] != "report[1].txt"]),
        ("source!=x/*", [name["source"] for name in FILES if not str(name["source"]).startswith("x/")]),
        ("source!=what?.txt", [name["source"] for name in FILES if name["source"] != "what?.txt"]),
        ("source!~*.*", []),
        ("source !~ what?.txt", [name["source"] for name in FILES if not str(name["source"]).startswith("what")]),
    ],
)
def test_patterns_and_names(term: str, names: list[str]) -> None:
    assert [FILES[n]["source"] for n in select(parse_terms([term]), FILES)] == names


def test_several_exclusions_exclude_each() -> None:
    assert select(parse_terms(["source!~x/*", "source!~*.txt"]), FILES) == [NAMES.index("a*b.md"), NAMES.index("axb.md")]
    assert parse_terms(["tag=a!~b"]) == {"$and": [{"$or": [{"tag": {"$eq": "a!~b"}}]}]}


def test_a_tilde_in_a_value_is_no_pattern() -> None:
    assert parse_terms(["tag=a~b"]) == {"$and": [{"$or": [{"tag": {"$eq": "a~b"}}]}]}
    assert parse_terms(["tag~a=b*"]) == {"$and": [{"$or": [{"tag": {"$glob": "a=b*"}}]}]}
    assert select(parse_terms(["tag~r?d"])) == [0]

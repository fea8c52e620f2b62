"""Answers that say the same are one answer with its support; answers and passages as files to take away."""

from __future__ import annotations

import csv
import io

from tests.ui.replies import answer, reply
from ui.render.answer_groups import by_language, competing_answers, group_answers, group_passages
from ui.render.export import citations, table


def test_the_same_answer_is_folded_and_its_support_counted() -> None:
    given = [
        answer("1912", "a"),
        answer(" 1912 ", "b", 0.8, "de"),
        answer("1912", "b", 0.7, "de"),
        answer("1921", "c", 0.95),
    ]
    said = group_answers(given)
    assert [one.best.text for one in said] == ["1921", "1912"] and sum(len(one.places) for one in said) == len(given)
    assert said[1].documents == 2 and said[1].languages == {"en": 1, "de": 1}
    assert competing_answers(said) == [(1, "1921"), (2, "1912")]
    assert (
        competing_answers(group_answers([answer("x", "a"), answer("y", "a", start=9)])) == [] == competing_answers(said[:1])
    )
    assert [one.best.text for one in by_language(said)["en"]] == ["1921", "1912"]


def test_copies_support_an_answer_once_and_doubtful_ones_do_not() -> None:
    given = [answer("1912", "a"), answer("1912", "b"), answer("1912", "c", 0.6), answer("1921", "d", 0.95)]
    said = group_answers(given, {"a": "a", "b": "a"})
    assert [(one.documents, len(one.places), one.languages) for one in said] == [(1, 1, {"en": 1}), (1, 3, {"en": 1})]
    assert competing_answers(said) == [(1, "1921"), (1, "1912")]
    assert competing_answers(group_answers([*given[:3], answer("1921", "d", 0.7)])) == []
    assert competing_answers(group_answers([answer("x", "a"), answer("y", "b", start=9)], {"a": "a", "b": "a"})) == []


def test_passages_of_copies_stand_together() -> None:
    passages = [one.passage for one in (answer("x y", "a"), answer("x y", "c"), answer("x  y", "b"), answer("z", "b"))]
    found = group_passages([one for one in passages if one], {"a": "a", "b": "a"})
    assert [[one.document_id for one in group] for group in found] == [["a", "b"], ["c"], ["b"]]


def test_a_table_runs_nothing_and_citations_say_where() -> None:
    found = reply(answer("=cmd()", "a"), answer("1912", "b"))
    rows = list(csv.DictReader(io.StringIO(table(found, lambda *place: f"link{place}").decode("utf-8-sig"))))
    assert len(rows) == 4 and rows[0]["text"] == "'=cmd()" and rows[0]["question"] == "'=When?" and rows[1]["page"] == "2"
    listed = citations(found, {"b": {"author": "N. N.", "date": "1999"}}, lambda *place: f"link{place}")
    assert (rows[0]["passages_read"], rows[0]["passages_retrieved"]) == ("1", "2") and "1 of 2 passages read." in listed
    assert "2. “1912” N. N., b.txt, 1999, p. 2, characters 0–4." in listed and "link('b', 0, 4)" in listed

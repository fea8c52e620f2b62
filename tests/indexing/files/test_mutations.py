"""Damaged files end in texts or in one sentence: 2,000 of those of `benchmarks.mutations`, which makes millions."""

from __future__ import annotations

import os
import random

import pytest

from benchmarks.mutations import Mutations, damaged, judge, members_of, mutated
from indexing.files.file_text import FileText
from indexing.files.file_type import kind_of
from indexing.files.walk import FileReader
from tests.indexing.files.seed_files import seeds

FILES = seeds()
EACH = -(-int(os.environ.get("DOCQA_MUTATIONS", "2000")) // len(FILES))
EACH_BY_PROGRAMS = 3  # catdoc, where it is installed, hangs on some until it is ended


@pytest.mark.parametrize("kind", FILES)
def test_mutated_files_are_read_or_refused(kind: str) -> None:
    """DOCQA_MUTATIONS=100000 reads more."""
    by_program = kind == "doc"
    with Mutations(FILES) as mutations:
        for number in range(EACH_BY_PROGRAMS if by_program else EACH):
            mutations.read(kind, number)
        counts = mutations.counts[kind]
        assert counts["wrong"] == 0, mutations.failed
        assert by_program or (mutations.failed == [] and counts["read"] > 0)


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "doc"])
def test_the_seeds_are_read(reader: FileReader, kind: str) -> None:
    for data in FILES[kind]:
        assert kind_of(data, f"seed.{kind}") == kind and reader.parse(data, f"seed.{kind}")


def test_a_damaged_file_is_made_again_from_its_number_and_no_two_are_equal() -> None:
    made = [damaged(FILES["docx"], "docx", number) for number in range(50)]
    assert made == [damaged(seeds()["docx"], "docx", number) for number in range(50)]
    assert len(set(made)) > 45 and not set(made) & set(FILES["docx"])


def test_what_is_packed_is_changed_inside() -> None:
    """Otherwise the checksum of the container would refuse it before any parser sees the change."""
    members = members_of(FILES["xlsx"][0])
    whole = 0
    for number in range(40):
        try:
            made = members_of(mutated(FILES["xlsx"], random.Random(number)))
        except Exception:
            continue
        whole += made.keys() == members.keys() and made != members
    assert whole > 20


def test_what_cannot_be_unpacked_is_changed_as_it_is() -> None:
    cut = FILES["gz"][0][:-4]
    made = [mutated([cut], random.Random(number)) for number in range(20)]
    assert len(set(made)) > 15 and any(data.startswith(cut[:10]) for data in made)


def test_a_parser_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with Mutations(FILES) as mutations:
        monkeypatch.setattr(mutations.reader, "parse", lambda *_: [][1])
        assert mutations.read("txt", 3) == damaged(FILES["txt"], "txt", 3)
        assert mutations.counts["txt"] == {"wrong": 1}
        assert mutations.failed[0][0] == "txt-1-3.txt" and "IndexError" in mutations.failed[0][1]


def test_what_breaks_a_law_is_noticed() -> None:
    wrong: list[list[FileText] | str] = [
        "a <lxml object at 0x7f> failed",
        "",
        [],
        [FileText("ab", pages=(0, 5))],
        [FileText("ab", headings=((1, 1, 1),))],
        [FileText("a\ud800")],
        [FileText("ab", notes=("a <class 'lxml'> failed",))],
    ]
    assert all(why and name == "wrong" for why, name in (judge(outcome, 0.0) for outcome in wrong))
    assert judge("fine", 99.0)[1] == "wrong" and judge("the parser crashed", 0.0) == ("the parser crashed", "crashed")
    assert judge([FileText("ab", pages=(0, 1), headings=((0, 1, 1),))], 0.0) == ("", "read")
    assert judge("damaged", 0.0) == ("", "refused")

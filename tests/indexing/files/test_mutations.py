"""Mutated files end in texts or in one sentence: 2,000 of the inputs of `benchmarks.mutating`, which makes millions."""

from __future__ import annotations

import os
import random

import pytest

from benchmarks import mutating
from benchmarks.mutating import Mutations, made_input, mutated, seeds

FORMATS = sorted(seeds())
EACH = -(-int(os.environ.get("DOCQA_MUTATIONS", "2000")) // len(FORMATS))


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_are_read_or_refused(kind: str) -> None:
    """DOCQA_MUTATIONS=100000 parses more."""
    with Mutations([kind]) as mutations:
        for number in range(EACH):
            mutations.parse(kind, number)
        assert mutations.failed == []
        assert mutations.counts["read"] > 0 and mutations.counts.total() == EACH


@pytest.mark.parametrize("kind", FORMATS)
def test_the_seeds_are_read(kind: str) -> None:
    with Mutations([kind]) as mutations:
        for data in mutations.files[kind]:
            assert mutations.reader.parse(data, f"seed.{kind}")


def test_an_input_is_made_again_from_its_number_and_no_two_are_equal() -> None:
    files = seeds()["docx"]
    made = [made_input(files, "docx", number) for number in range(50)]
    assert made == [made_input(files, "docx", number) for number in range(50)]
    assert len(set(made)) > 45 and not set(made) & set(files)


def test_what_is_packed_is_changed_inside() -> None:
    """Otherwise the checksum of the container would refuse it before any parser sees the change."""
    files = seeds()["xlsx"]
    names = mutating._zip_members(files[0])
    whole = 0
    for number in range(40):
        try:
            members = mutating._zip_members(mutated(files, random.Random(number)))
        except Exception:
            continue
        whole += members.keys() == names.keys() and members != names
    assert whole > 20


def test_a_parser_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with Mutations(["txt"]) as mutations:
        monkeypatch.setattr(mutations.reader, "parse", lambda *_: [][1])
        assert mutations.parse("txt", 3) == made_input(mutations.files["txt"], "txt", 3)
        assert mutations.wrong == 1 and mutations.failed[0][0] == "txt-1-3.txt" and "IndexError" in mutations.failed[0][1]

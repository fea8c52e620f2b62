"""Near misses: both twins are written, they differ in one fact, and the paragraph lacks that fact in every spelling."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import regex

from indexing.text.facts import StatedFacts, missing_facts, question_facts
from qa_pipeline.cli.main import main
from qa_pipeline.datasets.examples import Example, Gold, read_examples
from qa_pipeline.datasets.squad_writer import squad
from qa_pipeline.training.augmentation.near_miss import near_misses, other_number


def example(id: str, language: str, question: str, context: str, answer: str) -> Example:
    assert answer in context
    return Example(
        id, question, context, (Gold(answer, context.index(answer)),), language, language, "", f"a.{language}.json"
    )


ASKED = [
    example("1", "en", "How many containers came in 2021?", "In 2021 the harbour handled 83,400 containers.", "83,400"),
    example("2", "en", "Who supplies pump P-101?", "Pump P-101 is supplied by Velm Hydraulics.", "Velm Hydraulics"),
    example("3", "en", "What is the extension of Ada Orveth?", "The extension of Ada Orveth is 4711.", "4711"),
    example("4", "en", "Where does Maria Tarn live?", "Maria Tarn lives in Ostby.", "Ostby"),
    example("5", "de", "Was steht in Artikel XII?", "Artikel XII regelt die Fischerei.", "die Fischerei"),
    example("6", "ar", "كم حاوية عام ٢٠٢١؟", "في عام 2021 عالج الميناء 83400 حاوية.", "83400"),
    example("7", "zh", "二〇二一年有多少船？", "2021年有834艘船。", "834"),
    example("8", "zh", "维尔姆在哪里？", "维尔姆在奥斯特。", "奥斯特"),
    example("9", "zh", "谁住在奥斯特？", "住在奥斯特的是维尔姆。", "维尔姆"),
    example("10", "en", "What was built in May 1931?", "The lighthouse was built in May 1931.", "The lighthouse"),
    example("11", "en", "What is it?", "It is a boat.", "a boat"),
    example("12", "hi", "2021 में कितने कंटेनर थे?", "2021 में 83400 कंटेनर थे।", "83400"),
]


def test_twins_differ_in_one_fact() -> None:
    made = [one.example for one in near_misses(ASKED, 3)]
    pairs = list(zip(made[::2], made[1::2], strict=True))
    assert {first.id for first, _ in pairs} >= {"1", "2", "3", "4", "5", "6", "7", "10", "12"}
    assert "11" not in {first.id for first, _ in pairs}
    for first, twin in pairs:
        assert first in ASKED and not twin.golds and twin.context == first.context and twin.question != first.question
        assert regex.fullmatch(r"\d+:near-miss-(year|number|month|code|name|entity)", twin.id)
        language = twin.question_language
        stated = StatedFacts.of([twin.context], twin.language)
        assert not missing_facts(question_facts(first.question, language), stated, language)
        assert missing_facts(question_facts(twin.question, language), stated, language) or twin.id.endswith("entity")


def test_names_without_case_are_answers_of_other_questions() -> None:
    made = {one.example.id: one.example.question for one in near_misses(ASKED, 3)}
    assert "8:near-miss-entity" not in made or made["8:near-miss-entity"] == "奥斯特在哪里？"
    others = [
        *ASKED,
        example("13", "zh", "塔恩是谁？", "塔恩是船长。", "船长"),
        example("14", "zh", "谁是船长？", "塔恩是船长。", "塔恩"),
    ]
    found = {one.example.id: one.example.question for one in near_misses(others, 3)}
    assert found["8:near-miss-entity"] in ("塔恩在哪里？", "船长在哪里？")


def test_the_seed_decides() -> None:
    assert list(near_misses(ASKED, 5)) == list(near_misses(ASKED, 5))
    assert list(near_misses(ASKED, 5)) != list(near_misses(ASKED, 6))


def test_years_keep_four_digits() -> None:
    draw = random.Random(1)
    made = {other_number("1003", "year", draw) for _ in range(200)}
    assert made - {None} and all(new is None or 1000 <= int(new) <= 1015 and new != "1003" for new in made)


@pytest.mark.parametrize("old", ["2021", "٢٠٢١", "1,150", "XII", "二〇二一", "三百二十", "7", "２０２１"])
def test_numbers_keep_their_form(old: str) -> None:
    draw = random.Random(1)
    for _ in range(50):
        new = other_number(old, "number", draw)
        assert new is None or new != old
        if new is not None and regex.search(r"\p{Nd}", old):
            assert len(new) == len(old) and regex.sub(r"\p{Nd}", "0", new) == regex.sub(r"\p{Nd}", "0", old)
            assert {ord(a) - int(a) for a in new if a.isdecimal()} == {ord(a) - int(a) for a in old if a.isdecimal()}


def test_the_command_writes_both_twins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    english = [one for one in ASKED if one.language == "en"]
    (tmp_path / "a.en.json").write_text(json.dumps(squad(english)))
    (tmp_path / "b.en.json").write_text(json.dumps(squad([replace(one, id=f"b{one.id}") for one in english])))
    out = tmp_path / "out.jsonl"
    command = ["augment", str(tmp_path / "a.en.json"), "--into", str(out), "--method", "near-miss", "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    found = read_examples(out)
    assert told["written"] == len(found) == 10 and sum(one.is_impossible for one in found) == 5
    assert main([*command, "--limit", "5"]) == 0
    few = read_examples(out)
    assert len(few) == 4 and sum(one.is_impossible for one in few) == 2
    assert all(json.loads(row)["how"] == "near-miss" for row in out.read_text("utf-8").splitlines())

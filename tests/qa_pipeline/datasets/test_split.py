"""Splits: the same number of test questions in each language, no paragraph on both sides, the same again for a seed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError
from qa_pipeline.cli.main import main
from qa_pipeline.datasets.examples import Example, Gold, read_examples
from qa_pipeline.datasets.split import divide, groups
from qa_pipeline.datasets.squad_writer import GeneratedExample, read_all, squad, write_rows

LANGUAGES = ("en", "de", "th")


def example(id: str, context: str, *, language: str = "en", origin: str = "a.json", title: str = "") -> Example:
    return Example(id, f"Q {id}?", context, (Gold(context[:3], 0),), language, language, title, origin)


def parallel(paragraphs: int, questions: int, languages: tuple[str, ...] = LANGUAGES) -> list[Example]:
    """The same paragraphs in several languages, a file each, ids alike."""
    return [
        example(f"{p}-{q}-{'x' * 20}", f"{language} paragraph {p} says it.", language=language, origin=f"{language}.json")
        for language in languages
        for p in range(paragraphs)
        for q in range(questions)
    ]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(LANGUAGES)), min_size=30, max_size=120),
    st.integers(1, 6),
    st.integers(0, 5),
)
def test_no_group_is_on_both_sides(drawn: list[tuple[int, str]], per_language: int, seed: int) -> None:
    examples = [
        example(str(n), f"{language} {p}", language=language, origin=f"{language}.json")
        for n, (p, language) in enumerate(drawn)
    ]
    counts = Counter(e.language for e in examples)
    if min(counts.values()) < per_language:
        with pytest.raises(SettingError, match="fewer than"):
            divide(examples, per_language, seed)
        return
    made = divide(examples, per_language, seed)
    assert Counter(e.language for e in made.test) == dict.fromkeys(counts, per_language)
    assert not {e.context for e in made.train} & {e.context for e in made.test}
    assert len(made.train) + len(made.test) + made.left_out == len(examples)
    assert divide(examples, per_language, seed) == made


def test_translations_stay_together() -> None:
    made = divide(parallel(20, 3), 9, seed=4)
    numbers = [{e.context.split()[2] for e in part} for part in (made.train, made.test)]
    assert not numbers[0] & numbers[1] and made.left_out == 0
    assert len(made.train) == 3 * (60 - 9)


def test_another_seed_another_split() -> None:
    assert divide(parallel(20, 3), 9, 1).test != divide(parallel(20, 3), 9, 2).test


def test_positions_of_an_article_stay_together() -> None:
    """Without shared ids, title and position tell; unequal numbers of paragraphs tell nothing."""
    a = [example(f"a{n}", f"en {n}", title="Bridge") for n in range(3)]
    b = [example(f"b{n}", f"de {n}", language="de", origin="b.json", title="Bridge") for n in range(3)]
    c = [example(f"c{n}", f"th {n}", language="th", origin="c.json", title="Bridge") for n in range(2)]
    assert groups([*a, *b, *c]) == [[0, 3], [1, 4], [2, 5], [6], [7]]


def test_counters_are_no_ids() -> None:
    """Two sets that number their questions 1, 2, 3 have nothing to do with one another."""
    a = [example(str(n), f"en {n // 3}") for n in range(12)]
    b = [example(str(n), f"de {n // 2}", language="de", origin="b.json") for n in range(12)]
    assert len(groups([*a, *b])) == 4 + 6


YEARS = {
    "en": "In {year} it cost {price:,} marks.",
    "de": "{year} kostete es {price:,} Mark.",
    "ar": "في عام {year} كان الثمن {price:,}.",
}
DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def counted(language: str, first_year: int, paragraphs: int = 4, questions: int = 3) -> list[Example]:
    """A file whose ids are a prefix and a counter, over paragraphs with a year each."""
    texts = [YEARS[language].format(year=year, price=2 * year) for year in range(first_year, first_year + paragraphs)]
    shown = {
        "en": texts,
        "de": [text.replace(",", ".") for text in texts],
        "ar": [text.replace(",", "٬").translate(DIGITS) for text in texts],
    }
    return [
        example(f"{language}-{n:02}", shown[language][n // questions], language=language, origin="a.json")
        for n in range(paragraphs * questions)
    ]


@pytest.mark.parametrize("questions", [1, 3])
def test_counters_that_happen_to_agree_join_nothing_where_the_numbers_in_the_texts_differ(questions: int) -> None:
    """Files over other texts in other languages, whose questions are numbered in blocks of one size."""
    files = [counted(language, year, questions=questions) for language, year in (("en", 1800), ("de", 1900), ("ar", 1700))]
    assert len(groups([e for file in files for e in file])) == 3 * 4
    made = divide([e for file in files for e in file], questions, 1)
    assert Counter(e.language for e in made.train) == dict.fromkeys(("en", "de", "ar"), 3 * questions)


@pytest.mark.parametrize("questions", [1, 3])
def test_counters_of_translations_join_them_in_any_script(questions: int) -> None:
    files = [counted(language, 1900, questions=questions) for language in ("en", "de", "ar")]
    assert len(groups([e for file in files for e in file])) == 4


def test_the_examples_are_split(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(repository / "examples" / "questions.json")
    assert main(["split", file, "--into", str(tmp_path / "s"), "--test-per-language", "3", "--json"]) == 0
    told = capsys.readouterr()
    counts = json.loads(told.out)["languages"]
    assert len(counts) == 12 and all(side["test"] == 3 and side["train"] >= 5 for side in counts.values()), counts
    assert told.err == ""
    contexts = [{e.context for e in read_all([tmp_path / "s" / side])} for side in ("train", "test")]
    assert not contexts[0] & contexts[1]


def test_an_empty_training_part_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language in ("en", "de"):
        examples = [example(f"{language}{n}", f"{language} text", language=language) for n in range(4)]
        (tmp_path / f"{language}.json").write_text(json.dumps(squad(examples)), encoding="utf-8")
    assert main(["split", str(tmp_path), "--into", str(tmp_path / "s"), "--test-per-language", "2"]) == 0
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("docqa: The training part has no questions in every language") and told.endswith(".")


def test_ids_that_begin_with_their_files_name_are_compared_without_it() -> None:
    a = [example(f"set-en-{n // 2}-{n % 2}", f"en {n // 2}") for n in range(8)]
    b = [example(f"set-fi-{n // 2}-{n % 2}", f"fi {n // 2}", language="fi", origin="b.json") for n in range(6)]
    assert groups([*a, *b]) == [[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7]]


def test_questions_across_languages_stay_with_their_context() -> None:
    """MLQA's shape: one context, questions in two languages."""
    a = [example(f"{'k' * 20}{n}", f"en {n}", origin="context-en-question-en.json") for n in range(4)]
    b = [example(f"{'k' * 20}{n}", f"en {n}", origin="context-en-question-de.json") for n in range(4)]
    assert groups([*a, *b]) == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_windows_of_one_article_stay_together() -> None:
    shared = "This sentence is long enough to be found again in another window of the same article."
    a, b, c = (example(id, text) for id, text in (("1", f"One. {shared}"), ("2", f"{shared} Two."), ("3", "Three.")))
    assert groups([a, b, c]) == [[0, 1], [2]]


def test_a_notice_that_stands_everywhere_joins_nothing() -> None:
    notice = "All rights in this text are with those who wrote it, whoever they may have been in the end."
    assert len(groups([example(str(n), f"Text {n}. {notice}") for n in range(9)])) == 9


def test_white_space_makes_no_other_paragraph() -> None:
    assert groups([example("1", "one  two"), example("2", "one two ")]) == [[0, 1]]


def test_nothing_to_split() -> None:
    made = divide([], 3, 1)
    assert (made.train, made.test, made.left_out) == ((), (), 0)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Clashing ids get their file's name; languages of question and context are kept."""
    examples = [
        example("1", "en one"),
        example("2", "en one"),
        example("1", "en two", origin="b.json"),
        Example("3", "Was?", "en one", (), "en", "de", "T", "a.json"),
    ]
    path = tmp_path / "out.json"
    path.write_text(json.dumps(squad(examples)))
    found = read_examples(path)
    assert {e.id for e in found} == {"a.json:1", "2", "b.json:1", "3"}
    assert {(e.question, e.context, e.golds, e.language, e.question_language, e.title) for e in found} == {
        (e.question, e.context, e.golds, e.language, e.question_language, e.title) for e in examples
    }


@pytest.mark.parametrize("name", ["made.jsonl", "made.jsonl.xz"])
def test_rows_tell_where_they_come_from(name: str, tmp_path: Path) -> None:
    wanted = Example("1", "Was?", "en one", (Gold("one", 3),), "en", "de", "T", name)
    write_rows([GeneratedExample(wanted, "pairs", ("a.json:1", "b.json:1"))], tmp_path / name)
    assert read_examples(tmp_path / name) == [wanted]
    if name.endswith("jsonl"):
        row = json.loads((tmp_path / name).read_text("utf-8"))
        assert row["how"] == "pairs" and row["made_from"] == ["a.json:1", "b.json:1"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language in LANGUAGES:
        part = [e for e in parallel(12, 2) if e.language == language]
        (tmp_path / f"{language}.json").write_text(json.dumps(squad(part)))
    asked = ["split", str(tmp_path), "--into", str(tmp_path / "out"), "--test-per-language", "4", "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["languages"]["th"] == {"train": 20, "test": 4} and told["left_out"] == 0
    train, test = (read_all([tmp_path / "out" / side]) for side in ("train", "test"))
    assert Counter(e.language for e in test) == dict.fromkeys(LANGUAGES, 4)
    assert not {e.context for e in train} & {e.context for e in test}
    assert main([*asked[:-2], "99"]) == 2 and "fewer than" in capsys.readouterr().err
    assert main([*asked[:-2], "0"]) == 2 and "1 or more" in capsys.readouterr().err

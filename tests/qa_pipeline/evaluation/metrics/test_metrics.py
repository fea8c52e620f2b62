"""Scorers against plain references written from the definitions, on generated answers, and against values worked by hand."""

from __future__ import annotations

import random
import string
import unicodedata
from collections.abc import Callable, Sequence

import pytest

from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.evaluation.metrics.mlqa import exact_match, f1
from qa_pipeline.evaluation.metrics.no_answer import best_threshold, precision_recall, with_threshold
from qa_pipeline.evaluation.metrics.scorers import SCORERS, scorer_for

CASES = 20_000
WORDS = (
    "the The THE a an and theatre banana un una el la los las der die das dem des ein eine einer là cái những của của"
    " chiếc ال الكتاب كتاب بال القاهرة هند हिन्दी के है 北京 北京大学 的 ㆍ 東京 ไทย 1912 3.5 3,5 £5 don't U.S."
    " state-of-the-art é e\u0301 ﬁ Straße STRASSE İstanbul 😀 a² the_end « » … — - $ + ^ ` _ ( ) [ ]"
    " 。 ， 「」 ؟ ، \u200b \u00a0 \u3000"
    " x y z"
).split(" ")
MARGINS = ("", " ", " ", " ", "  ", "\t", "\n", "\u00a0", ".", ", ", "-")
ARTICLES = {
    "en": {"a", "an", "the"},
    "es": {"un", "una", "unos", "unas", "el", "la", "los", "las"},
    "de": set("ein eine einen einem eines einer der die das den dem des".split()),
    "vi": {"của", "là", "cái", "chiếc", "những"},
}
MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")


# -- references: one character after another ----------------------------------------------------------------------------


def without_articles(text: str, articles: set[str]) -> str:
    """Every whole run of letters, digits and _ that is an article becomes a space."""
    out, run = "", ""
    for character in text + "\0":
        if character.isalnum() or character == "_":
            run += character
        else:
            out += (" " if run in articles else run) + character
            run = ""
    return out[:-1]


def squad_words(text: str) -> list[str]:
    return without_articles("".join(c for c in text.lower() if c not in string.punctuation), ARTICLES["en"]).split()


def mlqa_words(text: str, language: str) -> list[str]:
    bare = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    if language == "ar":
        bare = bare.replace("ال", " ")
    bare = without_articles(bare, ARTICLES.get(language, set()))
    if language == "zh":
        bare = "".join(f" {c} " if 0x4E00 <= ord(c) <= 0x9FA5 else c for c in bare)
    return bare.split()


def shared(given: list[str], gold: list[str]) -> int:
    left, count = list(gold), 0
    for word in given:
        if word in left:
            left.remove(word)
            count += 1
    return count


def reference(given: str, wanted: Sequence[str], words: Callable[[str], list[str]], squad2: bool) -> tuple[float, float]:
    golds = [words(text) for text in wanted]
    if squad2:
        golds = [gold for gold in golds if gold] or [[]]
    pairs = []
    for gold in golds:
        mine = words(given)
        if squad2 and (not mine or not gold):
            pairs.append((float(mine == gold), float(mine == gold)))
            continue
        same = shared(mine, gold)
        precision, recall = (same / len(mine), same / len(gold)) if same else (0.0, 0.0)
        pairs.append((float(mine == gold), 2 * precision * recall / (precision + recall) if same else 0.0))
    return max(exact for exact, _ in pairs), max(part for _, part in pairs)


def text(dice: random.Random) -> str:
    return "".join(dice.choice(WORDS) + dice.choice(MARGINS) for _ in range(dice.randrange(6)))


def cases(seed: int, least: int) -> list[tuple[str, list[str]]]:
    """Answers near to right ones: the same, a part, more words, other marks; or quite other ones."""
    dice = random.Random(seed)
    made = []
    for _ in range(CASES):
        wanted = [text(dice) for _ in range(dice.randint(least, 3))]
        given = dice.choice([text(dice), *wanted])
        if dice.random() < 0.3:
            given = dice.choice(["the ", "«", "", "la "]) + given[dice.randrange(3) :].upper() + dice.choice([".", "", " x"])
        made.append((given, wanted))
    return made


@pytest.mark.parametrize("name, squad2", [("squad1", False), ("tydiqa", False), ("squad2", True)])
def test_squad_equals_its_reference(name: str, squad2: bool) -> None:
    made = cases(len(name), 0 if squad2 else 1)
    score = SCORERS[name].score
    wrong = [case for case in made if score(*case, "en") != reference(*case, squad_words, squad2)]
    assert wrong == []
    values = {score(*case, "en") for case in made}
    assert {(0.0, 0.0), (1.0, 1.0)} < values and len(values) > 10


@pytest.mark.parametrize("language", MLQA)
def test_mlqa_equals_its_reference(language: str) -> None:
    made = cases(MLQA.index(language), 1)
    wrong = [
        case
        for case in made
        if SCORERS["mlqa"].score(*case, language) != reference(*case, lambda t: mlqa_words(t, language), False)
    ]
    assert wrong == []


# -- worked by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scorer, language, given, wanted, exact, overlap",
    [
        ("squad1", "en", "The Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("squad1", "en", "Denver Broncos team", ["Denver Broncos"], 0, 0.8),
        ("squad1", "en", "to to be", ["to be to be"], 0, 6 / 7),
        ("squad1", "en", "1912", ["in 1912", "1912"], 1, 1),
        ("squad1", "en", "state-of-the-art", ["state of the art"], 0, 0),
        ("squad1", "en", "a", ["the"], 1, 0),
        ("squad1", "zh", "北京大学", ["北京"], 0, 0),
        ("squad1", "de", "die Brücke", ["Brücke"], 0, 2 / 3),
        ("squad1", "es", "«1912»", ["1912"], 0, 0),
        ("squad2", "en", "a", ["the"], 1, 1),
        ("squad2", "en", "x", [], 0, 0),
        ("squad2", "en", "", [], 1, 1),
        ("squad2", "en", "", ["x"], 0, 0),
        ("squad2", "en", "x", ["...", "x"], 1, 1),
        ("squad2", "en", "...", ["x"], 0, 0),
        ("squad2", "en", "New York City", ["New York"], 0, 0.8),
        ("mlqa", "zh", "北京大学", ["北京"], 0, 2 / 3),
        ("mlqa", "zh", "在2008年", ["2008年"], 0, 0.8),
        ("mlqa", "zh", "《三国》", ["三国"], 1, 1),
        ("mlqa", "zh", "the FC", ["FC"], 0, 2 / 3),
        ("mlqa", "en", "the FC", ["FC"], 1, 1),
        ("mlqa", "en", "state-of-the-art", ["stateoftheart"], 1, 1),
        ("mlqa", "de", "die Brücke", ["der Brücke"], 1, 1),
        ("mlqa", "de", "the bridge", ["bridge"], 0, 2 / 3),
        ("mlqa", "es", "«1912»", ["1912"], 1, 1),
        ("mlqa", "es", "¿la casa?", ["casa"], 1, 1),
        ("mlqa", "ar", "الكتاب", ["كتاب"], 1, 1),
        ("mlqa", "ar", "كتاب؟", ["كتاب"], 1, 1),
        ("mlqa", "ar", "مالك", ["م ك"], 1, 1),
        ("mlqa", "hi", "हिन्दी।", ["हिन्दी"], 1, 1),
        ("mlqa", "hi", "हिन्दी भाषा", ["हिन्दी"], 0, 2 / 3),
        ("mlqa", "vi", "của Hà Nội", ["Hà Nội"], 1, 1),
        ("mlqa", "en", "a", ["the"], 1, 0),
        ("mlqa", "th", "ไทย", ["ไท"], 0, 0.8),
        ("mlqa", "ja", "東京は", ["東京"], 0, 0.8),
        ("mlqa", "fi", "the talo", ["talo"], 0, 2 / 3),
        ("tydiqa", "fi", "talo.", ["Talo"], 1, 1),
        ("tydiqa", "te", "", ["x"], 0, 0),
    ],
)
def test_worked_values(scorer: str, language: str, given: str, wanted: list[str], exact: float, overlap: float) -> None:
    assert SCORERS[scorer].score(given, wanted, language) == (exact, pytest.approx(overlap, abs=1e-12))


@pytest.mark.parametrize("name", SCORERS)
def test_where_nothing_is_right_only_silence_is(name: str) -> None:
    assert SCORERS[name].score("", [], "en") == (1.0, 1.0) and SCORERS[name].score("Mara", [], "en") == (0.0, 0.0)


def test_the_two_functions_of_old_are_mlqas() -> None:
    assert exact_match("The Salt!", ["salt"], "en") == 1.0 and f1("in 1912", ["1912"], "en") == pytest.approx(2 / 3)


# -- thresholds --------------------------------------------------------------------------------------------------------


def columns(seed: int) -> tuple[list[float], list[bool], list[float], list[bool]]:
    dice = random.Random(seed)
    count = dice.randint(1, 12)
    answerable = [dice.random() < 0.6 for _ in range(count)]
    return (
        [dice.choice([0.0, 0.25, 0.5, 1.0]) * has for has in answerable],
        answerable,
        [dice.choice([0.0, 0.1, 0.1, 0.5, 0.9, 1.0]) for _ in range(count)],
        [dice.random() < 0.8 for _ in range(count)],
    )


def test_the_best_threshold_is_the_first_best_of_all_beginnings() -> None:
    for seed in range(4_000):
        scores, answerable, silent, answered = columns(seed)
        order = sorted(range(len(scores)), key=lambda n: silent[n])

        def worth(taken: int, order=order, s=scores, has=answerable, given=answered) -> float:  # type: ignore[no-untyped-def]
            spoken = [s[n] if has[n] else -float(given[n]) for n in order[:taken]]
            return sum(not h for h in has) + sum(spoken)

        taken = max(range(len(order) + 1), key=worth)
        found = best_threshold(scores, answerable, silent, answered)
        assert found.score == pytest.approx(worth(taken) / len(scores), abs=1e-12)
        assert found.threshold == (silent[order[taken - 1]] if taken else 0.0)


def test_the_best_threshold_is_what_one_gets_by_using_it_where_no_scores_are_equal() -> None:
    for seed in range(500):
        scores, answerable, _, _ = columns(seed)
        silent = random.Random(seed).sample([n / 100 for n in range(1, 100)], len(scores))
        found = best_threshold(scores, answerable, silent, [True] * len(scores))
        got = with_threshold(scores, answerable, silent, found.threshold)
        assert sum(got) / len(got) == pytest.approx(found.score)


def test_precision_and_recall_are_counted_at_each_threshold() -> None:
    for seed in range(4_000):
        scores, answerable, silent, _ = columns(seed)
        found = precision_recall(scores, answerable, silent)
        if not any(answerable):
            assert found.points == ((1.0, 0.0),) and found.average == 0.0
            continue
        points, average = [(1.0, 0.0)], 0.0
        for threshold in sorted(set(silent)):
            rows = [n for n in range(len(scores)) if silent[n] <= threshold]
            right = sum(scores[n] for n in rows if answerable[n])
            points.append((right / len(rows), right / sum(answerable)))
            average += points[-1][0] * (points[-1][1] - points[-2][1])
        assert found.average == pytest.approx(average, abs=1e-12)
        assert [p for point in found.points for p in point] == pytest.approx([p for point in points for p in point])


def test_worked_threshold_and_precision() -> None:
    """Five questions, the script's steps by hand: 2 without an answer, so silence throughout scores 2 of 5."""
    scores, answerable = [1.0, 0.5, 0.0, 0.0, 1.0], [True, True, False, False, True]
    silent = [0.1, 0.2, 0.3, 0.8, 0.4]
    assert best_threshold(scores, answerable, silent, [True] * 5).score == pytest.approx(3.5 / 5)
    assert best_threshold(scores, answerable, silent, [True] * 5).threshold == 0.2
    found = precision_recall(scores, answerable, silent)
    assert [p for p, _ in found.points[1:]] == pytest.approx([1, 0.75, 0.5, 0.625, 0.5])
    assert [r for _, r in found.points[1:]] == pytest.approx([1 / 3, 0.5, 0.5, 2.5 / 3, 2.5 / 3])
    assert found.average == pytest.approx(1 / 3 + 0.75 / 6 + 0.625 / 3)
    assert with_threshold(scores, answerable, silent, 0.3) == [1.0, 0.5, 0.0, 1.0, 0.0]
    assert with_threshold(scores, answerable, silent, 1.0) == scores


# -- which one ---------------------------------------------------------------------------------------------------------


def example(origin: str, *, id: str = "1", answers: int = 1) -> Example:
    return Example(id, "?", "Mara", (Gold("Mara", 0),) * answers, "en", "en", "", origin)


@pytest.mark.parametrize(
    "examples, name",
    [
        ([example("xquad.de.json")], "squad1"),
        ([example("xquad.de.json"), example("test-context-de-question-en.json")], "squad1"),
        ([example("test-context-de-question-en.json")], "mlqa"),
        ([example("test-context-de-question-en.json", answers=0)], "squad2"),
        ([example("tydiqa-goldp-dev-finnish.json")], "tydiqa"),
        ([example("fi.jsonl.xz", id="finnish-12-3")], "tydiqa"),
        ([], "squad1"),
    ],
)
def test_a_set_is_scored_by_its_own_script(examples: list[Example], name: str) -> None:
    assert scorer_for(examples).name == name

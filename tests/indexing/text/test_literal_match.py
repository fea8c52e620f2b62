"""What patterns say of a text without analysing it is what its words say, in every script and spelling."""

from __future__ import annotations

import random

import pytest

from indexing.errors import SettingError
from indexing.text.literal_match import patterns
from indexing.text.word_query import Phrase, match, parse
from indexing.text.word_tokens import tokens
from tests.known import SCRIPTS

TEXTS = [
    *SCRIPTS.values(),
    "Straße, STRASSE und strasse; œuvre, OEUVRE. İstanbul ISTANBUL ıstanbul istanbul",
    "eine Einen ein EIN mein-ein ein_e e-in meinEin Ein2 2ein ein\u0301 ei\u00adn ein\u200b ein.",
    "6 7 6 700 1 150 1.150 6) 7 (6) 6,5 -6 ٦ ६ 6th 6 km 6",
    "बड़ा बडा पहले पहल पह\u093cल पहल। मिनट मनट ज़मीन",
    "أيضاً ايضا ما ماء مـا مَا ما، ما؟ الماء",
    "東京都 東 京 東京\u0301 ﾄﾞ 도시 ᄃ\u1169시",
    "Câu là La LÀ l\u0061\u0300 “là” (là) [là] «là»",
]
GLUE = (
    " ",
    "  ",
    ", ",
    ". ",
    "-",
    "",
    "\u200b",
    " (",
    ") ",
    "\n",
    "\u00a0",
    "'",
    "’",
    "_",
    "/",
    " “",
    "” ",
    "\u0640",
    "\u093c",
)


def word(draw: random.Random) -> str:
    """A word of a text, whole or in part, in some case."""
    found = draw.choice(draw.choice(TEXTS).split() or ["ein"])
    found = found[draw.randrange(2) :][: draw.choice((1, 2, 3, 60, 60, 60, 60))]
    return draw.choice((str, str, str, str.lower, str.upper, str.title))(found)


def text(draw: random.Random) -> str:
    return "".join(word(draw) + draw.choice(GLUE) for _ in range(draw.randrange(1, 9)))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_certain_is_right(seed: int) -> None:
    draw = random.Random(seed)
    certain = {True: 0, False: 0}
    for _ in range(3_000):
        one = text(draw)
        some = draw.choice(one.split() or ["ein"]) if draw.random() < 0.6 else word(draw)
        asked = draw.choice((some, some, f'"{some} {word(draw)}"', f'"{one}"', some + "*")).replace("\u200b", "")
        try:
            node = parse(asked)
        except SettingError:
            continue
        if not isinstance(node, Phrase):
            continue
        said = patterns(node.words, node.prefix).occurs(one)
        if said is not None:
            assert said == (match(node, tokens(one)) is not None), (asked, one)
            certain[said] += 1
    assert min(certain.values()) > 80, certain


@pytest.mark.parametrize(
    ("query", "text", "said"),
    [
        ("bridge", "The Bridge.", True),
        ("bridge", "The footbridge and bridges", False),
        ("cafe", "das Café", True),
        ("strasse", "die Straße", None),
        ("ein", "eine, mein", False),
        ("6", "6 bridges", True),
        ("6", "6 150 bridges", None),
        ("पहल", "पहले बड़ा", False),
        ("ما", "ماء", False),
        ("東京", "東京都", True),
        ("tow*", "the towers", True),
        ("iphone", "an iPhone", None),
    ],
)
def test_the_usual_cases_need_no_analysis(query: str, text: str, said: bool | None) -> None:
    node = parse(query)
    assert isinstance(node, Phrase)
    assert patterns(node.words, node.prefix).occurs(text) is said

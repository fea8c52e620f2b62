"""Every way a text can be written is read alike, and quoted as it was written."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import pytest

from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.normal_form import normal_form
from qa_pipeline.answering.verdict import answer_text
from qa_pipeline.reading.load import load_reader
from qa_pipeline.reading.normal_input import read_in_normal_form
from qa_pipeline.reading.readings import PassageReader, Reading, Span

ASKED = {
    "ko": ("등대의 비상 열쇠는 어디에 있습니까?", "등대의 비상 열쇠는 부두 창고에 있습니다.", "부두 창고"),
    "vi": (
        "Chìa khóa của ngọn hải đăng ở đâu?",
        "Chìa khóa của ngọn hải đăng nằm trong tủ gỗ ở bến tàu.",
        "tủ gỗ ở bến tàu",
    ),
    "fr": ("Où se trouve la clé du château ?", "La clé du château est cachée derrière l'église Saint-Rémy.", "Saint-Rémy"),
}
KANA = "鍵はポンプ室の棚にあります。", "鍵はﾎﾟﾝﾌﾟ室の棚にあります。"


@lru_cache(maxsize=1)
def reader() -> PassageReader:
    return load_reader(resolve("builtin", "reader"), precision="fp32", use_gpu=False)


def quoted(question: str, text: str) -> tuple[str, float]:
    found = answer_text(reader(), question, text)
    assert text[found["start"] : found["end"]] == found["answer"]
    return found["answer"], found["score"]


def scattered(text: str) -> str:
    """The text as some producers write it: a soft hyphen or bidi mark in every fourth place."""
    return "".join(c + ("\u00ad", "\u200b", "\u2060", "\u200e")[n // 4 % 4] * (n % 4 == 1) for n, c in enumerate(text))


@pytest.mark.parametrize("language", ASKED)
@pytest.mark.parametrize("write", [lambda text: unicodedata.normalize("NFD", text), scattered])
def test_a_text_is_answered_alike_however_it_is_written(language: str, write) -> None:  # type: ignore[no-untyped-def]
    question, text, wanted = ASKED[language]
    plain, score = quoted(question, text)
    assert wanted in plain
    found, other = quoted(write(question), write(text))
    assert normal_form(found) == plain and other == score
    assert found in write(text) and found[-1] not in "\u00ad\u200b\u2060\u200e"


def test_half_width_kana_are_read_as_kana() -> None:
    usual, half = (reader().read("鍵はどこにありますか?", [text])[0].spans[0] for text in KANA)
    assert normal_form(KANA[1][half.start : half.end]) == KANA[0][usual.start : usual.end] and half.margin == usual.margin


def test_spans_that_become_one_are_given_once_and_plain_texts_pass_through() -> None:
    given = [Reading((Span(0, 1, 3.0, 2.0, 0.5), Span(1, 2, 2.0, 1.0, 0.5), Span(3, 4, 1.0, 0.0, 0.5)))]

    def read(pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        assert all(part == normal_form(part) for pair in pairs for part in pair)
        return given

    assert read_in_normal_form(read, [("q", "plain")])[0] is given[0]
    (found,) = read_in_normal_form(read, [("q", "q\u0323\u0307\u00adz")])
    assert [(span.start, span.end, span.margin) for span in found.spans] == [(0, 3, 2.0), (4, 5, 0.0)]


def test_vectors_do_not_depend_on_how_a_text_is_written() -> None:
    embedder = Embedder.load("builtin")
    for text in [text for _, text, _ in ASKED.values()]:
        forms = [text, unicodedata.normalize("NFD", text), scattered(text)]
        assert len({vector.tobytes() for vector in embedder.passages(forms)}) == 1
        assert len({vector.tobytes() for vector in embedder.questions(forms)}) == 1

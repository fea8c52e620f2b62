"""`docqa stats`: the figures of the model cards, and counts one can do by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from indexing.errors import SettingError
from qa_pipeline.cli.main import main
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.datasets.statistics import statistics
from qa_pipeline.datasets.token_counts import counter

XQUAD = Path(__file__).resolve().parents[4] / "shared" / "data" / "xquad"
CARDS = {
    "en": (142.4, 11.5, 3.1),
    "es": (160.7, 13.4, 3.6),
    "de": (139.5, 11.0, 3.0),
    "el": (149.6, 11.7, 3.3),
    "ru": (133.9, 10.0, 3.1),
    "tr": (126.5, 9.8, 3.1),
    "ar": (128.2, 10.7, 3.1),
    "vi": (191.2, 14.8, 4.5),
    "th": (158.7, 11.5, 4.1),
    "zh": (147.6, 10.5, 3.5),
    "hi": (232.4, 18.7, 5.6),
}


def example(id: str, question: str, context: str, *answers: str, language: str = "en", asked_in: str = "") -> Example:
    golds = tuple(Gold(text, context.index(text)) for text in answers)
    return Example(id, question, context, golds, language, asked_in or language, "", "f")


def test_counts_and_means_of_each_language() -> None:
    rows = statistics(
        [
            example("1", "Who opened it?", "Mara Vell opened it.", "Mara Vell", "Vell"),
            example("2", "When?", "Mara Vell opened it."),
            example("3", "Wann?", "Es war 1912.", "1912", language="de"),
        ]
    )
    assert [(r.language, r.paragraphs, r.questions, r.unanswerable, r.answers) for r in rows] == [
        ("de", 1, 1, 0, 1),
        ("en", 1, 2, 1, 2),
    ]
    assert (rows[1].paragraph_tokens, rows[1].question_tokens, rows[1].answer_tokens) == (5.0, 3.0, 1.5)


def test_a_language_without_answers_has_a_mean_of_none() -> None:
    assert statistics([example("1", "Who?", "Nobody.")])[0].answer_tokens == 0.0
    assert statistics([]) == []


@pytest.mark.parametrize(
    "language, text, tokens",
    [
        ("en", "It's 3.5 km, Mr. Smith.", 8),
        ("de", "Die Brücke wurde 1912 eröffnet.", 6),
        ("hi", "\u0939\u093f\u0928\u094d\u0926\u0940", 3),
        ("hi", "\u0921\u093c", 2),
        ("zh", "北京大学", 1),
        ("en", "", 0),
        ("und", "one two", 2),
    ],
)
def test_tokens(language: str, text: str, tokens: int) -> None:
    assert counter(language)(text) == tokens


def test_chinese_without_jieba_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(SettingError, match="pip install"):
        counter.__wrapped__("zh")


@pytest.mark.skipif(not XQUAD.is_dir(), reason="the question sets of ../shared are not on this machine")
def test_the_figures_of_the_model_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", *map(str, sorted(XQUAD.glob("*.json"))), "--json"]) == 0
    rows = {row["language"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    found = {
        language: tuple(rows[language][f"{part}_tokens"] for part in ("paragraph", "question", "answer"))
        for language in CARDS
    }
    assert found == {language: pytest.approx(figures, abs=0.1) for language, figures in CARDS.items()}
    assert {(row["paragraphs"], row["questions"], row["unanswerable"]) for row in rows.values()} == {(240, 1190, 0)}


def test_the_table_says_how_words_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "1", "question": "Wer?", "context": "Es war Mara.", "answers": [{"text": "Mara", "answer_start": 7}]}
    (tmp_path / "de.jsonl").write_text(json.dumps(row), "utf-8")
    assert main(["stats", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "de " in out and "Moses" in out and "jieba" in out


def test_what_was_mended_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "1", "question": "Wer?", "context": "Es war Mara.", "answers": [{"text": "Mara", "answer_start": 3}]}
    (tmp_path / "de.jsonl").write_text(json.dumps(row), "utf-8")
    assert main(["stats", str(tmp_path / "de.jsonl")]) == 0 and "not at their offsets" in capsys.readouterr().err
    assert main(["stats", str(tmp_path / "nowhere")]) == 2 and "no file or folder" in capsys.readouterr().err

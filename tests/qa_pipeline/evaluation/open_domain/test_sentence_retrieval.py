"""XQuAD-R: average precision by definition, the right sentences, and a finder whose preference is known."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.errors import SettingError, UnreadableFile
from indexing.models.embedder import Embedder, unit
from qa_pipeline.cli.main import main
from qa_pipeline.evaluation.open_domain.sentence_retrieval import average_precisions, find_sentences, read_xquad_r

LANGUAGES = ("de", "en", "fi")


class Meaning:
    """Vectors of meanings: the word in < > of a text, and as much of its language (the word before) as it is told."""

    name = "meaning"

    def __init__(self, language_weight: float) -> None:
        self.language_weight = language_weight

    def passages(self, texts: Sequence[str]) -> Any:
        return unit(np.array([self._vector(text) for text in texts], dtype=np.float32))

    questions = passages

    def _vector(self, text: str) -> Any:
        language, meaning = text.split()[0], text[text.index("<") : text.index(">")]
        vectors = [np.random.default_rng(list(word.encode())).normal(size=64) for word in (language, meaning)]
        return vectors[1] / np.linalg.norm(vectors[1]) + self.language_weight * vectors[0] / np.linalg.norm(vectors[0])


def write(folder: Path, languages: Sequence[str] = LANGUAGES, breaks: bool = True) -> Path:
    """Texts of three sentences, the meaning <n> in each; the question for <n> is in all languages."""
    folder.mkdir(exist_ok=True)
    for language in languages:
        paragraphs = []
        for p in range(6):
            parts = [f"{language.upper()} says <{3 * p + n}> here." for n in range(3)]
            context = " ".join(parts)
            qas = [
                {
                    "id": str(3 * p + n),
                    "question": f"{language.upper()} where is <{3 * p + n}>?",
                    "answers": [{"text": f"<{3 * p + n}>", "answer_start": context.index(f"<{3 * p + n}>")}],
                }
                for n in range(3)
            ]
            starts = [context.index(part) for part in parts]
            given = [[start, start + len(part)] for start, part in zip(starts, parts, strict=True)]
            paragraphs.append({"context": context, "qas": qas, **({"sentence_breaks": given} if breaks else {})})
        (folder / f"{language}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    return folder


@pytest.mark.parametrize("breaks", [True, False])
def test_the_right_sentence_is_the_one_with_the_answer(tmp_path: Path, breaks: bool) -> None:
    found = read_xquad_r(write(tmp_path / "r", breaks=breaks) / "de.json")
    assert (found.language, len(found.sentences), len(found.questions), found.given) == ("de", 18, 18, breaks)
    for asked in found.questions:
        assert [f"<{asked.id}>" in found.sentences[place] for place in asked.right] == [True]


def test_who_looks_for_meaning_only_finds_all_translations_first(tmp_path: Path) -> None:
    rows = find_sentences([write(tmp_path / "r")], Meaning(0.0))  # type: ignore[arg-type]
    assert [row.name for row in rows] == [*LANGUAGES, "mean"]
    for row in rows:
        assert (row.mono, row.cross, row.multi) == (100.0, 100.0, 100.0)
        assert row.own_share == pytest.approx(100 / 3) == row.even_share


def test_who_looks_for_the_language_first_does_badly_with_all_at_once(tmp_path: Path) -> None:
    rows = find_sentences([write(tmp_path / "r")], Meaning(3.0))  # type: ignore[arg-type]
    mean = rows[-1]
    assert mean.mono == 100.0 and mean.cross > 80.0 and mean.multi < 60.0 and mean.own_share == 100.0


def test_average_precision_is_that_of_the_definition() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        count = dice.randint(6, 30)
        of = np.array([n % 3 for n in range(count)])
        scores = np.array([dice.choice([0.0, 0.5, dice.random()]) for _ in range(count)], dtype=np.float32)
        right = dice.sample(range(count), dice.randint(1, 4))
        order = sorted(range(count), key=lambda n: (-scores[n], n))

        def precision(ranked: list[int], right: list[int] = right) -> float:
            places = [place for place, n in enumerate(ranked, start=1) if n in right]
            return sum(hit / place for hit, place in enumerate(places, start=1)) / len(places) if places else 0.0

        mono, cross, multi, share = average_precisions(scores, of, 1, right)
        pools = [[n for n in order if of[n] == language] for language in range(3)]
        others = [precision(pool) for k, pool in enumerate(pools) if k != 1 and set(pool) & set(right)]
        assert (mono, multi) == (pytest.approx(precision(pools[1])), pytest.approx(precision(order)))
        assert cross == pytest.approx(sum(others) / len(others) if others else 0.0)
        assert share == pytest.approx(sum(of[n] == 1 for n in order[:3]) / 3)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at least two"):
        find_sentences([write(tmp_path / "one", ["de"])], Meaning(0.0))  # type: ignore[arg-type]
    folder = write(tmp_path / "broken")
    whole = json.loads((folder / "de.json").read_text("utf-8"))
    whole["data"][0]["paragraphs"][0]["sentence_breaks"] = [[0, 9_999]]
    (folder / "de.json").write_text(json.dumps(whole), "utf-8")
    with pytest.raises(UnreadableFile, match="sentence_breaks"):
        read_xquad_r(folder / "de.json")


def test_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Embedder, "load", lambda name: Meaning(0.0))
    folder = str(write(tmp_path / "r"))
    assert main(["evaluate", folder, "--sentences", "--limit", "5"]) == 0
    assert "mono" in capsys.readouterr().out
    assert main(["evaluate", folder, "--sentences", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["multi"] == 100.0
    assert main(["evaluate", folder, "--sentences", "--out", str(tmp_path / "o")]) == 2

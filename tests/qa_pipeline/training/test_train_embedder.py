"""Training an embedder: partners differ from all others, no text twice in an update, a stopped run loses nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.training.embedder.contrastive_task import contrastive_loss, distinct_groups, question_pairs, translations
from qa_pipeline.training.loop.recipes import recipe
from qa_pipeline.training.run_data import TrainSettings
from qa_pipeline.training.train_embedder import train_embedder
from tests.qa_pipeline.training.test_train_reader import SILENT, Stop, as_the_first_release, rows, stopping, write

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = "bridge tower mine berg insel lighthouse keeper library station member parliament harbour".split()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Questions, and sentence pairs in which each word of one side stands for a made-up one of the other."""
    made = [
        row | {"question": f"What did {word} {n} cost?", "context": f"{row['context']} It is a {word}."}
        for n, (row, word) in enumerate(zip(rows(60), WORDS * 5, strict=True))
    ]
    parallel = tmp_path / "parallel"
    parallel.mkdir()
    lines = [f"the {a} and the {b} are here\tda {a[::-1]} zu {b[::-1]} so\n" for a in WORDS for b in WORDS if a != b]
    (parallel / "en-xx.tsv").write_text("".join(lines))
    return write(tmp_path / "made.en.jsonl", made), parallel


def settings(files: tuple[Path, Path], into: Path, **changes: Any) -> TrainSettings:
    chosen = recipe("embedder", batch=32, epochs=changes.pop("epochs", 2), learning_rate=5e-3)
    return replace(TrainSettings((files[0],), into, chosen, held_out=8, parallel=files[1]), **changes)


def test_an_embedder_learns_what_belongs_together(files: tuple[Path, Path], tmp_path: Path) -> None:
    told = train_embedder(settings(files, tmp_path / "out", epochs=8), SILENT)
    assert told["pairs"] > 132 and told["after"][0]["questions"] >= 6 and told["after"][0]["recall@10"] <= 100
    embedders = [Embedder(resolve(name, "embedder")) for name in ("builtin", str(tmp_path / "out"))]
    found = [
        int((np.argmax(e.questions(WORDS) @ e.passages([word[::-1] for word in WORDS]).T, axis=1) == np.arange(12)).sum())
        for e in embedders
    ]
    assert found[0] <= 5 and found[1] >= 11
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "made.en.jsonl" in card and "recall@10" in card and str(tmp_path) not in card


def test_a_stopped_run_goes_on_to_the_same_vectors(files: tuple[Path, Path], tmp_path: Path) -> None:
    train_embedder(settings(files, tmp_path / "whole"), SILENT)
    often = replace(settings(files, tmp_path / "parts"), checkpoint_seconds=0.0)
    with pytest.raises(Stop):
        train_embedder(often, stopping(4))
    as_the_first_release(tmp_path / "parts")
    told = train_embedder(often, SILENT)
    assert train_embedder(often, stopping(1)) == told
    vectors = [Embedder(resolve(str(tmp_path / name), "embedder")).passages(WORDS) for name in ("whole", "parts")]
    assert np.array_equal(vectors[0], vectors[1])
    with pytest.raises(SettingError, match="another model"):
        train_embedder(replace(often, seed=2), SILENT)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=80), st.integers(1, 9))
def test_no_text_twice_in_a_group(texts: list[tuple[str, str]], size: int) -> None:
    groups = distinct_groups(range(len(texts)), texts, size)
    assert sorted(n for group in groups for n in group) == list(range(len(texts)))
    for group in groups:
        seen = [text for n in group for text in texts[n]]
        assert len(seen) == len(set(seen)) and 0 < len(group) <= size


def test_the_loss_is_least_for_partners() -> None:
    vectors = torch.eye(6, 160)
    assert contrastive_loss(vectors, vectors) < 1e-3 < contrastive_loss(vectors, vectors.roll(1, 0))
    assert contrastive_loss(vectors, 7 * vectors) == pytest.approx(float(contrastive_loss(vectors, vectors)))
    late = torch.eye(6, 160).roll(140, 1)
    assert contrastive_loss(late, late) > 0.5, "the first 128 numbers are to be enough by themselves"


def test_passages_hold_the_answer() -> None:
    context = "x" * 3_000 + " 1912 " + "y" * 3_000
    asked = Example("1", "When?", context, (Gold("1912", 3_001),), "en", "en", "", "made")
    (pair,) = question_pairs([asked, replace(asked, golds=())])
    assert "1912" in pair.found and len(pair.found) == 800 and pair.asked == "When?"


def test_sentence_pairs_are_drawn(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert len(translations(files[1], None, 1)) == 132
    assert translations(files[1], 10, 1) == translations(files[1], 10, 1) != translations(files[1], 10, 2)
    with pytest.raises(SettingError, match="no parallel sentences"):
        translations(tmp_path / "nowhere", None, 1)

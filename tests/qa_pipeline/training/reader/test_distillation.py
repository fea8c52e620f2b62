"""Learning from a teacher: its chances land on the right tokens, whatever its vocabulary, and the pupil comes nearer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from indexing.errors import ModelRefused, SettingError
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.training.reader.batching import collate
from qa_pipeline.training.reader.distillation import Teacher
from qa_pipeline.training.reader.model import Encoder, load_encoder
from qa_pipeline.training.reader.windows import Window, build
from qa_pipeline.training.train_reader import train
from tests.known import SCRIPTS
from tests.qa_pipeline.training.test_train_reader import SILENT, make, rows, settings, weights, write
from tests.tiny import LONG

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLES = [
    Example(str(n), "How high is the bridge?", text, (Gold(text[4:9], 4),), language, "en", "", "made")
    for n, (language, text) in enumerate([*SCRIPTS.items(), ("en", LONG)])
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("distil")
    return {kind: make(kind, home / kind) for kind in ("bert", "xlm-roberta", "xlm")}


def windows_of(pupil: Encoder) -> list[Window]:
    return build(EXAMPLES, pupil.tokeniser, 128, 48).windows


def test_a_teacher_of_the_same_kind_is_copied_exactly(folders: dict[str, Path]) -> None:
    """Where each character has a token of its own, the chances are the model's own softmax over them and "no answer"."""
    pupil = load_encoder(str(folders["bert"]))
    pupil.model.eval()
    teacher = Teacher(str(folders["bert"]), 1.0, EXAMPLES, pupil.tokeniser)
    window = next(w for w in windows_of(pupil) if EXAMPLES[w.example].language == "en")
    batch = collate([window], pupil.tokeniser.pad, torch.device("cpu"))
    start, end = teacher.chances([window], len(window.ids))
    with torch.no_grad():
        output = pupil.model(**batch.inputs)
    allowed = [0, *range(window.first, window.first + window.count)]
    for logits, found in ((output.start_logits[0], start[0]), (output.end_logits[0], end[0])):
        assert np.allclose(found[allowed], logits[allowed].softmax(0).numpy(), atol=1e-4)


@pytest.mark.parametrize(("teacher_kind", "pupil_kind"), [("bert", "xlm-roberta"), ("xlm-roberta", "bert"), ("xlm", "bert")])
def test_chances_fall_on_the_pupils_tokens(teacher_kind: str, pupil_kind: str, folders: dict[str, Path]) -> None:
    pupil = load_encoder(str(folders[pupil_kind]))
    teacher = Teacher(str(folders[teacher_kind]), 2.0, EXAMPLES, pupil.tokeniser)
    windows = windows_of(pupil)
    length = max(len(window.ids) for window in windows)
    for side in teacher.chances(windows, length):
        assert side.shape == (len(windows), length) and np.allclose(side.sum(1), 1.0, atol=1e-4)
        for row, window in zip(side, windows, strict=True):
            outside = np.ones(length, dtype=bool)
            outside[[0, *range(window.first, window.first + window.count)]] = False
            assert not row[outside].any()


def test_the_loss_is_least_where_both_agree(folders: dict[str, Path]) -> None:
    """Its soft part, taken alone, is 0 for the teacher's own chances and more for any others."""
    pupil = load_encoder(str(folders["bert"]))
    teacher = Teacher(str(folders["xlm-roberta"]), 3.0, EXAMPLES, pupil.tokeniser)
    told = torch.tensor([[0.5, 0.25, 0.25, 0.0]])
    padded = torch.tensor([[0.5, 0.25, 0.25, 0.0]]).log() * 3.0
    assert teacher._divergence(padded, told).item() == pytest.approx(0.0, abs=1e-5)
    assert teacher._divergence(torch.zeros(1, 4), told).item() > 0.1


def test_a_pupil_comes_nearer_to_its_teacher(tmp_path: Path, folders: dict[str, Path]) -> None:
    data = write(tmp_path / "made.en.jsonl", rows(40))
    plain = settings(data, tmp_path / "alone", folders["bert"])
    plain = replace(plain, recipe=replace(plain.recipe, epochs=8, dropout=0.0))
    taught = replace(plain, into=tmp_path / "taught", teacher=str(folders["xlm-roberta"]))
    told = [train(run, SILENT) for run in (plain, taught)]
    assert told[0]["teacher"] == "" and told[1]["teacher"] == "xlm-roberta"
    assert "Teacher: xlm-roberta" in (tmp_path / "taught" / "README.md").read_text("utf-8")

    def distance(folder: Path) -> float:
        pupil = load_encoder(str(folder), dropout=0.0)
        pupil.model.eval()
        examples = [Example(r["id"], r["question"], r["context"], (), "en", "en", "", "made") for r in rows(10)]
        teacher = Teacher(str(folders["xlm-roberta"]), 2.0, examples, pupil.tokeniser)
        windows = build(examples, pupil.tokeniser, 128, 48).windows
        batch = collate(windows, pupil.tokeniser.pad, torch.device("cpu"))
        with torch.no_grad():
            output = pupil.model(**batch.inputs)
        padding = batch.mask == 0
        start, _ = teacher.chances(windows, batch.mask.shape[1])
        logits = output.start_logits.masked_fill(padding, float("-inf"))
        return float(teacher._divergence(logits, torch.from_numpy(start)).mean())

    assert distance(tmp_path / "taught") < distance(tmp_path / "alone")


def test_taught_runs_go_on_to_the_same_weights(tmp_path: Path, folders: dict[str, Path]) -> None:
    from tests.qa_pipeline.training.test_train_reader import Stop, stopping

    data = write(tmp_path / "made.en.jsonl", rows(24))
    whole = settings(data, tmp_path / "whole", folders["bert"], teacher=str(folders["xlm-roberta"]), checkpoint_seconds=0.0)
    train(whole, SILENT)
    parts = replace(whole, into=tmp_path / "parts")
    with pytest.raises(Stop):
        train(parts, stopping(2))
    with pytest.raises(SettingError, match="other data, settings or precision"):
        train(replace(parts, temperature=1.0), SILENT)
    train(parts, SILENT)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


def test_teachers_that_cannot_teach(tmp_path: Path, folders: dict[str, Path]) -> None:
    pupil = load_encoder(str(folders["bert"]))
    with pytest.raises(SettingError, match="temperature"):
        Teacher(str(folders["bert"]), 0.0, EXAMPLES, pupil.tokeniser)
    from tests.tiny import make_xlm

    with pytest.raises(ModelRefused, match="no question answering head"):
        Teacher(str(make_xlm(tmp_path / "beam", 3, beam=True)), 1.0, EXAMPLES, pupil.tokeniser)

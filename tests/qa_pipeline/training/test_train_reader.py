"""Fine-tuning, with tiny models made here: every architecture learns and is loaded back, a killed run loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from indexing.errors import ModelRefused, SettingError
from indexing.models.registry import resolve
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.evaluation.metrics.no_answer import auroc
from qa_pipeline.reading.load import load_reader
from qa_pipeline.training.loop.checkpoints import NAME
from qa_pipeline.training.loop.recipes import RECIPES, Recipe, recipe
from qa_pipeline.training.loop.trainer import Progress, rate
from qa_pipeline.training.model_card import licence_of
from qa_pipeline.training.reader.batching import collate
from qa_pipeline.training.reader.model import load_encoder
from qa_pipeline.training.reader.task import span_loss
from qa_pipeline.training.reader.validation import Score, change, table
from qa_pipeline.training.reader.windows import build
from qa_pipeline.training.run_data import ProgressReporter, TrainSettings
from qa_pipeline.training.train_reader import train
from tests.known import SCRIPTS
from tests.tiny import make_reader, make_xlm

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[3]
KINDS = ("xlm-roberta", "bert", "distilbert", "xlm")
SILENT = ProgressReporter(lambda _: None, lambda _: None, lambda *_: None)


def make(kind: str, folder: Path) -> Path:
    return make_xlm(folder, 5, beam=False) if kind == "xlm" else make_reader(kind, folder, 5)


def rows(count: int, **extra: Any) -> list[dict[str, Any]]:
    """Questions whose answer is the number in their context, which stands at different places."""
    made = []
    for n in range(count):
        context = f"{SCRIPTS['en'][: n % 30]} The bridge {n} cost {n * 37 + 11} pounds. {SCRIPTS['en'][: n % 17]}"
        text = str(n * 37 + 11)
        answers = [] if n % 7 == 6 else [{"text": text, "answer_start": context.index(f"cost {text}") + 5}]
        made.append(
            {"id": str(n), "lang": "en", "question": f"What did bridge {n} cost?", "context": context, "answers": answers}
        )
    return [row | extra for row in made]


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "made.en.jsonl", rows(40))


def tiny(base: Path, **changes: Any) -> Recipe:
    made = Recipe("tiny", str(base), "", 8, 2, 128, 48, 1e-3, dropout=0.1)
    return replace(made, **changes)


def settings(data: Path, into: Path, base: Path, **changes: Any) -> TrainSettings:
    fields: dict[str, Any] = {"held_out": 0, "checkpoint_seconds": 1e9, "recipe": tiny(base)} | changes
    return TrainSettings((data,), into, **fields)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# -- the laws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_learns_and_is_loaded_back(kind: str, tmp_path: Path, data: Path) -> None:
    base = make(kind, tmp_path / "base")
    losses: list[float] = []
    tell = replace(SILENT, update=lambda at: losses.append(at.loss))
    told = train(settings(data, tmp_path / "out", base, held_out=5, recipe=tiny(base, epochs=4)), tell)
    assert told["updates"] == len(losses) and losses[-1] < losses[0]
    folder = resolve(str(tmp_path / "out"), "reader")
    reading = load_reader(folder).read("What did bridge 3 cost?", ["The bridge 3 cost 122 pounds."])[0]
    assert reading.spans and folder.model_type == kind
    assert weights(tmp_path / "out") != weights(base)
    assert [row["language"] for row in told["after"]] == ["en"] and told["before"]


def test_an_encoder_without_a_head_gets_one(tmp_path: Path, data: Path) -> None:
    from transformers import AutoConfig, AutoModel

    base = make("bert", tmp_path / "reader")
    encoder = tmp_path / "encoder"
    AutoModel.from_config(AutoConfig.from_pretrained(base)).save_pretrained(encoder)
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (base / file).is_file():
            (encoder / file).write_bytes((base / file).read_bytes())
    assert not load_encoder(str(encoder)).is_reader and load_encoder(str(base)).is_reader
    told = train(settings(data, tmp_path / "out", encoder, held_out=5), SILENT)
    assert told["before"] == [] and told["change"] is None and told["after"]
    resolve(str(tmp_path / "out"), "reader")


def test_the_builtin_reader_goes_on(tmp_path: Path, data: Path) -> None:
    told = train(TrainSettings((data,), tmp_path / "out", recipe("builtin", epochs=1), limit=4, held_out=1), SILENT)
    assert told["files"][0]["train"] == 4
    found = load_reader(resolve(str(tmp_path / "out"), "reader")).read("What did it cost?", ["It cost 12 pounds."])
    assert found[0].spans


class Stop(BaseException):
    pass


def stopping(after: int) -> ProgressReporter:
    def update(at: Progress) -> None:
        if at.done == after:
            raise Stop

    return replace(SILENT, update=update)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_goes_on_to_the_same_weights(kind: str, tmp_path: Path, data: Path) -> None:
    """Stopped after 3 and after 7 of 10 updates, with a checkpoint after each update; dropout is at work."""
    base = make(kind, tmp_path / "base")
    train(settings(data, tmp_path / "whole", base), SILENT)
    often = settings(data, tmp_path / "parts", base, checkpoint_seconds=0.0)
    for after in (3, 7):
        with pytest.raises(Stop):
            train(often, stopping(after))
    assert train(often, SILENT)["updates"] == 10
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Through the command line, killed without warning."""
    data = write(tmp_path / "made.en.jsonl", rows(400))
    base = make("xlm-roberta", tmp_path / "base")

    def command(into: Path) -> subprocess.Popen[bytes]:
        line = [
            "train",
            data,
            "--preset",
            "builtin",
            "--from",
            base,
            "--into",
            into,
            "--held-out",
            "0",
            "--checkpoint-seconds",
            "0.05",
            "--epochs",
            "2",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "qa_pipeline.cli", *map(str, line)],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    killed = command(tmp_path / "killed")
    while not (tmp_path / "killed" / NAME).is_file() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and not (tmp_path / "killed" / "config.json").exists()
    assert command(tmp_path / "killed").wait() == 0
    train(TrainSettings((data,), tmp_path / "whole", recipe("builtin", base=str(base), epochs=2), held_out=0), SILENT)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_the_same_run_again_does_nothing(tmp_path: Path, data: Path) -> None:
    base = make("bert", tmp_path / "base")
    first = train(settings(data, tmp_path / "out", base), SILENT)
    again = train(settings(data, tmp_path / "out", base), stopping(1))
    assert first == again


def as_the_first_release(into: Path) -> None:
    """The scores before training, in the form that the first release stored."""
    (path,) = into.glob("before-*.json")
    scores = json.loads(path.read_bytes())
    assert scores
    path.write_text(json.dumps([{"gap": score.pop("margin"), **score} for score in scores]), "utf-8")


def test_a_run_that_the_first_release_began_goes_on(tmp_path: Path, data: Path) -> None:
    base = make("bert", tmp_path / "base")
    often = settings(data, tmp_path / "out", base, held_out=5, checkpoint_seconds=0.0)
    with pytest.raises(Stop):
        train(often, stopping(3))
    as_the_first_release(tmp_path / "out")
    told = train(often, SILENT)
    whole = train(replace(often, into=tmp_path / "whole"), SILENT)
    assert (told["before"], told["after"]) == (whole["before"], whole["after"])


@pytest.mark.parametrize("change", [{"seed": 2}, {"recipe": {"epochs": 3}}, {"limit": 20}, {"precision": "bf16"}])
def test_another_run_in_the_same_folder_is_refused(change: dict[str, Any], tmp_path: Path, data: Path) -> None:
    base = make("bert", tmp_path / "base")
    if "recipe" in change:
        change = {"recipe": tiny(base, **change["recipe"])}
    often = settings(data, tmp_path / "out", base, checkpoint_seconds=0.0)
    with pytest.raises(Stop):
        train(often, stopping(2))
    with pytest.raises(SettingError, match="other data, settings or precision"):
        train(replace(often, **change), SILENT)
    train(often, SILENT)
    with pytest.raises(SettingError, match="another model"):
        train(replace(often, **change), SILENT)


def test_a_damaged_checkpoint_is_told(tmp_path: Path, data: Path) -> None:
    base = make("bert", tmp_path / "base")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_bytes(b"cut short")
    with pytest.raises(SettingError, match="cannot be read"):
        train(settings(data, tmp_path / "out", base), SILENT)


def test_minutes_end_a_run(tmp_path: Path, data: Path) -> None:
    base = make("bert", tmp_path / "base")
    told = train(settings(data, tmp_path / "out", base, recipe=tiny(base, epochs=10_000), minutes=0.02), SILENT)
    assert 0 < told["updates"] < 50_000 and told["seconds"] >= 1.2


def test_frozen_embeddings_stay(tmp_path: Path, data: Path) -> None:
    from safetensors.numpy import load_file

    base = make("bert", tmp_path / "base")
    train(settings(data, tmp_path / "out", base, recipe=tiny(base, embeddings_rate=0.0)), SILENT)
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    words = "bert.embeddings.word_embeddings.weight"
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert words not in changed and "qa_outputs.weight" in changed


def test_an_update_does_not_depend_on_how_it_fits_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qa_pipeline.training.reader import task

    base = make("distilbert", tmp_path / "base")
    made = [Example(row["id"], row["question"], row["context"], (), "en", "en", "", "made") for row in rows(8)]
    gradients, losses = [], []
    for padded in (64, 100_000):
        monkeypatch.setattr(task, "PADDED_TOKENS", {"cpu": padded, "cuda": padded})
        encoder = load_encoder(str(base), dropout=0.0)
        windows = build(made, encoder.tokeniser, 128, 48).windows
        losses.append(task.ReaderTask(encoder, windows).backward(range(len(windows))))
        gradients.append({name: weight.grad for name, weight in encoder.model.named_parameters()})
    assert losses[0] == pytest.approx(losses[1])
    assert all(torch.allclose(gradients[0][name], gradients[1][name], rtol=1e-3, atol=1e-4) for name in gradients[0])


def test_the_callers_random_state_is_kept(tmp_path: Path, data: Path) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    base = make("bert", tmp_path / "base")
    train(settings(data, tmp_path / "out", base), SILENT)
    assert torch.equal(torch.rand(3), wanted)


# -- pieces ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_library(tmp_path: Path) -> None:
    """Without padding: transformers' own loss of a question answering head."""
    encoder = load_encoder(str(make("bert", tmp_path / "base")))
    encoder.model.eval()
    asked = Example("1", "Who?", SCRIPTS["en"], (Gold("bridge", 4),), "en", "en", "", "made")
    windows = build([asked], encoder.tokeniser, 128, 64).windows
    batch = collate(windows, encoder.tokeniser.pad, torch.device("cpu"))
    output = encoder.model(**batch.inputs, start_positions=batch.starts, end_positions=batch.ends)
    ours = span_loss(output.start_logits, output.end_logits, batch)
    assert torch.allclose(ours.mean(), output.loss)


def test_padding_changes_no_loss(tmp_path: Path) -> None:
    encoder = load_encoder(str(make("xlm-roberta", tmp_path / "base")))
    encoder.model.eval()
    made = [
        Example("1", "Who?", text, (Gold(text[4:9], 4),), "en", "en", "", "made") for text in (SCRIPTS["en"], "The bridge.")
    ]
    windows = build(made, encoder.tokeniser, 128, 64).windows

    def losses(part: list[Any]) -> torch.Tensor:
        batch = collate(part, encoder.tokeniser.pad, torch.device("cpu"))
        output = encoder.model(**batch.inputs)
        return span_loss(output.start_logits, output.end_logits, batch).detach()

    together = losses(windows)
    alone = torch.cat([losses([window]) for window in windows])
    assert torch.allclose(together, alone, atol=1e-4) and torch.isfinite(together).all()


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(share, 0.1) for share in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(1.0) and rates[0] == rates[-1] == 0.0
    assert rate(0.0, 0.0) == 1.0 and np.all(np.diff(rates[11:]) < 0)


def test_presets_are_the_cards_recipes() -> None:
    assert set(RECIPES) >= {"xlmr-squad2", "distilbert-tydiqa", "mbert-xquad", "xlm-xquad", "builtin"}
    known = RECIPES["xlmr-squad2"]
    assert (known.batch, known.epochs, known.max_seq_len, known.doc_stride) == (22 * 4, 2, 256, 128)
    assert known.learning_rate == 2e-5 and known.base == "FacebookAI/xlm-roberta-base"
    known = RECIPES["distilbert-tydiqa"]
    assert (known.batch, known.epochs, known.max_seq_len, known.doc_stride) == (24, 5, 384, 128)
    assert known.learning_rate == 3e-5
    with pytest.raises(SettingError, match="no recipe called 'x'"):
        recipe("x")


def test_differences_are_paired() -> None:
    """Every question better by the same: no doubt, though the questions differ widely."""
    before = [Score("en", True, 0.0, n / 100, 0.0) for n in range(50)]
    after = [replace(score, f1=score.f1 + 0.1) for score in before]
    found = change(before, after)
    assert found is not None
    assert found.mean == pytest.approx(10) and found.low == pytest.approx(10) and found.high == pytest.approx(10)
    none = change(before, before)
    assert none is not None and none.low == none.mean == none.high == 0
    assert change([], []) is None


def test_figures_are_by_language() -> None:
    found = [
        Score("de", True, 1.0, 1.0, 3.0),
        Score("de", True, 0.0, 0.5, 1.0),
        Score("de", False, 0.0, 0.0, -2.0),
        Score("fi", True, 0.0, 0.25, 0.0),
    ]
    de, fi, pooled = table(found)
    assert (de.language, de.questions, de.exact, de.f1, de.auroc) == ("de", 3, 50.0, 75.0, 1.0)
    assert (fi.questions, fi.f1, fi.auroc) == (1, 25.0, None)
    assert pooled.questions == 4 and pooled.f1 == pytest.approx(175 / 3)
    assert auroc(np.array([1.0]), np.array([1.0])) == 0.5


def test_the_card_tells_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "README.md").write_text(
        "| file | questions | licence |\n|---|---|---|\n| `made.en.jsonl` | 40 | CC BY 4.0 |\n| other | 1 | MIT |\n"
    )
    data = write(folder / "made.en.jsonl", rows(40))
    base = make("bert", tmp_path / "base")
    train(settings(data, tmp_path / "out", base, held_out=5), SILENT)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "| made.en.jsonl | en | " in card and "CC BY 4.0" in card and "Seed 1" in card and "| en | 5 |" in card
    assert "95 % confidence interval" in card and str(tmp_path) not in card
    assert licence_of(folder / "unknown.jsonl") == "not stated"


def test_held_out_paragraphs_are_not_learned(tmp_path: Path) -> None:
    """The same contexts twice with other questions: a paragraph is on one side only."""
    twice = rows(40) + [row | {"id": f"b{n}", "question": "How much was it?"} for n, row in enumerate(rows(40))]
    data = write(tmp_path / "made.en.jsonl", twice)
    base = make("bert", tmp_path / "base")
    told = train(settings(data, tmp_path / "out", base, held_out=10), SILENT)
    assert told["files"][0]["held_out"] == 10 and told["files"][0]["train"] <= 70


def test_limits_are_drawn_alike_from_languages(tmp_path: Path) -> None:
    many, few = write(tmp_path / "a.jsonl", rows(60)), write(tmp_path / "b.jsonl", rows(10, lang="fi"))
    base = make("bert", tmp_path / "base")
    told = train(replace(settings(many, tmp_path / "out", base, limit=30), files=(many, few)), SILENT)
    assert [file["train"] for file in told["files"]] == [20, 10]


@pytest.mark.parametrize("bad", [{"minutes": 0.0}, {"limit": 0}, {"held_out": -1}, {"minutes": float("nan")}])
def test_settings_that_cannot_be_used(bad: dict[str, Any], data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        settings(data, tmp_path / "out", tmp_path, **bad)


def test_nothing_to_learn_from_is_told(tmp_path: Path) -> None:
    base = make("bert", tmp_path / "base")
    lost = write(tmp_path / "lost.en.jsonl", rows(10, answers=[{"text": "unseen", "answer_start": None}]))
    with pytest.raises(SettingError, match="can be learned from"):
        train(settings(lost, tmp_path / "out", base), SILENT)
    with pytest.raises(SettingError, match="too few"):
        train(settings(write(tmp_path / "few.jsonl", rows(3)), tmp_path / "out2", base, held_out=1), SILENT)


def test_a_model_of_another_kind_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ModelRefused):
        train(settings(data, tmp_path / "out", resolve("builtin", "embedder").path), SILENT)

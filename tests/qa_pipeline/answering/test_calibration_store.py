"""Calibrations kept beside readers: for the same weights only, by language, else pooled, and the Reply says which."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.models.registry import ModelFolder, resolve
from indexing.store.index import Index
from qa_pipeline.answering import calibration_store
from qa_pipeline.answering.calibration import NEVER, UNCALIBRATED, Calibration, calibration_of
from qa_pipeline.answering.calibration_store import NAME, Known, load, save
from qa_pipeline.answering.verdict import read_one
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.settings import AskSettings
from tests.known import WordEmbedder, WordReader
from tests.tiny import make_reader

KNOWN = Known((0.5, 2.0, 0.6), {"de": (0.7, 1.0, 0.4)}, {"questions": 9})


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(calibration_store, "SHIPPED", tmp_path / "shipped.json")


def model(name: str = "owner/reader", fingerprint: str = "f1") -> ModelFolder:
    return ModelFolder(name, Path("/nowhere"), fingerprint, None, "bert", ("", ""))


def test_what_was_learned_is_found_again_for_the_same_weights_only() -> None:
    assert load(model()) is None
    path = save(model(), KNOWN)
    assert load(model()) == KNOWN and path.name == "f1.json" and load(model(fingerprint="f2")) is None


def test_a_folder_keeps_its_own_and_weights_trained_on_do_not_use_it(tmp_path: Path) -> None:
    folder = make_reader("bert", tmp_path / "reader", 1)
    before = resolve(str(folder), "reader")
    assert save(before, KNOWN) == folder / NAME
    assert resolve(str(folder), "reader") == before and load(before) == KNOWN
    shutil.copytree(folder, tmp_path / "moved")
    assert load(resolve(str(tmp_path / "moved"), "reader")) == KNOWN
    shutil.copyfile(make_reader("bert", tmp_path / "other", 2) / "model.safetensors", folder / "model.safetensors")
    assert load(resolve(str(folder), "reader")) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"fingerprint": "f1"}', '{"fingerprint": "f1", "pooled": {}, "languages": {}}']
)
def test_a_damaged_file_is_not_used(tmp_path: Path, text: str) -> None:
    path = save(model(), KNOWN)
    path.write_text(text, "utf-8")
    assert load(model()) is None
    numbers = {"sharp": -1, "shift": 0, "threshold": 0.5}
    path.write_text(json.dumps({"fingerprint": "f1", "pooled": numbers, "languages": {}}), "utf-8")
    assert load(model()) is None


def test_a_language_never_seen_is_judged_by_all_together() -> None:
    assert calibration_of(model()) == UNCALIBRATED
    save(model(), KNOWN)
    found = calibration_of(model())
    assert (found.sharp, found.shift, found.threshold, found.scope) == (0.5, 2.0, 0.6, "pooled")
    assert found.of("de") == Calibration(0.7, 1.0, 0.4, found.stop_gap, "language") and found.of("fi") is found


def test_presets_have_their_own_until_calibrated() -> None:
    builtin = resolve("builtin", "reader")
    assert calibration_of(builtin).scope == "pooled" and builtin.preset is not None
    never = replace(model(), preset=replace(builtin.preset, knows_no_answer=False))
    assert calibration_of(never) == NEVER
    save(builtin, KNOWN)
    assert calibration_of(builtin).of("de").scope == "language"
    assert calibration_of(builtin).stop_gap == builtin.preset.calibration[3]


def test_the_shipped_one_is_used_where_nothing_else_is_known() -> None:
    builtin = resolve("builtin", "reader")
    save(builtin, KNOWN).rename(calibration_store.SHIPPED)
    assert load(builtin) == KNOWN


def test_the_reply_says_whose_calibration_it_is(corpus: Path, tmp_path: Path) -> None:
    embedder = WordEmbedder()
    build_index(corpus, tmp_path / "i", embedder=embedder)  # type: ignore[arg-type]
    english = Calibration(sharp=9.0, threshold=0.5, scope="language")
    known = Calibration(threshold=1.0, scope="pooled", languages={"en": english})
    pipeline = QAPipeline(Index.open(tmp_path / "i"), embedder, WordReader(), calibration=known)  # type: ignore[arg-type]
    reply = pipeline.ask("When was the bridge opened in?")
    assert reply.language == "en" and (reply.calibration, reply.no_answer.threshold) == ("language", 0.5)
    assert reply.calibration == "language"
    last = list(pipeline.stream("When was the bridge opened in?", AskSettings()))[-1].reply
    assert last is not None and last.answers == reply.answers and last.calibration == "language"
    other = pipeline.ask("Wann wurde die alte Brücke eröffnet?")
    assert (other.calibration, other.no_answer.threshold) == ("pooled", 1.0)


def test_one_text_is_judged_by_the_questions_language() -> None:
    silent = Calibration(threshold=0.0, scope="language")
    known = Calibration(threshold=1.0, scope="pooled", languages={"de": silent})
    text = "Die Brücke wurde 1912 eröffnet."
    assert read_one(WordReader(), "Wann wurde die Brücke eröffnet?", text, known)["answer"] == ""
    assert read_one(WordReader(), "When was the bridge opened, and by whom?", text, known)["answer"] == "1912"

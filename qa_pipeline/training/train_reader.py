"""Trains a reader from question files. Entry point: `train`; the same call resumes an interrupted run.

files -> examples -> (held-out, training) -> windows -> training -> saved model -> measured scores -> card
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from indexing.atomic_files import store_text
from indexing.errors import SettingError
from indexing.models.hardware import this_machine
from qa_pipeline.training.loop import checkpoints
from qa_pipeline.training.loop.provenance import docqa_version, machine, model_label
from qa_pipeline.training.loop.run_folder import before_file, finished_run, save, write_run
from qa_pipeline.training.loop.trainer import Plan, device, fit, matmul_dtype
from qa_pipeline.training.model_card import Run, card, data_files
from qa_pipeline.training.reader.distillation import Teacher
from qa_pipeline.training.reader.model import Encoder, load_encoder
from qa_pipeline.training.reader.task import ReaderTask
from qa_pipeline.training.reader.validation import Score, change, reader_folder, scores, table
from qa_pipeline.training.reader.windows import Features, build, thin_windows
from qa_pipeline.training.run_data import Data, ProgressReporter, TrainSettings, read_data

CONFIG = "config.json"
HEAD_SEED = 1


def train(settings: TrainSettings, tell: ProgressReporter) -> dict[str, Any]:
    """Trains a reader into `settings.into`; returns the facts of the run, as in its training.json.

    Raises SettingError, UnreadableFile, ModelError.
    """
    data = read_data(settings, tell)
    with torch.random.fork_rng():
        torch.manual_seed(HEAD_SEED)
        encoder = load_encoder(settings.recipe.base, settings.recipe.dropout)
    teacher = _teacher(settings, data, encoder)
    key = _key(settings, data, encoder, teacher)
    done = finished_run(settings.into, key)
    if done is not None:
        tell.words(f"{settings.into} holds this very run, finished; nothing to do.")
        return done
    features = _features(settings, data, encoder)
    if not features.windows:
        raise SettingError("No question of these files can be learned from: none has an answer with a place in its context.")
    settings.into.mkdir(parents=True, exist_ok=True)
    _begun(settings, features, data, encoder, tell)
    before = _before(settings, data, encoder, key, tell)
    plan = Plan(settings.recipe, settings.seed, settings.into, key, settings.minutes, settings.checkpoint_seconds)
    task = ReaderTask(encoder, features.windows, teacher, settings.recipe.frozen, _kind(settings))
    at = fit(task, plan, tell.update)
    save(encoder.save, settings.into, CONFIG)
    after = _scores(settings, data, settings.into, tell)
    run = _run(settings, data, features, at, encoder, before, after)
    return write_run(settings.into, key, asdict(run), card(run))


# -- data --------------------------------------------------------------------------------------------------------------


def _teacher(settings: TrainSettings, data: Data, encoder: Encoder) -> Teacher | None:
    if settings.teacher is None:
        return None
    return Teacher(settings.teacher, settings.temperature, data.learn, encoder.tokeniser)


def _key(settings: TrainSettings, data: Data, encoder: Encoder, teacher: Teacher | None) -> str:
    """A digest of everything the weights depend on."""
    whole = hashlib.blake2b(digest_size=16)
    facts = [asdict(settings.recipe), settings.seed, settings.minutes, encoder.folder.fingerprint, str(_kind(settings))]
    facts += [teacher.encoder.folder.fingerprint, settings.temperature] if teacher else []
    whole.update(json.dumps(facts, sort_keys=True).encode())
    for example in (*data.learn, None, *data.held_out):
        told = [example.question, example.context, [[g.text, g.start] for g in example.golds]] if example else None
        whole.update(json.dumps(told).encode())
    return whole.hexdigest()


def _kind(settings: TrainSettings) -> torch.dtype:
    return matmul_dtype(settings.precision, this_machine(device().type))


def _features(settings: TrainSettings, data: Data, encoder: Encoder) -> Features:
    recipe = settings.recipe
    whole = build(data.learn, encoder.tokeniser, recipe.max_seq_len, recipe.doc_stride)
    return Features(thin_windows(whole.windows, recipe.empty_windows, settings.seed), whole.left_out)


# -- measuring ---------------------------------------------------------------------------------------------------------


def _before(settings: TrainSettings, data: Data, encoder: Encoder, key: str, tell: ProgressReporter) -> list[Score]:
    """Scores of the base model, measured once and stored beside the checkpoint; [] if it is no reader."""
    path = before_file(settings.into, key)
    if path.is_file():
        return [Score.from_dict(score) for score in json.loads(path.read_bytes())]
    found: list[Score] = []
    if encoder.is_reader and data.held_out:
        tell.words("Measuring the model as it is.")
        found = scores(encoder.folder, data.held_out, settings.recipe, lambda n: tell.measured(n, len(data.held_out)))
    store_text(path, json.dumps([asdict(score) for score in found]))
    return found


def _scores(settings: TrainSettings, data: Data, folder: Path, tell: ProgressReporter) -> list[Score]:
    if not data.held_out:
        return []
    tell.words("Measuring the trained model.")
    here = reader_folder(folder)
    return scores(here, data.held_out, settings.recipe, lambda n: tell.measured(n, len(data.held_out)))


# -- reporting -------------------------------------------------------------------------------------------------------


def _begun(settings: TrainSettings, features: Features, data: Data, encoder: Encoder, tell: ProgressReporter) -> None:
    again = " (going on from its checkpoint)" if (settings.into / checkpoints.NAME).is_file() else ""
    head = "" if encoder.is_reader else ", with a new question answering head"
    tell.words(
        f"Training {encoder.folder.name}{head} on {len(data.learn):,} questions, {len(features.windows):,} windows;"
        f" {len(data.held_out):,} questions held out{again}."
    )


def _run(
    settings: TrainSettings,
    data: Data,
    features: Features,
    at: checkpoints.Position,
    encoder: Encoder,
    before: list[Score],
    after: list[Score],
) -> Run:
    taught_by = model_label(settings.teacher) if settings.teacher else ""
    return Run(
        name=settings.into.resolve().name,
        base=model_label(encoder.folder.name),
        recipe=settings.recipe,
        seed=settings.seed,
        files=data_files(data.paths, data.learn, data.held_out),
        windows=len(features.windows),
        left_out=len(features.left_out),
        updates=at.done,
        tokens=at.tokens,
        seconds=at.seconds,
        loss=at.loss,
        machine=machine(_kind(settings)),
        teacher=taught_by,
        before=tuple(table(before)),
        after=tuple(table(after)),
        change=change(before, after) if before else None,
        version=docqa_version(),
    )

"""Trains an embedder from question files and sentence pairs. Entry point: `train_embedder`.

files -> (held-out, training) questions -> pairs -> training -> saved model -> measured recall -> card
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from indexing.atomic_files import store_text
from indexing.errors import SettingError
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.datasets.examples import Example
from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences
from qa_pipeline.training.alignment.token_lexicon import Bitext, bitexts, other_bitexts
from qa_pipeline.training.embedder.contrastive_task import ContrastiveTask, Pair, question_pairs, translations
from qa_pipeline.training.embedder.cooccurrence import cooccurrence_vectors, random_vectors
from qa_pipeline.training.embedder.pair_sources import (
    CodeSwitchedLines,
    CodeSwitchedPairs,
    LinePairs,
    QuestionPairs,
    Questions,
    Source,
    TranslationPairs,
    lexicons,
    plain_text,
    question_pairs_by_language,
)
from qa_pipeline.training.embedder.static_task import StaticTask, encode, vocabulary
from qa_pipeline.training.embedder_card import card
from qa_pipeline.training.loop.provenance import docqa_version, machine, model_label
from qa_pipeline.training.loop.recipes import NewVectors
from qa_pipeline.training.loop.run_folder import before_file, contents, finished_run, save, write_run
from qa_pipeline.training.loop.trainer import Plan, fit
from qa_pipeline.training.model_card import data_files
from qa_pipeline.training.reader.validation import Score, change, table
from qa_pipeline.training.run_data import Data, ProgressReporter, TrainSettings, read_data

POOL = 2_000
DEEP = 10
UPDATES = 12_000
FEWEST = 300


def train_embedder(settings: TrainSettings, tell: ProgressReporter) -> dict[str, Any]:
    """Trains an embedder into `settings.into`; returns the facts of the run. limit: of questions, and of sentence pairs.

    Raises SettingError, UnreadableFile, ModelError.
    """
    data = read_data(settings, tell)
    base = resolve(settings.recipe.base, "embedder")
    pairs = _pairs(settings, data)
    key = _key(settings, pairs, data.held_out, base)
    done = finished_run(settings.into, key)
    if done is not None:
        tell.words(f"{settings.into} holds this very run, finished; nothing to do.")
        return done
    settings.into.mkdir(parents=True, exist_ok=True)
    tell.words(f"Training {base.name} on {len(pairs):,} pairs of texts; {len(data.held_out):,} questions held out.")
    before = _before(settings, data, base, key)
    anew = settings.recipe.anew
    task = make_static_task(settings, anew, data, base) if anew else ContrastiveTask(base, pairs)
    plan = Plan(settings.recipe, settings.seed, settings.into, key, settings.minutes, settings.checkpoint_seconds)
    at = fit(task, plan, tell.update)
    save(task.save, settings.into, "modules.json")
    tell.words("Measuring the trained model.")
    after = measure_recall(resolve(str(settings.into.absolute()), "embedder"), data)
    found = change(before, after)
    facts: dict[str, Any] = {
        "name": settings.into.resolve().name,
        "base": model_label(base.name),
        "recipe": asdict(settings.recipe),
        "seed": settings.seed,
        "change": asdict(found) if found else None,
        "files": [asdict(file) for file in data_files(data.paths, data.learn, data.held_out)],
        "pairs": task.count,
        "updates": at.done,
        "tokens": at.tokens,
        "seconds": at.seconds,
        "loss": at.loss,
        "machine": machine(),
        "before": _rows(before),
        "after": _rows(after),
        "version": docqa_version(),
    }
    return write_run(settings.into, key, facts, card(facts))


def make_static_task(settings: TrainSettings, anew: NewVectors, data: Data, base: ModelFolder) -> StaticTask:
    """The task of the built-in embedder's recipes. Raises SettingError, UnreadableFile."""
    ids = encode(base)
    texts = list(bitexts(parallel(settings), ids, settings.seed))
    size = vocabulary(base)
    meanings = lexicons(texts, size)
    into = {language: found.choices() for language, found in meanings.items()}
    questions = question_pairs_by_language(data.learn, ids)
    others = list(other_bitexts(parallel(settings), ids, FEWEST))
    plain = plain_text(settings.text, ids) if settings.text else {}
    mix, lines, switched = anew.mix, LinePairs(list(plain.values())), CodeSwitchedLines(plain, into)
    sources: list[tuple[Source, float]] = [
        (Questions(questions), mix.questions),
        (CodeSwitchedPairs(questions, into), mix.switched),
        (TranslationPairs(texts), mix.translations),
    ]
    sources += [(TranslationPairs(others), mix.others)] if others else []
    sources += [(lines, mix.lines)] if lines else []
    sources += [(switched, mix.switched_lines)] if switched else []
    if anew.counted:
        begun = cooccurrence_vectors(_texts(questions, texts, plain), meanings, size, anew.numbers, settings.seed)
    else:
        begun = random_vectors(size, anew.numbers, settings.seed)
    return StaticTask(base, begun, sources, UPDATES, anew)


def parallel(settings: TrainSettings) -> Path:
    """The folder of sentence pairs, which the recipe requires. Raises SettingError."""
    if settings.parallel is None:
        raise SettingError(f"The recipe {settings.recipe.name} learns from sentence pairs too; name them: --parallel DIR.")
    return settings.parallel


def _texts(
    questions: Mapping[str, QuestionPairs], pairs: Sequence[Bitext], plain: Mapping[str, RaggedSentences]
) -> dict[str, list[RaggedSentences]]:
    """Texts per language for co-occurrence counts: plain text, passages, translations of English sentences."""
    texts: defaultdict[str, list[RaggedSentences]] = defaultdict(list)
    for language, one in (*plain.items(), *((name, found.passages) for name, found in questions.items())):
        texts[language].append(one)
    for pair in pairs:
        texts[pair.other].append(pair.others)
    return dict(texts)


def _pairs(settings: TrainSettings, data: Data) -> list[Pair]:
    pairs = list(question_pairs(data.learn))
    if settings.parallel is not None and not settings.recipe.anew:
        pairs += translations(settings.parallel, settings.limit, settings.seed)
    return pairs


def measure_recall(folder: ModelFolder, data: Data) -> list[Score]:
    """Recall@1 (`exact`) and recall@10 (`f1`) of each held-out question's context.

    It is ranked among the contexts of its language, some 2,000 at most.
    """
    from indexing.models.embedder import Embedder

    embedder = Embedder(folder)
    asked = [example for example in data.held_out if not example.is_impossible]
    pools: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for example in (*asked, *data.learn):
        pool = pools[example.language]
        if len(pool) < POOL or example.context in pool:
            pool.setdefault(example.context, len(pool))
    vectors = {language: embedder.passages(list(pool)) for language, pool in pools.items()}
    found: list[Score] = []
    for example, question in zip(asked, embedder.questions([e.question for e in asked]), strict=True):
        cosines = vectors[example.language] @ question
        rank = int(np.sum(cosines > cosines[pools[example.language][example.context]]))
        found.append(Score(example.language, True, float(rank == 0), float(rank < DEEP), 0.0))
    return found


def _rows(found: Sequence[Score]) -> list[dict[str, Any]]:
    return [
        {"language": row.language, "questions": row.questions, "recall@1": row.exact, "recall@10": row.f1}
        for row in table(found)
    ]


def _before(settings: TrainSettings, data: Data, base: ModelFolder, key: str) -> list[Score]:
    path = before_file(settings.into, key)
    if not path.is_file():
        store_text(path, json.dumps([asdict(score) for score in measure_recall(base, data)]))
    return [Score.from_dict(score) for score in json.loads(path.read_bytes())]


def _key(settings: TrainSettings, pairs: Sequence[Pair], held_out: Sequence[Example], base: ModelFolder) -> str:
    whole = hashlib.blake2b(digest_size=16)
    facts = [asdict(settings.recipe), settings.seed, settings.minutes, base.fingerprint]
    whole.update(json.dumps(facts, sort_keys=True).encode())
    if settings.recipe.anew:
        whole.update(contents(settings.parallel, settings.text).encode())
    for pair in pairs:
        whole.update(json.dumps([pair.asked, pair.found]).encode())
    whole.update(json.dumps([[e.question, e.context] for e in held_out]).encode())
    return whole.hexdigest()

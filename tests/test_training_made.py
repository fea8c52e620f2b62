"""How the built-in models are made: a lexicon from sentence pairs, switched and aligned reading, vectors from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from indexing.embed import Embedder
from indexing.errors import SettingError, UnreadableFile
from indexing.models import resolve
from indexing.weights import narrow, widen
from qa_pipeline.evaluation.datasets import read_examples
from qa_pipeline.reader import load_reader
from qa_pipeline.training import model1, static_task, train_embedder
from qa_pipeline.training.carrying import FREQUENT, carried, rare
from qa_pipeline.training.crossing_task import Crossing
from qa_pipeline.training.data import Data, TrainSettings
from qa_pipeline.training.encoder import load_encoder
from qa_pipeline.training.features import Features, Window, build
from qa_pipeline.training.lexicon import Bitext, among_others, bitexts, lexicon
from qa_pipeline.training.model1 import ragged
from qa_pipeline.training.pairing import Asked, Lines, Switched, joined, taken
from qa_pipeline.training.recipes import RECIPES, recipe
from qa_pipeline.training.train import _carry, _counts, train
from tests.test_training import SILENT, Stop, rows, stopping, weights, write
from tests.tiny import make_reader

WORDS = "bridge tower mine berg insel lighthouse keeper library station member parliament harbour".split()
ROWS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "made.en.jsonl", rows(40))


@pytest.fixture
def parallel(tmp_path: Path) -> Path:
    """Sentence pairs in which each word of one side stands for a made-up one of the other."""
    folder = tmp_path / "parallel"
    folder.mkdir()
    lines = [f"the {a} and the {b} cost much\tda {a[::-1]} zu {b[::-1]} so\n" for a in WORDS for b in WORDS if a != b]
    (folder / "en-xx.tsv").write_text("".join(lines))
    return folder


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    return make_reader("xlm-roberta", tmp_path / "base", 5, num_hidden_layers=4)


def characters(texts: Any) -> list[list[int]]:
    return [[ord(letter) for letter in text] for text in texts]


# -- words that go together --------------------------------------------------------------------------------------------


@given(ROWS)
def test_rows_stay_what_they_are(made: list[list[int]]) -> None:
    whole = ragged(made)
    assert [whole[n].tolist() for n in range(len(whole))] == made and whole.lengths.tolist() == [len(row) for row in made]
    order = np.arange(len(made))[::-1]
    assert [row.tolist() for row in map(taken(whole, order, 3).__getitem__, range(len(made)))] == [r[:3] for r in made[::-1]]
    both = joined([whole, whole])
    assert [both[n].tolist() for n in range(len(both))] == made * 2


@given(ROWS, st.randoms(use_true_random=False))
def test_every_place_meets_every_place_of_its_partner(made: list[list[int]], draw: Any) -> None:
    others = [[draw.randrange(9) for _ in range(draw.randint(1, 4))] for _ in made]
    here, there = model1.places(ragged(made), ragged(others))
    begins = (np.cumsum([0, *map(len, side)]) for side in (made, others))
    one, other = (list(at) for at in begins)
    wanted = {(i, j) for n in range(len(made)) for i in range(one[n], one[n + 1]) for j in range(other[n], other[n + 1])}
    assert set(zip(here.tolist(), there.tolist(), strict=True)) == wanted and len(here) == len(wanted)


def test_a_lexicon_is_learned_and_switches() -> None:
    ones = [[a, b, 0] for a in range(1, 9) for b in range(1, 9) if a != b]
    others = [[10 + b, 19, 10 + a] for a, b, _ in ones]
    found = lexicon(Bitext("en", "xx", ragged(ones), ragged(others)), 20)
    words = np.arange(1, 9)
    assert (found.likeness(words, words + 10) > 0.5).all() and (found.likeness(words, words[::-1] + 10) < 0.1).all()
    forth, back = found.choices()
    tokens = np.array([1, 5, 8, 15], dtype=np.int32)
    draw = np.random.default_rng(1)
    switched = np.stack([forth.switch(tokens, 1.0, draw) for _ in range(50)])
    assert (np.median(switched, axis=0) == [11, 15, 18, 15]).all(), "what is not known stays"
    assert (forth.switch(tokens, 0.0, draw) == tokens).all()
    assert (np.median([back.switch(tokens, 1.0, draw) for _ in range(50)], axis=0) == [1, 5, 8, 5]).all()


def test_sentence_pairs_become_tokens(parallel: Path) -> None:
    (text,) = bitexts(parallel, characters, 1)
    assert (text.one, text.other, len(text.ones)) == ("en", "xx", 132) == (text.one, text.other, len(text.others))
    assert bytes(text.others[0].tolist()).startswith(b"da ")
    (some,) = bitexts(parallel, characters, 1, 10)
    assert len(some.ones) == 10
    (parallel / "x-x.tsv").write_text("de\tfr\tein Haus\tune maison\nde\tfr\tein Hund\tun chien\nde\tit\tHund\tcane\n")
    assert [(text.one, text.other, len(text.ones)) for text in among_others(parallel, characters, 2)] == [("de", "fr", 2)]
    (parallel / "x-x.tsv").write_text("de\tfr\tein Haus\n")
    with pytest.raises(UnreadableFile, match="line 1, has 3 columns"):
        list(among_others(parallel, characters, 1))


# -- pairs for an embedder ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(24, 60), min_size=1, max_size=6), st.integers(0, 99))
def test_a_line_is_parted_into_a_run_and_the_rest(lengths: list[int], seed: int) -> None:
    made = ragged([[100 * n + at for at in range(length)] for n, length in enumerate(lengths)])
    inside, outside = Lines([made]).draw(9, np.random.default_rng(seed))
    found = sorted(sorted([*inside[n].tolist(), *outside[n].tolist()]) for n in range(len(inside)))
    assert found == [made[n].tolist() for n in range(len(made))]
    for n in range(len(inside)):
        assert (np.diff(inside[n]) == 1).all() and len(inside[n]) <= len(outside[n])
    assert not Lines([ragged([[1, 2, 3]])])


def test_no_passage_comes_twice_among_questions() -> None:
    asked = Asked(ragged([[n] for n in range(12)]), ragged([[100 + n] for n in range(4)]), np.arange(12) % 4)
    questions, passages = asked.draw(12, np.random.default_rng(1))
    assert sorted(passages.words.tolist()) == [100, 101, 102, 103]
    assert (questions.words % 4 == passages.words - 100).all(), "each with its own"
    with pytest.raises(SettingError, match="no questions in en"):
        Switched({"de": asked}, {})


# -- the two recipes ---------------------------------------------------------------------------------------------------


def settings(
    name: str, data: Path, parallel: Path, into: Path, base: Path | str = "builtin", **changes: Any
) -> TrainSettings:
    chosen = replace(recipe(name, base=str(base), batch=4, epochs=1), max_seq_len=128, doc_stride=48)
    return replace(TrainSettings((data,), into, chosen, held_out=0, checkpoint_seconds=1e9, parallel=parallel), **changes)


def test_a_reader_learns_other_languages_from_english(data: Path, parallel: Path, reader: Path, tmp_path: Path) -> None:
    """The states of a made-up language's words come nearer to those of the English words they stand for."""
    asked = settings("builtin-reader", data, parallel, tmp_path / "out", reader)
    told = train(
        replace(asked, recipe=replace(asked.recipe, epochs=3, learning_rate=1e-3, pairs=24, start_share=0.0)), SILENT
    )
    assert told["updates"] > 20 and told["tokens"] > 0
    apart = []
    for folder in (reader, tmp_path / "out"):
        encoder = load_encoder(str(folder))
        windows = build(list(read_examples(data, print)), encoder.tokeniser, 128, 48).windows
        texts = list(bitexts(parallel, lambda texts, e=encoder: [t.ids for t in e.tokeniser.tokens(texts)], 1))
        task = Crossing(load_encoder(str(reader)), windows, list(read_examples(data, print)), texts, 24)
        task.model = encoder.model
        apart.append(task._aligning(0, np.arange(40))[0])
    assert apart[1] < 0.7 * apart[0]
    load_reader(resolve(str(tmp_path / "out"), "reader"))


def test_half_of_what_it_began_with_stays(data: Path, parallel: Path, reader: Path, tmp_path: Path) -> None:
    asked = settings("builtin-reader", data, parallel, tmp_path / "half", reader, limit=8)
    assert asked.recipe.start_share == 0.5
    train(asked, SILENT)
    train(replace(asked, into=tmp_path / "none", recipe=replace(asked.recipe, start_share=0.0)), SILENT)
    begun, half, none = (
        load_encoder(str(folder)).model.state_dict() for folder in (reader, *map(tmp_path.joinpath, ("half", "none")))
    )
    assert any(not torch.equal(begun[name], none[name]) for name in begun)
    for name in begun:
        torch.testing.assert_close(half[name], (begun[name] + none[name]) / 2)
    assert "0.5 times those it began with" in (tmp_path / "half" / "README.md").read_text("utf-8")
    with pytest.raises(SettingError, match="start_share"):
        replace(asked.recipe, start_share=1.0)


def test_what_is_rare_in_english_learns_alone(data: Path, parallel: Path, reader: Path, tmp_path: Path) -> None:
    """The rest of the model stays as it is to the last bit."""
    asked = settings("builtin-tokens", data, parallel, tmp_path / "out", reader)
    assert train(asked, SILENT)["updates"] > 5
    start, learned = (load_encoder(str(folder)) for folder in (reader, tmp_path / "out"))
    texts = list(bitexts(parallel, lambda texts: [tokens.ids for tokens in start.tokeniser.tokens(texts)], 1))
    windows = build(list(read_examples(data, print)), start.tokeniser, 128, 48).windows
    size = start.model.config.vocab_size
    may = rare(*_counts(Features(windows, []), Data([], list(read_examples(data, print)), []), texts, size))
    tokens = "roberta.embeddings.word_embeddings.weight"
    were, are = start.model.state_dict(), learned.model.state_dict()
    assert all(torch.equal(were[name], are[name]) for name in were if name != tokens)
    changed = (were[tokens] != are[tokens]).any(1).numpy()
    assert changed.any() and not (changed & ~may).any()
    assert {*texts[0].others.words.tolist()} & {*np.flatnonzero(changed).tolist()}
    assert "all else left as it was" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_tokens_are_carried_over_as_far_as_the_embedder_is_sure() -> None:
    draw = np.random.default_rng(1)
    own, vectors = draw.normal(size=(40, 6)).astype(np.float32), draw.normal(size=(40, 64)).astype(np.float32)
    vectors[30] = 3 * vectors[4]
    pivot, others = np.where(np.arange(40) < 20, 500, 0), np.where(np.arange(40) < 20, 10, 50)
    others[39] = 0
    new = carried(own, vectors, pivot, others)
    assert (new[:20] == own[:20]).all() and (new[39] == own[39]).all(), "English stays, and what nobody writes"
    moved = new[30] - own[30] / 2
    assert np.dot(moved, own[4]) / np.linalg.norm(moved) / np.linalg.norm(own[4]) > 0.99
    unsure = [n for n in range(20, 39) if n != 30]
    assert np.abs(new[unsure] - own[unsure]).mean() < 0.2 * np.abs(new[30] - own[30]).mean()
    assert (carried(own, vectors, pivot * 0, others) == own).all(), "without English there is nothing to carry"


def test_a_reader_begins_from_an_embedder(data: Path, parallel: Path, tmp_path: Path) -> None:
    """Only tokens rare in English are changed, and some of them are."""
    encoder = load_encoder("builtin")
    before = encoder.model.get_input_embeddings().weight.detach().numpy().copy()
    vectors = static_task.token_vectors(resolve("builtin", "embedder"))
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    english = np.arange(100, 140)
    foreign = 20_000 + int((vectors[20_000:] @ vectors[english].T).max(axis=1).argmax())
    assert (vectors[foreign] @ vectors[english].T).max() > 0.3, "one the embedder is sure of"
    text = Bitext("en", "xx", ragged([[n] * FREQUENT for n in english.tolist()]), ragged([[foreign]] * len(english)))
    windows = [Window(0, np.array([10], dtype=np.int32), 1, 0, 0, 0, 0)]
    asked = Data([], list(read_examples(data, print)), [])
    pivot, others = _counts(Features(windows, []), asked, [text], len(before))
    assert pivot[10] == 1 and (pivot[english] == FREQUENT).all() and others[foreign] == others.sum() == len(english)
    _carry(resolve("builtin", "embedder"), encoder, pivot, others)
    changed = np.flatnonzero((encoder.model.get_input_embeddings().weight.detach().numpy() != before).any(axis=1))
    assert changed.tolist() == [foreign]
    with pytest.raises(SettingError, match="48,002 tokens"):
        other = make_reader("xlm-roberta", tmp_path / "base", 5, num_hidden_layers=4)
        train(settings("builtin-reader", data, parallel, tmp_path / "o", other, near="builtin"), SILENT)


def test_a_stopped_reader_goes_on_to_the_same_weights(data: Path, parallel: Path, reader: Path, tmp_path: Path) -> None:
    train(settings("builtin-reader", data, parallel, tmp_path / "whole", reader), SILENT)
    often = settings("builtin-reader", data, parallel, tmp_path / "parts", reader, checkpoint_seconds=0.0)
    with pytest.raises(Stop):
        train(often, stopping(3))
    train(often, SILENT)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


def test_only_what_stands_for_something_is_switched(data: Path, parallel: Path, reader: Path) -> None:
    encoder = load_encoder(str(reader))
    examples = list(read_examples(data, print))
    windows = build(examples, encoder.tokeniser, 128, 48).windows
    texts = list(bitexts(parallel, lambda texts: [t.ids for t in encoder.tokeniser.tokens(texts)], 1))
    task = Crossing(encoder, windows, examples, texts, 24)
    draw = np.random.default_rng(1)
    made = [task._switched(window, draw) for window in windows for _ in range(20)]
    known = task._choices[0][0].known
    changed = 0
    for window, new in zip([window for window in windows for _ in range(20)], made, strict=True):
        other = window.ids != new.ids
        changed += int(other.sum())
        assert known[window.ids[other]].all() and not other[0] and not other[-1]
        assert (new.start, new.end, len(new.ids)) == (window.start, window.end, len(window.ids))
    assert changed > 50


def test_other_sentence_pairs_make_another_run(data: Path, parallel: Path, reader: Path, tmp_path: Path) -> None:
    asked = settings("builtin-reader", data, parallel, tmp_path / "out", reader, minutes=0.001)
    assert train(asked, SILENT) == train(asked, SILENT)
    (parallel / "en-xx.tsv").write_text("the bridge cost much\tda so zu\n" * 9)
    with pytest.raises(SettingError, match="another model|other data"):
        train(asked, SILENT)
    for name, option in (("builtin", "near"), ("embedder", "text"), ("builtin-reader", "text")):
        with pytest.raises(SettingError, match=f"--{option} is for the recipe"):
            settings(name, data, parallel, tmp_path / "o", **{option: "builtin" if option == "near" else tmp_path})


def test_the_recipes_say_what_they_lack(data: Path, parallel: Path, reader: Path, tmp_path: Path) -> None:
    for name, run in (("builtin-reader", train), ("builtin-embedder", train_embedder.train_embedder)):
        with pytest.raises(SettingError, match="--parallel"):
            run(replace(settings(name, data, parallel, tmp_path / name), parallel=None), SILENT)
    with pytest.raises(SettingError, match="4 layers"):
        train(settings("builtin-reader", data, parallel, tmp_path / "o", make_reader("bert", tmp_path / "b", 5)), SILENT)
    (parallel / "en-xx.tsv").rename(parallel / "de-xx.tsv")
    with pytest.raises(SettingError, match="en first"):
        train(settings("builtin-reader", data, parallel, tmp_path / "p", reader), SILENT)
    with pytest.raises(SettingError, match="no plain text"):
        asked = settings("builtin-embedder", data, parallel, tmp_path / "q", text=parallel)
        train_embedder.train_embedder(asked, SILENT)


def test_an_embedder_gets_numbers_learned_from_nothing(
    data: Path, parallel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_embedder, "UPDATES", 80)
    monkeypatch.setattr(train_embedder, "DIMENSION", 64)
    (parallel / "en-xx.tsv").write_text((parallel / "en-xx.tsv").read_text() * 2)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "en.txt").write_text("".join(f"{' '.join(WORDS)} {n} {' '.join(WORDS[::-1])}\n" for n in range(9)))
    asked = settings("builtin-embedder", data, parallel, tmp_path / "out", held_out=4, text=tmp_path / "text")
    asked = replace(asked, recipe=replace(asked.recipe, batch=32))
    told = train_embedder.train_embedder(asked, SILENT)
    assert told["updates"] == 80 and told["after"]
    made = Embedder(resolve(str(tmp_path / "out"), "embedder"))
    assert made.dimension == train_embedder.DIMENSION + Embedder(resolve("builtin", "embedder")).dimension
    right = np.argmax(made.questions(WORDS) @ made.passages([word[::-1] for word in WORDS]).T, axis=1) == np.arange(12)
    assert right.sum() >= 9


@pytest.mark.parametrize(("bits", "largest"), [(8, 127), (4, 7)])
def test_models_are_stored_small_and_widened_again(reader: Path, tmp_path: Path, bits: int, largest: int) -> None:
    narrow(reader, tmp_path / "small", bits)
    (tmp_path / "wide").mkdir()
    widen(tmp_path / "small", tmp_path / "wide")
    before, after = (load_file(folder / "model.safetensors") for folder in (reader, tmp_path / "wide"))
    assert before.keys() == after.keys() and resolve(str(tmp_path / "wide"), "reader")
    for name, tensor in before.items():
        small = tensor.ndim == 2 and tensor.size > 10_000
        step = np.abs(tensor).max(axis=-1, keepdims=True) / largest if small else 0 * tensor
        assert (np.abs(tensor - after[name]) <= step * 0.501).all(), name
    assert any(tensor.ndim == 2 and tensor.size > 10_000 for tensor in before.values())
    narrow(tmp_path / "wide", tmp_path / "again", bits)
    stored = [load_file(tmp_path / name / "model.small.safetensors") for name in ("small", "again")]
    assert stored[0].keys() == stored[1].keys()
    for name, tensor in stored[0].items():
        assert np.allclose(tensor.astype(np.float32), stored[1][name].astype(np.float32), rtol=1e-6), name
    sizes = [(tmp_path / name).stat().st_size for name in ("small/model.small.safetensors", "wide/model.safetensors")]
    assert sizes[0] < sizes[1] and any(name.endswith(f".int{bits}") for name in stored[0])


def test_a_matrix_that_cannot_be_halved_is_stored_in_8_bits(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    matrix = np.linspace(-1, 1, 201 * 101, dtype=np.float32).reshape(201, 101)
    save_file({"matrix": matrix}, folder / "model.safetensors")
    narrow(folder, tmp_path / "small", 4)
    assert "matrix.int8" in load_file(tmp_path / "small" / "model.small.safetensors")
    (tmp_path / "wide").mkdir()
    widen(tmp_path / "small", tmp_path / "wide")
    assert np.abs(load_file(tmp_path / "wide" / "model.safetensors")["matrix"] - matrix).max() < 1 / 127


def test_a_stopped_embedder_goes_on_to_the_same_vectors(
    data: Path, parallel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_embedder, "UPDATES", 6)
    monkeypatch.setattr(train_embedder, "DIMENSION", 32)
    whole, parts = (settings("builtin-embedder", data, parallel, tmp_path / name) for name in ("whole", "parts"))
    train_embedder.train_embedder(whole, SILENT)
    with pytest.raises(Stop):
        train_embedder.train_embedder(replace(parts, checkpoint_seconds=0.0), stopping(3))
    train_embedder.train_embedder(replace(parts, checkpoint_seconds=0.0), SILENT)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    with pytest.raises(SettingError, match="another kind"):
        static_task._static([torch.nn.Linear(2, 2)], "x")
    assert RECIPES["builtin-embedder"].kind == "embedder"

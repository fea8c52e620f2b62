"""How the built-in models are made: a lexicon from sentence pairs, switched and aligned reading, vectors from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from indexing.errors import SettingError, UnreadableFile
from indexing.models.registry import resolve
from indexing.models.static_embeddings import StaticModel
from indexing.models.weights import narrow, widen
from indexing.models.word_tokenizer import word_tokens
from qa_pipeline.cli import main
from qa_pipeline.training import train_embedder
from qa_pipeline.training.alignment import ibm_model1
from qa_pipeline.training.alignment.ibm_model1 import to_ragged
from qa_pipeline.training.alignment.token_lexicon import Bitext, bitexts, lexicon, other_bitexts
from qa_pipeline.training.compression.pca import reduce, without_languages
from qa_pipeline.training.embedder.pair_sources import (
    CodeSwitchedLines,
    CodeSwitchedPairs,
    LinePairs,
    QuestionPairs,
    draw_pairs,
    mix,
)
from qa_pipeline.training.loop.recipes import recipe
from qa_pipeline.training.run_data import TrainSettings
from tests.qa_pipeline.training.test_train_reader import SILENT, Stop, rows, stopping, weights, write
from tests.tiny import make_reader

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = "bridge tower mine berg insel lighthouse keeper library station member parliament harbour".split()
BACK = [word[::-1] for word in WORDS]
ROWS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8)


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


def characters(texts: Sequence[str]) -> list[Sequence[int]]:
    return [[ord(letter) for letter in text] for text in texts]


# -- words that go together --------------------------------------------------------------------------------------------


@given(ROWS)
def test_rows_stay_what_they_are(made: list[list[int]]) -> None:
    whole = to_ragged(made)
    assert [whole[n].tolist() for n in range(len(whole))] == made and whole.lengths.tolist() == [len(row) for row in made]
    order = np.arange(len(made))[::-1]
    assert [row.tolist() for row in map(draw_pairs(whole, order, 3).__getitem__, range(len(made)))] == [
        r[:3] for r in made[::-1]
    ]
    both = mix([whole, whole])
    assert [both[n].tolist() for n in range(len(both))] == made * 2


@given(ROWS, st.randoms(use_true_random=False))
def test_every_place_meets_every_place_of_its_partner(made: list[list[int]], draw: Any) -> None:
    others = [[draw.randrange(9) for _ in range(draw.randint(1, 4))] for _ in made]
    here, there = ibm_model1.places(to_ragged(made), to_ragged(others))
    begins = (np.cumsum([0, *map(len, side)]) for side in (made, others))
    one, other = (list(at) for at in begins)
    wanted = {(i, j) for n in range(len(made)) for i in range(one[n], one[n + 1]) for j in range(other[n], other[n + 1])}
    assert set(zip(here.tolist(), there.tolist(), strict=True)) == wanted and len(here) == len(wanted)


def test_a_lexicon_is_learned_and_switches() -> None:
    ones = [[a, b, 0] for a in range(1, 9) for b in range(1, 9) if a != b]
    others = [[10 + b, 19, 10 + a] for a, b, _ in ones]
    found = lexicon(Bitext("en", "xx", to_ragged(ones), to_ragged(others)), 20)
    words = np.arange(1, 9)
    forth, back = found.choices()
    assert forth.known[words].all() and (forth.ids[words, 0] == words + 10).all()
    assert (back.ids[words + 10, 0] == words).all()
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
    assert [(text.one, text.other, len(text.ones)) for text in other_bitexts(parallel, characters, 2)] == [("de", "fr", 2)]
    (parallel / "x-x.tsv").write_text("de\tfr\tein Haus\n")
    with pytest.raises(UnreadableFile, match="line 1, has 3 columns"):
        list(other_bitexts(parallel, characters, 1))


# -- pairs for an embedder ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(24, 60), min_size=1, max_size=6), st.integers(0, 99))
def test_a_line_is_parted_into_a_run_and_the_rest(lengths: list[int], seed: int) -> None:
    made = to_ragged([[100 * n + at for at in range(length)] for n, length in enumerate(lengths)])
    inside, outside = LinePairs([made]).draw(9, np.random.default_rng(seed))
    found = sorted(sorted([*inside[n].tolist(), *outside[n].tolist()]) for n in range(len(inside)))
    assert found == [made[n].tolist() for n in range(len(made))]
    for n in range(len(inside)):
        assert (np.diff(inside[n]) == 1).all() and len(inside[n]) <= len(outside[n])
    assert not LinePairs([to_ragged([[1, 2, 3]])])


def test_no_passage_comes_twice_among_questions() -> None:
    asked = QuestionPairs(to_ragged([[n] for n in range(12)]), to_ragged([[100 + n] for n in range(4)]), np.arange(12) % 4)
    questions, passages = asked.draw(12, np.random.default_rng(1))
    assert sorted(passages.words.tolist()) == [100, 101, 102, 103]
    assert (questions.words % 4 == passages.words - 100).all(), "each with its own"
    with pytest.raises(SettingError, match="no questions in en"):
        CodeSwitchedPairs({"de": asked}, {})


def test_lines_of_text_are_switched_into_english_and_from_it() -> None:
    """Words of xx are those of English and 100."""
    pairs = Bitext("en", "xx", to_ragged([[n] for n in range(1, 50)] * 3), to_ragged([[100 + n] for n in range(1, 50)] * 3))
    choices = {"xx": lexicon(pairs, 200).choices()}
    english = to_ragged([list(range(1, 50))] * 4)
    own = to_ragged([list(range(101, 150))] * 4)
    draw = np.random.default_rng(1)
    for plain, least in (({"en": english}, 0.2), ({"xx": own}, 0.3)):
        source = CodeSwitchedLines({**plain, "yy": own}, choices)
        assert source and source.count == 0
        sides = [source.draw(4, draw) for _ in range(40)]
        for run, rest in sides:
            for n in range(len(run)):
                assert sorted(word % 100 for word in (*run[n].tolist(), *rest[n].tolist())) == list(range(1, 50))
        crossed = [np.mean(run.words > 100) - np.mean(rest.words > 100) for run, rest in sides]
        assert np.mean(np.abs(crossed) > 0.4) > least and min(crossed) < 0 < max(crossed)
    assert not CodeSwitchedLines({"yy": own}, choices) and not CodeSwitchedLines({"en": english}, {})


# -- fewer numbers -----------------------------------------------------------------------------------------------------


def test_an_embedder_is_brought_down_to_its_principal_components(tmp_path: Path) -> None:
    kept = reduce("builtin", 128, tmp_path / "slim")
    before, after = embedder_vectors("builtin"), embedder_vectors(str(tmp_path / "slim"))
    assert after.shape == (len(before), 128) and 0.3 < kept < 0.9
    assert np.square(after).sum() / np.square(before).sum() == pytest.approx(kept, abs=1e-4)
    sizes = np.square(after).sum(axis=0)
    assert (np.diff(sizes) <= 1e-3 * sizes[0]).all(), "what holds most comes first"
    texts = [*WORDS, *BACK, "How many libraries does the university have?"]
    likeness = []
    for one in (before, after, before[:, -128:]):
        found = StaticModel(np.ascontiguousarray(one), word_tokens().ids).encode(texts)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        likeness.append(found @ found.T)
    near, far = (np.abs(other - likeness[0]).mean() for other in likeness[1:])
    assert near < 0.06 and near < far / 2
    with pytest.raises(SettingError, match="holds a model already"):
        reduce("builtin", 64, tmp_path / "slim")
    for numbers in (0, 128):
        with pytest.raises(SettingError, match="has 128 numbers a token"):
            reduce(str(tmp_path / "slim"), numbers, tmp_path / "other")


def test_what_tells_languages_apart_can_be_taken_out(tmp_path: Path) -> None:
    texts = tmp_path / "text"
    texts.mkdir()
    corpus = Path(__file__).resolve().parents[3] / "examples" / "corpus"
    for language in ("de", "en", "es", "tr"):
        paths = sorted((corpus / language).glob("*.[mt][dx]*"))
        lines = [line for path in paths for line in path.read_text("utf-8").split("\n")]
        assert sum(bool(line.strip()) for line in lines) > 10, language
        (texts / f"{language}.txt").write_text("\n".join(lines), "utf-8")
    reduce("builtin", 300, tmp_path / "with", texts)
    reduce("builtin", 300, tmp_path / "without")
    apart = {}
    for name in ("with", "without"):
        model = StaticModel(np.ascontiguousarray(embedder_vectors(str(tmp_path / name))), word_tokens().ids)
        means = []
        for path in sorted(texts.iterdir()):
            found = model.encode([line for line in path.read_text("utf-8").split("\n") if line.strip()])
            means.append((found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)).mean(axis=0))
        apart[name] = float(np.square(means - np.mean(means, axis=0)).sum())
    assert apart["with"] < 0.02 * apart["without"] and apart["without"] > 0.05
    one = np.eye(4, dtype=np.float32)
    assert np.array_equal(without_languages(one, [to_ragged([[0, 1], [2]])]), one)
    assert np.array_equal(without_languages(one, [to_ragged([[0, 1], [2]]), to_ragged([[0, 1], [2]])]), one), "no difference"


def test_reduce_is_a_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["reduce", "builtin", "--dim", "32", "--into", str(tmp_path / "s")]) == 0
    assert "its 32 dimensions keep" in capsys.readouterr().out
    texts = tmp_path / "text"
    texts.mkdir()
    for more in (["--dim", "64"], ["--dim", "16", "--text", str(texts)], ["--dim", "16", "--text", "nowhere"]):
        assert main.main(["reduce", str(tmp_path / "s"), *more, "--into", str(tmp_path / "t")]) != 0
        assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "t").exists()
    for language, words in (("aa", WORDS), ("bb", BACK)):
        (texts / f"{language}.txt").write_text("\n".join(f"{word} {word}" for word in words), "utf-8")
    command = ["reduce", str(tmp_path / "s"), "--dim", "16", "--text", str(texts), "--into", str(tmp_path / "t")]
    assert main.main(command) == 0 and embedder_vectors(str(tmp_path / "t")).shape[1] == 16


# -- the recipes ------------------------------------------------------------------------------------------------------


def settings(
    name: str, data: Path, parallel: Path | None, into: Path, base: Path | str = "builtin", numbers: int = 0, **changes: Any
) -> TrainSettings:
    chosen = replace(recipe(name, base=str(base), batch=4, epochs=1), max_seq_len=128, doc_stride=48)
    if chosen.anew is not None and numbers:
        chosen = replace(chosen, anew=replace(chosen.anew, numbers=numbers))
    return replace(TrainSettings((data,), into, chosen, held_out=0, checkpoint_seconds=1e9, parallel=parallel), **changes)


def test_the_recipes_say_what_they_lack(data: Path, tmp_path: Path) -> None:
    for name in ("builtin", "embedder"):
        with pytest.raises(
            SettingError, match="--text is for the recipe builtin-embedder or builtin-beside or builtin-third"
        ):
            settings(name, data, None, tmp_path / "o", text=tmp_path)
    with pytest.raises(SettingError, match="name them: --parallel"):
        train_embedder.train_embedder(settings("builtin-embedder", data, None, tmp_path / "o"), SILENT)


@pytest.mark.parametrize(("name", "kept"), [("builtin-embedder", 0), ("builtin-beside", 384), ("builtin-third", 384)])
def test_an_embedder_gets_numbers_learned_from_nothing(
    name: str, kept: int, data: Path, parallel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_embedder, "UPDATES", 80)
    (parallel / "en-xx.tsv").write_text((parallel / "en-xx.tsv").read_text() * 2)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "en.txt").write_text("".join(f"{' '.join(WORDS)} {n} {' '.join(WORDS[::-1])}\n" for n in range(9)))
    asked = settings(name, data, parallel, tmp_path / "out", held_out=4, text=tmp_path / "text", numbers=64)
    asked = replace(asked, recipe=replace(asked.recipe, batch=32))
    told = train_embedder.train_embedder(asked, SILENT)
    assert told["updates"] == 80 and told["after"]
    before, made = (embedder_vectors(folder) for folder in ("builtin", str(tmp_path / "out")))
    assert made.shape == (len(before), kept + 64)
    scale = np.sqrt(np.square(before, dtype=np.float64).mean())
    assert np.allclose(made[:, :kept] * scale, before[:, :kept], atol=1e-5), "what is kept comes first, and stays"
    assert np.square(made[:, kept:]).mean() == pytest.approx(1.0, rel=1e-4), "each number weighs as much"
    questions, passages = (StaticModel(made[:, kept:].copy(), word_tokens().ids).encode(texts) for texts in (WORDS, BACK))
    right = np.argmax(questions @ (passages / np.linalg.norm(passages, axis=1, keepdims=True)).T, axis=1) == np.arange(12)
    assert right.sum() >= 9


def embedder_vectors(name: str) -> Any:
    return next(iter(load_file(resolve(name, "embedder").path / "model.safetensors").values()))


@pytest.mark.parametrize(("bits", "tokens"), [(8, None), (4, None), (8, 4)])
def test_models_are_stored_small_and_widened_again(reader: Path, tmp_path: Path, bits: int, tokens: int | None) -> None:
    narrow(reader, tmp_path / "small", bits, tokens)
    (tmp_path / "wide").mkdir()
    widen(tmp_path / "small", tmp_path / "wide")
    before, after = (load_file(folder / "model.safetensors") for folder in (reader, tmp_path / "wide"))
    assert before.keys() == after.keys() and resolve(str(tmp_path / "wide"), "reader")
    kinds = set()
    for name, tensor in before.items():
        small = tensor.ndim == 2 and tensor.size > 10_000
        kind = (tokens or bits) if name.endswith("word_embeddings.weight") else bits
        parts = tensor.reshape(len(tensor), -1, 32) if small and kind == 4 else tensor
        step = np.abs(parts).max(axis=-1, keepdims=True) / (8 if kind == 4 else 127 / 0.501)
        apart = np.abs(tensor - after[name]).reshape(parts.shape)
        assert (apart <= (step * 1.001 if small else 0.0)).all(), name
        kinds |= {kind} if small else set()
    assert kinds == {bits, tokens or bits}
    narrow(tmp_path / "wide", tmp_path / "again", bits, tokens)
    stored = [load_file(tmp_path / name / "model.small.safetensors") for name in ("small", "again")]
    assert stored[0].keys() == stored[1].keys()
    for name, tensor in stored[0].items():
        assert np.allclose(tensor.astype(np.float32), stored[1][name].astype(np.float32), rtol=1e-6), name
    sizes = [(tmp_path / name).stat().st_size for name in ("small/model.small.safetensors", "wide/model.safetensors")]
    assert sizes[0] < sizes[1]
    assert {name.rpartition(".")[2] for name in stored[0]} & {"int4", "int8"} == {f"int{kind}" for kind in kinds}


def test_blocks_of_nothing_and_of_one_number_are_stored_in_4_bits(tmp_path: Path) -> None:
    folder = tmp_path / "blocks"
    folder.mkdir()
    matrix = np.zeros((200, 64), dtype=np.float32)
    matrix[:, 40] = np.linspace(-3, 3, 200)
    save_file({"matrix": matrix}, folder / "model.safetensors")
    narrow(folder, tmp_path / "small", 4)
    (tmp_path / "wide").mkdir()
    widen(tmp_path / "small", tmp_path / "wide")
    assert np.allclose(load_file(tmp_path / "wide" / "model.safetensors")["matrix"], matrix, rtol=1e-3)


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
    whole, parts = (settings("builtin-embedder", data, parallel, tmp_path / name, numbers=32) for name in ("whole", "parts"))
    train_embedder.train_embedder(whole, SILENT)
    with pytest.raises(Stop):
        train_embedder.train_embedder(replace(parts, checkpoint_seconds=0.0), stopping(3))
    train_embedder.train_embedder(replace(parts, checkpoint_seconds=0.0), SILENT)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


def test_an_embedder_that_is_not_static_gets_no_new_numbers(data: Path, parallel: Path, tmp_path: Path) -> None:
    """Only a model of one vector a token can have more numbers for each; a transformer is refused in one sentence."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts
    from transformers import AutoTokenizer, BertModel

    reader = make_reader("bert", tmp_path / "reader", 4)
    BertModel.from_pretrained(reader).save_pretrained(tmp_path / "body")
    AutoTokenizer.from_pretrained(reader).save_pretrained(tmp_path / "body")
    body = parts.Transformer(str(tmp_path / "body"), max_seq_length=64)
    SentenceTransformer(modules=[body, parts.Pooling(32)], device="cpu").save(str(tmp_path / "model"))
    asked = settings("builtin-embedder", data, parallel, tmp_path / "out", numbers=32)
    asked = replace(asked, recipe=replace(asked.recipe, base=str(tmp_path / "model")))
    with pytest.raises(SettingError, match="another kind") as refused:
        train_embedder.train_embedder(asked, SILENT)
    assert "\n" not in str(refused.value) and not (tmp_path / "out" / "model.safetensors").exists()

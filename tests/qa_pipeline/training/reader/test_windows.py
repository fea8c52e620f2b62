"""Examples -> windows: the labelled tokens stand for the answer, in every script, with every kind of tokenizer."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import ModelRefused
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.training.reader.batching import collate, updates
from qa_pipeline.training.reader.model import Encoder, load_encoder
from qa_pipeline.training.reader.windows import Features, Window, answer_tokens, build, thin_windows
from tests.known import SCRIPTS
from tests.tiny import LONG, UGLY, make_reader, make_xlm

KINDS = ("xlm-roberta", "bert", "distilbert", "xlm", "builtin")


def example(context: str, *golds: tuple[str, int], question: str = "How high is the bridge?") -> Example:
    return Example("1", question, context, tuple(Gold(*gold) for gold in golds), "en", "en", "", "made")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    home = tmp_path_factory.mktemp("encoders")
    made = {kind: load_encoder(str(make_reader(kind, home / kind, 3))) for kind in KINDS[:3]}
    xlm = load_encoder(str(make_xlm(home / "xlm", 4, beam=False, languages=2)))
    return {**made, "xlm": xlm, "builtin": load_encoder("builtin")}


@pytest.fixture(scope="module", params=KINDS)
def encoder(request: pytest.FixtureRequest, encoders: dict[str, Encoder]) -> Encoder:
    return encoders[request.param]


def seen(answer: str) -> str:
    """Without marks, controls and white space at its ends, which a tokenizer may drop."""
    kept = [n for n, letter in enumerate(answer) if unicodedata.category(letter)[0] not in "MCZ"]
    return answer[kept[0] : kept[-1] + 1] if kept else ""


def text_of(window: Window, encoder: Encoder, context: str) -> str:
    """What the labelled tokens of a window stand for in its context."""
    tokens = encoder.tokeniser.tokens([context])[0]
    shift = window.begin - window.first
    return context[tokens.starts[window.start + shift] : tokens.ends[window.end + shift]]


@given(data=st.data())
def test_labelled_tokens_stand_for_the_answer(encoders: dict[str, Encoder], data: st.DataObject) -> None:
    encoder = encoders[data.draw(st.sampled_from(KINDS))]
    context = data.draw(st.sampled_from([*SCRIPTS.values(), LONG]))
    start = data.draw(st.integers(0, len(context) - 1))
    answer = context[start : data.draw(st.integers(start + 1, min(len(context), start + 40)))]
    made = build([example(context, (answer, start))], encoder.tokeniser, 128, 24)
    labelled = [window for window in made.windows if window.end]
    assert labelled or made.left_out == [0]
    for window in labelled:
        found = text_of(window, encoder, context)
        assert seen(answer) in found
        assert window.first <= window.start <= window.end < window.first + window.count
        tight = build([example(context, (found, context.index(found)))], encoder.tokeniser, 128, 24)
        assert tight.windows, "the edges of tokens are an answer as well"


@pytest.mark.parametrize("context", [text for text in UGLY if text.strip()])
def test_windows_hold_the_whole_passage_and_fit(encoder: Encoder, context: str) -> None:
    made = build([example(context)], encoder.tokeniser, 64, 20)
    tokens = encoder.tokeniser.tokens([context])[0]
    assert {n for w in made.windows for n in range(w.begin, w.begin + w.count)} == set(range(len(tokens.ids)))
    for window in made.windows:
        assert len(window.ids) <= 64 and (window.start, window.end) == (0, 0)
        part = tokens.ids[window.begin : window.begin + window.count]
        assert tuple(window.ids[window.first : window.first + window.count]) == part


def test_windows_without_the_answer_say_so(encoder: Encoder) -> None:
    answer = LONG[-5:-2]
    made = build([example(LONG, (answer, len(LONG) - 5))], encoder.tokeniser, 64, 20)
    first, last = made.windows[0], made.windows[-1]
    assert (first.start, first.end) == (0, 0) and last.end
    assert answer.lower() in text_of(last, encoder, LONG).lower()


def test_what_no_window_holds_is_left_out(encoder: Encoder) -> None:
    examples = [
        example(LONG, (LONG, 0)),
        example("one two", ("two", -1)),
        example("  \t", (" ", 0)),
        example("The bridge.", ("bridge", 4)),
        example("The bridge."),
    ]
    made = build(examples, encoder.tokeniser, 64, 20)
    assert made.left_out == [0, 1, 2] and {window.example for window in made.windows} == {3, 4}


def test_the_first_answer_with_a_place_is_learned(encoders: dict[str, Encoder]) -> None:
    tokens = encoders["builtin"].tokeniser.tokens(["The bridge of 1912."])[0]
    both = example("The bridge of 1912.", ("unseen", -1), ("1912", 14))
    assert answer_tokens(both, tokens) == answer_tokens(example("The bridge of 1912.", ("1912", 14)), tokens)


def test_inputs_are_the_readers_own(encoders: dict[str, Encoder]) -> None:
    """As the tokenizer joins question and passage itself, types included."""
    for kind in ("xlm-roberta", "bert", "builtin"):
        tokeniser = encoders[kind].tokeniser
        question, context = "Who?", SCRIPTS["en"]
        window = build([example(context, question=question)], tokeniser, 512, 128).windows[0]
        whole = tokeniser.vendor(question, context)
        assert window.ids.tolist() == whole["input_ids"]
        if kind == "bert":
            assert window.kinds is not None and window.kinds.tolist() == whole["token_type_ids"]
        else:
            assert window.kinds is None


def test_languages_are_told_to_models_that_ask(encoders: dict[str, Encoder]) -> None:
    asked = Example("1", "Who?", SCRIPTS["th"], (), "th", "en", "", "made")
    window = build([asked], encoders["xlm"].tokeniser, 128, 64).windows[0]
    assert window.langs is not None
    assert set(window.langs[: window.first]) == {0} and set(window.langs[window.first :]) == {1}


def test_batches_are_padded_and_masked(encoder: Encoder) -> None:
    made = build([example(text) for text in (SCRIPTS["en"], "x", SCRIPTS["th"])], encoder.tokeniser, 128, 64)
    batch = collate(made.windows, encoder.tokeniser.pad, torch.device("cpu"))
    lengths = [len(window.ids) for window in made.windows]
    assert batch.mask.sum(1).tolist() == lengths and batch.tokens == sum(lengths)
    assert batch.inputs["input_ids"].shape == (len(lengths), max(lengths))
    assert np.array_equal(batch.inputs["input_ids"][0, : lengths[0]].numpy(), made.windows[0].ids)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=400), st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_every_window_once_an_epoch(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    made = updates(lengths, size, seed, epoch)
    assert sorted(n for group in made for n in group) == list(range(len(lengths)))
    assert all(len(group) <= size for group in made) and len(made) == -(-len(lengths) // size)
    assert made == updates(lengths, size, seed, epoch)


def test_empty_windows_are_thinned(encoders: dict[str, Encoder]) -> None:
    asked = [example(LONG, ("bridge", LONG.index("bridge"))), example(LONG)]
    whole = build(asked, encoders["builtin"].tokeniser, 64, 10).windows
    for empty in (0, 1, 2):
        kept = thin_windows(whole, empty, seed=1)
        assert [w for w in kept if w.end] == [w for w in whole if w.end] != []
        assert [sum(w.example == n and not w.end for w in kept) for n in (0, 1)] == [empty, max(1, empty)]
    assert thin_windows(whole, None, seed=1) == whole
    some = [len(thin_windows(whole, 0.5, seed)) - len(thin_windows(whole, 0, seed)) for seed in range(40)]
    assert set(some) == {0, 1}


def test_no_examples_no_windows(encoders: dict[str, Encoder]) -> None:
    assert build([], encoders["bert"].tokeniser, 64, 20) == Features([], [])


def test_an_embedder_of_tokens_only_cannot_be_trained() -> None:
    from indexing.models.registry import resolve

    with pytest.raises(ModelRefused):
        load_encoder(str(resolve("builtin", "embedder").path))

"""XLM readers with both heads: laws, and the same results as plain unbatched use of the model."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import ModelMissing, ModelRefused
from indexing.models.registry import resolve
from qa_pipeline.reading.load import load_reader
from qa_pipeline.reading.xlm_reader import XlmReader
from qa_pipeline.reading.xlm_tokenizer import LONGEST_UNIT, XlmTokens, places_of, units
from tests.known import SCRIPTS
from tests.tiny import LONG, LONG_QUESTION, QUESTION, UGLY, check_laws, close, make_xlm

TEXTS = [*SCRIPTS.values(), "橋", "one two"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("xlm")
    return {
        "simple": make_xlm(home / "simple", 11, beam=False),
        "beam": make_xlm(home / "beam", 12, beam=True),
        "languages": make_xlm(home / "languages", 13, beam=False, languages=2),
        "narrow": make_xlm(home / "narrow", 14, beam=True, max_position_embeddings=40),
    }


def loaded(folder: Path) -> XlmReader:
    reader = load_reader(resolve(str(folder), "reader"))
    assert isinstance(reader, XlmReader)
    return reader


@pytest.fixture(scope="module", params=["simple", "beam", "languages", "narrow"])
def reader(request: pytest.FixtureRequest, folders: dict[str, Path]) -> XlmReader:
    return loaded(folders[request.param])


@pytest.fixture(scope="module")
def simple(folders: dict[str, Path]) -> XlmReader:
    return loaded(folders["simple"])


@pytest.fixture(scope="module")
def beam(folders: dict[str, Path]) -> XlmReader:
    return loaded(folders["beam"])


@pytest.fixture(scope="module")
def tokens(folders: dict[str, Path]) -> XlmTokens:
    return XlmTokens(folders["simple"])


# -- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [QUESTION, LONG_QUESTION, "", "？", "هل؟"])
def test_laws_of_read(reader: XlmReader, question: str) -> None:
    check_laws(reader.read(question, UGLY), UGLY)
    check_laws(reader.read(question, [LONG * 3]), [LONG * 3])
    assert reader.read(question, []) == []


def test_every_text_with_tokens_says_something(reader: XlmReader) -> None:
    assert all(reading.spans for reading in reader.read(QUESTION, [*TEXTS, LONG]))
    assert all(not reading.spans for reading in reader.read(QUESTION, ["", " \t\r\n", "\x00"]))


def test_reading_a_list_is_reading_each_text(reader: XlmReader) -> None:
    close(reader.read(QUESTION, UGLY), [reader.read(QUESTION, [text])[0] for text in UGLY])


def test_a_long_text_is_read_to_its_end(folders: dict[str, Path]) -> None:
    text = " ".join([LONG] * 4)
    spans = loaded(folders["narrow"]).read(QUESTION, [text])[0].spans
    assert max(span.end for span in spans) > len(text) * 0.9 and min(span.start for span in spans) < len(text) * 0.1


def test_eight_threads_get_what_one_gets(reader: XlmReader) -> None:
    questions = [f"{QUESTION} {n}" for n in range(16)]
    alone = [reader.read(question, TEXTS) for question in questions]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(lambda question: reader.read(question, TEXTS), questions), strict=True):
            close(other, one)


def test_the_simple_head_is_the_model_used_plainly(simple: XlmReader, folders: dict[str, Path]) -> None:
    for text, reading in zip(TEXTS, simple.read(QUESTION, TEXTS), strict=True):
        ids, first, places = plain_input(folders["simple"], text)
        output = plain_model(folders["simple"])(input_ids=torch.tensor([ids]))
        start, end = output.start_logits[0], output.end_logits[0]
        last = first + len(places)
        score, s, e = max((float(start[a] + end[b]), a, b) for a in range(first, last) for b in range(a, last))
        best = reading.spans[0]
        assert (best.start, best.end) == (places[s - first][0], places[e - first][1])
        assert best.score == pytest.approx(score, abs=1e-3)
        assert best.margin == pytest.approx(score - float(start[0] + end[0]), abs=1e-3)
        soft = torch.softmax(start, -1)[s] + torch.softmax(end, -1)[e]
        assert best.confidence == pytest.approx(float(soft) / 2, abs=1e-3)


def test_the_beam_head_holds_all_spans_of_the_models_own_beam(folders: dict[str, Path]) -> None:
    """The model's own beam spends places on spans that cannot be; those that can be, ours has with the same score."""
    reader, model = XlmReader(resolve(str(folders["beam"]), "reader"), per_window=25), plain_model(folders["beam"])
    found = 0
    for text, reading in zip(TEXTS, reader.read(QUESTION, TEXTS), strict=True):
        ids, first, places = plain_input(folders["beam"], text)
        ours = {(span.start, span.end): span for span in reading.spans}
        for s, e, score, margin in plain_beam(model, ids, first, first + len(places)):
            span = ours[places[s - first][0], places[e - first][1]]
            assert span.score >= score - 1e-3 and span.margin >= margin - 1e-3
            assert span.score - span.margin == pytest.approx(score - margin, abs=1e-3)
            found += 1
    assert found > 20


def test_the_best_span_of_the_beam_has_the_best_score(beam: XlmReader, folders: dict[str, Path]) -> None:
    wide = XlmReader(resolve(str(folders["beam"]), "reader"), per_window=25)
    for one, many in zip(beam.read(QUESTION, TEXTS), wide.read(QUESTION, TEXTS), strict=True):
        assert len(one.spans) == 1 and many.spans[0] == one.spans[0]
        assert len(many.spans) <= 25 and all(span.score <= 0 for span in many.spans)


def test_without_knowledge_of_no_answer_its_logit_is_left_out(folders: dict[str, Path]) -> None:
    @dataclass(frozen=True)
    class Preset:
        max_seq_len: int = 384
        doc_stride: int = 128
        knows_no_answer: bool = False

    folder: Any = _With(resolve(str(folders["beam"]), "reader"), Preset())
    for reading in XlmReader(folder).read(QUESTION, TEXTS):
        assert all(span.margin == span.score for span in reading.spans)


def test_the_language_of_a_text_is_told_to_a_model_with_language_embeddings(folders: dict[str, Path]) -> None:
    """Thai and English have numbers, so a Thai text is read differently from one with the default's number."""
    reader, model = loaded(folders["languages"]), plain_model(folders["languages"])
    text = SCRIPTS["th"]
    ids, first, places = plain_input(folders["languages"], text)
    langs = [0] * first + [1] * (len(ids) - first)
    output = model(input_ids=torch.tensor([ids]), langs=torch.tensor([langs]))
    start, end = output.start_logits[0], output.end_logits[0]
    last = first + len(places)
    score = max(float(start[a] + end[b]) for a in range(first, last) for b in range(a, last))
    assert reader.read(QUESTION, [text])[0].spans[0].score == pytest.approx(score, abs=1e-3)


class _With:
    """A model folder with another preset."""

    def __init__(self, folder: Any, preset: Any) -> None:
        self.name, self.path, self.preset, self.model_type = folder.name, folder.path, preset, folder.model_type


def plain_model(folder: Path) -> Any:
    from transformers import XLMForQuestionAnswering, XLMForQuestionAnsweringSimple

    kind = XLMForQuestionAnswering if "beam" in folder.name else XLMForQuestionAnsweringSimple
    return torch.no_grad()(kind.from_pretrained(str(folder)).eval())


def plain_input(folder: Path, text: str) -> tuple[list[int], int, list[tuple[int, int]]]:
    """Input ids of the question and a text, where its tokens begin, and their places."""
    reader = XlmTokens(folder)
    asked, read = reader.tokens(QUESTION), reader.tokens(text)
    tokenizer = reader.tokenizer
    ids = [tokenizer.bos_token_id, *asked.ids, tokenizer.sep_token_id, *read.ids, tokenizer.sep_token_id]
    return ids, len(asked.ids) + 2, list(zip(read.starts, read.ends, strict=True))


def plain_beam(model: Any, ids: list[int], first: int, last: int) -> list[tuple[int, int, float, float]]:
    """(start, end, score, margin) of the spans in the model's own beam that lie in first .. last and run forwards."""
    classes = ids.index(1)
    barred = torch.ones(1, len(ids))
    barred[0, first:last] = 0
    barred[0, classes] = 0
    out = model(input_ids=torch.tensor([ids]), p_mask=barred, cls_index=torch.tensor([classes]))
    starts, ends = model.config.start_n_top, model.config.end_n_top
    result = []
    for i in range(starts):
        for j in range(ends):
            # The model lays its ends out by rank first, and calls probabilities log probabilities.
            at = j * starts + i
            s, e = int(out.start_top_index[0, i]), int(out.end_top_index[0, at])
            if first <= s <= e < last:
                score = math.log(out.start_top_log_probs[0, i]) + math.log(out.end_top_log_probs[0, at])
                result.append((s, e, score, score - float(out.cls_logits[0])))
    return result


# -- tokens --------------------------------------------------------------------------------------------------------


@given(st.text(st.sampled_from("".join(SCRIPTS.values()) + " \n\r\t\x00\x1c\x85\u2028\u3000…ﬁ１Ａ“ßİÉ</w><s>"), max_size=80))
def test_units_hold_all_but_white_space(text: str) -> None:
    cut = units(text)
    assert "".join(unit for _, unit in cut) == "".join(text.split())
    assert all(text[at : at + len(unit)] == unit and len(unit) <= LONGEST_UNIT for at, unit in cut)
    assert [at for at, _ in cut] == sorted(at for at, _ in cut)


@given(st.text(st.sampled_from("".join(SCRIPTS.values()) + " \n\r\x00…ﬁ１Ａ“ßİÉ</w><s>"), max_size=60))
def test_tokens_lie_in_the_text_without_white_space(tokens: XlmTokens, text: str) -> None:
    found = tokens.tokens(text)
    assert len(found.ids) == len(found.starts) == len(found.ends)
    assert list(found.starts) == sorted(found.starts) and list(found.ends) == sorted(found.ends)
    for start, end in zip(found.starts, found.ends, strict=True):
        assert 0 <= start < end <= len(text) and not any(letter.isspace() for letter in text[start:end])


def test_tokens_lie_where_they_are_spelled(tokens: XlmTokens) -> None:
    text = "The Brídge, 橋は\u3099 e\u0301…"
    found = tokens.tokens(text)
    pieces = tokens.tokenizer.convert_ids_to_tokens(list(found.ids))
    places = [text[start:end] for start, end in zip(found.starts, found.ends, strict=True)]
    assert places[:4] == ["The", "Brídge", ",", "橋"] and pieces[:3] == ["the</w>", "bridge</w>", ",</w>"]
    assert places[4] == "は\u3099"


def test_words_alone_give_the_tokens_of_the_tokenizer(tokens: XlmTokens) -> None:
    """Apart from scripts without spaces, units change nothing: words are what Moses' tokenizer would have met."""
    text = "the bridge cost 46 million pounds"
    plain = tokens.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(tokens.tokens(text).ids) == plain


def test_special_tokens_in_a_text_are_mere_text(tokens: XlmTokens) -> None:
    found = tokens.tokens("a </s> b <s> c <special1> d <pad>")
    special = {tokens.tokenizer.convert_tokens_to_ids(word) for word in ("</s>", "<s>", "<special1>", "<pad>")}
    assert not special & set(found.ids)


def test_the_memory_of_the_tokenizer_does_not_grow(tokens: XlmTokens) -> None:
    tokens.tokens(" ".join(f"word{n}" for n in range(300)))
    assert len(tokens.tokenizer.cache) == 0


@pytest.mark.parametrize(
    ("pieces", "letters", "expected"),
    [
        (["ab", "c"], ["a", "b", "c"], [(0, 2), (2, 3)]),
        (["a"], ["", "a", ""], [(1, 3)]),
        (["..."], ["..."], [(0, 1)]),
        (["x"], ["a", "b"], [(0, 2)]),
        ([], ["a"], []),
    ],
)
def test_places(pieces: list[str], letters: list[str], expected: list[tuple[int, int]]) -> None:
    assert places_of(pieces, letters) == expected


# -- loading -------------------------------------------------------------------------------------------------------


def test_loading_leaves_random_generators_alone(folders: dict[str, Path]) -> None:
    np.random.seed(5), torch.manual_seed(5)
    expected = float(np.random.rand()), float(torch.rand(1))
    np.random.seed(5), torch.manual_seed(5)
    loaded(folders["beam"])
    assert (float(np.random.rand()), float(torch.rand(1))) == expected


def test_a_model_without_a_head_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import XLMModel

    folder = copied(folders["simple"], tmp_path / "headless")
    XLMModel.from_pretrained(str(folders["simple"])).save_pretrained(folder)
    with pytest.raises(ModelRefused, match="no question answering head"):
        XlmReader(resolve(str(folder), "reader"))


def test_missing_and_broken_weights_are_told_in_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    known = resolve(str(folders["simple"]), "reader")
    folder = copied(folders["simple"], tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    cases: list[tuple[type[Exception], str]] = [
        (ModelRefused, "not complete"),
        (ModelRefused, "cannot be read"),
        (ModelMissing, "no weights"),
    ]
    for error, words in cases:
        if words == "not complete":
            del weights["transformer.layer_norm_emb.weight"]
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        elif words == "cannot be read":
            (folder / "model.safetensors").write_bytes(b"nothing")
        else:
            (folder / "model.safetensors").unlink()
        with pytest.raises(error, match=words) as told:
            XlmReader(_moved(known, folder))
        assert "\n" not in str(told.value)


def _moved(folder: Any, path: Path) -> Any:
    result = _With(folder, None)
    result.path = path
    return result


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target

"""The encoder without padding against transformers' own, in every precision this machine has."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
from torch import nn

from indexing.errors import SettingError
from indexing.models.hardware import Hardware
from indexing.models.registry import resolve
from qa_pipeline.haystack.farm_reader import Reader
from qa_pipeline.haystack.load import load_farm_reader
from qa_pipeline.reading import precision, torch_engine
from qa_pipeline.reading.load import window_sizes
from qa_pipeline.reading.span_decoding import best_span
from qa_pipeline.reading.torch_engine import load_torch_reader
from qa_pipeline.reading.unpadded import unpadded_encoder
from qa_pipeline.reading.window_reader import ReadingOptions
from tests.known import SCRIPTS
from tests.live import known_models, live
from tests.tiny import LONG, QUESTION, UGLY, check_laws, close, make_reader

SMALL = {"max_seq_len": 64, "doc_stride": 16, "max_query_length": 12, "use_gpu": False, "precision": "fp32"}
KINDS = {"xlm-roberta": 3, "bert": 4, "distilbert": 5}
LOWER = {"bf16": 0.35, "int8": 2.0}  # how far the score of a span may move, in logits; those of the tiny readers reach 13


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("readers")
    return {kind: make_reader(kind, home / kind, seed) for kind, seed in KINDS.items()}


def loaded(folder: Path, **options: Any) -> Reader:
    """A reader that torch computes, as its devices are named."""
    return load_farm_reader(resolve(str(folder), "reader"), **{**SMALL, "devices": [torch.device("cpu")], **options})


def inputs_of(reader: Reader) -> tuple[list[list[int]], list[list[int]]]:
    texts = [*SCRIPTS.values(), LONG, "x"]
    made = reader._reading.inputs([(QUESTION, text) for text in texts])
    return [window.ids for window in made], [window.types for window in made]


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_those_of_the_padded_model(folders: dict[str, Path], kind: str) -> None:
    reader = loaded(folders[kind])
    engine = unpadded_encoder(reader._model.language_model.model, reader._head)
    assert engine is not None and engine.pads_alike == (kind == "xlm-roberta")
    ids, types = inputs_of(reader)
    length = max(map(len, ids)) + 1
    pad = reader._processor.tokenizer.pad_token_id
    padded = torch.tensor([row + [pad] * (length - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in ids])
    kinds = torch.tensor([row + [0] * (length - len(row)) for row in types])
    with torch.inference_mode():
        expected = reader._model.forward(padded, kinds, mask)[0]
    for pads in (False, True):
        for row, wanted, real in zip(engine.logits(ids, types, pads), expected, ids, strict=True):
            assert len(row) == len(real) + pads
            seen = len(row) if engine.pads_alike else len(real)
            assert torch.allclose(row[:seen], wanted[:seen], atol=1e-4)


def test_a_pad_inside_a_text_is_a_token_like_others(folders: dict[str, Path]) -> None:
    reader = loaded(folders["xlm-roberta"])
    engine = unpadded_encoder(reader._model.language_model.model, reader._head)
    assert engine is not None
    pad = reader._processor.tokenizer.pad_token_id
    ids = [[0, 5, pad, 6, 2, 2, 7, 2]]
    with torch.inference_mode():
        expected = reader._model.forward(torch.tensor(ids), torch.zeros(1, 8, dtype=torch.long), torch.ones(1, 8).long())
    assert torch.allclose(engine.logits(ids, [[0] * 8], False)[0], expected[0][0], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_made_where_the_model_is(folders: dict[str, Path], kind: str) -> None:
    """No GPU is needed to see it: on torch's "meta" device nothing can be computed with the model's weights.

    So a tensor that the engine made without saying where, as it would on a GPU, ends the call.
    """
    reader = loaded(folders[kind])
    engine = unpadded_encoder(reader._model.language_model.model, reader._head)
    assert engine is not None
    ids, types = [[0, 5, 6, 2], [0, 7, 2]], [[0] * 4, [0] * 3]
    for pads in (False, True):
        expected = engine.logits(ids, types, pads)
        with torch.device("meta"):
            found = engine.logits(ids, types, pads)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("exact", [False, True])
def test_an_architecture_that_is_not_packed_is_padded(folders: dict[str, Path], exact: bool, monkeypatch: Any) -> None:
    expected = loaded(folders["bert"], exact_confidence=exact).read(QUESTION, UGLY)
    monkeypatch.setattr(torch_engine, "unpadded_encoder", lambda *_: None)
    padded = loaded(folders["bert"], exact_confidence=exact)
    lengths = []
    forward = padded._model.forward
    padded._model.forward = lambda ids, *more: (lengths.append(ids.shape[1]), forward(ids, *more))[1]
    found = padded.read(QUESTION, UGLY)
    for one, other in zip(found, expected, strict=True):
        assert {(span.start, span.end) for span in one.spans} == {(span.start, span.end) for span in other.spans}
    padded.forget()
    lengths.clear()
    padded.read(QUESTION, ["x"])
    assert (lengths == [SMALL["max_seq_len"]]) is exact


def test_an_architecture_that_is_not_known_is_not_packed() -> None:
    from transformers import ElectraConfig, ElectraModel, RobertaConfig, RobertaModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    head = nn.Linear(8, 2)
    assert unpadded_encoder(ElectraModel(ElectraConfig(**sizes)), head) is None
    assert unpadded_encoder(RobertaModel(RobertaConfig(**sizes, hidden_act="silu")), head) is None
    relative = RobertaConfig(**sizes, position_embedding_type="relative_key")
    assert unpadded_encoder(RobertaModel(relative), head) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOWER)
def test_a_lower_precision_reads_nearly_the_same(folders: dict[str, Path], kind: str, name: str) -> None:
    whole, less = loaded(folders[kind]), loaded(folders[kind], precision=name)
    assert less.precision == less.facts()["precision"] == name
    ids, types = inputs_of(whole)
    one, other = (
        unpadded_encoder(reader._model.language_model.model, reader._head).logits(ids, types, True)  # type: ignore[union-attr]
        for reader in (whole, less)
    )
    spread = float(torch.cat(one).std())
    error = torch.cat([a - b for a, b in zip(one, other, strict=True)]).abs().mean()
    assert 0 < float(error) < 0.1 * spread
    check_laws(less.read(QUESTION, UGLY), UGLY)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOWER)
def test_a_lower_precision_chooses_a_span_that_is_as_good(folders: dict[str, Path], kind: str, name: str) -> None:
    """Scores move by less than the bound; so by its score in fp32 the span it chooses is less than two below the best."""
    readers = [loaded(folders[kind], precision=kept) for kept in ("fp32", name)]
    ids, types = inputs_of(readers[0])
    engines = [unpadded_encoder(reader._model.language_model.model, reader._head) for reader in readers]
    same = 0
    whole, less = ([row.numpy() for row in engine.logits(ids, types, False)] for engine in engines if engine)
    for one, other in zip(whole, less, strict=True):
        best, chosen = (best_span(row[:, 0], row[:, 1], 1, len(row) - 1) for row in (one, other))
        scores = [[row[s, 0] + row[e, 1] for row in (one, other)] for s, e in (best, chosen)]
        assert all(abs(a - b) < LOWER[name] for a, b in scores)
        assert scores[1][0] > scores[0][0] - 2 * LOWER[name]
        same += best == chosen
    assert same > len(whole) / 2


@pytest.mark.parametrize("name", LOWER)
def test_the_builtin_reader_answers_the_same_in_a_lower_precision(name: str) -> None:
    asked = [
        ("When was the bridge opened?", "The bridge was opened in 1912. It cost 3 million pounds."),
        ("Wie hoch ist der Turm?", "Der Turm wurde 1777 vollendet. Er ist 84 Meter hoch."),
        ("متى افتتح الجسر؟", "افتتح الجسر في عام 1912. وهو طويل."),
        ("橋はいつ開通しましたか。", "橋は1912年に開通した。"),
        ("Who designed the ship?", "The bridge was opened in 1912. It cost 3 million pounds."),
    ]
    model = resolve("builtin", "reader")
    options = ReadingOptions(window_sizes(model)["max_seq_len"], window_sizes(model)["doc_stride"])
    whole, less = (load_torch_reader(model, options, precision=kept, use_gpu=False) for kept in ("fp32", name))
    for question, text in asked:
        (one,), (other,) = whole.read(question, [text]), less.read(question, [text])
        assert text[one.spans[0].start : one.spans[0].end] == text[other.spans[0].start : other.spans[0].end]
        assert abs(one.spans[0].margin - other.spans[0].margin) < LOWER[name]
        assert (one.spans[0].margin > 0) == (other.spans[0].margin > 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOWER)
def test_farms_own_ways_work_in_a_lower_precision(folders: dict[str, Path], kind: str, name: str) -> None:
    reader = loaded(folders[kind], precision=name, exact_confidence=True)
    check_laws(reader.read(QUESTION, UGLY), UGLY)
    with pytest.raises(SettingError, match="fp32"):
        reader.train("nowhere", "nothing.json")


def test_rows_stored_in_int8_lose_nothing() -> None:
    torch.manual_seed(0)
    values = torch.randint(-127, 128, (6, 16), dtype=torch.int8)
    values[:, 0] = 127
    scale = torch.rand(6) + 0.1
    linear = nn.Linear(16, 6)
    linear.weight.data = values.float() * scale[:, None]
    x = torch.eye(16)
    with torch.inference_mode():
        assert torch.allclose(precision.Int8Linear(linear)(x), linear(x), rtol=0.02, atol=0.02)


def test_what_is_shared_and_what_is_small_already_stays_whole() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings, self.encoder = nn.Embedding(4, 64), nn.Module()
            self.encoder.one = nn.Linear(64, 64)
            self.encoder.other = self.encoder.one

    torch.manual_seed(2)
    x = torch.randn(3, 64)
    for name in ("int8", "bf16"):
        encoder = Encoder()
        expected = encoder.encoder.one(x)  # type: ignore[operator, union-attr]
        for _ in range(2 if name == "bf16" else 1):
            precision.apply_precision(encoder, nn.Linear(64, 2), name)
        assert encoder.encoder.one is encoder.encoder.other and encoder.embeddings.weight.dtype == torch.float32
        made = encoder.encoder.one(x.bfloat16() if name == "bf16" else x)  # type: ignore[operator, union-attr]
        assert torch.allclose(made.float(), expected, atol=0.05)


def test_one_loud_token_does_not_drown_the_others() -> None:
    torch.manual_seed(1)
    linear = nn.Linear(32, 8)
    x = torch.randn(4, 32)
    loud = torch.cat([x, torch.full((1, 32), 1e4)])
    with torch.inference_mode():
        made = precision.Int8Linear(linear)
        assert torch.allclose(made(loud)[:4], linear(x), atol=0.1)
        assert torch.equal(made(torch.zeros(2, 32)), linear.bias.expand(2, -1))


def test_a_precision_that_is_named_is_taken_or_refused() -> None:
    processor, gpu = Hardware("cpu"), Hardware("cuda")
    assert [precision.resolve_precision(name, processor) for name in ("fp32", "bf16", "int8")] == ["fp32", "bf16", "int8"]
    for name, device in (("int8", gpu), ("fp16", processor), ("fp8", processor), ("", processor)):
        with pytest.raises(SettingError, match="precision"):
            precision.resolve_precision(name, device)


def test_auto_is_decided_by_the_hardware_that_is_given(folders: dict[str, Path]) -> None:
    for features, name, instructions in (
        ({"avx2"}, "fp32", "AVX2"),
        ({"avx2", "avx512f", "avx512_vnni"}, "fp32", "AVX-512"),
        ({"avx2", "avx512f", "avx512_vnni", "avx512_bf16"}, "bf16", "AVX-512 BF16"),
        ({"avx512f", "amx_bf16"}, "bf16", "AMX"),
    ):
        reader = loaded(folders["bert"], precision="auto", hardware=Hardware("cpu", frozenset(features)))
        facts = reader.facts()
        assert (reader.precision, facts["precision"], facts["instruction_set"]) == (name, name, instructions)
        check_laws(reader.read(QUESTION, UGLY), UGLY)


def test_what_was_read_is_remembered_and_counted(folders: dict[str, Path]) -> None:
    reader = loaded(folders["bert"])
    texts = list(SCRIPTS.values())
    first = reader.read(QUESTION, texts)
    batches = reader.facts()["batches"]
    assert reader.read(QUESTION, [*reversed(texts)]) == first[::-1]
    facts = reader.facts()
    assert facts["batches"] == batches and facts["readings"]["hits"] == len(texts) == facts["tokens"]["hits"]
    reader._head.n_best_per_sample = 4
    reader.read(QUESTION, texts)
    assert reader.facts()["batches"] > batches
    reader.forget()
    assert reader.facts()["readings"]["entries"] == 0
    nothing = loaded(folders["bert"], remember=0)
    nothing.read(QUESTION, texts)
    assert nothing.facts()["readings"]["entries"] == 0


@pytest.mark.parametrize(
    "told, sizes",
    [
        ('{"recipe": {"max_seq_len": 96, "doc_stride": 32}}', (96, 32)),
        ('{"recipe": {"max_seq_len": 96, "doc_stride": 96}}', (384, 128)),
        ('{"recipe": {"max_seq_len": "x"}}', (384, 128)),
        ("[]", (384, 128)),
        ("", (384, 128)),
        (None, (384, 128)),
    ],
)
def test_windows_are_those_it_was_trained_with(
    folders: dict[str, Path], tmp_path: Path, told: str | None, sizes: Any
) -> None:
    folder = shutil.copytree(folders["bert"], tmp_path / "trained")
    if told is not None:
        (folder / "training.json").write_text(told)
    found = window_sizes(resolve(str(folder), "reader"))
    assert (found["max_seq_len"], found["doc_stride"]) == sizes
    assert window_sizes(resolve("builtin", "reader"))["max_seq_len"] == 256


def test_pairs_are_read_as_they_are_one_by_one(folders: dict[str, Path]) -> None:
    reader, alone = loaded(folders["xlm-roberta"]), loaded(folders["xlm-roberta"], remember=0)
    pairs = [(question, text) for question in (QUESTION, "Who?", "") for text in UGLY]
    together = reader.read_pairs(pairs)
    check_laws(together, [text for _, text in pairs])
    close(together, [alone.read(question, [text])[0] for question, text in pairs])


def test_threads_share_batches_and_get_their_own(folders: dict[str, Path]) -> None:
    reader, alone = loaded(folders["xlm-roberta"], remember=0), loaded(folders["xlm-roberta"], remember=0)
    questions = [f"{QUESTION} {n}" for n in range(24)]
    texts = list(SCRIPTS.values())
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda question: reader.read(question, texts), questions))
    for question, readings in zip(questions, found, strict=True):
        close(readings, alone.read(question, texts))


def test_a_service_tells_what_its_reader_remembers(folders: dict[str, Path], tmp_path: Path) -> None:
    with live(tmp_path / "home", known_models(loaded(folders["xlm-roberta"]))) as service:
        service.fill("c", {"a.txt": "The bridge was opened in 1912. It is long.\n"})
        for _ in range(2):
            assert (
                service.http.post("/v1/corpora/c/ask", json={"question": "When was the bridge opened?"}).status_code == 200
            )
        assert service.http.get("/health").json() == {"status": "up", "precision": "fp32", "instruction_set": ANY}
        told = dict(
            line.rsplit(" ", 1) for line in service.http.get("/metrics").text.splitlines() if line.startswith("docqa_r")
        )
        assert float(told["docqa_reader_batches_total"]) >= 1
        assert float(told['docqa_reader_remembered_total{outcome="hits",what="readings"}']) >= 1

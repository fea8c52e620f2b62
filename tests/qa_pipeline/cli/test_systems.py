"""Every published architecture, tiny, in the files its hub repository has, by its hub name, through `docqa read`.

The models are random, with as many layers and heads as the published ones and a few numbers in each. They know nothing, so
what is held is that the answer is a piece of the text, and the very one the model gives when transformers uses it plainly.
Their weights are small: with large ones, after twelve layers all tokens are the same.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from indexing.models.presets import PRESETS
from indexing.models.registry import resolve
from qa_pipeline.answering.span_boundaries import whole_span
from qa_pipeline.cli.main import main
from tests.cards import CARDS, READERS, Shown
from tests.known import SCRIPTS
from tests.tiny import make_reader, make_xlm, wordpieces

SMALL = {"initializer_range": 0.1}
BASE = {**SMALL, "hidden_size": 48, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 96}
LARGE = {**SMALL, "hidden_size": 64, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 128}
HALF = {**SMALL, "dim": 48, "n_layers": 6, "n_heads": 12, "hidden_dim": 96}
KINDS: dict[str, tuple[str, dict[str, float]]] = {
    "mbert-xquad": ("bert", BASE),
    "distilbert-tydiqa": ("distilbert", HALF),
    "xlmr-squad2": ("xlm-roberta", BASE),
    "xlmr-large-squad2": ("xlm-roberta", LARGE),
    "bert-squad2": ("bert", BASE),
    "xlm-xquad": ("xlm", {}),
}
REVISION = "0123456789abcdef0123456789abcdef01234567"
QUESTIONS = tuple({(card.question, card.context): card for card in CARDS}.values())
TEXTS = [*(text.replace("\x00", " ") for text in SCRIPTS.values()), *(f"{q.question} {q.context}" for q in QUESTIONS)]


def make(reader: str, folder: Path) -> Path:
    kind, sizes = KINDS[reader]
    seed = 20 + READERS.index(reader)
    if kind == "xlm":
        return make_xlm(folder, seed, beam=True, emb_dim=64, n_layers=16, n_heads=16, init_std=0.1, embed_init_std=0.1)
    tokenizer = pieces(folder) if kind == "xlm-roberta" else wordpieces(kind, " ".join(TEXTS))
    return make_reader(kind, folder, seed, tokenizer=tokenizer, **sizes)


def pieces(folder: Path) -> Any:
    """A tokenizer out of a `sentencepiece.bpe.model`, which is all the XLM-R repositories have."""
    import sentencepiece
    from transformers import XLMRobertaTokenizerFast

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 3),
        model_writer=model,
        vocab_size=500,
        model_type="unigram",
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    folder.mkdir(parents=True)
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    return XLMRobertaTokenizerFast(str(folder / "sentencepiece.bpe.model"), model_max_length=512)


def as_in_2020(folder: Path) -> None:
    """No `tokenizer.json`, and the weights in torch's own format, as these repositories were made."""
    from safetensors.torch import load_file

    (folder / "tokenizer.json").unlink(missing_ok=True)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.fixture(scope="module", params=READERS)
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The hub id of a reader whose tiny likeness lies in the hub's cache on this machine."""
    home = tmp_path_factory.mktemp("hub")
    hub_id = PRESETS["reader", request.param].model
    repository = home / "hub" / f"models--{hub_id.replace('/', '--')}"
    as_in_2020(make(request.param, repository / "snapshots" / REVISION))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
        patch.setenv("DOCQA_CACHE", str(home / "cache"))
        yield hub_id


def read(reader: str, shown: Shown) -> dict[str, Any]:
    arguments = ["read", shown.question, "--context", shown.context, "--reader", reader, "--json", "--precision"]
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = main([*arguments, "auto" if "xlm-multi" in reader else "fp32"])
    told: dict[str, Any] = json.loads(printed.getvalue())
    assert status == (0 if told["answer"] else 1)
    return told


def test_the_answer_is_a_piece_of_the_text(reader: str) -> None:
    found = resolve(reader, "reader")
    assert found.preset is not None and found.preset.model == reader
    for shown in QUESTIONS:
        told = read(reader, shown)
        assert set(told) == {"answer", "start", "end", "score"} and 0.0 <= told["score"] <= 1.0
        assert shown.context[told["start"] : told["end"]] == told["answer"] == told["answer"].strip()
        assert told["answer"] or found.preset.knows_no_answer


def test_the_answer_is_the_one_of_the_model_used_plainly(reader: str) -> None:
    """Of the XLM architecture `test_xlm_reader.py` tells the same."""
    found = resolve(reader, "reader")
    if found.model_type == "xlm":
        pytest.skip("the XLM architecture is held against the plain model in test_xlm_reader.py")
    for shown in QUESTIONS:
        told, (start, end, margin) = read(reader, shown), plainly(found.path, shown)
        if told["answer"]:
            assert (told["start"], told["end"]) == whole_span(shown.context, start, end)
        else:
            assert margin < 1e-3 or start == end


def plainly(folder: Path, shown: Shown) -> tuple[int, int, float]:
    """(start, end, margin) of the best span: start and end logits added, the end not before the start, against token 0."""
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForQuestionAnswering.from_pretrained(str(folder)).eval()
    made = tokenizer(shown.question, shown.context, return_offsets_mapping=True, return_tensors="pt")
    places = made.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        logits = model(**made)
    start, end = logits.start_logits[0].double(), logits.end_logits[0].double()
    first, last = (f([n for n, kind in enumerate(made.sequence_ids(0)) if kind == 1]) for f in (min, max))
    spans = torch.triu(start[first : last + 1, None] + end[None, first : last + 1])
    spans[torch.tril(torch.ones_like(spans), -1).bool()] = -torch.inf
    at = int(spans.argmax())
    s, e = first + at // len(spans), first + at % len(spans)
    begin, stop = places[s][0], places[e + 1][0] if e < last else len(shown.context)
    piece = shown.context[begin:stop]
    begin += len(piece) - len(piece.lstrip())
    return begin, begin + len(piece.strip()), float(spans.max() - start[0] - end[0])

"""Tiny random readers, made at test time and saved as any other model folder.

They know nothing, so tests of them state laws. Their weights are large, so that logits differ clearly and no ranking
hangs on the last bit. With them the texts they read in tests, and the laws of what any reader says.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_pipeline.reading.readings import Reading
from tests.known import SCRIPTS

WORDS = " ".join(SCRIPTS.values())
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SPREAD = 0.4

QUESTION = "How high is the bridge?"
LONG_QUESTION = "Who designed the arches of the bridge and how many pounds did it cost in the year 1912, please tell?"
LONG = " ".join([*SCRIPTS.values(), *reversed(SCRIPTS.values())])
UGLY = [
    *SCRIPTS.values(),
    LONG,
    "",
    "x",
    "橋",
    " \t\n\r\n ",
    "\x00",
    "🌉",
    "a" * 3_000,
    "\u0301\u0301",
    "\u200b",
    "line\r\none\x0bline\u2028two",
    "<s></s><pad>[SEP][CLS]</w>",
    "\ufeffcafé CAFÉ ①②③ ＡＢＣ ﬁ",
    "한국어 도서관",
]


def check_laws(readings: Sequence[Reading], texts: Sequence[str]) -> None:
    """Every span is a piece of its text without white space around; the best comes first; none comes twice."""
    assert len(readings) == len(texts)
    for reading, text in zip(readings, texts, strict=True):
        places = [(span.start, span.end) for span in reading.spans]
        assert len(set(places)) == len(places)
        assert [span.margin for span in reading.spans] == sorted((span.margin for span in reading.spans), reverse=True)
        for span in reading.spans:
            assert 0 <= span.start < span.end <= len(text)
            piece = text[span.start : span.end]
            assert piece == piece.strip() != ""
            assert 0.0 <= span.confidence <= 1.0


def close(ours: Sequence[Reading], theirs: Sequence[Reading]) -> None:
    """The same spans, each with the same score; batches of other sizes may differ in the last bits of a score."""
    for one, other in zip(ours, theirs, strict=True):
        found, wanted = ({(span.start, span.end): span for span in reading.spans} for reading in (one, other))
        assert found.keys() == wanted.keys()
        for place, a in found.items():
            b = wanted[place]
            assert (a.score, a.margin, a.confidence) == pytest.approx((b.score, b.margin, b.confidence), abs=1e-3)


def same_ranking(ours: Sequence[tuple[float, str]], theirs: Sequence[tuple[float, str]], within: float = 1e-4) -> None:
    """(score, what) by falling score: the same scores, and the same things in the same order.

    Things whose scores lie within the rounding of one another may change places: they are compared as a set.
    """
    assert [score for score, _ in ours] == pytest.approx([score for score, _ in theirs], abs=within)
    begin = 0
    for end in range(1, len(theirs) + 1):
        if end == len(theirs) or theirs[end - 1][0] - theirs[end][0] > 2 * within:
            assert sorted(what for _, what in ours[begin:end]) == sorted(what for _, what in theirs[begin:end])
            begin = end


def make_reader(kind: str, folder: Path, seed: int, *, tokenizer: Any = None, **sizes: float) -> Path:
    """A model folder with a random reader: xlm-roberta, bert or distilbert. sizes: its config's, instead of tiny ones."""
    tokenizer = tokenizer or (_unigram() if kind == "xlm-roberta" else wordpieces(kind))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(kind, len(tokenizer), sizes)
    return _saved(model, tokenizer, folder)


def make_xlm(folder: Path, seed: int, *, beam: bool, languages: int = 0, **config: Any) -> Path:
    """A model folder with a random XLM reader; with languages it has language embeddings, "en" and "th" among them."""
    from transformers import XLMConfig, XLMForQuestionAnswering, XLMForQuestionAnsweringSimple, XLMTokenizer

    folder.mkdir(parents=True)
    vocabulary, merges = _bpe()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("".join(f"{a} {b} 1\n" for a, b in merges), encoding="utf-8")
    tokenizer = XLMTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    names = {"id2lang": {0: "en", 1: "th"}, "lang2id": {"en": 0, "th": 1}} if languages else {}
    sizes = {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "init_std": SPREAD, "embed_init_std": SPREAD, **config}
    settings = XLMConfig(
        vocab_size=len(tokenizer),
        n_langs=max(languages, 1),
        use_lang_emb=bool(languages),
        bos_index=vocabulary["<s>"],
        eos_index=vocabulary["</s>"],
        pad_index=vocabulary["<pad>"],
        unk_index=vocabulary["<unk>"],
        pad_token_id=vocabulary["<pad>"],
        bos_token_id=vocabulary["<s>"],
        **names,
        **sizes,
    )
    kind = XLMForQuestionAnswering if beam else XLMForQuestionAnsweringSimple
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(settings)
    return _saved(model, tokenizer, folder)


def _saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def _model(kind: str, words: int, sizes: dict[str, float]) -> Any:
    from transformers import AutoConfig, AutoModelForQuestionAnswering

    names = {"distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}}.get(kind, SIZES)
    chosen: dict[str, float] = {"initializer_range": SPREAD, **names, **sizes}
    extra = {"max_position_embeddings": 514, "type_vocab_size": 1} if kind == "xlm-roberta" else {}
    pads = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2} if kind == "xlm-roberta" else {"pad_token_id": 0}
    config = AutoConfig.for_model(kind, vocab_size=words, architectures=None, **chosen, **extra, **pads)
    return AutoModelForQuestionAnswering.from_config(config)


def _unigram() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import XLMRobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*_letters(WORDS), "\u2581", *(f"\u2581{word[:4]}" for word in _words(WORDS)), *(w[-3:] for w in _words(WORDS))]
    scored = [(piece, -8.0 / len(piece)) for piece in dict.fromkeys(pieces)]
    tokenizer = Tokenizer(models.Unigram([*((word, 0.0) for word in special), *scored], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = _specials(tokenizer, "<s>", "</s>", "</s> </s>")
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=512)


def wordpieces(kind: str, text: str = WORDS) -> Any:
    """A tokenizer for a BERT or a DistilBERT that has all letters of a text and the beginnings of its words."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast, DistilBertTokenizerFast

    text = text.lower()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *_letters(text), *(f"##{letter}" for letter in _letters(text)), *(w[:4] for w in _words(text))]
    vocabulary = {piece: n for n, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)
    fast = BertTokenizerFast if kind == "bert" else DistilBertTokenizerFast
    return fast(tokenizer_object=tokenizer._tokenizer, model_max_length=512)


def _specials(tokenizer: Any, first: str, last: str, between: str) -> Any:
    from tokenizers.processors import TemplateProcessing

    known = [(word, tokenizer.token_to_id(word)) for word in (first, last)]
    return TemplateProcessing(f"{first} $A {last}", f"{first} $A {between} $B {last}", known)


def _letters(text: str) -> list[str]:
    return sorted({letter for letter in text if not letter.isspace()})


def _words(text: str) -> list[str]:
    return sorted(set(text.split()))


def _bpe() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """All letters of the texts alone and at the end of a word, and the merges of a few words."""
    special = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{n}>" for n in range(10))]
    letters = _letters(WORDS.lower() + string.ascii_lowercase + string.digits + ".,?!")
    merges: list[tuple[str, str]] = []
    joined: list[str] = []
    for word in ("the", "bridge", "cost", "million", "station", "insel", "berg"):
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            joined.append(parts[0])
    words = [*special, *letters, *(letter + "</w>" for letter in letters), *joined]
    return {word: n for n, word in enumerate(dict.fromkeys(words))}, list(dict.fromkeys(merges))

"""The registry of presets: identity, training data, licence, prefixes and window sizes of each model known by name.

Facts come from the model card or a copy of it. "not stated": the card does not say; "not confirmed": no copy of the card
was available. Parameter counts marked "by its config" are computed from the layer sizes. Published figures are those of
the card; `docs/reference/models.md` gives the command that computes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["reader", "embedder"]
BUILTIN = "builtin"
BUILTIN_SENTENCE = "builtin-sentence"
DEFAULT_READER = "xlmr-squad2"
DEFAULT_EMBEDDER = "e5-small"
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Figure:
    """A reader's scores on a question set, according to its model card, in percent.

    >>> str(Figure("XQuAD de", 48.74, 62.55))
    'XQuAD de exact 48.74, F1 62.55'
    """

    on: str
    exact: float
    f1: float

    def __str__(self) -> str:
        return f"{self.on} exact {self.exact:.2f}, F1 {self.f1:.2f}"


@dataclass(frozen=True, slots=True)
class Preset:
    """One model with a short name.

    model: a hub id or "builtin". max_seq_len, doc_stride: in tokens (0 for embedders).
    knows_no_answer: whether a reader was trained with unanswerable questions.
    calibration: (slope, offset, threshold, stop_margin) of `qa_pipeline.answering.calibration.Calibration`, measured on
        questions with their own contexts; () if not measured.
    found: (slope, offset, threshold, stop_margin) for passages retrieved by the built-in embedder, then (near, words,
        sentences, typical dense score, typical share of words, typical sentence score) of
        `qa_pipeline.answering.evidence_weights.EvidenceWeights`; () if not measured.
    query_prefix, passage_prefix: prepended to the texts of an embedder.
    also: other hub ids of the model. published: the scores of its card.
    spark_nlp: the name of the same weights on a page of Spark NLP.
    folder: of a built-in model, in `indexing/builtin`.
    second_tier: the embedder whose vectors an index may hold beside those of this one; "" for none.
    """

    name: str
    kind: Kind
    model: str
    licence: str
    languages: str
    parameters: str
    trained_on: str
    about: str
    max_seq_len: int = 0
    doc_stride: int = 0
    knows_no_answer: bool = False
    calibration: tuple[float, ...] = ()
    found: tuple[float, ...] = ()
    query_prefix: str = ""
    passage_prefix: str = ""
    also: tuple[str, ...] = ()
    published: tuple[Figure, ...] = ()
    spark_nlp: str = ""
    folder: str = ""
    second_tier: str = ""


XQUAD_LANGUAGES = "11 (ar de el en es hi ru th tr vi zh)"
OWN_LANGUAGES = "27, best in those with native question data"
OWN_LICENCE = "CC BY-SA 4.0"
OWN_TEST = "its own test questions (8 K, like XQuAD)"
TYDIQA = (
    ("ar", 66.66, 80.02),
    ("bn", 53.09, 63.50),
    ("en", 62.42, 73.12),
    ("fi", 64.57, 75.15),
    ("id", 67.89, 79.70),
    ("ko", 51.29, 61.73),
    ("ru", 55.42, 70.08),
    ("sw", 74.51, 81.15),
    ("te", 66.21, 79.85),
)

_ALL = (
    Preset(
        "xlmr-squad2",
        "reader",
        "deepset/xlm-roberta-base-squad2",
        "CC BY 4.0",
        "multilingual (XLM-R base)",
        "277 M (by its config)",
        "SQuAD 2.0 (English, with unanswerable questions)",
        "The default: answers across languages, and can say that there is no answer.",
        256,
        128,
        True,
        published=(
            Figure("SQuAD 2.0 dev", 73.92, 77.14),
            Figure("MLQA de", 33.67, 44.34),
            Figure("XQuAD de", 48.74, 62.55),
        ),
    ),
    Preset(
        "xlmr-large-squad2",
        "reader",
        "deepset/xlm-roberta-large-squad2",
        "CC BY 4.0",
        "multilingual (XLM-R large)",
        "559 M (by its config)",
        "SQuAD 2.0 (English, with unanswerable questions)",
        "84.9 F1 on SQuAD 2.0 by its card (the default: 77.2), for some four times the arithmetic.",
        256,
        128,
        True,
        published=(
            Figure("SQuAD 2.0 dev", 79.46, 83.79),
            Figure("MLQA de", 49.35, 66.16),
            Figure("XQuAD de", 61.51, 78.80),
        ),
        spark_nlp="xlm_roberta_qa_xlm_roberta_large_squad2",
    ),
    Preset(
        "mbert-xquad",
        "reader",
        "mrm8488/bert-multi-cased-finetuned-xquadv1",
        NOT_STATED,
        XQUAD_LANGUAGES,
        "100 M (its card)",
        "XQuAD-like data (translated SQuAD 1.1, every question has an answer)",
        "Multilingual BERT; never score it on XQuAD, which it was trained on.",
        256,
        128,
        published=(Figure(OWN_TEST, 91.43, 94.14),),
        spark_nlp="bert_qa_bert_multi_cased_finetuned_xquadv1",
    ),
    Preset(
        "xlm-xquad",
        "reader",
        "mrm8488/xlm-multi-finetuned-xquadv1",
        NOT_STATED,
        XQUAD_LANGUAGES,
        "577 M (2.31 GB of float32)",
        "XQuAD (translated SQuAD 1.1, every question has an answer)",
        "XLM (100 languages); large and slow, and not to be scored on XQuAD.",
        256,
        128,
        published=(Figure(OWN_TEST, 82.69, 84.57),),
    ),
    Preset(
        "distilbert-tydiqa",
        "reader",
        "mrm8488/distilbert-multi-finetuned-for-xqua-on-tydiqa",
        NOT_STATED,
        "multilingual (TyDi QA)",
        "135 M (by its config)",
        "TyDi QA GoldP (every question has an answer)",
        "Distilled multilingual BERT: half its layers, so the lightest reader of the hub here.",
        384,
        128,
        also=("mrm8488/distilbert-multi-finetuned-for-qa-tydiqa",),
        published=(
            Figure("TyDi QA GoldP dev", 63.85, 75.70),
            *(Figure(f"TyDi QA GoldP dev {la}", em, f1) for la, em, f1 in TYDIQA),
        ),
    ),
    Preset(
        "bert-squad2",
        "reader",
        "deepset/bert-base-cased-squad2",
        "CC BY 4.0",
        "English",
        "108 M (by its config)",
        "SQuAD 2.0 (English, with unanswerable questions)",
        "BERT for English, of the kind Spark NLP's BertForQuestionAnswering loads by default.",
        384,
        128,
        True,
        published=(Figure("SQuAD 2.0 dev", 71.15, 74.67),),
    ),
    Preset(
        BUILTIN,
        "reader",
        BUILTIN,
        OWN_LICENCE,
        OWN_LANGUAGES,
        "57 M",
        "multilingual E5 (94 languages); open question sets in 14 languages, some questions unanswerable",
        "Comes with docqa, needs no download: for a first look, tests, air-gapped machines.",
        256,
        128,
        True,
        (0.247, 4.1, 0.65, 5.0),
        (0.216, 8.5, 0.588, 8.0, 4.5, 4.0, 40.0, 0.775, 0.2, 0.86),
        folder="reader",
    ),
    Preset(
        DEFAULT_EMBEDDER,
        "embedder",
        "intfloat/multilingual-e5-small",
        "MIT",
        "94 (its tags)",
        "118 M (by its config)",
        "about a billion multilingual text pairs, then labelled data (its technical report)",
        "The default: small, and far better at finding passages than similarity models.",
        query_prefix="query: ",
        passage_prefix="passage: ",
    ),
    Preset(
        "e5-base",
        "embedder",
        "intfloat/multilingual-e5-base",
        "not confirmed",
        "multilingual (XLM-R base)",
        "278 M (by its config)",
        "about a billion multilingual text pairs, then labelled data (its technical report)",
        "A little better than e5-small, for some four times the arithmetic.",
        query_prefix="query: ",
        passage_prefix="passage: ",
    ),
    Preset(
        "minilm",
        "embedder",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "Apache-2.0",
        "50",
        "118 M (by its config)",
        NOT_STATED,
        "Made for similar sentences; as a finder of passages clearly behind e5-small.",
    ),
    Preset(
        BUILTIN,
        "embedder",
        BUILTIN,
        OWN_LICENCE,
        OWN_LANGUAGES,
        "18 M",
        "question-passage pairs, sentence pairs and plain text in 27 languages",
        "Comes with docqa, needs no download: one vector a token, very fast; knows words, not their order.",
        folder="embedder",
        second_tier=BUILTIN_SENTENCE,
    ),
    Preset(
        BUILTIN_SENTENCE,
        "embedder",
        BUILTIN,
        "MIT",
        "94 (of the model that it is a part of)",
        "64 M",
        "multilingual E5 small, in 4 bits and with 111,000 of its tokens; not trained further",
        "Comes with docqa: finds passages in other languages; the second tier of an index with `builtin`.",
        query_prefix="query: ",
        passage_prefix="passage: ",
        folder="sentence",
    ),
)

PRESETS: Mapping[tuple[Kind, str], Preset] = MappingProxyType({(p.kind, p.name): p for p in _ALL})


def preset_for(name: str, kind: Kind) -> Preset | None:
    """The preset with this short name or hub id; "@revision" is ignored. None if there is none.

    >>> preset_for("intfloat/multilingual-e5-small@main", "embedder").name
    'e5-small'
    """
    known = PRESETS.get((kind, name))
    if known is not None:
        return known
    model = name.partition("@")[0]
    return next((p for p in _ALL if p.kind == kind and model in (p.model, *p.also) and model != BUILTIN), None)

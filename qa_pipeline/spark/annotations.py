"""Answers as Spark NLP's annotations, and its published model names. Independent of Spark.

Invariant of an answer's annotation: context[begin : end + 1] == result, in code points.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from indexing.errors import ModelMissing
from indexing.models.presets import PRESETS
from qa_pipeline.spark.rows import ANSWER, Column, ReadRows, Values

DOCUMENT, CHUNK = "document", "chunk"
ANNOTATION: Values = {
    "annotatorType": "string",
    "begin": "int",
    "end": "int",
    "result": "string",
    "metadata": "texts",
    "embeddings": "floats",
}
ANNOTATED: Values = {**ANNOTATION, "docqa": ANSWER}

# Spark NLP's default model of each class: presets of that kind, and the model that its documentation names.
BERT, DISTILBERT, XLM_ROBERTA = "bert_base_cased_qa_squad2", "distilbert_base_cased_qa_squad2", "xlm_roberta_base_qa_squad2"
DEFAULTS = {
    BERT: "bert-squad2",
    XLM_ROBERTA: "xlmr-squad2",
    DISTILBERT: "distilbert/distilbert-base-cased-distilled-squad",
}
PUBLISHED = re.compile(r"(?P<family>bert|distilbert|xlm_roberta|xlm)_qa_(?P<rest>\w+)", re.ASCII)

# Patterns of each clean-up mode: what is replaced, by what, and whether the text is trimmed first.
CLEANUP: dict[str, tuple[str, str, bool]] = {
    "inplace": (r"\s", " ", False),
    "inplace_full": (r"\s|(?:\\r)?\\n|\\t", " ", False),
    "shrink": (r"\s+", " ", True),
    "shrink_full": (r"\s+|(?:\\r)*(?:\\n)+|(?:\\t)+", " ", True),
    "each": (r"\s[\n\t]", " ", False),
    "each_full": (r"\s(?:[\n\t]|(?:\\r)?\\n|\\t)", " ", False),
    "delete_full": (r"(?:\\r)?\\n|\\t", "", True),
}
TRIM = r"^[\x00-\x20]+|[\x00-\x20]+$"
MODES = ("disabled", *CLEANUP)


@dataclass(frozen=True)
class Annotation:
    """One annotation, with the attributes of Spark NLP's class. docqa: the answer with docqa's fields, {} for a document."""

    annotatorType: str
    begin: int
    end: int
    result: str
    metadata: dict[str, str]
    embeddings: list[float] = field(default_factory=list)
    docqa: Values = field(default_factory=dict)

    def __str__(self) -> str:
        return f"Annotation({self.annotatorType}, {self.begin}, {self.end}, {self.result}, {self.metadata})"


@dataclass(frozen=True, slots=True)
class AnnotateRows:
    """Questions and contexts -> the annotations of their answers, best first; at least one a row."""

    read: ReadRows

    def __call__(self, *columns: Column) -> list[list[Values]]:
        return [to_annotations(told) for told in self.read(*columns)]


def to_annotations(told: Values) -> list[Values]:
    """The annotations of a value of the shape ANSWER. One without an answer has an empty result that begins at 0.

    >>> to_annotations({"reason": "The context is empty."})[0]["metadata"]
    {'sentence': '0', 'chunk': '0', 'reason': 'The context is empty.'}
    """
    return [_annotation({**told, **span}, n) for n, span in enumerate(told.get("answers") or [{}])]


def _annotation(told: Values, number: int) -> Values:
    ours = {name: told.get(name) for name in ANSWER}
    metadata = {"sentence": "0", "chunk": str(number)}
    metadata |= {name: str(ours[name]) for name in ("start", "end", "score", "reason") if ours[name] is not None}
    if ours["no_answer"]:
        metadata["no_answer"] = "true"
    answer, begin = ours["answer"] or "", ours["start"] or 0
    return {
        "annotatorType": CHUNK,
        "begin": begin,
        "end": begin + len(answer) - 1,
        "result": answer,
        "metadata": metadata,
        "embeddings": [],
        "docqa": ours,
    }


def document(text: str | None, mode: str, metadata: dict[str, str] | None = None, number: int = 0) -> Values:
    """The annotation of a text as a document; null is an empty one. mode: of MODES."""
    text = clean(text or "", mode)
    facts = {**(metadata or {}), "sentence": str(number)}
    return {"annotatorType": DOCUMENT, "begin": 0, "end": len(text) - 1, "result": text, "metadata": facts, "embeddings": []}


def clean(text: str, mode: str) -> str:
    r"""The text with white space replaced as Spark NLP does in that clean-up mode.

    >>> clean(" a\n b\\n", "inplace"), clean(" a\n b\\n", "shrink_full")
    (' a  b\\n', 'a b ')
    """
    if mode not in CLEANUP:
        return text
    pattern, by, trimmed = CLEANUP[mode]
    return re.sub(pattern, by, re.sub(TRIM, "", text) if trimmed else text, flags=re.ASCII)


def reader_of(name: str) -> str:
    """The reader that docqa has for a model name of Spark NLP; every other name is a reader's already.

    Spark NLP's pages name a model by its class and its hub id: `bert_qa_` and the id without its owner, in underscores.
    Raises ModelMissing for such a name that none of docqa's presets has.

    >>> reader_of("bert_qa_bert_multi_cased_finetuned_xquadv1"), reader_of("builtin")
    ('mbert-xquad', 'builtin')
    >>> reader_of("distilbert_qa_multi_finetuned_for_xqua_on_tydiqa")
    'distilbert-tydiqa'
    """
    if name in DEFAULTS:
        return DEFAULTS[name]
    published = PUBLISHED.fullmatch(name)
    if published is None:
        return name
    wanted = {published["rest"].lower(), f"{published['family']}_{published['rest']}".lower()}
    for (kind, preset_name), preset in PRESETS.items():
        ids = [hub_id.rpartition("/")[2].replace("-", "_").lower() for hub_id in (preset.model, *preset.also)]
        if kind == "reader" and (name == preset.spark_nlp or wanted & set(ids)):
            return preset_name
    raise ModelMissing(
        f"docqa does not know the model {name[:80]} of Spark NLP; name its hub id (owner/name) or a folder instead."
    )


def as_annotations(values: Sequence[Values]) -> list[Annotation]:
    """Values of the shapes ANNOTATION and ANNOTATED as objects."""
    return [Annotation(**value) for value in values]

"""Translates questions by sequence-to-sequence models; context and answers stay unchanged.

Back-translation (two models) paraphrases a question. One model alone makes a cross-lingual question over the same
context. Any translation model of transformers without language tokens works (MarianMT), by folder or hub name. Weights
are loaded as tensors only (`weights_only`), and no code from the model folder is executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from indexing.errors import ModelMissing, ModelRefused, one_line
from indexing.models.registry import is_offline
from indexing.text.language_id import detect_question
from qa_pipeline.datasets.examples import Example
from qa_pipeline.datasets.squad_writer import GeneratedExample

HOW = "translate"
AT_ONCE = 32
LONGEST = 128


class Translator(Protocol):
    """Translates a batch of texts in order."""

    def __call__(self, texts: Sequence[str]) -> list[str]: ...


def translate_questions(
    examples: Sequence[Example], models: Sequence[Translator], language: str | None
) -> Iterator[GeneratedExample]:
    """Translates each question by all models in sequence. language: of the output.

    None: the question's own language with several models, else detected.
    """
    for at in range(0, len(examples), AT_ONCE):
        part = examples[at : at + AT_ONCE]
        texts: list[str] = [example.question for example in part]
        for model in models:
            texts = model(texts)
        for example, text in zip(part, texts, strict=True):
            question = " ".join(text.split())
            if question:
                asked_in = language or (example.question_language if len(models) > 1 else detect_question(question))
                made = replace(example, id=f"{example.id}:t-{asked_in}", question=question, question_language=asked_in)
                yield GeneratedExample(made, HOW, (f"{example.origin}:{example.id}",))


def translator(name: str) -> Translator:
    """Loads a translation model by folder or hub name. Raises ModelMissing, ModelRefused."""
    model, tokenizer = _loaded(name)

    def translate(texts: Sequence[str]) -> list[str]:
        import torch

        inputs = tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True, max_length=LONGEST)
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False, num_beams=1)
        found: list[str] = tokenizer.batch_decode(made, skip_special_tokens=True)
        return found

    return translate


def _loaded(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    here = Path(name).is_dir()
    kind: Any = AutoModelForSeq2SeqLM
    words: Any = AutoTokenizer
    options = {"local_files_only": here or is_offline(), "trust_remote_code": False}
    try:
        return kind.from_pretrained(name, weights_only=True, **options).eval(), words.from_pretrained(name, **options)
    except OSError as error:
        raise ModelMissing(f"The translation model {name} is not here and cannot be fetched: {one_line(error)}") from error
    except Exception as error:
        raise ModelRefused(f"The translation model {name} cannot be loaded: {one_line(error)}") from error

"""Questions through translation models: there and back, for the same question in other words; or only there, for a
question in another language over the same context. The context and its answers stay as they are.

Any sequence-to-sequence model of transformers that translates without being told languages (MarianMT) serves, by folder or
hub name. Weights are loaded as nothing but tensors, code that came with a model is not run.
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
    """Texts of one language -> texts of another, in order."""

    def __call__(self, texts: Sequence[str]) -> list[str]: ...


def translate_questions(
    examples: Sequence[Example], models: Sequence[Translator], language: str | None
) -> Iterator[GeneratedExample]:
    """Each question through all models in turn. language: of what comes out; None: the question's own where two models
    lead back to it, else detected."""
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
    """The model of that folder or hub name. Raises ModelMissing, ModelRefused."""
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

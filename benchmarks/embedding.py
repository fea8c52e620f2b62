"""Embedding speed of sentence-transformers and of docqa in fp32 and int8, and what int8 and bf16 change.

All run in one process, alternating: every round embeds the same passages once with each system. So ratios hold on a busy
machine; CPU seconds of the process stand beside the time. The model has the size of multilingual-e5-small (12 layers x
384), the built-in reader's vocabulary, and random weights, on which speed does not depend.
Passages are XQuAD's (ar de en hi zh) if that folder is given, else those of examples/corpus.

    python -m benchmarks.embedding [--xquad FOLDER] [--passages 200] [--rounds 5] [--json FILE]
    python -m benchmarks.embedding --agreement --xquad FOLDER [--passages 500]

--agreement: vectors of int8 and bf16 beside those of fp32, of a trained encoder: the built-in reader's with mean pooling.
"centred cosine": after subtraction of the mean vector, since all vectors of such an encoder are near one another. recall@10
is that of one question a passage among all passages of its language.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.reading import LANGUAGES, material

Embeds = Callable[[Sequence[str]], Any]
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
PREFIX = "passage: "


def small_model(folder: Path) -> Path:
    """A saved embedder of multilingual-e5-small's size with random weights."""
    import torch
    from transformers import AutoConfig, BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1_536}
    vocabulary = AutoConfig.from_pretrained(str(_reader())).vocab_size
    BertModel(BertConfig(vocab_size=vocabulary, **sizes)).save_pretrained(folder / "body")
    return _embedder(folder, _reader())


def trained_model(folder: Path) -> Path:
    """The encoder of the built-in reader as an embedder."""
    from transformers import AutoModel

    AutoModel.from_pretrained(str(_reader())).save_pretrained(folder / "body")
    return _embedder(folder, _reader())


def _reader() -> Path:
    from indexing.models.registry import resolve

    return resolve("builtin", "reader").path


def _embedder(folder: Path, tokenizer: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts

    for name in TOKENIZER:
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, folder / "body" / name)
    body = parts.Transformer(str(folder / "body"), max_seq_length=512)
    modules = [body, parts.Pooling(body.get_embedding_dimension()), parts.Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


# -- speed -------------------------------------------------------------------------------------------------------------


def systems(folder: Path) -> dict[str, Embeds]:
    from indexing.models.sentence_transformer import load_sentence_transformer

    stock = load_sentence_transformer(str(folder), "cpu")
    found: dict[str, Embeds] = {
        "sentence-transformers": lambda texts: stock.encode([PREFIX + text for text in texts], show_progress_bar=False)
    }
    return found | {f"docqa {precision}": ours(folder, precision) for precision in ("fp32", "int8")}


def ours(folder: Path, precision: str) -> Embeds:
    from indexing.models.embedder import Embedder
    from indexing.models.registry import ModelFolder, resolve

    found = resolve(str(folder), "embedder")
    prefixed = ModelFolder(found.name, found.source, found.fingerprint, None, found.model_type, ("query: ", PREFIX))
    return Embedder(prefixed, precision=precision).passages


def measured(found: dict[str, Embeds], texts: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Times of each system over `rounds` alternating rounds, after one warm-up round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
    vectors: dict[str, Any] = {}
    for n in range(rounds + 1):
        for name, embed in found.items():
            began, busy = time.perf_counter(), time.process_time()
            vectors[name] = embed(texts)
            times[name] += [(time.perf_counter() - began, time.process_time() - busy)] if n else []
    stock = next(iter(found))
    middle = {name: [machine.quantile([row[at] for row in rows], 0.5) for at in (0, 1)] for name, rows in times.items()}
    return [
        {
            "system": name,
            "passages/s": len(texts) / wall,
            "seconds": wall,
            "cpu s": cpu,
            "times faster": middle[stock][0] / wall,
            "times less cpu": middle[stock][1] / cpu,
            "least cosine": f"{(vectors[name] * vectors[stock]).sum(axis=1).min():.7f}",
        }
        for name, (wall, cpu) in middle.items()
    ]


# -- agreement ---------------------------------------------------------------------------------------------------------


def agreement(folder: Path, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Passages and questions of each precision beside fp32's. "mixed": fp32 questions over the precision's passages."""
    made = {}
    for precision in ("fp32", "int8", "bf16"):
        embed = ours(folder, precision)
        made[precision] = (embed([question for question, _ in pairs]), embed([text for _, text in pairs]))
    whole_questions, whole_passages = made["fp32"]
    middle = whole_passages.mean(axis=0)
    return [
        {
            "precision": precision,
            "least cosine": f"{(passages * whole_passages).sum(axis=1).min():.5f}",
            "centred cosine": f"{cosines(passages - middle, whole_passages - middle).mean():.5f}",
            "recall@10": recall(questions, passages),
            "mixed recall@10": recall(whole_questions, passages),
        }
        for precision, (questions, passages) in made.items()
    ]


def cosines(ours: Any, theirs: Any) -> Any:
    """The cosine of each pair of rows."""
    return (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)


def recall(questions: Any, passages: Any, k: int = 10) -> float:
    """The share of questions, in percent, whose passage is among the k nearest of its language."""
    found = 0
    for at in range(len(LANGUAGES)):
        scores = questions[at :: len(LANGUAGES)] @ passages[at :: len(LANGUAGES)].T
        found += int((np.sum(scores > np.diag(scores)[:, None], axis=1) < k).sum())
    return 100 * found / len(questions)


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.embedding", description="Embedding passages, side by side.")
    options.add_argument("--xquad", type=Path, help="folder of xquad.LANGUAGE.json")
    options.add_argument("--passages", type=int, default=200)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--agreement", action="store_true")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    if chosen.agreement and chosen.xquad is None:
        options.error("--agreement needs --xquad")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    facts = machine.facts()
    print(machine.line(facts), flush=True)
    pairs = material(chosen.xquad)[: chosen.passages]
    with tempfile.TemporaryDirectory() as made:
        if chosen.agreement:
            rows = agreement(trained_model(Path(made)), pairs)
        else:
            rows = measured(systems(small_model(Path(made))), [text for _, text in pairs], chosen.rounds)
    print(machine.table(rows))
    machine.finish(facts, {"rows": rows}, chosen.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Reading speed of stock FARMReader, the transformers pipeline, and docqa in each precision.

All run in one process, alternating. Every round times each system once on the same questions and passages, so ratios hold
on a busy machine. Model (a) has XLM-R base's size (12 layers x 768, vocabulary 250,002), the built-in tokenizer's
vocabulary, and random weights, on which speed does not depend. Model (b) is the built-in reader. Passages are XQuAD's
(ar de en hi zh) if that folder is given, else those of examples/corpus.

"share": arithmetic throughput relative to a float32 matrix multiplication of 2,560 x width x 4 width in the same run. It
counts linear layers and attention over the time of the whole call, with tokenization.

    python -m benchmarks.reading [--xquad FOLDER] [--passages 1 10 50] [--questions 64] [--rounds 5]
                                 [--model base builtin] [--no-transformers] [--json FILE]
    python -m benchmarks.reading --memory      # peak memory of a process that loads a model and reads ten passages
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.corpus import EXAMPLES

LANGUAGES = ("ar", "de", "en", "hi", "zh")
SIZES: dict[str, Any] = {"max_seq_len": 256, "doc_stride": 128}
Questions = list[tuple[str, list[str]]]


# -- inputs ------------------------------------------------------------------------------------------------------------


def material(xquad: Path | None) -> list[tuple[str, str]]:
    """(question, passage) pairs, alternating between languages."""
    if xquad is None:
        questions = json.loads((EXAMPLES.parent / "questions.json").read_text("utf-8"))["data"]
        return [(p["qas"][0]["question"], p["context"]) for article in questions for p in article["paragraphs"]]
    columns = []
    for language in LANGUAGES:
        data = json.loads((xquad / f"xquad.{language}.json").read_text("utf-8"))["data"]
        columns.append([(p["qas"][0]["question"], p["context"]) for article in data for p in article["paragraphs"]])
    return [pair for row in zip(*columns, strict=False) for pair in row]


def asked_of(pairs: Sequence[tuple[str, str]], questions: int, passages: int) -> Questions:
    """`questions` questions over `passages` consecutive passages each."""
    texts = [text for _, text in pairs]
    return [
        (pairs[n % len(pairs)][0], [texts[(n * passages + k) % len(texts)] for k in range(passages)])
        for n in range(questions)
    ]


def base_model(folder: Path) -> Path:
    """A saved question-answering model of XLM-R base's size with random weights."""
    import shutil

    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForQuestionAnswering

    from indexing.models.registry import resolve

    source = resolve("builtin", "reader").path
    torch.manual_seed(0)
    config = XLMRobertaConfig(vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
    XLMRobertaForQuestionAnswering(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    return folder


# -- systems -----------------------------------------------------------------------------------------------------------

Reads = Callable[[Questions], Any]


def stock(folder: Path) -> Reads:
    from haystack import Document
    from haystack.nodes import FARMReader

    reader = FARMReader(str(folder), num_processes=0, progress_bar=False, use_gpu=False, **SIZES)
    return lambda asked: [reader.predict(question, [Document(content=text) for text in texts]) for question, texts in asked]


def transformers_pipeline(folder: Path) -> Reads:
    from transformers.pipelines import pipeline

    answer = pipeline("question-answering", model=str(folder), tokenizer=str(folder), device="cpu")
    how = {"max_seq_len": SIZES["max_seq_len"], "doc_stride": SIZES["doc_stride"], "handle_impossible_answer": True}
    return lambda asked: [
        answer([{"question": question, "context": text} for text in texts], batch_size=10, **how)
        for question, texts in asked
    ]


def ours(folder: Path, precision: str) -> Reads:
    from indexing.models.registry import resolve
    from qa_pipeline.reading.load import load_reader

    reader = load_reader(resolve(str(folder), "reader"), precision=precision, remember=0, use_gpu=False, **SIZES)

    def read(asked: Questions) -> Any:
        reader.forget()  # type: ignore[attr-defined]
        return reader.read_pairs([(question, text) for question, texts in asked for text in texts])  # type: ignore[attr-defined]

    return read


def systems(folder: Path, precisions: Sequence[str], pipeline: bool = True) -> dict[str, Reads]:
    found = {"FARMReader": stock(folder)}
    if pipeline:
        found["transformers"] = transformers_pipeline(folder)
    return {**found, **{f"docqa {name}": ours(folder, name) for name in precisions}}


# -- measuring ---------------------------------------------------------------------------------------------------------


def ceiling(width: int) -> float:
    """GFLOP/s of a float32 matrix multiplication of the reader's shapes, the best of ten."""
    import torch

    x, y = torch.randn(2_560, width), torch.randn(width, 4 * width)
    best = min(_seconds(lambda: x @ y) for _ in range(10))
    return 2 * 2_560 * width * 4 * width / best / 1e9


def int8_ceiling(width: int, window: int = 256, repeat: int = 40) -> float:
    """GOP/s of ONNX Runtime's int8 product alone, [window, width] by [width, 4 width], one thread on each core; best of ten.

    It is what the engine computes linear layers with, without scaling, activation, attention and tokenization.
    """
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = random.integers(-127, 128, (width, 4 * width), np.int8)
    zero = numpy_helper.from_array(np.array(128, np.uint8), "zero")
    node = helper.make_node("MatMulInteger", ["x", "weights", "zero"], ["y"])
    given = helper.make_tensor_value_info("x", TensorProto.UINT8, [window, width])
    result = helper.make_tensor_value_info("y", TensorProto.INT32, [window, 4 * width])
    graph = helper.make_graph([node], "product", [given], [result], [numpy_helper.from_array(weights, "weights"), zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    sessions = [onnxruntime.InferenceSession(model, settings) for _ in range(cores)]
    x = random.integers(0, 256, (window, width), np.uint8)

    def multiply(session: Any) -> None:
        for _ in range(repeat):
            session.run(None, {"x": x})

    with ThreadPoolExecutor(cores) as pool:
        best = min(_seconds(lambda: list(pool.map(multiply, sessions))) for _ in range(10))
    return cores * repeat * 2 * window * width * 4 * width / best / 1e9


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def cost(folder: Path, asked: Questions) -> tuple[int, float]:
    """Tokens of all windows, and GFLOP to read them (linear layers and attention)."""
    from transformers import AutoConfig

    from indexing.models.registry import resolve
    from qa_pipeline.reading.load import load_reader

    reader: Any = load_reader(resolve(str(folder), "reader"), precision="fp32", remember=0, use_gpu=False, **SIZES)
    config = AutoConfig.from_pretrained(str(folder))
    width, layers, inner = config.hidden_size, config.num_hidden_layers, config.intermediate_size
    lengths = [
        len(window.ids) for window in reader.inputs([(question, text) for question, texts in asked for text in texts])
    ]
    linear = sum(lengths) * 2 * layers * (4 * width * width + 2 * width * inner)
    attention = sum(length * length for length in lengths) * 4 * layers * width
    return sum(lengths), (linear + attention) / 1e9


def measured(folder: Path, found: dict[str, Reads], asked: Questions, rounds: int, top: float) -> list[dict[str, Any]]:
    """Times of each system over `rounds` alternating rounds, after a warm-up on at most eight of the questions."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for read in found.values():
        read(asked[:8])
    for _ in range(rounds):
        for name, read in found.items():
            times[name].append(_seconds(lambda read=read: read(asked)))  # type: ignore[misc]
    tokens, work = cost(folder, asked)
    passages = sum(len(texts) for _, texts in asked)
    first = machine.quantile(times["FARMReader"], 0.5)
    return [
        {
            "questions": len(asked),
            "passages each": len(asked[0][1]),
            "system": name,
            "p50 ms": 1e3 * machine.quantile(seconds, 0.5),
            "p95 ms": 1e3 * machine.quantile(seconds, 0.95),
            "passages/s": passages / machine.quantile(seconds, 0.5),
            "tokens/s": tokens / machine.quantile(seconds, 0.5),
            "times FARMReader": first / machine.quantile(seconds, 0.5),
            "share %": 100 * work / machine.quantile(seconds, 0.5) / top,
        }
        for name, seconds in times.items()
    ]


def memory(folder: Path, name: str, xquad: Path | None) -> dict[str, Any]:
    """Peak memory of a new process that loads the model as system `name` does and reads ten passages."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.reading", "--one", name, "--folder", str(folder)]
    result = subprocess.run(
        [*command, *(["--xquad", str(xquad)] if xquad else [])], capture_output=True, text=True, check=True, cwd=machine.ROOT
    )
    return {"system": name, **json.loads(result.stdout.splitlines()[-1])}


def one(name: str, folder: Path, xquad: Path | None) -> int:
    """The child process of `memory`."""
    asked = asked_of(material(xquad), 1, 10)
    began = time.perf_counter()
    read = {"FARMReader": stock, "transformers": transformers_pipeline}.get(name) or (lambda at: ours(at, name.split()[1]))
    reads = read(folder)
    loaded = time.perf_counter() - began
    reads(asked)
    print(json.dumps({"load s": round(loaded, 2), "peak MB": round(_peak_mb())}))
    return 0


def _peak_mb() -> float:
    """Peak memory of this process. Not ru_maxrss: on Linux that starts at the parent's value."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> int:
    options = argparse.ArgumentParser(prog="benchmarks.reading", description="Reading passages, side by side.")
    options.add_argument("--xquad", type=Path, help="folder of xquad.LANGUAGE.json")
    options.add_argument("--model", nargs="+", default=["base", "builtin"], choices=["base", "builtin"])
    options.add_argument("--passages", nargs="*", type=int, default=[1, 10, 50])
    options.add_argument(
        "--questions", type=int, default=64, help="of the case of many questions over ten passages each (64)"
    )
    options.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--no-transformers", action="store_true", help="leave the transformers pipeline out")
    options.add_argument("--memory", action="store_true")
    options.add_argument("--json", type=Path)
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    if chosen.one:
        return one(chosen.one, chosen.folder, chosen.xquad)
    facts = machine.facts()
    print(machine.line(facts))
    from indexing.models.registry import resolve

    results: dict[str, Any] = {"machine": facts}
    with tempfile.TemporaryDirectory() as made:
        for model in chosen.model:
            folder = base_model(Path(made) / "base") if model == "base" else resolve("builtin", "reader").path
            if chosen.memory:
                names = ("FARMReader", "transformers", *(f"docqa {name}" for name in chosen.precision))
                results[f"{model} memory"] = [memory(folder, name, chosen.xquad) for name in names]
                print(f"\n{model}: memory\n{machine.table(results[f'{model} memory'])}", flush=True)
                continue
            results[model] = _timed(folder, model, chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    return 0


def _timed(folder: Path, model: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    pairs, found = material(chosen.xquad), systems(folder, chosen.precision, not chosen.no_transformers)
    width = 768 if model == "base" else 384
    top, int8 = ceiling(width), int8_ceiling(width)
    print(f"\n{model}: matrix multiplication in float32 {top:.0f} GFLOP/s, in int8 {int8:.0f} ({100 * int8 / top:.0f} %)")
    cases = [(1, passages) for passages in chosen.passages] + ([(chosen.questions, 10)] if chosen.questions else [])
    rows: list[dict[str, Any]] = []
    for questions, passages in cases:
        rounds = chosen.rounds if questions * passages <= 50 else 1
        rows += measured(folder, found, asked_of(pairs, questions, passages), rounds, top)
        print(machine.table(rows[-len(found) :]), flush=True)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())

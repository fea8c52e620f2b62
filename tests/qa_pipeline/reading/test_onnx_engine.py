"""ONNX Runtime gives torch's logits, for every architecture, and says where it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.errors import SettingError
from indexing.models import onnx_export, threads
from indexing.models.conversion import FAILED, NotConvertible
from indexing.models.hardware import Hardware
from indexing.models.onnx_export import CHECKED, convert_model
from indexing.models.registry import ModelFolder, resolve
from indexing.models.threads import parallel, thread_count
from qa_pipeline.haystack.load import load_farm_reader
from qa_pipeline.reading.load import load_reader, onnx_precision
from qa_pipeline.reading.onnx_engine import OnnxEngine, load_onnx_reader
from qa_pipeline.reading.torch_engine import TorchEngine, load_torch_reader
from qa_pipeline.reading.window_reader import ReadingOptions, WindowReader
from tests.known import SCRIPTS
from tests.model_folders import run_child
from tests.tiny import LONG, LONG_QUESTION, QUESTION, UGLY, check_laws, close, make_reader

KINDS = {"xlm-roberta": 3, "bert": 4, "distilbert": 5}
SMALL = ReadingOptions(max_seq_len=64, doc_stride=16, max_query_length=12)
VNNI, AVX2, AVX = Hardware("cpu", frozenset({"avx2", "avx512_vnni"})), Hardware("cpu", frozenset({"avx2"})), Hardware("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFolder]:
    home = tmp_path_factory.mktemp("readers")
    return {kind: resolve(str(make_reader(kind, home / kind, seed)), "reader") for kind, seed in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_reader_reads_as_torch_does(folders: dict[str, ModelFolder], kind: str) -> None:
    folder = folders[kind]
    onnx = load_onnx_reader(folder, SMALL, "fp32")
    torch = load_torch_reader(folder, SMALL, precision="fp32", use_gpu=False)
    assert onnx.layout == torch.layout
    for question in (QUESTION, LONG_QUESTION):
        for text in UGLY:
            assert onnx.inputs([(question, text)]) == torch.inputs([(question, text)])
        ours, theirs = onnx.read(question, UGLY), torch.read(question, UGLY)
        check_laws(ours, UGLY)
        close(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_torchs_logits(folders: dict[str, ModelFolder], kind: str) -> None:
    """With them FARM's confidence is exact."""
    options = ReadingOptions(64, 16, 12, exact_confidence=True)
    onnx = load_onnx_reader(folders[kind], options, "fp32")
    torch = load_torch_reader(folders[kind], options, precision="fp32", use_gpu=False)
    group = onnx.inputs([(QUESTION, text) for text in [*SCRIPTS.values(), LONG]])
    pairs = zip(onnx.engine.logits(group, options), torch.engine.logits(group, options), strict=True)
    for (ours, missing), (theirs, wanted) in pairs:
        assert missing == wanted and ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 2e-4


def test_a_pad_inside_a_text_is_a_token_like_others(folders: dict[str, ModelFolder]) -> None:
    onnx = load_onnx_reader(folders["xlm-roberta"], SMALL, "fp32")
    torch = load_torch_reader(folders["xlm-roberta"], SMALL, precision="fp32", use_gpu=False)
    (window,) = onnx.inputs([(QUESTION, "x")])
    window.ids[-2] = 1
    (ours, _), (theirs, _) = (reader.engine.logits([window], SMALL)[0] for reader in (onnx, torch))
    assert np.abs(ours - theirs).max() < 2e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hardware", [VNNI, AVX2])
def test_int8_keeps_the_laws_and_stays_near(folders: dict[str, ModelFolder], kind: str, hardware: Hardware) -> None:
    whole = load_onnx_reader(folders[kind], SMALL, "fp32")
    small = load_onnx_reader(folders[kind], SMALL, "int8", hardware=hardware)
    check_laws(small.read(QUESTION, UGLY), UGLY)
    group = whole.inputs([(QUESTION, text) for text in SCRIPTS.values()])
    one, other = (np.concatenate([row for row, _ in r.engine.logits(group, SMALL)]) for r in (whole, small))
    assert 0 < np.sqrt(np.mean((one - other) ** 2)) < (0.2 if hardware.saturates else 0.1) * one.std()


def test_the_builtin_reader_is_converted_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from indexing.models.registry import resolve\n"
        "from qa_pipeline.reading.load import load_reader\n"
        "text = 'The bridge was opened in 1912. It is long.'\n"
        "for precision in ('fp32', 'int8', 'auto', 'auto'):\n"
        "    reader = load_reader(resolve('builtin', 'reader'), precision=precision)\n"
        "    (span,) = reader.read('When was it opened?', [text])[0].spans\n"
        "    assert text[span.start : span.end] == '1912', span\n"
        "print([name for name in ('torch', 'transformers', 'haystack', 'scipy') if name in sys.modules])"
    )
    assert run_child(code, DOCQA_CACHE=str(tmp_path)) == "[]"
    assert not list(tmp_path.glob("builtin-*")), "the weights were widened to float32"


def test_the_builtin_reader_is_that_of_torch() -> None:
    folder = resolve("builtin", "reader")
    options = ReadingOptions(256, 128)
    onnx = load_onnx_reader(folder, options, "fp32")
    torch = load_torch_reader(folder, options, precision="fp32", use_gpu=False)
    assert onnx.layout == torch.layout
    pairs = [(QUESTION, text) for text in [*SCRIPTS.values(), LONG]]
    group = onnx.inputs(pairs)
    assert group == torch.inputs(pairs)
    for (ours, _), (theirs, _) in zip(onnx.engine.logits(group, options), torch.engine.logits(group, options), strict=True):
        assert np.abs(ours - theirs).max() < 1e-4


def test_the_builtin_reader_in_int8_marks_the_same_answers() -> None:
    asked = [
        ("When was the bridge opened?", "The bridge was opened in 1912. It cost 3 million pounds.", "1912"),
        ("Wie hoch ist der Turm?", "Der Turm wurde 1777 vollendet. Er ist 84 Meter hoch.", "84 Meter"),
        ("متى افتتح الجسر؟", "افتتح الجسر في عام 1912. وهو طويل.", "1912"),
        ("橋はいつ開通しましたか。", "橋は1912年に開通した。", "1912年"),
        ("Who designed the ship?", "The bridge was opened in 1912. It cost 3 million pounds.", ""),
    ]
    whole, small = (load_reader(resolve("builtin", "reader"), precision=p, use_gpu=False) for p in ("fp32", "int8"))
    for question, text, wanted in asked:
        (one,), (other,) = whole.read(question, [text]), small.read(question, [text])
        assert abs(one.spans[0].margin - other.spans[0].margin) < 0.5
        assert (one.spans[0].margin > 0) == (other.spans[0].margin > 0) == bool(wanted)
        for span in (one.spans[0], other.spans[0]) if wanted else ():
            assert wanted in text[span.start : span.end]


def test_farmreader_gives_the_same_spans(folders: dict[str, ModelFolder]) -> None:
    sizes: dict[str, Any] = {"max_seq_len": 64, "doc_stride": 16, "max_query_length": 12, "use_gpu": False}
    farm = load_farm_reader(folders["bert"], precision="fp32", **sizes)
    close(load_onnx_reader(folders["bert"], SMALL, "fp32").read(QUESTION, UGLY), farm.read(QUESTION, UGLY))


# -- choosing and falling back -----------------------------------------------------------------------------------------


def test_which_precision_is_computed_where() -> None:
    chosen = {p: onnx_precision(p, VNNI) for p in ("auto", "fp32", "int8", "bf16", "fp16")}
    assert chosen == {"auto": "int8", "fp32": "fp32", "int8": "int8", "bf16": None, "fp16": None}
    assert onnx_precision("auto", AVX2) == "fp32" and onnx_precision("fp32", Hardware("cuda")) is None
    assert AVX2.saturates and not VNNI.saturates and not AVX.saturates


def test_the_usual_loading_uses_onnx_and_bf16_torch(folders: dict[str, ModelFolder]) -> None:
    engines = {p: load_reader(folders["bert"], precision=p, use_gpu=False) for p in ("fp32", "int8", "auto", "bf16")}
    found = {p: type(reader.engine) for p, reader in engines.items() if isinstance(reader, WindowReader)}
    assert found == {"fp32": OnnxEngine, "int8": OnnxEngine, "auto": OnnxEngine, "bf16": TorchEngine}
    trained = load_reader(folders["bert"], precision="fp32", use_gpu=False, with_torch=True)
    assert isinstance(trained, WindowReader) and isinstance(trained.engine, TorchEngine)


def changed(folder: ModelFolder, into: Path, **config: Any) -> ModelFolder:
    shutil.copytree(folder.source, into)
    known = json.loads((into / "config.json").read_text())
    (into / "config.json").write_text(json.dumps({**known, **config}))
    return resolve(str(into), "reader")


def test_a_graph_that_is_not_known_is_computed_with_torch(folders: dict[str, ModelFolder], tmp_path: Path) -> None:
    odd = changed(folders["xlm-roberta"], tmp_path / "odd", hidden_act="silu")
    with pytest.raises(NotConvertible, match="activation silu"):
        convert_model(odd, "fp32", "logits", VNNI)
    reader = load_reader(odd, precision="fp32", use_gpu=False)
    assert isinstance(reader, WindowReader) and isinstance(reader.engine, TorchEngine)
    check_laws(reader.read(QUESTION, UGLY), UGLY)


def test_weights_in_bfloat16_are_computed_with_torch(folders: dict[str, ModelFolder], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders["bert"].source, tmp_path / "half")
    weights = load_file(tmp_path / "half" / "model.safetensors")
    half = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(half, tmp_path / "half" / "model.safetensors", metadata={"format": "pt"})
    folder = resolve(str(tmp_path / "half"), "reader")
    with pytest.raises(NotConvertible, match="no tensor .* that can be read"):
        convert_model(folder, "fp32", "logits", VNNI)
    reader = load_reader(folder, precision="fp32", use_gpu=False)
    assert isinstance(reader, WindowReader) and isinstance(reader.engine, TorchEngine)
    check_laws(reader.read(QUESTION, UGLY), UGLY)


def test_a_graph_with_other_outputs_is_not_used(
    folders: dict[str, ModelFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    assert onnx_export.main([str(folders["bert"].source), str(tmp_path), "int8", "logits", "127"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [FAILED]
    assert "other outputs" in json.loads((tmp_path / FAILED).read_text())["reason"]


def test_a_failed_conversion_is_not_tried_at_each_start(
    folders: dict[str, ModelFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "cache"))
    broken = changed(folders["bert"], tmp_path / "broken", layer_norm_eps="1e-1")
    with pytest.raises(NotConvertible) as first:
        convert_model(broken, "fp32", "logits", VNNI)
    assert len(list((tmp_path / "cache").rglob(FAILED))) == 1
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("tried again"))
    with pytest.raises(NotConvertible) as second:
        convert_model(broken, "fp32", "logits", VNNI)
    assert str(first.value) == str(second.value) and "Traceback" not in str(first.value)


def test_a_conversion_is_checked_and_kept(
    folders: dict[str, ModelFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path))
    first = convert_model(folders["distilbert"], "fp32", "logits", VNNI)
    known = json.loads((first.graph.parent / CHECKED).read_text())
    assert 0 <= known["largest_difference"] < 1e-4
    stamp = first.graph.stat().st_mtime_ns
    assert convert_model(folders["distilbert"], "fp32", "logits", VNNI) == first and first.graph.stat().st_mtime_ns == stamp
    first.graph.write_bytes(b"damaged")
    assert convert_model(folders["distilbert"], "fp32", "logits", VNNI).graph.stat().st_size > 1_000


# -- threads -----------------------------------------------------------------------------------------------------------


def test_threads_are_those_asked_for_or_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_THREADS", "3")
    assert thread_count() == 3
    for wrong in ("0", "-1", "x", "1.5", "٣", "1000"):
        monkeypatch.setenv("DOCQA_THREADS", wrong)
        with pytest.raises(SettingError, match="DOCQA_THREADS"):
            thread_count()
    monkeypatch.delenv("DOCQA_THREADS")
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    free = thread_count()
    for number, (files, wanted) in enumerate(
        (
            ({"cpu.max": "max 100000\n"}, free),
            ({"cpu.max": "50000 100000\n"}, 1),
            ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
            ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, free),
        )
    ):
        group = tmp_path / str(number)
        (group / "cpu").mkdir(parents=True)
        for name, text in files.items():
            (group / name).write_text(text)
        monkeypatch.setattr(threads, "CGROUP", group)
        assert thread_count() == wanted


@pytest.mark.parametrize("count", ["1", "2", "5"])
def test_results_come_in_order_whatever_the_threads(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setenv("DOCQA_THREADS", count)
    assert parallel(lambda n: n * n, [3, 9, 1, 4], lambda n: n) == [9, 81, 1, 16]
    assert parallel(str, [], lambda _: 0) == []

"""The built-in models: widened once into the cache, sound or made again, wherever that can be."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexing.errors import ModelMissing, ModelRefused
from indexing.lru_cache import LRUCache
from indexing.models import cache, registry
from indexing.models import cache as cache_
from indexing.models.embedder import Embedder
from indexing.models.presets import PRESETS
from indexing.models.registry import available, builtin_tokenizer, resolve
from indexing.models.shared_files import shared_files
from tests.model_folders import load_reader, one_sentence, remove, run_child, shorten, write

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_builtin_reader_is_an_ordinary_folder(own_cache: Path) -> None:
    from safetensors.numpy import load_file

    found = resolve("builtin", "reader")
    assert found.path == own_cache / f"builtin-{found.fingerprint[:12]}" / "reader"
    assert (found.model_type, found.preset) == ("xlm-roberta", PRESETS["reader", "builtin"])
    stored = load_file(registry.PACKAGED / "reader" / "model.small.safetensors")
    wide = load_file(found.path / "model.safetensors")
    name = next(name.removesuffix(".int8") for name in stored if name.endswith(".int8"))
    assert np.array_equal(wide[name], stored[f"{name}.int8"] * stored[f"{name}.scale"][:, None])
    assert all(tensor.dtype == np.float32 for tensor in wide.values())
    model, tokenizer = load_reader(found.path)
    assert 57_000_000 < model.num_parameters() < 58_000_000 and tokenizer.is_fast


def test_the_builtin_embedder_loads_with_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    found = resolve("builtin", "embedder")
    assert (found.model_type, found.prefixes) == ("static", ("", ""))
    model = SentenceTransformer(str(found.path), device="cpu", local_files_only=True)
    one, same, other = model.encode(["the bridge over the river", "die Brücke über den Fluss", "tax law"])
    assert one.shape == (384,) and model.similarity(one, same) > model.similarity(one, other)


@pytest.mark.parametrize("harm", ["shorten", "flip", "extra", "missing", "manifest"])
def test_a_harmed_cache_is_made_again(harm: str) -> None:
    path = resolve("builtin", "embedder").path
    weights = path / "model.safetensors"
    whole, before = weights.read_bytes(), weights.stat()
    if harm == "flip":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif harm == "manifest":
        (path / cache.MANIFEST).write_text("{", "utf-8")
    else:
        {"shorten": shorten("model.safetensors"), "missing": remove("tokenizer.json"), "extra": write("extra.json", b"{}")}[
            harm
        ](path)
    again = resolve("builtin", "embedder").path
    assert again == path and weights.read_bytes() == whole and cache.is_sound(path)
    assert sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock")) == ["embedder"]


def test_two_processes_at_once(tmp_path: Path) -> None:
    code = "from indexing.models.registry import resolve; print(resolve('builtin', 'embedder').path)"
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: run_child(code), range(3)))
    assert len(paths) == 1 and cache.is_sound(Path(paths.pop()))


def test_left_overs_of_a_killed_process_are_cleared(own_cache: Path) -> None:
    left = resolve("builtin", "embedder").path.parent / f".embedder.{16 * '0'}.new"
    left.mkdir()
    shorten("model.safetensors")(left.parent / "embedder")
    assert resolve("builtin", "embedder").path.is_dir()
    assert not left.exists()


def test_without_a_place_to_write_a_private_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path / "file" / "cache"))
    folder = cache_.cache_folder()
    assert folder == cache_.cache_folder() and folder.is_dir() and folder.stat().st_mode & 0o077 == 0
    assert resolve("builtin", "embedder").path.is_relative_to(folder)
    made = run_child("from indexing.models.cache import cache_folder; print(cache_folder())")
    assert not Path(made).exists()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DOCQA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_.cache_folder() == tmp_path / "xdg" / "docqa"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_.cache_folder() == tmp_path / "home" / ".cache" / "docqa"


def test_a_cache_made_before_is_used_where_it_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    path = resolve("builtin", "embedder").path
    monkeypatch.setattr(cache, "_writable", lambda folder: False)
    assert resolve("builtin", "embedder").path == path


def test_no_room_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry, "widen", full)
    with pytest.raises(ModelMissing, match="No space left on device") as missing:
        assert not resolve("builtin", "embedder").path
    one_sentence(missing.value)


def test_an_installation_without_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    with pytest.raises(ModelMissing, match="without its built-in reader") as missing:
        resolve("builtin", "reader")
    one_sentence(missing.value)
    assert {here for preset, here, _ in available() if preset.name == "builtin"} == {False}


def test_the_builtin_tokenizer_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tokenizers", LRUCache(8))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: builtin_tokenizer(), range(16)))
    assert len({id(tokenizer) for tokenizer in found}) == 1
    assert found[0].padding is None and found[0].truncation is None
    assert len(found[0].encode("bridge " * 2_000, add_special_tokens=False)) >= 2_000


def test_importing_is_light() -> None:
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'numpy', 'safetensors', 'tokenizers'}"
    assert run_child(f"import sys, indexing.models.registry; print(sorted({heavy} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("model", ["reader", "sentence"])
def test_what_built_in_models_share_is_what_they_were_made_with(model: str) -> None:
    source = registry.PACKAGED / model
    shared = shared_files(source)
    assert shared is not None and shared.folder == source.parent / "shared"
    assert shared.digests() == {**shared.files, **shared.tensors}


def test_the_sentence_encoder_loads_with_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    found = resolve("builtin-sentence", "embedder")
    model = SentenceTransformer(str(found.path), device="cpu", local_files_only=True)
    texts = ["query: Wann fährt die Fähre?", "passage: The ferry leaves at noon.", "passage: " + "long " * 900]
    theirs = model.encode(texts)
    ours = Embedder(found, precision="fp32")._encode(texts)
    assert np.abs(theirs - ours).max() < 2e-4
    assert ours[0] @ ours[1] > ours[0] @ ours[2]


def test_a_broken_list_of_shared_files_is_one_sentence(tmp_path: Path) -> None:
    outside = '{"folder": "../reader", "prefix": "", "files": {}, "tensors": {}}'
    for broken in ("{", outside, '{"folder": "reader"}'):
        (tmp_path / "shared.json").write_text(broken, "utf-8")
        with pytest.raises(ModelRefused) as raised:
            shared_files(tmp_path)
        one_sentence(raised.value)
    (tmp_path / "shared.json").unlink()
    assert shared_files(tmp_path) is None

"""Weight files: shards are checked, pickles become safetensors, and nothing in them runs."""

from __future__ import annotations

import gc
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from indexing.errors import ModelError, ModelMissing, ModelRefused
from indexing.models.registry import resolve
from indexing.models.weights import _maps, mapped, tensor_names
from tests.indexing.models.conftest import KINDS
from tests.model_folders import (
    Change,
    as_pickle,
    copied,
    load_reader,
    one_sentence,
    write,
)

pytestmark = pytest.mark.usefixtures("own_cache", "hub_cache")


# -- shards ------------------------------------------------------------------------------------------------------------


SHARDS = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
OUTSIDE = json.dumps({"weight_map": {"a": "../model.safetensors"}}).encode()
SHARDED: list[tuple[type[ModelError], str, Change]] = [
    (ModelMissing, "lacks model-00001", write("model.safetensors.index.json", SHARDS)),
    (ModelRefused, "no weight file beside", write("model.safetensors.index.json", OUTSIDE)),
    (ModelRefused, "no readable list", write("model.safetensors.index.json", b"{}")),
    (ModelRefused, "lists no weight", write("model.safetensors.index.json", b'{"weight_map": {}}')),
]


@pytest.mark.parametrize(("error", "words", "change"), SHARDED)
def test_a_list_of_shards_is_not_trusted(
    readers: dict[str, Path], tmp_path: Path, error: type[ModelError], words: str, change: Change
) -> None:
    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    change(folder)
    with pytest.raises(error, match=words) as found:
        resolve(str(folder), "reader")
    one_sentence(found.value)


def test_shards_of_safetensors_are_read(readers: dict[str, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForQuestionAnswering

    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    AutoModelForQuestionAnswering.from_pretrained(readers["bert"]).save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    load_reader(resolve(str(folder), "reader").path)


# -- pickles -----------------------------------------------------------------------------------------------------------


class Payload:
    """Unpickled without care, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.mark, "run")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_tensors_becomes_safetensors(readers: dict[str, Path], tmp_path: Path, kind: str) -> None:
    import torch

    folder = as_pickle(readers[kind], tmp_path / "old", legacy=kind in ("xlm", "bert"))
    found = resolve(str(folder), "reader")
    assert found.path == tmp_path / "cache" / f"converted-{found.fingerprint[:12]}"
    assert not list(found.path.glob("*.bin"))
    model, _ = load_reader(found.path)
    expected, _ = load_reader(readers[kind])
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), expected.parameters(), strict=True))
    stamp = (found.path / "model.safetensors").stat().st_mtime_ns
    assert resolve(str(folder), "reader") == found
    assert (found.path / "model.safetensors").stat().st_mtime_ns == stamp


def test_shared_and_sharded_pickles(readers: dict[str, Path], tmp_path: Path) -> None:
    import torch

    folder = as_pickle(readers["bert"], tmp_path / "old")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    names = sorted(weights)
    first = {name: weights[name] for name in names[:3]} | {
        "twin": weights[names[0]],
        "turned": weights[names[1]].t(),
    }
    torch.save(first, folder / "one.bin")
    torch.save({name: weights[name] for name in names[3:]}, folder / "two.bin")
    table = {name: "one.bin" if name in first else "two.bin" for name in [*names, "twin", "turned"]}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": table}), "utf-8")
    path = resolve(str(folder), "reader").path
    assert set(tensor_names(path / "model.safetensors")) == set(table)


def test_modules_with_pickles_are_converted_whole(embedders: dict[str, Path], tmp_path: Path) -> None:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    folder = copied(embedders["deep"], tmp_path / "old")
    shutil.rmtree(folder / "2_Dense")
    as_pickle(embedders["deep"] / "2_Dense", folder / "2_Dense")
    found = resolve(str(folder), "embedder")
    assert found.path != folder and not list(found.path.rglob("*.bin"))
    ours, theirs = (SentenceTransformer(str(path), device="cpu") for path in (found.path, embedders["deep"]))
    assert np.array_equal(ours.encode(["the bridge"]), theirs.encode(["the bridge"]))


@pytest.mark.parametrize("place", ["", "2_Dense", "shard"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_with_a_payload_is_refused_and_never_run(
    readers: dict[str, Path], embedders: dict[str, Path], tmp_path: Path, place: str, protocol: int
) -> None:
    import torch

    mark = tmp_path / "ran"
    folder = copied(embedders["deep"] if place == "2_Dense" else readers["bert"], tmp_path / "model")
    inside = folder / ("2_Dense" if place == "2_Dense" else "")
    (inside / "model.safetensors").unlink()
    bad = inside / ("evil.bin" if place == "shard" else "pytorch_model.bin")
    if protocol == 2:
        torch.save({"weight": Payload(mark)}, bad)
    else:
        bad.write_bytes(pickle.dumps({"weight": Payload(mark)}, protocol=protocol))
    if place == "shard":
        index = json.dumps({"weight_map": {"weight": "evil.bin"}})
        (folder / "pytorch_model.bin.index.json").write_text(index, "utf-8")
    with pytest.raises(ModelRefused, match="not loaded") as refused:
        resolve(str(folder), "embedder" if place == "2_Dense" else "reader")
    one_sentence(refused.value)
    assert not mark.exists()
    assert not [path for path in (tmp_path / "cache").glob("*converted*") if path.suffix != ".lock"]


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04broken"])
def test_a_pickle_that_cannot_be_read_is_refused(readers: dict[str, Path], tmp_path: Path, content: bytes) -> None:
    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelRefused) as refused:
        resolve(str(folder), "reader")
    one_sentence(refused.value)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {1: None}])
def test_a_pickle_of_something_else_is_refused(readers: dict[str, Path], tmp_path: Path, value: Any) -> None:
    import torch

    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save(value, folder / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match="not a plain table") as refused:
        resolve(str(folder), "reader")
    one_sentence(refused.value)


def test_a_converted_embedder_is_not_taken_for_a_reader(embedders: dict[str, Path], tmp_path: Path) -> None:
    folder = as_pickle(embedders["body"], tmp_path / "old")
    with pytest.raises(ModelRefused, match="no question answering head"):
        resolve(str(folder), "reader")


def test_models_that_share_a_file_share_its_memory(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": np.arange(1000, dtype=np.float32)}, file)
    first, second = mapped(file)["a"], mapped(file)["a"]
    assert np.shares_memory(first, second) and not first.flags.writeable
    save_file({"a": np.zeros(1000, dtype=np.float32)}, tmp_path / "new")
    (tmp_path / "new").replace(file)
    assert first[7] == second[7] == 7 and mapped(file)["a"][7] == 0, "another file of that name is another map"
    before = len(_maps)
    del first, second
    gc.collect()
    assert len(_maps) < before

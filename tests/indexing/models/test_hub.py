"""Models of the hub: which are at hand, what is fetched, offline, and each failure in one sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import ModelMissing, SettingError
from indexing.models import hub, registry
from indexing.models.presets import DEFAULT_READER, PRESETS
from indexing.models.registry import available, resolve
from tests.model_folders import copied, load_reader, one_sentence, run_child
from tests.tiny import make_reader

SHA = "0123456789abcdef0123456789abcdef01234567"
pytestmark = pytest.mark.usefixtures("own_cache", "hub_cache")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reader("bert", tmp_path_factory.mktemp("readers") / "bert", 1)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts

    from tests.tiny import wordpieces

    folder = tmp_path_factory.mktemp("embedders") / "static"
    tokenizer = wordpieces("bert").backend_tokenizer
    SentenceTransformer(modules=[parts.StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(str(folder))
    return folder


def into_hub_cache(hub_cache: Path, repo: str, folder: Path) -> Path:
    base = hub_cache / f"models--{repo.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(SHA, "utf-8")
    return copied(folder, base / "snapshots" / SHA)


def test_a_preset_in_the_hubs_cache_is_used(embedder: Path, hub_cache: Path) -> None:
    preset = PRESETS["embedder", "e5-small"]
    snapshot = into_hub_cache(hub_cache, preset.model, embedder)
    for name in ("e5-small", preset.model, f"{preset.model}@main", f"{preset.model}@{SHA}"):
        found = resolve(name, "embedder", offline=True)
        assert (found.path, found.preset, found.name) == (snapshot, preset, name)
        assert found.prefixes == ("query: ", "passage: ")
    states = {(p.kind, p.name): (here, why) for p, here, why in available()}
    assert states["embedder", "e5-small"] == (True, "") and states["reader", "builtin"] == (True, "")
    assert states["reader", "xlmr-squad2"] == (False, "not downloaded")
    assert list(states) == list(PRESETS)


def test_a_model_with_two_hub_ids_is_found_by_either(reader: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = PRESETS["reader", "distilbert-tydiqa"]
    monkeypatch.setattr(registry, "download", lambda repo, _: _only(repo, preset.model, reader))
    for name in (preset.name, preset.model, *preset.also):
        found = resolve(name, "reader", offline=False)
        assert (found.name, found.preset, found.path) == (name, preset, reader)
    snapshot = into_hub_cache(hub_cache, preset.also[0], reader)
    for name in (preset.name, preset.model, *preset.also):
        assert resolve(name, "reader", offline=True).path == snapshot


def _only(repo: str, there: str, folder: Path) -> Path:
    if repo != there:
        raise ModelMissing(f"The hub has no model {repo}.")
    return folder


def test_a_download_that_was_cut_off_is_not_taken_for_the_model(reader: Path, hub_cache: Path) -> None:
    snapshot = into_hub_cache(hub_cache, PRESETS["reader", DEFAULT_READER].model, reader)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ModelMissing, match="no weights"):
        resolve(DEFAULT_READER, "reader", offline=True)
    assert dict((p.name, why) for p, _, why in available() if p.kind == "reader")[DEFAULT_READER]


@pytest.mark.parametrize("variable", ["DOCQA_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    for name in ("DOCQA_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(registry, "download", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(ModelMissing, match="offline"):
        resolve(DEFAULT_READER, "reader")


def test_offline_is_cast_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_OFFLINE", "maybe")
    with pytest.raises(SettingError, match="DOCQA_OFFLINE is 'maybe'"):
        resolve(DEFAULT_READER, "reader")


def test_online_asks_the_hub(reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def ask(repo: str, revision: str | None) -> Path:
        asked.append((repo, revision))
        return reader

    monkeypatch.setenv("DOCQA_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(registry, "download", ask)
    assert resolve("owner/name@v1", "reader").path == reader
    assert resolve(DEFAULT_READER, "reader").preset == PRESETS["reader", DEFAULT_READER]
    assert asked == [("owner/name", "v1"), ("deepset/xlm-roberta-base-squad2", None)]


def test_each_failure_of_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests
    from huggingface_hub import errors

    answer = requests.Response()
    answer.status_code = 403
    failures: list[tuple[Exception, str]] = [
        (errors.GatedRepoError("no", response=answer), "gated"),
        (errors.RepositoryNotFoundError("no", response=answer), "no model owner/name"),
        (errors.RevisionNotFoundError("no", response=answer), "no revision v9"),
        (errors.HfHubHTTPError("503 Server Error", response=answer), "503"),
        (errors.OfflineModeIsEnabled("no"), "HF_HUB_OFFLINE"),
        (requests.ConnectionError("long\nand technical"), "cannot be reached"),
        (requests.Timeout("slow"), "cannot be reached"),
        (OSError(28, "No space left on device", "/hub"), "No space left"),
    ]
    for error, words in failures:

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr("huggingface_hub.HfApi.model_info", fail)
        with pytest.raises(ModelMissing, match=words) as missing:
            resolve("owner/name@v9", "embedder", offline=False)
        assert "--embedder builtin" in one_sentence(missing.value)


def test_a_silent_network_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hold, answered = threading.Event(), threading.Event()
    monkeypatch.setattr(hub, "SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: (hold.wait(600), answered.set()))
    with pytest.raises(ModelMissing, match="cannot be reached"):
        resolve("owner/name", "reader", offline=False)
    assert not answered.is_set()
    hold.set()


def test_what_is_chosen_from_a_repository() -> None:
    rest = [
        "README.md",
        ".gitattributes",
        "run.py",
        "onnx/model.onnx",
        "tf_model.h5",
        "flax_model.msgpack",
        "training_args.bin",
        "nbest_predictions_.json",
        "rust_model.ot",
        "openvino/openvino_model.bin",
    ]
    wanted = ["config.json", "tokenizer.json", "sentencepiece.bpe.model", "vocab.txt", "modules.json"]
    assert hub.choose([*rest, *wanted, "pytorch_model.bin"]) == sorted([*wanted, "pytorch_model.bin"])
    safe = [*wanted, "model.safetensors", "1_Pooling/config.json", "2_Dense/pytorch_model.bin"]
    assert hub.choose([*rest, *safe, "pytorch_model.bin"]) == sorted(safe)
    shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert hub.choose([*shards, "pytorch_model.bin.index.json", "a/b/config.json"]) == sorted(shards)


class Hub(BaseHTTPRequestHandler):
    """One repository, served as the hub does."""

    folder: Path
    fetched: list[str]

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def log_message(self, *_: Any) -> None:
        return

    def _answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/owner/tiny"):
            files = [{"rfilename": p.relative_to(self.folder).as_posix()} for p in self.folder.rglob("*") if p.is_file()]
            body = json.dumps({"id": "owner/tiny", "sha": SHA, "siblings": files}).encode()
        elif path.startswith(f"/owner/tiny/resolve/{SHA}/"):
            name = path.removeprefix(f"/owner/tiny/resolve/{SHA}/")
            body = (self.folder / name).read_bytes()
            self.fetched.append(name)
        else:
            self.send_error(404)
            return
        self.send_response(200)
        for key, value in {
            "Content-Length": len(body),
            "ETag": f'"{hash(body)}"',
            "X-Repo-Commit": SHA,
        }.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body if with_body else b"")


@pytest.fixture
def served(reader: Path, tmp_path: Path) -> Iterator[tuple[str, type[Hub]]]:
    folder = copied(reader, tmp_path / "served")
    for extra in ("pytorch_model.bin", "evil.py", "tf_model.h5"):
        (folder / extra).write_bytes(b"never")
    handler = type("Served", (Hub,), {"folder": folder, "fetched": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def test_a_download_fetches_what_is_loaded_and_no_more(served: tuple[str, type[Hub]], tmp_path: Path) -> None:
    address, handler = served
    code = "from indexing.models.registry import resolve; print(resolve('owner/tiny', 'reader').path)"
    online = {
        "HF_HUB_OFFLINE": "0",
        "DOCQA_OFFLINE": "0",
        "HF_ENDPOINT": address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_CACHE": str(tmp_path / "home" / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "no_proxy": "*",
    }
    path = Path(run_child(code, **online))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(handler.fetched)
    assert not [name for name in handler.fetched if name.endswith((".py", ".bin", ".h5"))]
    load_reader(path)
    count = len(handler.fetched)
    assert Path(run_child(code, **{**online, "DOCQA_OFFLINE": "1"})) == path and len(handler.fetched) == count

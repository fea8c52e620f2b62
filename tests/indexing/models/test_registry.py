"""Names and model folders: which folder a name resolves to, and what is no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing.errors import ModelMissing, ModelRefused
from indexing.models.presets import BUILTIN_SENTENCE, DEFAULT_EMBEDDER, DEFAULT_READER, PRESETS, Kind
from indexing.models.registry import SHARED_TOKENIZERS, builtin_tokenizer, builtin_tokenizer_file, load_tokenizer, resolve
from tests.indexing.models.conftest import KINDS
from tests.model_folders import (
    ROOT,
    copied,
    load_reader,
    one_sentence,
    set_json,
)

pytestmark = pytest.mark.usefixtures("own_cache", "hub_cache")


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_folder_is_itself_and_loads_as_usual(readers: dict[str, Path], kind: str) -> None:
    found = resolve(str(readers[kind]), "reader")
    assert (found.path, found.model_type, found.preset) == (readers[kind], kind, None)
    assert found.prefixes == ("", "") and len(found.fingerprint) == 32
    model, tokenizer = load_reader(found.path)
    assert model.num_parameters() > 0 and tokenizer("the bridge")["input_ids"]


@pytest.mark.parametrize("name", ["static", "deep", "body"])
def test_an_embedder_folder_loads_with_sentence_transformers(embedders: dict[str, Path], name: str) -> None:
    from sentence_transformers import SentenceTransformer

    found = resolve(str(embedders[name]), "embedder")
    assert found.path == embedders[name]
    assert found.model_type == ("static" if name == "static" else "bert")
    vectors = SentenceTransformer(str(found.path), device="cpu", local_files_only=True).encode(["the bridge"])
    assert vectors.shape[0] == 1


def test_the_fingerprint_is_of_what_decides(readers: dict[str, Path], tmp_path: Path) -> None:
    known = resolve(str(readers["bert"]), "reader").fingerprint
    folder = copied(readers["bert"], tmp_path / "elsewhere")
    (folder / "README.md").write_text("changed", "utf-8")
    (folder / "nbest_predictions_.json").write_text("not json", "utf-8")
    assert resolve(str(folder), "reader").fingerprint == known
    for file in ("config.json", "tokenizer.json"):
        path = folder / file
        path.write_bytes(path.read_bytes() + b"\n")
        changed = resolve(str(folder), "reader").fingerprint
        assert changed != known
        known = changed
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert resolve(str(folder), "reader").fingerprint != known


def test_a_python_file_beside_is_let_be(readers: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(readers["bert"], tmp_path / "model")
    (folder / "modeling_bert.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", "utf-8")
    load_reader(resolve(str(folder), "reader").path)
    assert not (tmp_path / "ran").exists()


def test_readers_and_embedders_are_not_taken_for_each_other(readers: dict[str, Path], embedders: dict[str, Path]) -> None:
    wrong: list[tuple[str, Kind, str]] = [
        (str(readers["bert"]), "embedder", "is a reader"),
        (str(embedders["deep"]), "reader", "is an embedder"),
        (str(embedders["body"]), "reader", "no question answering head"),
        (DEFAULT_EMBEDDER, "reader", "e5-small is an embedder, not a reader"),
        (PRESETS["reader", DEFAULT_READER].model, "embedder", "is a reader, not an embedder"),
    ]
    for name, kind, words in wrong:
        with pytest.raises(ModelRefused, match=words) as refused:
            resolve(name, kind)
        one_sentence(refused.value)


# -- names -------------------------------------------------------------------------------------------------------------


def test_presets_are_complete() -> None:
    assert ("reader", DEFAULT_READER) in PRESETS and ("embedder", DEFAULT_EMBEDDER) in PRESETS
    for (kind, name), preset in PRESETS.items():
        assert (preset.kind, preset.name) == (kind, name)
        assert all((preset.licence, preset.languages, preset.parameters, preset.trained_on, preset.about))
        assert (preset.max_seq_len > preset.doc_stride > 0) == (kind == "reader")
        assert (
            ("e5" in name or name == BUILTIN_SENTENCE)
            == (preset.query_prefix == "query: ")
            == (preset.passage_prefix == "passage: ")
        )


def test_every_preset_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "reference" / "models.md").read_text("utf-8")
    for preset in PRESETS.values():
        assert f"`{preset.name}`" in text and preset.model in text and preset.licence in text


def test_relative_folders(readers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(readers["bert"], tmp_path / "owner" / "mine")
    monkeypatch.chdir(tmp_path / "owner")
    for name in ("mine", "./mine", "../owner/mine", str(tmp_path / "owner" / "mine")):
        assert resolve(name, "reader").path.resolve() == (tmp_path / "owner" / "mine").resolve()
        assert resolve(name, "reader").name == name
    monkeypatch.chdir(tmp_path)
    assert resolve("owner/mine", "reader").path == tmp_path / "owner" / "mine"
    monkeypatch.setenv("HOME", str(tmp_path / "owner"))
    assert resolve("~/mine", "reader").path == tmp_path / "owner" / "mine"


def test_a_folder_without_a_model_does_not_hide_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "builtin").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("builtin", "reader").preset == PRESETS["reader", "builtin"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xlmr-squad", "near: xlmr-squad2"),
        ("deepset_xlm-roberta-base-squad2", "near: deepset/xlm-roberta-base-squad2"),
        ("", "no reader called ''"),
        ("  ", "no reader"),
        ("a\0b", "no reader"),
        ("x" * 5_000, "no reader"),
        ("owner/name/more", "no reader"),
        ("owner/../name", "no reader"),
        ("owner/a--b", "no reader"),
        ("https://example.org/model", "no reader"),
        ("/nowhere/at-all", "no folder /nowhere/at-all"),
        ("./nowhere", "no folder ./nowhere"),
        ("owner/name", "offline"),
        ("owner/name@v1.0", "offline"),
    ],
)
def test_names_that_are_nothing(name: str, words: str) -> None:
    with pytest.raises(ModelMissing, match=words) as missing:
        resolve(name, "reader")
    message = one_sentence(missing.value)
    assert "no folder" in words or ("`docqa models`" in message and "--reader builtin" in message)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelMissing, match="no folder"):
        resolve(str(tmp_path / "model.safetensors"), "reader")


@pytest.mark.parametrize(
    ("name", "prompts", "expected"),
    [
        ("my-multilingual-e5", {}, ("query: ", "passage: ")),
        ("mE5_small", {}, ("query: ", "passage: ")),
        ("e5/own", {}, ("", "")),
        ("ME5-small", {}, ("query: ", "passage: ")),
        ("type5", {}, ("", "")),
        ("e5-own", {"query": "Q: ", "document": "D: "}, ("Q: ", "D: ")),
        ("own", {"query": "Q: ", "passage": "P: "}, ("Q: ", "P: ")),
        ("own", {"query": "Q: "}, ("Q: ", "")),
        ("own", {"classification": "C: "}, ("", "")),
    ],
)
def test_prefixes(
    embedders: dict[str, Path], tmp_path: Path, name: str, prompts: dict[str, str], expected: tuple[str, str]
) -> None:
    folder = copied(embedders["static"], tmp_path / name)
    set_json("config_sentence_transformers.json", prompts=prompts)(folder)
    assert resolve(str(folder), "embedder").prefixes == expected


def test_models_with_one_tokenizer_file_share_the_tokenizer(readers: dict[str, Path], tmp_path: Path) -> None:
    file = readers["bert"] / "tokenizer.json"
    (tmp_path / "copy.json").write_bytes(file.read_bytes())
    first, second = load_tokenizer(file, "one"), load_tokenizer(tmp_path / "copy.json", "other", truncates=False)
    assert first is second and first.padding is None
    first.enable_truncation(7)
    first.save(str(tmp_path / "short.json"))
    first.no_truncation()
    short, whole = (load_tokenizer(tmp_path / "short.json", "short", truncates=kind) for kind in (True, False))
    assert short is not whole and whole.truncation is None and len(short.encode("a b c d e f g h i j k").ids) == 7
    assert load_tokenizer(tmp_path / "short.json", "short") is short and first.truncation is None
    (tmp_path / "copy.json").write_bytes((tmp_path / "short.json").read_bytes())
    assert load_tokenizer(tmp_path / "copy.json", "changed") is short
    (tmp_path / "copy.json").write_bytes(b"{}")
    with pytest.raises(ModelRefused, match="copy.json"):
        load_tokenizer(tmp_path / "copy.json", "broken")


def test_the_built_in_tokenizer_is_loaded_once(readers: dict[str, Path], tmp_path: Path) -> None:
    """Also where other tokenizers come and go, and one way of loading it is used more than the other."""
    first = load_tokenizer(builtin_tokenizer_file(), "builtin")
    small = (readers["bert"] / "tokenizer.json").read_bytes()
    for number in range(SHARED_TOKENIZERS):
        (tmp_path / "other.json").write_bytes(small + b" " * number)
        load_tokenizer(tmp_path / "other.json", "other")
        assert builtin_tokenizer() is first
    assert load_tokenizer(builtin_tokenizer_file(), "builtin") is first

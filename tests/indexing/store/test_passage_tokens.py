"""Tokens of passages that are stored: those of the text, gone with it, and not needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexing.arrays import pack_tokens, unpack_tokens
from indexing.build import build_index
from indexing.models.embedder import Embedder
from indexing.models.static_embeddings import StaticModel
from indexing.normal_form import normal_form
from indexing.settings import IndexSettings
from indexing.store.index import Index
from indexing.store.passage_tokens import languages_and_tokens
from qa_pipeline.answers import Passage
from qa_pipeline.retrieval.retriever import Retriever

TEXTS = {
    "en.txt": "The bridge at Marsh End is 1,204 metres long. It was opened by the mayor in May 2019.",
    "de.txt": "Die Brücke von Marsch Ende wurde im Mai 2019 eröffnet und ist 1.204 Meter lang.",
    "ja.txt": "マーシュエンドの橋は二〇一九年五月に開通しました。長さは千二百四メートルです。",
    "th.txt": "สะพานที่มาร์ชเอนด์เปิดในเดือนพฤษภาคม ปี 2562",
}
QUESTION = "How long is the bridge at Marsh End?"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load("builtin")


def index_of(folder: Path, embedder: Embedder) -> Path:
    (folder / "texts").mkdir()
    for name, text in TEXTS.items():
        (folder / "texts" / name).write_text(text, "utf-8")
    build_index(folder / "texts", folder / "index", IndexSettings(embedder="builtin"), embedder=embedder)
    return folder / "index"


def model_of(embedder: Embedder) -> StaticModel:
    assert embedder.tokens is not None
    return embedder.tokens


def asked(path: Path, embedder: Embedder) -> tuple[Passage, ...]:
    with Index.open(path) as index:
        return Retriever(index, embedder).passages(QUESTION).passages


@pytest.mark.parametrize("ids", [[], [0], [3, 500], [3, 65_535], [3, 65_536], list(range(300))])
def test_ids_are_stored_and_read_again(ids: list[int]) -> None:
    packed = pack_tokens(np.array(ids, dtype=np.int32))
    found = unpack_tokens(packed, 100_000)
    assert found is not None and found.dtype == np.int32 and found.tolist() == ids
    assert len(packed) == 5 + len(ids) * (4 if ids and ids[-1] > 65_535 else 2)
    assert not ids or unpack_tokens(packed, ids[-1]) is None, "an id that the vocabulary lacks"


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "text",
        7,
        b"",
        b"\x03\x00\x00",
        b"\x02\x01",
        b"\x02\x05\x00\x04\x00",
        b"\x02\x05\x00\x05\x00",
        b"\x02\xff\xff",
    ],
)
def test_what_is_damaged_is_not_read(stored: object) -> None:
    assert unpack_tokens(stored, 1_000) is None


def test_no_changed_byte_is_read() -> None:
    packed = pack_tokens(np.array([3, 500, 501], dtype=np.int32))
    for at in range(len(packed)):
        for change in (1, 2, 128):
            assert unpack_tokens(packed[:at] + bytes([packed[at] ^ change]) + packed[at + 1 :], 100_000) is None


def test_stored_tokens_are_those_of_the_texts_and_no_passage_is_tokenized(
    tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = index_of(tmp_path, embedder), model_of(embedder)
    with Index.open(path) as index:
        chunks = index.folder.chunks(index.folder.chunk_ids().tolist())
        stored = languages_and_tokens(index.folder, [chunk.id for chunk in chunks], model.vocabulary)
    assert len(stored) == len(TEXTS)
    for chunk in chunks:
        language, tokens = stored[chunk.id]
        assert language == chunk.language and tokens is not None
        assert tokens.tolist() == model.distinct([normal_form(chunk.text)])[0].tolist()
    wanted = asked(path, embedder)
    seen: list[str] = []
    whole = model.distinct
    monkeypatch.setattr(model, "distinct", lambda texts: seen.extend(texts) or whole(texts))
    assert asked(path, embedder) == wanted
    assert seen == []


@pytest.mark.parametrize("change", ["drop the table", "damage", "delete some"])
def test_without_them_the_answer_is_the_same(tmp_path: Path, embedder: Embedder, change: str) -> None:
    path = index_of(tmp_path, embedder)
    wanted = asked(path, embedder)
    with Index.open(path, writable=True) as index, index.folder.writing() as (connection, _):
        connection.execute(
            {
                "drop the table": "DROP TABLE passage_tokens",
                "damage": "UPDATE passage_tokens SET tokens = x'0205000400'",
                "delete some": "DELETE FROM passage_tokens WHERE id % 2 = 0",
            }[change]
        )
    assert asked(path, embedder) == wanted


def test_a_deleted_document_takes_its_tokens_with_it(tmp_path: Path, embedder: Embedder) -> None:
    path = index_of(tmp_path, embedder)
    (tmp_path / "texts" / "de.txt").unlink()
    build_index(tmp_path / "texts", path, embedder=embedder)
    with Index.open(path) as index:
        ask = index.folder.connection().execute
        assert ask("SELECT count(*) FROM passage_tokens").fetchone() == (len(TEXTS) - 1,)
        assert ask("SELECT count(*) FROM passage_tokens WHERE id NOT IN (SELECT id FROM chunks)").fetchone() == (0,)

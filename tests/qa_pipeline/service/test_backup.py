"""Backups: whole while the home is written, continued, verified; a damaged one restores nothing."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.errors import DocqaError, IndexMissing, SettingError
from indexing.repair import diagnose
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.service.backup import MANIFEST, backup, restore
from qa_pipeline.service.home import Home
from qa_pipeline.service.process_locks import ProcessLocks
from tests.live import ASKED, BRIDGE, MINE, known_models, live

FILES: dict[str, bytes | str] = {"bridge.txt": BRIDGE, "reports/mine.txt": MINE, "corpus.db": "The db file of 1999."}


def test_a_running_home_comes_back_whole(tmp_path: Path) -> None:
    with live(tmp_path / "h") as api:
        ids = api.fill("a", FILES)
        api.http.post("/v1/corpora", json={"name": "empty"})
        api.http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "wrong"})
        saved = api.http.post("/v1/corpora/a/saved", json=ASKED).json()["id"]
        job = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", b"question\nWhen?\n")}).json()["job"]["id"]
        api.wait(job)
        done = backup(tmp_path / "h", tmp_path / "b")
        assert done.files == done.copied > 6
        again = backup(tmp_path / "h", tmp_path / "b")
        assert again.files == done.files and again.copied == 3, "the databases only"
    assert restore(tmp_path / "b", tmp_path / "r").files == done.files
    with live(tmp_path / "r") as api:
        found = {d["source"]: d["id"] for d in api.http.get("/v1/corpora/a/documents").json()["documents"]}
        assert found == ids and [c["name"] for c in api.http.get("/v1/corpora").json()] == ["a", "empty"]
        assert api.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        assert api.http.get(f"/v1/corpora/a/documents/{ids['bridge.txt']}/original").text == BRIDGE
        assert len(api.http.get("/v1/corpora/a/feedback").json()) == 1
        assert [one["id"] for one in api.http.get("/v1/corpora/a/saved").json()] == [saved]
        assert api.http.get(f"/v1/jobs/{job}/result").status_code == 200
        job = api.http.post("/v1/corpora/empty/documents", files={"files": ("n.txt", b"New 1999.")}).json()["job"]["id"]
        assert api.wait(job)["state"] == "done"
    assert diagnose(tmp_path / "r/corpora/a/index") == []


def test_a_stray_file_among_the_corpora_is_no_corpus(tmp_path: Path) -> None:
    """Such as a file manager's .DS_Store."""
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    home.create("a")
    (home.path / "corpora" / ".DS_Store").write_bytes(b"x")
    backup(home.path, tmp_path / "b")
    restore(tmp_path / "b", tmp_path / "r")
    restored = Home.open(tmp_path / "r").corpus("a")
    assert restored.documents.is_dir() and restored.incoming.is_dir()


def test_an_original_of_any_name_is_copied(tmp_path: Path) -> None:
    """Also one with a name that files and folders of docqa have elsewhere."""
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    corpus = home.create("a")
    names = ["incoming/mine.txt", "processes/x.lock", "table.npz", "x.part", "a-wal", "writer.lock", "derived.json"]
    names += ["backup.json", "service.db", "index/corpus.db", "documents/incoming/deep.faiss"]
    for name in names:
        assert home.put(corpus, name, name.encode()) == name
    (corpus.incoming / "half.part").write_bytes(b"half")
    locks = ProcessLocks(home.path / "processes")
    locks.own()
    backup(home.path, tmp_path / "b")
    locks.close()
    kept = {path.relative_to(tmp_path / "b").as_posix() for path in (tmp_path / "b").rglob("*") if path.is_file()}
    assert not any(name.startswith("processes") or "half" in name for name in kept)
    restore(tmp_path / "b", tmp_path / "r")
    restored = Home.open(tmp_path / "r").corpus("a").documents
    assert {name: (restored / name).read_bytes() for name in names} == {name: name.encode() for name in names}


def test_an_index_is_copied_while_it_is_written(tmp_path: Path, corpus: Path) -> None:
    from tests.known import WordEmbedder

    index, stop = tmp_path / "i", threading.Event()
    build_index(corpus, index, embedder=WordEmbedder())  # type: ignore[arg-type]

    def write() -> None:
        for number in range(1_000):
            if stop.is_set():
                return
            (corpus / f"n{number}.txt").write_text(f"Number {number} was made in {1000 + number}.")
            build_index(corpus, index, embedder=WordEmbedder())  # type: ignore[arg-type]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            backup(index, tmp_path / f"b{number}")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        restore(tmp_path / f"b{number}", tmp_path / f"r{number}")
        assert [line for line in diagnose(tmp_path / f"r{number}") if "derived" not in line] == []
        with IndexFolder.open(tmp_path / f"r{number}") as folder:
            assert folder.counts()["documents"] >= 3


def test_an_unfinished_backup_is_continued_and_never_restored(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(tmp_path / "h") as api:
        api.fill("a", FILES)
    from qa_pipeline.service import backup as module

    real, calls = module._copy_file, []

    def failing(source: Path, target: Path) -> bool:
        calls.append(source)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(module, "_copy_file", failing)
    with pytest.raises(OSError, match="No space"):
        backup(tmp_path / "h", tmp_path / "b")
    with pytest.raises(SettingError, match="no finished backup"):
        restore(tmp_path / "b", tmp_path / "r")
    done = backup(tmp_path / "h", tmp_path / "b")
    assert done.copied < done.files
    restore(tmp_path / "b", tmp_path / "r")


def test_a_damaged_backup_restores_nothing(tmp_path: Path, corpus: Path) -> None:
    with live(tmp_path / "h") as api:
        api.fill("a", FILES)
    backup(tmp_path / "h", tmp_path / "b")
    for name in json.loads((tmp_path / "b" / MANIFEST).read_text())["files"]:
        damaged = tmp_path / "damaged"
        shutil.copytree(tmp_path / "b", damaged)
        content = bytearray((damaged / name).read_bytes() or b"x")
        content[len(content) // 2] ^= 1
        (damaged / name).write_bytes(content)
        with pytest.raises(SettingError, match="Nothing was restored"):
            restore(damaged, tmp_path / "r")
        assert not (tmp_path / "r").exists()
        shutil.rmtree(damaged)
    (tmp_path / "b" / MANIFEST).write_text(json.dumps({"format": 1, "files": {"../x": ""}}))
    with pytest.raises(SettingError, match="no finished backup"):
        restore(tmp_path / "b", tmp_path / "r")


def test_a_damaged_index_is_not_copied_over_a_good_backup(tmp_path: Path) -> None:
    with live(tmp_path / "h") as api:
        api.fill("a", FILES)
    backup(tmp_path / "h", tmp_path / "b")
    good = (tmp_path / "b/corpora/a/index/corpus.db").read_bytes()
    database = tmp_path / "h/corpora/a/index/corpus.db"
    database.write_bytes(database.read_bytes()[:8_192] + b"\xa5" * 8_192)
    with pytest.raises(DocqaError, match="docqa doctor"):
        backup(tmp_path / "h", tmp_path / "b")
    assert (tmp_path / "b/corpora/a/index/corpus.db").read_bytes() == good


def test_wrong_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with live(tmp_path / "h"):
        pass
    with pytest.raises(IndexMissing, match="neither"):
        backup(tmp_path / "other", tmp_path / "b")
    for target in (tmp_path / "other", tmp_path / "h" / "b", tmp_path / "h", tmp_path):
        with pytest.raises(SettingError):
            backup(tmp_path / "h", target)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["letter.txt"]
    backup(tmp_path / "h", tmp_path / "b")
    with pytest.raises(SettingError, match="holds files"):
        restore(tmp_path / "b", tmp_path / "other")

"""The example corpus is what it says: its questions point at the exact text that docqa reads."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from indexing.files.walk import FileReader, find_files
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder

ROOT = Path(__file__).resolve().parent.parent / "examples"
LANGUAGES = {"ar", "de", "el", "en", "es", "hi", "ja", "ru", "th", "tr", "vi", "zh"}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    with FileReader() as reader:
        return {file.source: reader.read(file)[0][0].text for file in find_files(ROOT / "corpus")}


@pytest.fixture(scope="module")
def articles() -> list[dict[str, Any]]:
    data = json.loads((ROOT / "questions.json").read_text("utf-8"))
    assert data["version"] == "v2.0"
    return list(data["data"])


def test_four_documents_in_each_of_twelve_languages(texts: dict[str, str]) -> None:
    assert Counter(source.split("/")[0] for source in texts) == {language: 4 for language in LANGUAGES}
    assert {Path(source).suffix for source in texts} >= {".txt", ".md", ".html", ".pdf", ".docx"}


def test_contexts_are_the_documents_as_read(texts: dict[str, str], articles: list[dict[str, Any]]) -> None:
    assert {article["title"]: article["paragraphs"][0]["context"] for article in articles} == texts


def test_every_answer_is_the_text_at_its_place(articles: list[dict[str, Any]]) -> None:
    ids: list[str] = []
    for article in articles:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                ids.append(qa["id"])
                assert qa["is_impossible"] == (not qa["answers"]) and qa["question"].strip()
                for answer in qa["answers"]:
                    start = answer["answer_start"]
                    assert paragraph["context"][start : start + len(answer["text"])] == answer["text"] != ""
    assert len(ids) == len(set(ids))


def test_enough_questions_of_every_kind(articles: list[dict[str, Any]]) -> None:
    same: Counter[str] = Counter()
    impossible: Counter[str] = Counter()
    cross = 0
    for article in articles:
        for qa in article["paragraphs"][0]["qas"]:
            if not qa["answers"]:
                impossible[qa["language"]] += 1
            elif qa["language"] == article["language"]:
                same[qa["language"]] += 1
            else:
                cross += 1
    assert set(same) == LANGUAGES and min(same.values()) >= 8 and min(impossible[x] for x in LANGUAGES) >= 2 and cross >= 24


def test_the_contradictions_are_there(texts: dict[str, str]) -> None:
    assert "1912" in texts["en/kestrel-bridge.pdf"] and "1921" in texts["tr/travel-guide.docx"]
    assert "2.341" in texts["de/mount-orveth.docx"] and "2.314" in texts["el/geography.pdf"]


def test_the_demo_replaces_an_index_of_another_embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Embedder(resolve("builtin", "embedder")).facts()
    older = {**facts, "fingerprint": "of an older docqa"}
    IndexFolder.create(tmp_path / "index", IndexSettings(embedder="builtin"), older).close()
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "one.txt").write_text("Kestrel Bridge was opened on 22 June 1912.", "utf-8")
    found = importlib.util.spec_from_file_location("demo", ROOT / "demo.py")
    assert found is not None and found.loader is not None
    demo = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "demo", demo)
    found.loader.exec_module(demo)
    monkeypatch.setattr(demo, "INDEX", tmp_path / "index")
    monkeypatch.setattr(demo, "CORPUS", tmp_path / "few")
    assert demo.indexed().documents == 1
    with IndexFolder.open(demo.INDEX) as folder:
        assert folder.model["fingerprint"] == facts["fingerprint"]

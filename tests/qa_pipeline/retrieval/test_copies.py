"""Copies of one text: retrieved once, with the names of all documents that hold it and that the filters allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexing.build import build_index
from indexing.store.index import Index
from qa_pipeline.retrieval import retriever
from qa_pipeline.retrieval.retriever import Retriever
from qa_pipeline.settings import AskSettings
from tests.known import WordEmbedder

TEXT = "The old stone bridge over the river was opened in 1912."
QUESTION = "When was the old stone bridge over the river opened?"
COPIES = [f"{folder}/bridge{number}.txt" for folder in ("a", "b") for number in range(3)]
ALL = AskSettings(retrieve=5)


def build(folder: Path) -> Index:
    build_index(folder / "in", folder / "i", embedder=WordEmbedder())  # type: ignore[arg-type]
    return Index.open(folder / "i", writable=True)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Six copies of a text, in two folders, and five other texts."""
    others = {f"b/other{number}.txt": f"Harbour number {number} was opened later." for number in range(5)}
    for source, text in {**dict.fromkeys(COPIES, TEXT), **others}.items():
        path = tmp_path / "in" / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with build(tmp_path) as opened:
        yield opened


def found(index: Index, settings: AskSettings = ALL, filters: dict[str, Any] | None = None) -> list[tuple[str, list[str]]]:
    passages = Retriever(index, WordEmbedder()).passages(QUESTION, settings, filters).passages  # type: ignore[arg-type]
    assert [passage.fused_rank for passage in passages] == list(range(1, len(passages) + 1))
    return [(passage.source, [other.source for other in passage.also_in]) for passage in passages]


def test_a_text_is_retrieved_once_and_names_all_its_documents(index: Index) -> None:
    first, *others = found(index)
    assert first == ("a/bridge0.txt", COPIES[1:])
    assert all(source.startswith("b/other") and not also for source, also in others)


def test_a_filter_finds_and_names_only_what_it_allows(index: Index) -> None:
    in_a, in_b = ({"source": {"$glob": f"{folder}/*"}} for folder in ("a", "b"))
    assert found(index, filters=in_a) == [("a/bridge0.txt", ["a/bridge1.txt", "a/bridge2.txt"])]
    assert found(index, filters=in_b)[0] == ("b/bridge0.txt", ["b/bridge1.txt", "b/bridge2.txt"])
    assert found(index, filters={"source": "b/bridge2.txt"}) == [("b/bridge2.txt", [])]


def test_a_removed_copy_is_named_no_more_and_the_others_stay(index: Index, tmp_path: Path) -> None:
    (tmp_path / "in" / "a/bridge0.txt").unlink()
    (tmp_path / "in" / "b/bridge1.txt").write_text(TEXT.replace("1912", "1921"))
    index.close()
    with build(tmp_path) as now:
        names = dict(found(now))
        assert names["a/bridge1.txt"] == ["a/bridge2.txt", "b/bridge0.txt", "b/bridge2.txt"]
        assert names["b/bridge1.txt"] == []


def test_copies_do_not_use_up_the_depth_of_the_rankings(index: Index) -> None:
    shallow = found(index, AskSettings(retrieve=4, depth=4))
    assert len(shallow) == 4 and shallow[0] == ("a/bridge0.txt", COPIES[1:])


def test_rankings_full_of_copies_are_taken_once_more(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    depths, rank = [], retriever.rank

    def counted(*given: Any) -> Any:
        depths.append(next(one.depth for one in given if isinstance(one, AskSettings)))
        return rank(*given)

    monkeypatch.setattr(retriever, "rank", counted)
    assert len(found(index, AskSettings(retrieve=5, depth=2))) == 5
    assert depths == [2, retriever.DEEPEST]
    depths.clear()
    assert len(found(index, AskSettings(retrieve=5, depth=50))) == 5
    assert depths == [50]


def test_an_index_of_an_earlier_version_has_each_text_once_too(index: Index) -> None:
    index.folder.connection().execute("DROP INDEX documents_content")
    names = found(index)
    assert names[0] == ("a/bridge0.txt", []) and len({source for source, _ in names}) == 5

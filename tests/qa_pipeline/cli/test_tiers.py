"""`docqa index --tiers`: both tiers, one of them, and back; `docqa status` says how much is deepened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa_pipeline.cli.main import main


@pytest.fixture
def index(tmp_path: Path) -> list[str]:
    (tmp_path / "documents").mkdir()
    for name, text in {"a": "The lamp was lit in 1868.", "b": "Die Brücke ist 1870 Meter lang."}.items():
        (tmp_path / "documents" / f"{name}.txt").write_text(text, "utf-8")
    return ["index", str(tmp_path / "documents"), "--into", str(tmp_path / "index")]


def told(index: list[str], capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, str]:
    """What the run and then `docqa status` print."""
    capsys.readouterr()
    assert main([*index, *options]) == 0
    run = capsys.readouterr().out
    assert main(["status", index[3]]) == 0
    return run, capsys.readouterr().out


def test_both_tiers_are_the_default_and_can_be_dropped(index: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run, status = told(index, capsys, "--embedder", "builtin")
    assert "2 of 2 passages with sentence vectors" in run and "deepened 100 %" in status
    run, status = told(index, capsys)
    assert "sentence vectors" not in run and "deepened 100 %" in status
    run, status = told(index, capsys, "--tiers", "token")
    assert "sentence vectors" not in run + status
    run, status = told(index, capsys, "--tiers", "both", "--json")
    assert json.loads(run.splitlines()[-1])["sentence_vectors"] == 2 and "deepened 100 %" in status
    assert main(["ask", index[3], "When was the lamp lit?", "--reader", "builtin", "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["deepened"] == 1.0 and reply["answers"][0]["text"] == "1868"


def test_sentence_vectors_alone(index: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run, status = told(index, capsys, "--embedder", "builtin", "--tiers", "sentence")
    assert "embedder builtin-sentence" in run and "deepened" not in status
    assert main(["search", index[3], "How long is the bridge?", "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["passages"][0]["source"] == "b.txt" and reply["deepened"] is None


def test_tiers_of_another_embedder_are_one_sentence(index: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*index, "--embedder", "e5-small", "--tiers", "both"]) == 2
    assert "e5-small has one kind of vectors" in capsys.readouterr().err
    told(index, capsys, "--embedder", "builtin", "--tiers", "token")
    assert main([*index, "--tiers", "sentence"]) == 2
    assert "holds vectors of builtin" in capsys.readouterr().err

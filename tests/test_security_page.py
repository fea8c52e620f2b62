"""The page of promises names tests that exist, and answering keeps away from what cannot be updated."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("security.md", "promises.md")

ANSWERING = """
import sys
from pathlib import Path
from indexing.build import build_index
from indexing.settings import IndexSettings
from qa_pipeline.answering.answerer import Answerer
folder = Path(sys.argv[1])
(folder / "c").mkdir()
(folder / "c" / "bridge.txt").write_text("Kestrel Bridge was opened in 1912.")
build_index(folder / "c", folder / "i", IndexSettings(embedder="builtin", tiers="token"))
reply = Answerer.open(folder / "i", "builtin").ask("When was Kestrel Bridge opened?")
print(reply.answers[0].text)
print(sorted({"transformers", "haystack", "torch", "sentence_transformers"} & set(sys.modules)))
"""


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_names_tests_that_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    for row in re.findall(r"^\| (?!promise|---).*$", text, re.M):
        assert "`test_" in row, f"no test: {row}"
    written = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.M)
    }
    assert len(named) > 12 and named <= written, named - written


def test_answering_imports_no_transformers(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", ANSWERING, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["1912", "[]"], run.stdout + run.stderr[-2_000:]

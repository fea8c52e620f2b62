"""The wheel, built as the image of the API builds it: what is in it is what an installation needs, and it runs alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("indexing", "qa_pipeline", "ui")

pytestmark = pytest.mark.skipif(
    int(metadata.version("setuptools").split(".")[0]) < 77, reason="building the wheel needs setuptools 77 or newer"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what the image copies, so that nothing is left in the repository."""
    home = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, home / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home / "source" / name)
    line = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*line, "--wheel-dir", str(home), str(home / "source")], check=True, capture_output=True)
    (found,) = home.glob("docqa-*.whl")
    return found


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    """Python, models, styles, pages, types: all but what Python itself writes."""
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there == wanted and {f"{name}/py.typed" for name in PACKAGES} <= there


def test_it_runs_where_the_repository_is_not(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("The bridge was opened in 1912. It is long.\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def docqa(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", "from qa_pipeline.cli.main import main; raise SystemExit(main())", *words]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)

    place = subprocess.run(
        [sys.executable, "-c", "import indexing, qa_pipeline; print(indexing.__path__[0], qa_pipeline.__path__[0])"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert place.stdout.count(str(tmp_path / "site")) == 2
    made = docqa("index", "documents", "--into", "index", "--embedder", "builtin")
    assert made.returncode == 0, made.stderr
    asked = docqa("ask", "index", "When was the bridge opened?", "--reader", "builtin")
    assert asked.returncode == 0 and "1912" in asked.stdout, asked.stderr

"""A service that runs, with a corpus of files of different kinds and scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.known import SCRIPTS
from tests.live import BRIDGE, MINE, Live, live
from tests.pdfs import make_pdf, paragraph

PDF = make_pdf([paragraph(["The tower was built in 1731."]), paragraph(["The second page says 1999."])])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("api") / "home", body_bytes=100_000, file_bytes=50_000, upload_bytes=200_000) as api:
        yield api


@pytest.fixture(scope="module")
def ids(api: Live) -> dict[str, str]:
    """A corpus `a` of files of different kinds and scripts: source -> document id."""
    files: dict[str, bytes | str] = {"reports/bridge.txt": BRIDGE, "reports/mine.txt": MINE, "tower.pdf": PDF}
    files |= {f"script-{code}.txt": text.encode() for code, text in SCRIPTS.items()}
    files["many.jsonl"] = '{"id": "x", "text": "The first of many is 1."}\n{"id": "y", "text": "The second is 2."}\n'
    files["lines.txt"] = "Before\u2028the line\u0085separator stands 1654 and after.\n"
    files["photo.jpg"] = b"\xff\xd8\xff\xe0" + b"\0" * 50
    return api.fill("a", files)

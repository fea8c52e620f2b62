"""The page's key comes from a variable or a file, and a file that is gone opens nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui.access.page_key import page_key


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCQA_API_KEY", "DOCQA_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_key_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.key"
    assert page_key() == ""
    monkeypatch.setenv("DOCQA_API_KEY_FILE", str(file))
    for written, read in (("docqa_one\r\n", "docqa_one"), ("docqa_two", "docqa_two"), ("", "")):
        file.write_text(written, encoding="utf-8", newline="")
        assert page_key() == read
    monkeypatch.setenv("DOCQA_API_KEY", "docqa_other")
    assert page_key() == "docqa_other"


@pytest.mark.parametrize("file", ["missing.key", ".", "bytes.key"])
def test_a_file_that_cannot_be_read_is_no_key(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bytes.key").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("DOCQA_API_KEY_FILE", str(tmp_path / file))
    assert page_key() == page_key() == ""
    assert caplog.text.count("cannot be read") == 1 and "Traceback" not in caplog.text, "once, not at each request"

"""Walking a folder and reading files: which files are listed, which text is verbatim, and which limits hold."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import IndexFolderError, SettingError
from indexing.files.file_text import FileLimits
from indexing.files.hidden_names import is_hidden
from indexing.files.walk import FileReader, FoundFile, content_hash, find_files
from tests.indexing.files.conftest import only, put, reason
from tests.pdfs import make_pdf, paragraph

# -- the walk ----------------------------------------------------------------------------------------------------------


def sources(folder: Path) -> list[str]:
    return [file.source for file in find_files(folder)]


def test_files_come_by_source_and_hidden_ones_stay_out(tmp_path: Path) -> None:
    for name in ("b/z.txt", "b.txt", "a/deep/er/x.md", ".git/config", "b/.hidden", "~$lock.docx", "b-c.txt", "Z.txt"):
        put(tmp_path, name, b"x")
    found = sources(tmp_path)
    assert found == sorted(found) == ["Z.txt", "a/deep/er/x.md", "b-c.txt", "b.txt", "b/z.txt"]
    file = next(find_files(tmp_path))
    assert file.path == tmp_path / "Z.txt" and file.size == 1 and file.mtime_ns == file.path.stat().st_mtime_ns


def test_folders_of_a_maildir_are_no_hidden_ones(tmp_path: Path) -> None:
    names = ["cur/1:2,S", ".Sent/cur/2:2,S", ".Sent/new/3", ".Lists.Bridges/cur/4", ".Lists.Bridges/new/5"]
    left_out = [".Sent/tmp/6", ".Sent/dovecot.index.cache", ".Sent/cur/.hidden", ".Empty/maildirfolder", ".git/cur/x"]
    for name in (*names, "new/0", ".Empty/new/7", *left_out):
        put(tmp_path, f"mail/{name}", b"x")
    assert sources(tmp_path) == sorted(f"mail/{name}" for name in (*names, "new/0"))
    assert [is_hidden(f"mail/{name}") for name in (*names, *left_out[:4])] == [False] * 5 + [True] * 4


def test_one_file_is_a_folder_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", b"x")
    assert sources(tmp_path / "notes.txt") == ["notes.txt"]


def test_links_stay_inside_and_make_no_loops(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "out"
    put(outside, "secret.txt", b"x")
    put(folder, "a/one.txt", b"x")
    put(folder, ".store/two.txt", b"x")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "a" / "self").symlink_to(folder / "a")
    (folder / "leaves.txt").symlink_to(outside / "secret.txt")
    (folder / "leaves").symlink_to(outside)
    (folder / "broken.txt").symlink_to(folder / "nothing")
    (folder / "same.txt").symlink_to(folder / "a" / "one.txt")
    (folder / "kept").symlink_to(folder / ".store")
    os.mkfifo(folder / "pipe.txt")
    assert sources(folder) == ["a/one.txt", "kept/two.txt", "same.txt"]


def test_sources_are_nfc_and_unique(tmp_path: Path) -> None:
    names = {unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD")}
    for name in names:
        put(tmp_path, name, b"x")
    if len(os.listdir(tmp_path)) == 2:
        assert set(sources(tmp_path)) == names
    put(tmp_path / "only", unicodedata.normalize("NFD", "ü.txt"), b"x")
    assert sources(tmp_path / "only") == ["ü.txt"]


def test_a_name_that_is_not_utf8_has_a_source_that_can_be_stored(tmp_path: Path) -> None:
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    assert sources(tmp_path) == ["caf\\xe9.txt"]


@pytest.mark.parametrize("name", ["nowhere", "nul\0l"])
def test_a_missing_folder_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(IndexFolderError, match="folder"):
        list(find_files(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_folder_that_cannot_be_opened_is_in_the_report(tmp_path: Path) -> None:
    put(tmp_path, "closed/x.txt", b"x")
    (tmp_path / "closed").chmod(0)
    (found,) = find_files(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert found.source == "closed"


# -- reading -----------------------------------------------------------------------------------------------------------


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_utf8_text_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    data = text.encode("utf-8")
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    file = FoundFile(path, "any.txt", len(data), 0)
    if text.isspace() or text.strip("\ufeff").isspace() or not text.removeprefix("\ufeff"):
        return
    read = FileReader().read(file)
    assert only(read).text == text.removeprefix("\ufeff") and read[1] == content_hash(data)


@pytest.mark.parametrize(
    "text", ["a\r\nb\rc\n", "nul\0inside", "BMW and MZ", "\ufeffmarked", "line\u2028sep\x0b\x0c", "x" * 1_000_000]
)
def test_odd_text_is_verbatim(reader: FileReader, tmp_path: Path, text: str) -> None:
    assert only(reader.read(put(tmp_path, "a.txt", text.encode()))).text == text.removeprefix("\ufeff")


def test_small_text_files_start_no_process(tmp_path: Path) -> None:
    files = [put(tmp_path, f"{number}.txt", b"The bridge opened in 1912. " * 40) for number in range(500)]
    with FileReader() as reader:
        for file in files:
            reader.read(file)
        assert reader._worker._child is None


def test_a_file_that_is_gone_or_no_file(reader: FileReader, tmp_path: Path) -> None:
    assert "no such file" in reason(reader, FoundFile(tmp_path / "x", "x", 1, 0))
    assert "folder" in reason(reader, FoundFile(tmp_path, "x", 1, 0))
    os.mkfifo(tmp_path / "pipe")
    assert reason(reader, FoundFile(tmp_path / "pipe", "pipe", 1, 0)) == "not an ordinary file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(reader: FileReader, tmp_path: Path) -> None:
    file = put(tmp_path, "a.txt", b"x")
    file.path.chmod(0)
    assert "permission denied" in reason(reader, file)


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"max_bytes": 0},
        {"max_chars": True},
        {"max_pages": 1.5},
        {"seconds": 0},
        {"seconds": float("nan")},
        {"seconds": "5"},
        {"seconds": True},
        {"memory_mb": 1},
    ],
)
def test_limits_are_cast_strictly(values: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        FileLimits(**values)  # type: ignore[arg-type]


def test_limits_are_named_with_their_setting(tmp_path: Path) -> None:
    with FileReader(FileLimits(max_bytes=1_000)) as reader:
        assert (
            reason(reader, put(tmp_path, "a.txt", b"x" * 1_001)) == "1,001 bytes, more than the 1,000 allowed (--max-bytes)"
        )
    with FileReader(FileLimits(max_chars=1_000, max_pages=2)) as reader:
        words = "1,001 characters of text, more than the 1,000 allowed (--max-chars)"
        assert reason(reader, put(tmp_path, "a.txt", b"x" * 1_001)) == words
        assert "--max-chars" in reason(reader, put(tmp_path, "a.html", b"x" * 1_001))
        assert "--max-chars" in reason(reader, put(tmp_path, "a.jsonl", b'{"text":"%s"}\n' % (b"x" * 600) * 2))
        pages = make_pdf([paragraph(["one"])] * 3)
        assert reason(reader, put(tmp_path, "a.pdf", pages)) == "3 pages, more than the 2 allowed (--max-pages)"

"""Files of a corpus: names that stay inside, bytes as they came, and a whole file after any failure."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import DocumentMissing, SettingError
from indexing.files.walk import find_files
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service import uploaded_files
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.uploaded_files import safe_name
from tests.known import SCRIPTS
from tests.qa_pipeline.service.conftest import below

# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("2024/May/report.pdf", "2024/May/report.pdf"),
        ("2024\\May\\report.pdf", "2024/May/report.pdf"),
        ("a//./b.txt", "a/b.txt"),
        ("/etc/passwd", "passwd"),
        ("../../.ssh/id", "id"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("c:a.txt", "a.txt"),
        ("\\\\server\\share\\a.txt", "a.txt"),
        ("\\\\?\\C:\\a.txt", "a.txt"),
        (".htaccess", "htaccess"),
        ("~$report.docx", "report.docx"),
        ("a/.git/b", "a/git/b"),
        ("a\x00b\r\n.txt", "ab.txt"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("aux./NUL .x", "_aux/_NUL .x"),
        ("a. . .", "a"),
        ('what? <b>*|".txt', "what_ _b____.txt"),
        ("rows.csv#1", "rows.csv_1"),
        ("cv\u202efdp.exe", "cvfdp.exe"),
        ("cafe\u0301.txt", "caf\u00e9.txt"),
        ("\ud800.txt", "_.txt"),
        ("<script>alert(1)</script>.txt", "_script_alert(1)_/script_.txt"),
        ("مرصد ١٩٥٨.txt", "مرصد ١٩٥٨.txt"),
        ("می‌خواهم.pdf", "می‌خواهم.pdf"),
        ("ตั๋ว.docx", "ตั๋ว.docx"),
        ("👩‍👩‍👧.txt", "👩‍👩‍👧.txt"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
    ],
)
def test_safe_names(given: str, expected: str) -> None:
    assert safe_name(given) == expected


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "\\", "a/", "???", " ", "...", "\x00", "c:", "~$", "-", "a/..", "x/" * 40 + "y"]
)
def test_names_of_which_nothing_is_left(name: str) -> None:
    with pytest.raises(SettingError):
        safe_name(name)


def test_long_names_are_cut_and_stay_apart() -> None:
    names = {safe_name("ข" * 300 + f"{n}.docx") for n in range(5)}
    assert len(names) == 5
    assert all(name.endswith(".docx") and len(name.encode()) <= 200 and name.startswith("ข") for name in names)
    assert len(safe_name("x" * 5_000).encode()) <= 200
    with pytest.raises(SettingError, match="too long"):
        safe_name("/".join(["d" * 190] * 6) + "/a.txt")


BITS = [*"abC.. ~$/\\:\0\n#?é\u0301\u202e\u200dกｱ👩_-", "\ud800", "con", "nul", ".."]
NASTY = st.lists(st.sampled_from(BITS), max_size=40).map("".join)


@given(st.one_of(NASTY, st.text(max_size=300)))
def test_a_safe_name_stays_inside_and_stays_itself(name: str) -> None:
    try:
        safe = safe_name(name)
    except SettingError as error:
        str(error).encode()
        return
    assert safe_name(safe) == safe == unicodedata.normalize("NFC", safe)
    path = os.path.normpath(os.path.join("/documents", safe))
    assert path == f"/documents/{safe}"
    for part in safe.split("/"):
        assert part and not part.startswith((".", "~$", " ")) and not part.endswith((".", " "))
        assert len(part.encode()) <= 200 and not set(part) & set('<>:"|?*\\#\u202e\u2066')
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in part)


# -- files -------------------------------------------------------------------------------------------------------------


def test_put_keeps_bytes_as_they_are(home: Home, reports: Corpus, tmp_path: Path) -> None:
    for name, text in SCRIPTS.items():
        assert home.put(reports, f"folder/{name}.txt", text.encode()) == f"folder/{name}.txt"
        assert home.original(reports, f"folder/{name}.txt").read_bytes() == text.encode()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(300_000))
    assert home.put(reports, "big.bin", big) == "big.bin" and big.exists()
    assert (reports.documents / "big.bin").read_bytes() == big.read_bytes()
    assert home.put(reports, "empty.txt", b"") == "empty.txt"
    assert list(reports.incoming.iterdir()) == []
    assert stat.S_IMODE((reports.documents / "big.bin").stat().st_mode) & 0o111 == 0


def test_put_replaces_the_older_file(home: Home, reports: Corpus) -> None:
    home.put(reports, "a.txt", b"old")
    old = (reports.documents / "a.txt").open("rb")
    home.put(reports, "a.txt", b"new")
    assert old.read() == b"old" and home.original(reports, "a.txt").read_bytes() == b"new"
    old.close()


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/a", "\\a", "c:\\a", "c:a", "a\\..\\b", "a/ .. /b"])
def test_put_refuses_names_that_lead_out(home: Home, reports: Corpus, name: str, tmp_path: Path) -> None:
    before = below(tmp_path)
    with pytest.raises(SettingError, match="leads out"):
        home.put(reports, name, b"x")
    assert below(tmp_path) == before


def test_put_goes_through_no_link(home: Home, reports: Corpus, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (reports.documents / "link").symlink_to(outside)
    (reports.documents / "file.txt").symlink_to(outside / "secret.txt")
    with pytest.raises(SettingError):
        home.put(reports, "link/a.txt", b"x")
    home.put(reports, "file.txt", b"mine")
    assert below(outside) == {"secret.txt"} and (outside / "secret.txt").read_text() == "secret"
    assert home.original(reports, "file.txt").read_bytes() == b"mine"


def test_a_file_and_a_folder_of_one_name(home: Home, reports: Corpus) -> None:
    home.put(reports, "a", b"file")
    home.put(reports, "b/c", b"file")
    for name in ("a/b", "b"):
        with pytest.raises(SettingError, match="folder"):
            home.put(reports, name, b"x")
    assert below(reports.documents) == {"a", "b/c"} and list(reports.incoming.iterdir()) == []


def test_a_put_that_fails_leaves_the_old_file(home: Home, reports: Corpus) -> None:
    home.put(reports, "a.txt", b"old")

    def broken() -> Iterable[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(HomeFolderError, match="no space left"):
        home._put(reports, "a.txt", broken())
    assert (reports.documents / "a.txt").read_bytes() == b"old" and list(reports.incoming.iterdir()) == []
    with pytest.raises(HomeFolderError, match="no such file"):
        home.put(reports, "b.txt", reports.path / "missing")


def test_originals_only_of_the_documents(home: Home, reports: Corpus, tmp_path: Path) -> None:
    home.put(reports, "sub/a.txt", b"a")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.txt").write_text("s")
    (reports.documents / "out").symlink_to(tmp_path / "secret")
    (reports.documents / "in").symlink_to(reports.documents / "sub")
    (reports.documents / ".hidden").write_text("h")
    os.mkfifo(reports.documents / "pipe")
    assert home.original(reports, "sub/a.txt") == reports.documents / "sub" / "a.txt"
    outside = ("../corpus.json", "../../../secret/s.txt", str(tmp_path / "secret" / "s.txt"), "out/s.txt", "/sub/a.txt")
    odd = ("", ".", "..", "sub", "sub/", "sub//a.txt", "sub/../sub/a.txt", "in/a.txt", ".hidden", "pipe", "sub\\a.txt")
    missing = ("sub/a.txt\0", "a" * 5_000, "é", "\ud800", "\\x00", "SUB/A.TXT")
    for name in (*outside, *odd, *missing):
        for act in (home.original, home.remove):
            with pytest.raises(DocumentMissing):
                act(reports, name)
    assert (tmp_path / "secret" / "s.txt").exists()


def test_every_source_of_a_walk_leads_to_its_file(home: Home, reports: Corpus) -> None:
    """Also of files that did not come through `put`: in other normal forms, or with bytes that are no text."""
    for name in ("cafe\u0301.txt", "caf\u00e9.txt", "und/e\u0301/a.txt"):
        (reports.documents / name).parent.mkdir(parents=True, exist_ok=True)
        (reports.documents / name).write_text(name)
    (reports.documents / os.fsdecode(b"latin\xe9.txt")).write_text("latin")
    found = list(find_files(reports.documents))
    assert len(found) == 4
    for file in found:
        assert home.original(reports, file.source) == file.path


def test_remove_takes_empty_folders_along(home: Home, reports: Corpus) -> None:
    home.put(reports, "a/b/c.txt", b"c")
    home.put(reports, "a/d.txt", b"d")
    home.remove(reports, "a/b/c.txt")
    assert below(reports.documents) == {"a/d.txt"} and not (reports.documents / "a" / "b").exists()
    home.remove(reports, "a/d.txt")
    assert list(reports.documents.iterdir()) == [] and reports.documents.is_dir()
    with pytest.raises(DocumentMissing):
        home.remove(reports, "a/d.txt")


def test_folders_that_vanish_while_a_file_comes_in(home: Home, reports: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]
    ordinary = uploaded_files.make_folders

    def vanishing(documents: Path, source: str) -> None:
        ordinary(documents, source)
        if left[0]:
            left[0] -= 1
            (documents / "a").rmdir()

    monkeypatch.setattr(uploaded_files, "make_folders", vanishing)
    assert home.put(reports, "a/b.txt", b"x") == "a/b.txt" and below(reports.documents) == {"a/b.txt"}


CHILD = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from qa_pipeline.service.home import Home
home = Home.open(Path({home!r})); corpus = home.corpus("reports")
for n in range(10**6):
    home.put(corpus, "a.txt", bytes([65 + n % 26]) * 200_000)
    if n == 0: print("first", flush=True)
"""


def test_kill_9_leaves_a_whole_file(home: Home, reports: Corpus, repository: Path) -> None:
    for wait in (0.0, 0.02, 0.05):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(root=str(repository), home=str(home.path))], stdout=subprocess.PIPE
        )
        assert child.stdout is not None and child.stdout.readline()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        content = (reports.documents / "a.txt").read_bytes()
        assert len(content) == 200_000 and len(set(content)) == 1
        assert below(reports.documents) == {"a.txt"}

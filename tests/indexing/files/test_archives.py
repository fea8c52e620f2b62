"""Archives: their files are documents; names, bombs, encryption, damage and links."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.archives import is_tar, unpack
from indexing.files.file_text import FileLimits, FileText
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import archive, put, reason

FILES = {"a.txt": b"First words.", "sub/b.csv": b"City,Depth\nOstby,12\n", ".DS_Store": b"no", "__MACOSX/._a.txt": b"no"}


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(data))


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": archive,
    "tar": tar,
    "tar.gz": lambda files: gzip.compress(tar(files)),
    "tar.bz2": lambda files: bz2.compress(tar(files)),
    "tar.xz": lambda files: lzma.compress(tar(files)),
    "tar.zst": lambda files: zstd(tar(files)),
}


@pytest.mark.parametrize("ending", ("zip", "tar.gz"))
def test_folders_of_a_maildir_are_read(reader: FileReader, tmp_path: Path, ending: str) -> None:
    mail = (
        b"From: ada@example.org\nTo: bo@example.org\nDate: Mon, 02 Jan 2023 10:00:00 +0000\nSubject: Pier\n\nIt is deep.\n"
    )
    files = {"Maildir/.Sent/cur/1:2,S": mail, "Maildir/.Sent/dovecot-uidlist": b"3 V1", "Maildir/.Sent/tmp/2": mail}
    texts, _ = reader.read(put(tmp_path, f"pack.{ending}", PACKERS[ending](files)))
    assert [(text.member, text.meta["subject"]) for text in texts] == [("Maildir/.Sent/cur/1:2,S", "Pier")]


@pytest.mark.parametrize("ending", PACKERS)
def test_members_are_documents_with_a_parent(reader: FileReader, tmp_path: Path, ending: str) -> None:
    texts, _ = reader.read(put(tmp_path, f"pack.{ending}", PACKERS[ending](FILES)))
    assert [(text.member, text.text) for text in texts] == [
        ("a.txt", "First words."),
        ("sub/b.csv", "City: Ostby\tDepth: 12"),
    ]
    assert all(text.meta["parent"] == f"pack.{ending}" for text in texts)


def test_one_compressed_file_has_its_own_name(reader: FileReader, tmp_path: Path) -> None:
    out = io.BytesIO()
    with gzip.GzipFile("notes.md", "wb", fileobj=out) as file:
        file.write(b"# Piers\n")
    (text,), _ = reader.read(put(tmp_path, "x.gz", out.getvalue()))
    assert (text.member, text.meta["file_type"]) == ("notes.md", "md")
    (text,), _ = reader.read(put(tmp_path, "depths.csv.bz2", bz2.compress(FILES["sub/b.csv"])))
    assert (text.member, text.text) == ("depths.csv", "City: Ostby\tDepth: 12")


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp866", "Отчёт за год.txt"), ("gbk", "仓库规则.txt"), ("cp932", "倉庫の規則.txt")]
)
def test_names_in_their_own_encoding(reader: FileReader, tmp_path: Path, encoding: str, name: str) -> None:
    raw = name.encode(encoding)
    data = archive({"x" * len(raw): b"words"}).replace(b"x" * len(raw), raw)
    (text,), _ = reader.read(put(tmp_path, "a.zip", data))
    assert text.member == name


def test_names_lead_nowhere_else(reader: FileReader, tmp_path: Path) -> None:
    texts, _ = reader.read(
        put(tmp_path, "a.zip", archive({"../../etc/a.txt": b"one", "/b.txt": b"two", "C:\\c#1": b"three"}))
    )
    assert [text.member for text in texts] == ["etc/a.txt", "b.txt", "c\\x231"]


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_bombs_are_bounded(kind: str) -> None:
    zeros = bytes(60_000_000)
    packed = {
        "zip": lambda: archive({f"{at}.txt": zeros[:20_000_000] for at in range(3)}),
        "gz": lambda: gzip.compress(zeros),
        "bz2": lambda: bz2.compress(zeros),
        "xz": lambda: lzma.compress(zeros, preset=0),
    }[kind]()
    with pytest.raises(UnreadableFile, match="would unpack to more than"):
        unpack(packed, FileLimits(), kind)


def test_large_encrypted_and_damaged_members_are_named(reader: FileReader, tmp_path: Path) -> None:
    data = bytearray(archive({"a.txt": b"words", "secret.txt": b"x", "bad.txt": b"y" * 50}))
    places = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02"]
    struct.pack_into("<H", data, places[1] + 8, 1)
    struct.pack_into("<L", data, places[2] + 16, 12345)
    (text,), _ = reader.read(put(tmp_path, "a.zip", bytes(data)))
    assert text.notes == (
        "2 files in it not read: secret.txt (encrypted: a password is needed), bad.txt (damaged: it cannot be unpacked)",
    )
    with FileReader(FileLimits(max_bytes=2_000)) as small:
        (text,), _ = small.read(put(tmp_path, "b.zip", archive({"a.txt": b"words", "big.txt": bytes(3_000)})))
        assert text.notes == ("1 file in it not read: big.txt (3,000 bytes, more than the 2,000 allowed (--max-bytes))",)


def test_a_cut_tar_keeps_what_is_whole(reader: FileReader, tmp_path: Path) -> None:
    data = tar({"a.txt": b"First words.", "b.txt": b"x" * 5_000})
    (text,), _ = reader.read(put(tmp_path, "a.tar", data[:3_000]))
    assert text.text == "First words." and "further files (damaged" in text.notes[0]


def test_long_names_are_shortened_in_remarks(reader: FileReader, tmp_path: Path) -> None:
    words = reason(reader, put(tmp_path, "a.zip", archive({"folder/" * 300 + "a.bin": b"\x7fELF" + bytes(90)})))
    assert words == f"no text in it; 1 file in it not read: …{('folder/' * 300)[-95:]}a.bin (a program (ELF))"


def test_an_archive_in_which_nothing_is_text(reader: FileReader, tmp_path: Path) -> None:
    words = reason(reader, put(tmp_path, "a.zip", archive({"a.bin": b"\x7fELF" + bytes(90)})))
    assert words == "no text in it; 1 file in it not read: a.bin (a program (ELF))"


def test_tar_is_recognised_by_its_checksum() -> None:
    data = tar({"a.txt": b"x"})
    assert is_tar(data) and not is_tar(b"x" * 600) and not is_tar(bytes(600))


def test_records_in_members(reader: FileReader, tmp_path: Path) -> None:
    texts, _ = reader.read(put(tmp_path, "a.zip", archive({"r.jsonl": b'{"id":"q","text":"one"}\n{"text":"two"}\n'})))
    found: list[FileText] = texts
    assert [(text.member, text.record) for text in found] == [("r.jsonl", "q"), ("r.jsonl", "2")]
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert opened.namelist() == ["r.jsonl"]


def test_7z_where_its_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    py7zr = pytest.importorskip("py7zr", reason="docqa[archives] is not installed")

    def packed(password: str | None, data: bytes) -> bytes:
        out = io.BytesIO()
        with py7zr.SevenZipFile(out, "w", password=password) as opened:
            opened.writestr(data, "in/a.txt")
        return out.getvalue()

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))  # Nothing of it is written to the disk.
    (member,) = unpack(packed(None, b"First words."), FileLimits(), "7z").members
    assert (member.name, member.data) == ("in/a.txt", b"First words.")
    with pytest.raises(UnreadableFile, match="a password is needed"):
        unpack(packed("x", b"First words."), FileLimits(), "7z")
    with pytest.raises(UnreadableFile, match="would unpack to more than"):
        unpack(packed(None, bytes(60_000_000)), FileLimits(), "7z")


def test_members_of_7z_that_are_left_out(tmp_path: Path) -> None:
    py7zr = pytest.importorskip("py7zr", reason="docqa[archives] is not installed")
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w") as opened:
        opened.write(tmp_path / "link.txt", "link.txt")
        for name, data in {**FILES, "big.txt": bytes(3_000), "none.txt": b""}.items():
            opened.writestr(data, name)
    members = unpack(out.getvalue(), FileLimits(max_bytes=2_000), "7z").members
    assert [(member.name, member.data, member.reason) for member in members] == [
        ("a.txt", b"First words.", ""),
        ("big.txt", b"", "3,000 bytes, more than the 2,000 allowed (--max-bytes)"),
        ("none.txt", b"", ""),
        ("sub/b.csv", FILES["sub/b.csv"], ""),
    ]
    with pytest.raises(UnreadableFile, match="damaged"):
        unpack(out.getvalue()[:-30], FileLimits(), "7z")

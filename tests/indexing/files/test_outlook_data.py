"""Outlook data files: messages by folder, through libpff (a stand-in with its interface) or readpst."""

from __future__ import annotations

import datetime
import io
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import UnreadableFile
from indexing.files.archives import unpack
from indexing.files.file_text import Contents, FileLimits, Member
from indexing.files.file_type import kind_of
from indexing.files.formats import contents
from indexing.files.members import texts_of
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import put, reason

DATA = b"!BDN" + bytes(600)
HEADERS = "From: Ada <ada@example.org>\r\nTo: bo@example.org\r\nSubject: =?utf-8?q?Tiefe?=\r\nContent-Type: text/html\r\n"


class Attachment:
    def __init__(self, name: str, data: bytes) -> None:
        self.long_filename, self.data = name, data

    def get_size(self) -> int:
        return len(self.data)

    def read_buffer(self, size: int) -> bytes:
        return self.data[:size]


class Mail:
    """A message; what is not given raises, as libpff does for what is missing or damaged."""

    def __init__(self, attachments: tuple[Attachment, ...] = (), **values: Any) -> None:
        self.values = {"number_of_attachments": len(attachments), **values}
        self.attachments = attachments

    def __getattr__(self, name: str) -> Any:
        if name in ("values", "attachments") or name not in self.values:
            raise OSError("libpff: unable to retrieve value")
        return self.values[name]

    def get_attachment(self, number: int) -> Attachment:
        return self.attachments[number]


class Folder:
    def __init__(self, name: str, messages: tuple[Mail | None, ...] = (), folders: tuple[Folder, ...] = ()) -> None:
        self.name, self.messages, self.folders = name, messages, folders

    def get_name(self) -> str:
        return self.name

    def get_number_of_sub_messages(self) -> int:
        return len(self.messages)

    def get_number_of_sub_folders(self) -> int:
        return len(self.folders)

    def get_sub_folder(self, number: int) -> Folder:
        return self.folders[number]

    def get_sub_message(self, number: int) -> Mail:
        found = self.messages[number]
        if found is None:
            raise OSError("libpff: unable to read the message")
        return found


def root() -> Folder:
    """An inbox with a full message, one that cannot be read, and a folder with a message without headers."""
    full = Mail(
        (Attachment("depths.csv", b"City,Depth\nOstby,12\n"),),
        transport_headers=HEADERS,
        plain_text_body="Der Pier ist 12 m tief, größer als gedacht.".encode("cp1252"),
    )
    sparse = Mail(
        subject="倉庫",
        sender_name="Bo Li",
        delivery_time=datetime.datetime(2023, 5, 2, 10, 0),
        html_body=b"<html><meta charset='utf-8'><p>The ware\xc3\xa9house.</p></html>",
    )
    return Folder("", (), (Folder("Inbox", (full, None), (Folder("a/b", (sparse,)),)),))


@pytest.fixture
def libpff(monkeypatch: pytest.MonkeyPatch) -> None:
    class File:
        def open_file_object(self, stream: io.BytesIO) -> None:
            if len(stream.getvalue()) < 100:
                raise OSError("libpff: unable to read file header")

        def get_root_folder(self) -> Folder:
            return root()

    monkeypatch.setitem(sys.modules, "pypff", types.SimpleNamespace(file=File))


def read(data: bytes) -> list[Any]:
    def parse(data: bytes, kind: str, source: str) -> Contents:
        return contents(data, kind, FileLimits())

    return texts_of(data, "a.pst", parse, FileLimits())


def test_messages_with_their_folders_headers_and_attachments(libpff: None) -> None:
    assert kind_of(DATA, "a.ost") == "pst"
    texts = read(DATA)
    assert [text.member for text in texts] == ["Inbox/1.eml", "Inbox/1.eml/depths.csv", "Inbox/a_b/1.eml"]
    first, table, sparse = texts
    assert first.text == (
        "Tiefe\n\nFrom: Ada <ada@example.org>\nTo: bo@example.org\n\nDer Pier ist 12 m tief, größer als gedacht."
    )
    assert table.text == "City: Ostby\tDepth: 12" and table.meta["parent"] == "a.pst/Inbox/1.eml"
    assert sparse.text == "倉庫\n\nFrom: Bo Li\nDate: Tue, 02 May 2023 10:00:00 +0000\n\nThe wareéhouse."
    assert first.notes == ("1 file in it not read: Inbox/2.eml (damaged: libpff cannot read this message)",)


def test_what_is_not_read_is_named(monkeypatch: pytest.MonkeyPatch, libpff: None) -> None:
    class Unread(Attachment):
        def read_buffer(self, size: int) -> bytes:
            raise OSError("libpff: a message has no data")

    monkeypatch.setattr("indexing.files.outlook_data._LARGEST_PART", 50)
    monkeypatch.setattr("indexing.files.outlook_data._DEEPEST", 1)
    attached = (Attachment("a.txt", b"It is deep."), Unread("b.msg", b"x"), Attachment("c.txt", b"y" * 51))
    inner = Folder("Old", (), (Folder("Older", (Mail(subject="Never"),)),))
    monkeypatch.setitem(globals(), "root", lambda: Folder("", (Mail(attached, subject="Pier"),), (inner,)))
    first, inside = read(DATA)
    assert [first.member, inside.text] == ["1.eml", "It is deep."]
    assert first.notes == (
        "3 files in it not read: 1.eml/attachment 2 (damaged, or a message, which libpff does not give), 1.eml/attachment 3"
        " (51 bytes, more than the 50 that are read), Old/further folders (nested more than 1 deep)",
    )


def test_a_damaged_file_is_one_reason(libpff: None) -> None:
    with pytest.raises(UnreadableFile, match="^damaged, or not an Outlook data file$"):
        unpack(DATA[:50], FileLimits(), "pst")


def test_without_a_program_the_reason_says_what_would_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pypff", None)
    with pytest.raises(UnreadableFile, match=r"install docqa\[pst\] or readpst to read it"):
        unpack(DATA, FileLimits(), "pst")


def test_readpst_reads_where_libpff_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir"):
        (folder / name).symlink_to(str(shutil.which(name)))
    made = folder / "readpst"
    made.write_text('#!/bin/sh\nmkdir "$5/Inbox"\nprintf "Subject: Pier\\n\\nIt is deep.\\n" > "$5/Inbox/1.eml"\n')
    made.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "pypff", None)
    assert unpack(DATA, FileLimits(), "pst").members == [Member("Inbox/1.eml", b"Subject: Pier\n\nIt is deep.\n")]
    made.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(UnreadableFile, match="readpst finds no message"):
        unpack(DATA, FileLimits(), "pst")


def test_real_libpff_refuses_what_is_damaged(tmp_path: Path) -> None:
    pytest.importorskip("pypff", reason="docqa[pst] is not installed")
    with FileReader() as reader:
        assert reason(reader, put(tmp_path, "a.pst", DATA)) == "damaged, or not an Outlook data file"


def test_what_is_unpacked_is_bounded(monkeypatch: pytest.MonkeyPatch, libpff: None) -> None:
    monkeypatch.setattr("indexing.files.archives.MOST_BYTES", 500)
    found = unpack(DATA, FileLimits(), "pst").members
    assert [member.name for member in found] == ["further files"] and "beyond the first 500 bytes" in found[0].reason

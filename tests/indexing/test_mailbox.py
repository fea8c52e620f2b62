"""Mailboxes: each message is a document; a stopped or grown one is continued; memory holds one part."""

from __future__ import annotations

import io
import string
import tracemalloc
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.errors import UnreadableFile
from indexing.files import mailboxes
from indexing.files.file_text import FileLimits, FileText
from indexing.files.mailboxes import is_mailbox, messages, read_parts
from indexing.files.walk import content_hash
from indexing.report import Report
from indexing.store.corpus_db import IndexFolder
from tests.known import WordEmbedder


def message(number: int, words: str = "") -> bytes:
    words = words or f"Pier {number} is {number + 10} metres deep."
    return (
        f"From ada@example.org Mon Jan  2 10:00:00 2023\nFrom: Ada <ada@example.org>\nTo: bo@example.org\n"
        f"Subject: Pier {number}\nMessage-ID: <{number}@x>\n\n{words}\n\n"
    ).encode()


def box(*numbers: int) -> bytes:
    return b"".join(map(message, numbers))


def build(folder: Path, limits: FileLimits | None = None) -> Report:
    """Index `in` of a folder into `index` of it."""
    return build_index(folder / "in", folder / "index", embedder=WordEmbedder(), limits=limits)  # type: ignore[arg-type]


def texts(folder: Path) -> dict[str, str]:
    with IndexFolder.open(folder) as opened, opened.reading() as connection:
        rows = connection.execute("SELECT source, text FROM documents ORDER BY rowid").fetchall()
    return {source: text.rpartition("\n\n")[2] for source, text in rows}


def test_separators_and_quoted_lines() -> None:
    data = (
        b"From a@b Mon Jan  2 10:00:00 2023\nX: 1\n\nFrom here on it is deep.\n\n>From 2019 to 2023.\n>>From x\n\n"
        + message(2)
    )
    found = list(messages(io.BytesIO(data), 1_000))
    assert [(number, end) for number, end, _ in found] == [(1, len(data) - len(message(2))), (2, len(data))]
    assert found[0][2] == b"X: 1\n\nFrom here on it is deep.\n\nFrom 2019 to 2023.\n>From x\n\n"
    assert is_mailbox(data) and not is_mailbox(b"From 2019 on, the pier\nwas closed.\n")
    assert list(messages(io.BytesIO(data), 10))[0][2] == b""


def test_messages_are_documents(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "old.mbox").write_bytes(box(1, 2, 3))
    report = build(tmp_path)
    assert [(file.source, file.status, file.documents) for file in report.files] == [("old.mbox", "indexed", 3)]
    expected = {f"old.mbox/{number}.eml": f"Pier {number} is {number + 10} metres deep." for number in (1, 2, 3)}
    assert texts(tmp_path / "index") == expected


def test_a_grown_mailbox_is_read_from_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "old.mbox"
    file.write_bytes(box(1, 2))
    build(tmp_path)
    asked: list[int] = []
    whole = mailboxes._Part.add

    def counted(self: mailboxes._Part, number: int, data: bytes, most: int) -> None:
        asked.append(number)
        whole(self, number, data, most)

    monkeypatch.setattr(mailboxes._Part, "add", counted)
    file.write_bytes(box(1, 2, 3))
    report = build(tmp_path)
    assert asked == [3] and report.files[0].status == "updated" and len(texts(tmp_path / "index")) == 3
    file.write_bytes(box(1, 4, 3))
    build(tmp_path)
    assert asked == [3, 1, 2, 3] and "Pier 4 is 14 metres deep." in texts(tmp_path / "index").values()
    assert len(texts(tmp_path / "index")) == 3


def test_a_stopped_run_goes_on_after_the_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "old.mbox").write_bytes(box(*range(1, 8)))
    monkeypatch.setattr(mailboxes, "PART_MESSAGES", 2)
    monkeypatch.setattr("indexing.prepare.BATCH_CHARACTERS", 1)
    whole = mailboxes._Part.add

    def stops(self: mailboxes._Part, number: int, data: bytes, most: int) -> None:
        if number == 6:
            raise KeyboardInterrupt
        whole(self, number, data, most)

    monkeypatch.setattr(mailboxes._Part, "add", stops)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path)
    assert len(texts(tmp_path / "index")) == 4
    asked: list[int] = []

    def counted(self: mailboxes._Part, number: int, data: bytes, most: int) -> None:
        asked.append(number)
        whole(self, number, data, most)

    monkeypatch.setattr(mailboxes._Part, "add", counted)
    report = build(tmp_path)
    assert asked == [5, 6, 7] and report.files[0].documents == 3
    assert list(texts(tmp_path / "index")) == [f"old.mbox/{number}.eml" for number in range(1, 8)]


def test_a_mailbox_may_be_larger_than_one_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Inbox").write_bytes(box(*range(1, 30)))
    (tmp_path / "in" / "a.txt").write_text("x" * 3_000)
    report = build(tmp_path, FileLimits(max_bytes=1_000))
    assert [(file.source, file.status) for file in report.files] == [("Inbox", "indexed"), ("a.txt", "skipped")]
    assert report.documents == 29


def test_parts_hold_a_few_messages_and_the_hash_of_what_is_read() -> None:
    held: list[int] = []

    class Stream(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            held.append(len(line))
            return line

    def read(data: bytes, source: str) -> list[FileText]:
        return [FileText("x" * 150_000)]

    data = box(*range(1, 7))
    parts = read_parts(Stream(data), "a.mbox", read, 1_000, (0, ""))
    first = next(parts)
    assert len(first.texts) == 2 and not first.begun and not first.last
    assert sum(held) < len(data)
    rest = list(parts)
    assert [len(part.texts) for part in rest] == [2, 2] and rest[-1].last and rest[-1].size == len(data)
    again = list(read_parts(Stream(data), "a.mbox", read, 1_000, (first.size, first.digest)))
    assert [[text.member for text in part.texts] for part in again] == [["3.eml", "4.eml"], ["5.eml", "6.eml"]]
    assert all(part.begun for part in again)


def test_a_mailbox_cut_inside_a_message_is_read_again() -> None:
    def read(data: bytes, source: str) -> list[FileText]:
        return [FileText(data.decode())]

    (cut,) = read_parts(io.BytesIO(box(1, 2)[:-20]), "a.mbox", read, 1_000, (0, ""))
    (whole,) = read_parts(io.BytesIO(box(1, 2)), "a.mbox", read, 1_000, (cut.size, cut.digest))
    assert not whole.begun and [text.member for text in whole.texts] == ["1.eml", "2.eml"]


def test_what_is_not_read_of_messages_is_said(tmp_path: Path) -> None:
    def read(data: bytes, source: str) -> list[FileText]:
        return [FileText("words", notes=("1 file in it not read: a.bin",))]

    parts = list(read_parts(io.BytesIO(box(*range(1, 31))), "a.mbox", read, 1_000, (0, "")))
    assert parts[-1].notes == ("1.eml: 1 file in it not read: a.bin (and 29 more like this)",)


def test_a_rare_remark_is_not_hidden_by_a_frequent_one() -> None:
    def read(data: bytes, source: str) -> list[FileText]:
        number = int(source.rpartition("/")[2].partition(".")[0])
        if number == 700:
            raise UnreadableFile("encrypted")
        return [FileText("words", notes=(f"1 file in it not read: image{number:03}.png",))]

    data = box(*range(1, 801))
    first, *rest = read_parts(io.BytesIO(data), "a.mbox", read, 1_000, (0, ""))
    expected = ("1.eml: 1 file in it not read: image001.png (and 798 more like this)", "700.eml: encrypted")
    assert rest[-1].notes == expected
    known = (first.size, first.digest)
    (*_, resumed) = read_parts(io.BytesIO(data), "a.mbox", read, 1_000, known, first.notes)
    assert resumed.notes == expected


def test_characters_left_out_are_added_up_over_messages_and_runs() -> None:
    def read(data: bytes, source: str) -> list[FileText]:
        return [
            FileText("words", notes=("1,200 characters of hidden text not read", "2 characters of struck-out text not read"))
        ]

    whole = ("3,600 characters of hidden text not read", "6 characters of struck-out text not read")
    (part,) = read_parts(io.BytesIO(box(1, 2, 3)), "a.mbox", read, 1_000, (0, ""))
    assert part.notes == whole
    known = (part.size, part.digest)
    (more,) = read_parts(io.BytesIO(box(1, 2, 3, 4)), "a.mbox", read, 1_000, known, part.notes)
    box_of_many = [f"7.eml: remark {letter}" for letter in string.ascii_lowercase[:20]] + ["10 more remarks on messages"]
    (again,) = read_parts(
        io.BytesIO(box(1, 2, 3, 4)), "a.mbox", lambda *_: [FileText("x", notes=("y",))], 1_000, known, tuple(box_of_many)
    )
    assert again.notes == (*box_of_many[:20], "11 more remarks")
    assert more.begun and more.notes == (
        "4,800 characters of hidden text not read",
        "8 characters of struck-out text not read",
    )


def test_a_line_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes in pieces, of which none is a separator or a blank line."""
    monkeypatch.setattr(mailboxes, "_BLOCK", 64)
    read_in: list[bytes] = []

    def read(data: bytes, source: str) -> list[FileText]:
        read_in.append(data)
        return [FileText("words")]

    for length in range(60, 70):
        long = b"x" * length + b"\nFrom bo@example.org Mon Jan  2 10:00:00 2023\n"
        read_in.clear()
        data = message(1, "PLACE").replace(b"PLACE", long) + message(2)
        parts = list(read_parts(io.BytesIO(data), "a.mbox", read, 10_000, (0, "")))
        assert len(read_in) == 2 and long in read_in[0]
        assert parts[-1].size == len(data) and parts[-1].digest == content_hash(data)


def test_a_line_of_any_length_takes_little_memory() -> None:
    length = 64_000_000

    class Stream(io.RawIOBase):
        """A mailbox of one message with one long line, made as it is read."""

        def __init__(self) -> None:
            self.at = 0
            self.head = message(1)

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0, /) -> int:
            self.at = offset
            return offset

        def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
            piece = self.head[self.at : self.at + len(buffer)]
            piece = piece or b"x" * min(len(buffer), len(self.head) + length - self.at)
            buffer[: len(piece)] = piece
            self.at += len(piece)
            return len(piece)

    tracemalloc.start()
    (part,) = read_parts(io.BufferedReader(Stream()), "a.mbox", lambda data, source: [], 1_000, (0, ""))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert part.size == length + len(message(1)) and part.notes == (
        "1.eml: empty, or more than the 1,000 bytes allowed (--max-bytes)",
    )
    assert peak < length // 8


def test_a_moved_mailbox_larger_than_one_file_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Inbox").write_bytes(box(*range(1, 30)))
    limits = FileLimits(max_bytes=1_000)
    build(tmp_path, limits)
    (tmp_path / "in" / "Inbox").rename(tmp_path / "in" / "Archive")
    report = build(tmp_path, limits)
    assert [(file.source, file.status, file.documents) for file in report.files] == [("Archive", "updated", 29)]
    assert report.files[0].notes == ("moved from Inbox",)


def test_a_mailbox_that_fails_on_the_way_keeps_what_was_read_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "old.mbox").write_bytes(box(*range(1, 8)))
    monkeypatch.setattr(mailboxes, "PART_MESSAGES", 2)
    monkeypatch.setattr("indexing.prepare.BATCH_CHARACTERS", 1)
    with monkeypatch.context() as fault:
        whole = mailboxes._Part.add

        def fails(self: mailboxes._Part, number: int, data: bytes, most: int) -> None:
            if number == 6:
                raise OSError(5, "Input/output error")
            whole(self, number, data, most)

        fault.setattr(mailboxes._Part, "add", fails)
        report = build(tmp_path)
    assert report.files[0].status == "skipped" and "input/output error" in report.files[0].reason
    assert list(texts(tmp_path / "index")) == [f"old.mbox/{number}.eml" for number in range(1, 5)]
    again = build(tmp_path)
    assert (again.files[0].status, again.files[0].reason, again.files[0].documents) == ("updated", "", 3)
    assert list(texts(tmp_path / "index")) == [f"old.mbox/{number}.eml" for number in range(1, 8)]

"""Small OLE containers (MS-CFB) with the streams of Outlook messages, written sector by sector."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SECTOR, MINI = 512, 64
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


@dataclass
class Entry:
    """A storage (with children) or a stream (with data)."""

    name: str
    data: bytes | None = None
    children: list[Entry] = field(default_factory=list)
    number: int = 0
    start: int = END
    right: int = FREE


def make_msg(
    texts: Mapping[int, str],
    files: Sequence[tuple[str, bytes]] = (),
    messages: Sequence[tuple[str, Mapping[int, str]]] = (),
) -> bytes:
    """An Outlook message of text properties, attached files and attached messages."""
    return ole(_message(texts, files, messages, 32))


def _message(
    texts: Mapping[int, str],
    files: Sequence[tuple[str, bytes]],
    messages: Sequence[tuple[str, Mapping[int, str]]],
    head: int,
) -> list[Entry]:
    entries = [Entry("__properties_version1.0", bytes(head)), *_texts(texts)]
    for number, (name, data) in enumerate(files):
        inner = [*_texts({0x3707: name}), Entry("__substg1.0_37010102", data), Entry("__properties_version1.0", bytes(8))]
        entries.append(Entry(f"__attach_version1.0_#{number:08X}", None, inner))
    for number, (name, values) in enumerate(messages, len(files)):
        stored = Entry("__substg1.0_3701000D", None, _message(values, (), (), 24))
        inner = [*_texts({0x3001: name}), stored, Entry("__properties_version1.0", bytes(8))]
        entries.append(Entry(f"__attach_version1.0_#{number:08X}", None, inner))
    return entries


def _texts(values: Mapping[int, str]) -> list[Entry]:
    return [Entry(f"__substg1.0_{number:04X}001F", text.encode("utf-16-le")) for number, text in values.items()]


def ole(children: list[Entry]) -> bytes:
    """A container of these entries. All streams are short ones, in the mini stream."""
    root = Entry("Root Entry", None, children)
    order: list[Entry] = []
    _number(root, order)
    mini = b""
    chains: list[int] = []
    for entry in order:
        if entry.data:
            entry.start = len(mini) // MINI
            size = -(-len(entry.data) // MINI)
            chains += [len(chains) + at + 1 if at < size - 1 else END for at in range(size)]
            mini += entry.data.ljust(size * MINI, b"\0")
    directory = b"".join(_entry(entry, len(mini) if entry is root else 0) for entry in order)
    pieces = [_padded(directory), _padded(b"".join(struct.pack("<L", at) for at in chains), b"\xff"), _padded(mini)]
    counts = [len(piece) // SECTOR for piece in pieces]
    table: list[int] = [FAT]
    starts = []
    for count in counts:
        starts.append(len(table) if count else END)
        table += [len(table) + 1 + at if at < count - 1 else END for at in range(count)]
    assert len(table) <= SECTOR // 4
    body = bytearray(b"".join(pieces))
    struct.pack_into("<L", body, 116, starts[2])
    fat = b"".join(struct.pack("<L", at) for at in table).ljust(SECTOR, b"\xff")
    header = struct.pack(
        "<8s16sHHHHH6sLLLLLLLLLL",
        *(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6), 0, 1, starts[0], 0, 4096),
        *(starts[1], counts[1], END, 0, 0),
    )
    return header[:80].ljust(512, b"\xff") + fat + bytes(body)


def _number(entry: Entry, order: list[Entry]) -> None:
    entry.number = len(order)
    order.append(entry)
    for child in entry.children:
        _number(child, order)
    for child, following in zip(entry.children, entry.children[1:], strict=False):
        child.right = following.number


def _entry(entry: Entry, mini: int) -> bytes:
    """A directory entry; siblings hang on one another to the right."""
    child = entry.children[0].number if entry.children else FREE
    name = (entry.name + "\0").encode("utf-16-le")
    kind = 5 if entry.number == 0 else 1 if entry.data is None else 2
    size = mini if kind == 5 else len(entry.data or b"")
    start = entry.start if kind != 5 else 0
    values = (name, len(name), kind, 1, FREE, entry.right, child, bytes(36), start, size)
    return struct.pack("<64sHBBLLL36sLQ", *values)


def _padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, fill)

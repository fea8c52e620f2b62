"""`winmail.dat`: the text and attachments of messages that Outlook sends in its own form."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.file_type import kind_of
from indexing.files.tnef import read_tnef
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import put

RTF = b"{\\rtf1\\ansi\\ansicpg1252\\pard Gr\\'fc\\'dfe\\par}"


def attribute(level: int, tag: int, value: bytes) -> bytes:
    return struct.pack("<BHHI", level, tag, 1, len(value)) + value + struct.pack("<H", sum(value) % 65536)


def properties(*values: tuple[int, int, bytes]) -> bytes:
    """MAPI properties: (type, number, value) each. Numbers are fixed to 4 bytes, others have a length."""
    out = struct.pack("<I", len(values))
    for kind, number, value in values:
        out += struct.pack("<HH", kind, number)
        if number >= 0x8000:
            out += bytes(16) + struct.pack("<II", 1, 6) + "na\0".encode("utf-16-le") + bytes(2)
        out += value if kind == 3 else struct.pack("<II", 1, len(value)) + value + bytes(-len(value) % 4)
    return out


def tnef(*attributes: bytes) -> bytes:
    return b"\x78\x9f\x3e\x22" + struct.pack("<H", 1) + b"".join(attributes)


def packed(rtf: bytes) -> bytes:
    return struct.pack("<II", len(rtf) + 12, len(rtf)) + b"MELA" + bytes(4) + rtf


def attached(name: str, data: bytes, kind: int = 0x102) -> list[bytes]:
    wide = f"{name}\0".encode("utf-16-le")
    values = properties((3, 0x8001, bytes(4)), (3, 0x0E20, bytes(4)), (0x1F, 0x3707, wide), (kind, 0x3701, data))
    return [attribute(2, 0x9002, bytes(14)), attribute(2, 0x8010, b"SHORT~1.TXT\0"), attribute(2, 0x9005, values)]


def test_text_and_attachments(reader: FileReader, tmp_path: Path) -> None:
    inner = tnef(attribute(1, 0x8004, b"Tiefen\0"), attribute(1, 0x800C, b"Der Pier ist 12 m tief.\0"))
    data = tnef(
        attribute(1, 0x8004, b"Pier\0"),
        attribute(1, 0x9003, properties((3, 0x8002, bytes(4)), (0x102, 0x1009, packed(RTF)))),
        *attached("Größe.csv", b"City,Depth\nOstby,12\n"),
        *attached("Tiefen", bytes(16) + inner, 0x0D),
        attribute(2, 0x9002, bytes(14)),
        attribute(2, 0x8010, b"old.txt\0"),
        attribute(2, 0x800F, b"Old words."),
    )
    assert kind_of(data, "winmail.dat") == "tnef"
    mail = b"From: a@x.org\nSubject: Pier\nContent-Transfer-Encoding: base64\nContent-Type: application/ms-tnef"
    texts, _ = reader.read(put(tmp_path, "a.eml", mail + b"; name=winmail.dat\n\n" + base64.b64encode(data)))
    assert [text.member for text in texts][1:3] == ["winmail.dat", "winmail.dat/Größe.csv"]
    texts, _ = reader.read(put(tmp_path, "winmail.dat", data))
    assert [(text.member, text.text) for text in texts] == [
        ("", "Pier\n\nGrüße"),
        ("Größe.csv", "City: Ostby\tDepth: 12"),
        ("Tiefen.dat", "Tiefen\n\nDer Pier ist 12 m tief."),
        ("old.txt", "Old words."),
    ]


def test_html_wins() -> None:
    values = properties((0x1E, 0x1000, b"Plain.\0"), (0x102, 0x1013, "<p>Größe <s>99</s> 12".encode()))
    text = read_tnef(tnef(attribute(1, 0x9003, values)), FileLimits()).texts[0]
    assert text.text == "Größe 12" and text.notes == ("2 characters of struck-out text not read",)


@pytest.mark.parametrize("cut", [6, 10, 40])
def test_a_cut_file_is_damaged(cut: int) -> None:
    data = tnef(attribute(1, 0x8004, b"Pier\0"), attribute(1, 0x800C, b"It is 12 m deep, and long.\0"))
    with pytest.raises(UnreadableFile, match="winmail"):
        read_tnef(data[:cut], FileLimits())

"""`winmail.dat`: the text and attachments of messages that Outlook sends in its own form."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.file_type import kind_of
from indexing.files.tnef import read_tnef
from indexing.files.walk import FileReader
from tests.indexing.files.binary_mail import attached, attribute, packed, properties, tnef
from tests.indexing.files.conftest import put

RTF = b"{\\rtf1\\ansi\\ansicpg1252\\pard Gr\\'fc\\'dfe\\par}"


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

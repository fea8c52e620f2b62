"""Office files that would hurt: zip bombs, false sizes, entities."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.walk import FileReader
from indexing.files.zip_guard import guard_zip
from tests.indexing.files.conftest import archive, only, put, reason


def test_a_zip_bomb_is_refused(reader: FileReader, tmp_path: Path) -> None:
    bomb = archive({"word/document.xml": bytes(60_000_000), "[Content_Types].xml": b""})
    assert "would unpack to more than" in reason(reader, put(tmp_path, "bomb.docx", bomb))


def test_a_zip_that_lies_about_its_sizes_is_damaged() -> None:
    data = bytearray(archive({"word/document.xml": bytes(1_000_000)}))
    at = data.index(b"PK\x01\x02") + 24
    struct.pack_into("<L", data, at, 10)
    with pytest.raises(UnreadableFile, match="damaged|more than"):
        guard_zip(bytes(data))


def test_entities_do_not_explode_or_reach_files(reader: FileReader, tmp_path: Path) -> None:
    head = (
        "<!DOCTYPE x ["
        + '<!ENTITY a "lol">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
        + '<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    )
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = f"{head}<w:document {w}><w:body><w:p><w:r><w:t>before &j; &f;</w:t></w:r></w:p></w:body></w:document>"
    import docx

    plain = io.BytesIO()
    docx.Document().save(plain)
    members = {name: zipfile.ZipFile(plain).read(name) for name in zipfile.ZipFile(plain).namelist()}
    file = put(tmp_path, "a.docx", archive({**members, "word/document.xml": body.encode()}))
    try:
        text = only(reader.read(file)).text
    except UnreadableFile:
        return
    assert "root:" not in text and len(text) < 10_000

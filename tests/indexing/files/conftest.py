"""A shared file reader, and what holds for every text that it gives."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.formats import parse
from indexing.files.walk import FileReader, FoundFile

SCRIPTS = {
    "Arabic": "افتتح الجسر عام 1912 بالقرب من النهر. إنه طويل جدا.",
    "Hindi": "पुल 1912 में नदी के पास खोला गया। यह बहुत लंबा है।",
    "Thai": "สะพานเปิดในปี 1912 ใกล้แม่น้ำ มันยาวมาก",
    "Chinese": "这座桥于1912年在河边开通。它很长，造价很高。",
    "Japanese": "この橋は1912年に川の近くで開通しました。とても長い。",
    "Greek": "Η γέφυρα άνοιξε το 1912 κοντά στο ποτάμι.",
    "emoji": "The bridge 🌉 opened 👩‍👩‍👧 in 1912 🇬🇷 e\u0301",
}


@pytest.fixture(scope="module")
def reader() -> Iterator[FileReader]:
    with FileReader() as shared:
        yield shared


def put(folder: Path, name: str, data: bytes) -> FoundFile:
    """The file of that name with that content, as the walk would give it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return FoundFile(path, name, len(data), path.stat().st_mtime_ns)


def reason(reader: FileReader, file: FoundFile) -> str:
    """Why a file is not read, which must be one phrase."""
    with pytest.raises(UnreadableFile) as caught:
        reader.read(file)
    words = str(caught.value)
    assert words and "\n" not in words and "Traceback" not in words and len(words) < 400
    return words


def only(read: tuple[list[FileText], str]) -> FileText:
    (text,) = read[0]
    return text


def wait_for(holds: Callable[[], object]) -> bool:
    """Whether a condition holds within ten seconds."""
    for _ in range(100):
        if holds():
            return True
        time.sleep(0.1)
    return False


def check_laws(text: FileText) -> None:
    """What holds for every text."""
    text.text.encode("utf-8")
    assert list(text.pages) == sorted(text.pages) and (not text.pages or text.pages[0] == 0)
    assert all(0 <= page <= len(text.text) for page in text.pages)
    ends = [0]
    for start, end, level in text.headings:
        assert ends[-1] <= start < end <= len(text.text) and 1 <= level <= 9
        assert text.text[start:end] == text.text[start:end].strip()
        ends.append(end)
    assert all(isinstance(value, (str, int, float, bool)) for value in text.meta.values())
    json.dumps(dict(text.meta), allow_nan=False)


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip container, the same at any time."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        for name, content in members.items():
            made.writestr(zipfile.ZipInfo(name), content, method)
    return data.getvalue()


def many(data: bytes, kind: str) -> list[FileText]:
    texts = parse(data, kind, FileLimits())
    for text in texts:
        check_laws(text)
    return texts


def one(data: bytes, kind: str) -> FileText:
    (text,) = many(data, kind)
    return text


def headings(text: FileText) -> list[tuple[str, int]]:
    return [(text.text[start:end], level) for start, end, level in text.headings]

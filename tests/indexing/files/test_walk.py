"""Walking a folder and reading files: what is found, what is read verbatim, what is refused and in which words."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import socket
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import IndexFolderError, SettingError, UnreadableFile
from indexing.files import office, sandbox
from indexing.files.charset import decode
from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.walk import FileReader, FoundFile, content_hash, find_files
from tests.pdfs import make_pdf, paragraph

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


def check_laws(text: FileText) -> None:
    """What holds for every text."""
    text.text.encode("utf-8")
    assert list(text.pages) == sorted(text.pages) and (not text.pages or text.pages[0] == 0)
    assert all(0 <= page <= len(text.text) for page in text.pages)
    ends = [0]
    for start, end, level in text.headings:
        assert ends[-1] <= start < end <= len(text.text) and 1 <= level <= 6
        assert text.text[start:end] == text.text[start:end].strip()
        ends.append(end)
    assert all(isinstance(value, (str, int, float, bool)) for value in text.meta.values())
    json.dumps(dict(text.meta), allow_nan=False)


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


# -- plain text --------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_encodings(script: str, encoding: str) -> None:
    text = SCRIPTS[script]
    found = decode(text.encode(encoding))
    assert found is not None and found.text == text and not found.notes


OLD = [
    ("latin-1", "Le pont a été ouvert en 1912 près de la rivière, où l'été brûle."),
    ("cp1252", "The café’s façade cost £5 – “quite” a naïve résumé."),
    ("cp1252", "Der Berg liegt auf der Insel. Überall schöne Häuser und Straßen."),
    ("cp1252", "BMW fährt über die Brücke."),
    ("cp1254", "Köprü bin dokuz yüz on iki yılında açıldı; şehirde ığdır ağaçları vardır."),
    ("cp1250", "Most został otwarty w tysiąc dziewięćset dwunastym roku. Jest bardzo długi."),
    ("cp1251", "Мост был открыт в 1912 году рядом с рекой. Он очень длинный."),
    ("koi8-r", "Мост был открыт в 1912 году рядом с рекой. Он очень длинный."),
    ("cp866", "Мост был открыт в 1912 году рядом с рекой. Он очень длинный."),
    ("cp1253", "Η γέφυρα άνοιξε το 1912 κοντά στο ποτάμι. Είναι πολύ μεγάλη."),
    ("cp1255", "הגשר נפתח בשנת 1912 ליד הנהר. הוא ארוך מאוד."),
    ("cp1256", "افتتح الجسر عام 1912 بالقرب من النهر. إنه طويل جدا."),
    ("tis-620", "สะพานเปิดในปี 1912 ใกล้แม่น้ำ มันยาวมาก"),
    ("gb18030", "这座桥于1912年在河边开通。它很长，造价很高。人们每天从桥上走过。"),
    ("big5", "這座橋於1912年在河邊開通。它很長，造價很高。人們每天從橋上走過。"),
    ("shift_jis", "この橋は1912年に川の近くで開通しました。とても長くて、高い。"),
    ("euc-jp", "この橋は1912年に川の近くで開通しました。とても長くて、高い。"),
    ("euc-kr", "이 다리는 1912년에 강 근처에서 개통되었습니다. 매우 길다."),
]


@pytest.mark.parametrize(("encoding", "text"), OLD)
@pytest.mark.parametrize("length", [30, 1_000])
def test_old_encodings_are_told_apart(encoding: str, text: str, length: int) -> None:
    data = text[:length].encode(encoding)
    found = decode(data)
    assert found is not None and found.text == text[:length], found


def test_the_encoding_is_in_the_meta(reader: FileReader, tmp_path: Path) -> None:
    data = ("Мост открыт в 1912 году.\r\n" * 9_000).encode("koi8-r")
    text = only(reader.read(put(tmp_path, "a.txt", data)))
    assert text.meta == {"file_type": "txt", "encoding": "koi8-r"} and text.text.endswith("году.\r\n")


def test_a_few_bad_bytes_are_replaced_and_told(reader: FileReader, tmp_path: Path) -> None:
    data = ("Η γέφυρα άνοιξε. " * 20).encode() + b"\xff"
    text = only(reader.read(put(tmp_path, "a.txt", data)))
    assert text.text.endswith("\ufffd") and text.notes == ("bytes that are not utf-8 were replaced by U+FFFD: 1",)


def test_mojibake_is_suspected(reader: FileReader, tmp_path: Path) -> None:
    wrong = "La météo de l’été était très belle à Genève".encode().decode("cp1252", "replace")
    assert "mojibake" in only(reader.read(put(tmp_path, "a.txt", wrong.encode()))).notes[0]


def test_small_text_files_start_no_process(tmp_path: Path) -> None:
    files = [put(tmp_path, f"{number}.txt", b"The bridge opened in 1912. " * 40) for number in range(500)]
    with FileReader() as reader:
        for file in files:
            reader.read(file)
        assert reader._worker._child is None


# -- what is refused ---------------------------------------------------------------------------------------------------


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return data.getvalue()


def ole(stream: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + (stream + "\0").encode("utf-16-le") + bytes(600)


REFUSED = {
    "empty.txt": (b"", "empty (0 bytes)"),
    "blank.txt": (b" \r\n\t ", "no text in it"),
    "marked.txt": (b"\xef\xbb\xbf", "no text in it"),
    "photo.pdf": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(90), "an image (JPEG), not a format we read"),
    "photo.txt": (b"\x89PNG\r\n\x1a\n" + bytes(90), "an image (PNG), not a format we read"),
    "anim.md": (b"GIF89a\x01\x00\x01\x00\x80\x00", "an image (GIF), not a format we read"),
    "song.txt": (b"ID3\x03\x00\x00\x00\x00", "a sound file (MP3), not a format we read"),
    "run.txt": (b"MZ\x90\x00\x03\x00\x00\x00", "a program (Windows), not a format we read"),
    "a.out": (b"\x7fELF\x02\x01\x01" + bytes(90), "a program (ELF), not a format we read"),
    "film.mp4": (b"\x00\x00\x00\x18ftypmp42" + bytes(90), "a video, sound or image file (MP4 family), not a format we read"),
    "old.txt.gz": (gzip.compress(b"text", mtime=0), "a compressed file (gzip), not a format we read"),
    "pack.docx": (archive({"a.txt": b"hello"}), "a zip archive, not a format we read"),
    "book.epub": (archive({"mimetype": b"application/epub+zip"}), "an e-book (EPUB), not a format we read"),
    "old.docx": (ole("WordDocument"), "an old Word document (.doc), not a format we read; save it as .docx"),
    "old.xls": (ole("Workbook"), "an old Excel workbook (.xls), not a format we read; save it as .xlsx"),
    "locked.docx": (ole("EncryptedPackage"), "encrypted: a password is needed"),
    "letter.rtf": (rb"{\rtf1 hello}", "an RTF document, not a format we read; save it as .docx"),
    "cut.docx": (archive({"word/document.xml": b"<x/>" * 99})[:60], "a zip file that is damaged or cut off"),
    "noise.txt": (bytes(range(256)) * 20, "binary data, not text"),
    "noise.pdf": (bytes(range(256)) * 20, "named .pdf but not a PDF: damaged, or another format"),
    "cut.pdf": (b"%PDF-1.7\n1 0 obj <<", "damaged, or not a PDF: it cannot be opened"),
    "bad.json": (b'{"a": ', "not valid JSON (expecting value, line 1)"),
    "bad.jsonl": (b"{\n{\n", "no line of it is valid JSON"),
    "scan.pdf": (make_pdf([[], []]), "no text layer (a scan?) on any of its 2 pages"),
    "fake.docx": (archive({"word/document.xml": b"<x/>"}), "damaged, or not a Word document"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_plain_words(reader: FileReader, tmp_path: Path, name: str) -> None:
    data, words = REFUSED[name]
    assert reason(reader, put(tmp_path, name, data)).startswith(words)


def test_the_kind_is_what_is_inside(tmp_path: Path) -> None:
    assert kind_of(make_pdf([[]]), "a.txt") == "pdf"
    assert kind_of(archive({"xl/workbook.xml": b""}), "a.docx") == "xlsx"
    assert kind_of(archive({"ppt/presentation.xml": b""}), "a.zip") == "pptx"
    assert kind_of(b"<!DOCTYPE html><p>x", "report.xls") == "html"
    assert kind_of(b"%PDF-1.7 is how such a file begins", "a.txt") == "txt"
    assert kind_of("BMW fährt über die Brücke".encode("latin-1"), "a.txt") == "txt"
    assert kind_of(b"plain", "Makefile") == kind_of(b"plain", "a.b/README") == "txt"


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


def test_a_zip_bomb_is_refused(reader: FileReader, tmp_path: Path) -> None:
    bomb = archive({"word/document.xml": bytes(60_000_000), "[Content_Types].xml": b""})
    assert "would unpack to more than" in reason(reader, put(tmp_path, "bomb.docx", bomb))


def test_a_zip_that_lies_about_its_sizes_is_damaged() -> None:
    data = bytearray(archive({"word/document.xml": bytes(1_000_000)}))
    at = data.index(b"PK\x01\x02") + 24
    struct.pack_into("<L", data, at, 10)
    with pytest.raises(UnreadableFile, match="damaged|more than"):
        office.guard_zip(bytes(data))


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


NASTY = {
    "deep.json": b"[" * 200_000 + b"]" * 200_000,
    "deep.jsonl": b"[" * 200_000 + b"]" * 200_000 + b'\n{"text":"fine"}\n',
    "deep.html": b"<b>" * 100_000 + b"text",
    "long.html": b"<p>" + b"word " * 200_000,
    "long.csv": b"a,b\n" + b"x" * 2_000_000 + b',"1\n',
    "nul.csv": b"name,year\nA\0da,19\x0012\n",
    "quotes.csv": b'"' * 100_001 + b",\n",
    "number.json": b'{"a": ' + b"9" * 100_000 + b"}",
    "broken.eml": b"From: =?bogus?q?=FF?=\r\nSubject: =?utf-8?b?////?=\r\nDate: never\r\n"
    b"Content-Type: text/plain; charset=nope\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n\xff\xfe!!!not base64\xe9\r\n",
    "raw.eml": b"From: J\xfcrgen <a@b>\r\nSubject: Gr\xfc\xdfe \x00\r\n\r\nSch\xf6ne Gr\xfc\xdfe aus Z\xfcrich\r\n",
    "parts.eml": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 500,
    "half.html": b"<html><body><p>a<table><tr><td>\xff\xfe<script>",
    "bad.md": b"```\n# no\n" + b"#" * 100_000 + b"\n" + b"- " * 100_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_files_give_a_text_or_a_phrase(reader: FileReader, tmp_path: Path, name: str) -> None:
    file = put(tmp_path, name, NASTY[name])
    try:
        texts, _ = reader.read(file)
    except UnreadableFile as error:
        assert len(str(error)) < 400 and "\n" not in str(error)
    else:
        for text in texts:
            check_laws(text)


@given(
    data=st.binary(min_size=1, max_size=300),
    name=st.sampled_from(["a.txt", "a.md", "a.csv", "a.json", "a.eml", "a.pdf", "a.html", "a.x"]),
)
def test_any_bytes_give_a_text_or_a_phrase(
    reader: FileReader, tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    try:
        for text in reader.read(FoundFile(path, name, len(data), 0))[0]:
            check_laws(text)
    except UnreadableFile as error:
        assert str(error) and "\n" not in str(error)


# -- the worker --------------------------------------------------------------------------------------------------------


def test_a_hang_is_ended_and_the_next_file_is_read(tmp_path: Path) -> None:
    with FileReader(FileLimits(seconds=1.5)) as reader:
        assert only(reader.read(put(tmp_path, "ok.html", b"<p>fine"))).text == "fine"
        hang = put(tmp_path, "hang.html", b"<div>" * 200_000 + b"text")
        assert reason(reader, hang) == "not read within the 1.5 seconds allowed for one file (--seconds)"
    with FileReader() as reader:
        assert only(reader.read(put(tmp_path, "ok.html", b"<p>fine"))).text == "fine"


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    file = put(tmp_path, "a.html", b"<p>fine")
    with FileReader() as reader:
        reader.read(file)
        child = reader._worker._child
        assert child is not None
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        assert only(reader.read(file)).text == "fine" and reader._worker._child is not child


def test_a_crash_while_parsing_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import indexing.files.sandbox as i, os; i._answer = lambda *a: os.kill(os.getpid(), 11); i.serve()"
    monkeypatch.setattr(sandbox, "_CODE", sandbox._CODE.partition("from ")[0] + crash)
    with FileReader() as reader:
        words = reason(reader, put(tmp_path, "a.html", b"<p>fine"))
        assert words.startswith("the parser crashed on it (exit -11)") and reader._worker._child is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is only bounded where the system can")
def test_too_much_memory_is_a_reason_and_the_next_file_is_read(tmp_path: Path) -> None:
    big = b'{"a":[' + b"{}," * 3_000_000 + b"{}]}"
    with FileReader(FileLimits(memory_mb=64)) as reader:
        assert "64 MB of memory" in reason(reader, put(tmp_path, "big.json", big))
        assert only(reader.read(put(tmp_path, "a.html", b"<p>fine"))).text == "fine"


def test_the_worker_is_renewed_and_ends_with_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "FILES_PER_WORKER", 2)
    file = put(tmp_path, "a.html", b"<p>fine")
    pids = set()
    with FileReader() as reader:
        for _ in range(5):
            reader.read(file)
            child = reader._worker._child
            assert child is not None
            pids.add(child.process.pid)
    assert len(pids) == 3 and child is not None and child.process.poll() is not None


def test_nothing_from_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("selectolax", "json", "indexing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    with FileReader() as reader:
        assert only(reader.read(put(tmp_path / "d", "a.html", b"<p>fine"))).text == "fine"


NONSENSE = {
    "no JSON": (5).to_bytes(4, "big") + b"{nope",
    "JSON of another kind": (2).to_bytes(4, "big") + b"17",
    "a length below nothing": (-9).to_bytes(4, "big", signed=True),
    "more than is ever taken": (-1).to_bytes(4, "big", signed=True) + (2**40).to_bytes(8, "big"),
    "a pickle": (3).to_bytes(4, "big") + b"\x80\x04.",
}


@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE)
def test_a_worker_that_talks_nonsense_is_a_crash(tmp_path: Path, sent: bytes) -> None:
    with FileReader() as reader:
        file = put(tmp_path, "a.html", b"<p>fine")
        reader.read(file)
        theirs = replaced_connection(reader)
        theirs.sendall(sent)
        assert "crashed" in reason(reader, file)
        assert only(reader.read(file)).text == "fine"
    theirs.close()


def test_a_worker_that_reads_nothing_is_ended_by_the_clock(tmp_path: Path) -> None:
    with FileReader(FileLimits(seconds=1.5)) as reader:
        file = put(tmp_path, "a.html", b"<p>fine")
        reader.read(file)
        assert reader._worker._child is not None
        os.kill(reader._worker._child.process.pid, signal.SIGSTOP)
        big = put(tmp_path, "big.html", b"<p>fine" * 1_000_000)
        assert reason(reader, big) == "not read within the 1.5 seconds allowed for one file (--seconds)"
        assert only(reader.read(file)).text == "fine"


def replaced_connection(reader: FileReader) -> socket.socket:
    """The other end of a new connection, in place of that to the worker."""
    assert reader._worker._child is not None
    ours, theirs = socket.socketpair()
    reader._worker._child.connection.close()
    reader._worker._child.connection = Connection(ours.detach())
    return theirs

"""Office files of 1997 to 2003: read by LibreOffice or catdoc where one is installed, else the reason names both."""

from __future__ import annotations

import http.server
import os
import shutil
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.file_type import kind_of
from indexing.files.formats import parse
from indexing.files.old_office import NEWER, read_old_office
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import check_laws, put, reason, wait_for
from tests.indexing.files.office_files import book, paragraph, row, run, shape, slides, word
from tests.indexing.files.ole_files import Entry, ole

MADE = {
    "doc": word(paragraph(run("The pier is 12 metres deep."))),
    "xls": book(row("City", "Depth") + row("Ostby", 12)),
    "ppt": slides(shape("<a:r><a:t>Boats anchor.</a:t></a:r>")),
}
TEXTS = {"doc": "The pier is 12 metres deep.", "xls": "Depths\n\nCity: Ostby\tDepth: 12", "ppt": "Boats anchor."}
STREAMS = {"doc": "WordDocument", "xls": "Workbook", "ppt": "PowerPoint Document"}


def old_word(text: bytes) -> bytes:
    """A Word 97 file of 8-bit text: a FIB that tells where the text begins and ends, and the text."""
    head = struct.pack("<HH", 0xA5EC, 0xC1) + bytes(20) + struct.pack("<II", 1_536, 1_536 + len(text))
    return ole([Entry("WordDocument", head.ljust(1_536, b"\0") + text)])


def old(kind: str) -> bytes:
    return ole([Entry(STREAMS[kind], b"x" * 100)])


def program(folder: Path, name: str, lines: str) -> None:
    """A program of that name. Only `folder` and the shell's own programs are on the path then."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with the programs that the fakes need, and no LibreOffice or catdoc."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cp", "sleep", "cat", "mkdir", "yes"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def fake_office(folder: Path, kind: str, more: str = "") -> None:
    """A LibreOffice that gives the same file whatever it is asked, and notes its arguments."""
    (folder / "made").write_bytes(MADE[kind])
    out = '"$7"'
    kept = f'cp "${{1#*file://}}/user/registrymodifications.xcu" {folder}/settings'
    program(folder, "soffice", f'echo "$@" > {folder}/asked\n{kept}\n{more}\nmkdir -p {out}\ncp {folder}/made {out}/in.$5')


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split()[2] == "Z"


@pytest.mark.parametrize("kind", MADE)
def test_libreoffice_converts_where_it_is_installed(bare: Path, tmp_path: Path, kind: str) -> None:
    fake_office(bare, kind)
    with FileReader() as reader:
        (text,) = reader.read(put(tmp_path, f"a.{kind}", old(kind)))[0]
    check_laws(text)
    assert text.text == TEXTS[kind] and text.meta["file_type"] == kind and text.notes == ("read by LibreOffice",)
    asked = (bare / "asked").read_text()
    assert f"--headless --norestore --convert-to {kind}x --outdir" in asked and f"in.{kind}" in asked
    settings = ElementTree.parse(bare / "settings").getroot()
    values = {item[0].get("{http://openoffice.org/2001/registry}name"): item[0][0].text for item in settings}
    assert values["BlockUntrustedRefererLinks"] == values["DisableMacrosExecution"] == "true"
    assert values["ooInetHTTPProxyPort"] == values["ooInetHTTPSProxyPort"] == "9"


@pytest.mark.parametrize("kind", MADE)
def test_without_a_program_the_reason_says_what_would_read_it(bare: Path, tmp_path: Path, kind: str) -> None:
    with FileReader() as reader:
        words = reason(reader, put(tmp_path, f"a.{kind}", old(kind)))
    assert f"(.{kind}): LibreOffice or catdoc would read it, and neither is installed; or save it as .{kind}x" in words


def test_catdoc_reads_where_libreoffice_is_not(bare: Path) -> None:
    program(bare, "catdoc", "echo 'Größe: 12 m'")
    program(bare, "xls2csv", 'printf \'"City","Depth"\\n"Ostby",12\\n\\f"Ship","Flag"\\n"Ada","NO"\\n\\f\'')
    program(bare, "catppt", "printf 'Title\\fBody\\f'")
    found = {kind: read_old_office(old(kind), FileLimits(), kind, parse)[0] for kind in MADE}
    assert {kind: text.text for kind, text in found.items()} == {
        "doc": "Größe: 12 m",
        "xls": "City: Ostby\tDepth: 12\n\nShip: Ada\tFlag: NO",
        "ppt": "Title\n\nBody",
    }
    assert found["xls"].pages == (0, 23) and all("catdoc" in text.notes[0] for text in found.values())


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("soffice", "exit 1", "cannot convert: damaged, or a password is needed"),
        ("soffice", "sleep 60", "not read by LibreOffice within 0.9 of the 1 seconds"),
        ("catdoc", "true", "catdoc finds no text"),
        ("catdoc", "yes", "not read by catdoc within|characters allowed"),
        ("catdoc", "sleep 60 & sleep 60", "not read by catdoc within"),
    ],
)
def test_a_program_that_fails_or_hangs_costs_one_file(bare: Path, name: str, lines: str, words: str) -> None:
    program(bare, name, lines)
    with pytest.raises(UnreadableFile, match=words):
        read_old_office(old("doc"), FileLimits(seconds=1, max_chars=1_000), "doc", parse)


def test_nothing_of_the_file_or_of_the_program_stays(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    fake_office(bare, "doc", f"sleep 3600 & echo $! > {bare}/child")
    read_old_office(old("doc"), FileLimits(), "doc", parse)
    assert list(temporary.iterdir()) == []
    assert wait_for(lambda: is_gone(int((bare / "child").read_text()))), "the program's child still runs"


def test_a_program_ends_with_the_process_that_reads_the_file(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a run is interrupted; some files make catdoc run for ever."""
    temporary, started = tmp_path / "tmp", bare / "started"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    program(bare, "catdoc", f"echo $$ > {started}.new; cp {started}.new {started}; exec sleep 3600")
    with FileReader() as reader, ThreadPoolExecutor(1) as pool:
        read = pool.submit(reader.parse, old("doc"), "a.doc")
        assert wait_for(lambda: started.exists() and started.read_text().strip()) and any(temporary.rglob("in.doc"))
        child = reader._worker._child
        assert child is not None
        child.process.kill()
        with pytest.raises(UnreadableFile, match="crashed"):
            read.result()
        assert wait_for(lambda: is_gone(int(started.read_text()))), "the program still runs"
    assert list(temporary.iterdir()) == []


def test_the_name_decides_between_a_document_and_what_is_in_it() -> None:
    both = ole([Entry("WordDocument", b"x" * 100), Entry("Workbook", b"x" * 100)])
    assert [kind_of(both, name) for name in ("a.doc", "a.XLS", "a.bin")] == ["doc", "xls", "doc"]
    mail = ole(
        [
            Entry("__properties_version1.0", bytes(32)),
            Entry("attached", old("doc") + "EncryptedPackage\0".encode("utf-16-le")),
        ]
    )
    assert [kind_of(mail, name) for name in ("a.msg", "a")] == ["msg", "msg"]


@pytest.mark.skipif(shutil.which("catdoc") is None, reason="catdoc is not installed")
def test_real_catdoc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(str(shutil.which("catdoc"))))
    monkeypatch.setattr("indexing.files.old_office.OFFICE", ())
    (text,) = read_old_office(
        old_word("The pier of Malmö is 12 metres deep.\rIt is long.\r".encode("cp1252")), FileLimits(), "doc", parse
    )
    assert text.text.split() == "The pier of Malmö is 12 metres deep. It is long.".split()


def by_libreoffice(path: Path, kind: str, *options: str) -> bytes:
    """The file in an old format, as LibreOffice writes it."""
    command = ["soffice", f"-env:UserInstallation={(path.parent / 'profile').as_uri()}", "--headless", *options]
    command += ["--convert-to", kind, "--outdir", str(path.parent), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return path.with_suffix(f".{kind}").read_bytes()


LIBREOFFICE = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")


@LIBREOFFICE
@pytest.mark.parametrize("kind", MADE)
def test_real_libreoffice(tmp_path: Path, kind: str) -> None:
    """A file that LibreOffice itself wrote from the newer format has that one's text."""
    new = put(tmp_path, f"a.{NEWER[kind]}", MADE[kind])
    with FileReader() as reader:
        (wanted,) = reader.read(new)[0]
        (text,) = reader.read(put(tmp_path, f"b.{kind}", by_libreoffice(new.path, kind)))[0]
    check_laws(text)
    assert text.text == wanted.text and text.notes[0] == "read by LibreOffice"


@LIBREOFFICE
def test_real_libreoffice_loads_nothing_that_a_document_links_to(tmp_path: Path) -> None:
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_OPTIONS = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        picture = f"http://127.0.0.1:{server.server_port}/picture.png"
        (tmp_path / "a.html").write_text(f"<p>The pier is long.</p><img src='{picture}'>", "utf-8")
        data = by_libreoffice(tmp_path / "a.html", "doc", "--writer")
        assert asked, "a plain LibreOffice loads it"
        assert picture.encode() in data or picture.encode("utf-16-le") in data
        asked.clear()
        with FileReader() as reader:
            (text,) = reader.read(put(tmp_path, "b.doc", data))[0]
        server.shutdown()
    assert "The pier is long." in text.text and asked == []

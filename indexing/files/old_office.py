"""Binary files of Office 97 to 2003 (.doc, .xls, .ppt), read by LibreOffice or catdoc where one of them is installed.

LibreOffice converts them to the newer formats, which keep tables, headings and slides. catdoc gives plain text. Both run in
the parsing process, with its limits on memory, and end before its limit on time.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import FileLimits, FileText, TextBuilder, check_pages
from indexing.files.programs import run_program
from indexing.files.tables import table_lines

Parse = Callable[[bytes, str, FileLimits], list[FileText]]

NEWER = {"doc": "docx", "xls": "xlsx", "ppt": "pptx"}
NAMES = {"doc": "an old Word document", "xls": "an old Excel workbook", "ppt": "an old PowerPoint presentation"}
CATDOC = {"doc": ("catdoc", "-w", "-d", "utf-8"), "xls": ("xls2csv", "-d", "utf-8"), "ppt": ("catppt", "-d", "utf-8")}
OFFICE = ("soffice", "libreoffice")
_SECURITY, _PROXY = "Office.Common/Security/Scripting", "Inet/Settings"
SETTINGS = (
    (_SECURITY, "BlockUntrustedRefererLinks", "true"),
    (_SECURITY, "DisableMacrosExecution", "true"),
    (_SECURITY, "DisableActiveContent", "true"),
    (_SECURITY, "MacroSecurityLevel", 3),
    ("Office.Writer/Content/Update", "Link", 0),
    ("Office.Calc/Content/Update", "Link", 2),
    (_PROXY, "ooInetProxyType", 2),
    *((_PROXY, f"ooInet{kind}ProxyName", "127.0.0.1") for kind in ("HTTP", "HTTPS", "FTP")),
    *((_PROXY, f"ooInet{kind}ProxyPort", 9) for kind in ("HTTP", "HTTPS", "FTP")),
)
"""Links are not loaded, and if LibreOffice asks for one nevertheless, it asks the discard port of this machine."""


def read_old_office(data: bytes, limits: FileLimits, kind: str, parse: Parse) -> list[FileText]:
    """The texts of a file of this kind (doc, xls or ppt). Raises UnreadableFile, also where no program is installed.

    parse: gives the texts of a file of a newer kind.
    """
    office = next(filter(None, map(shutil.which, OFFICE)), None)
    program = shutil.which(CATDOC[kind][0])
    if office is None and program is None:
        raise UnreadableFile(
            f"{NAMES[kind]} (.{kind}): LibreOffice or catdoc would read it, and neither is installed; or save it as"
            f" .{NEWER[kind]}"
        )
    with tempfile.TemporaryDirectory(prefix="docqa-") as folder:
        path = Path(folder) / f"in.{kind}"
        path.write_bytes(data)
        if office is not None:
            return _by_office(office, path, limits, kind, parse)
        return _by_catdoc((str(program), *CATDOC[kind][1:]), path, limits, kind)


def _by_office(office: str, path: Path, limits: FileLimits, kind: str, parse: Parse) -> list[FileText]:
    """The texts of the file that LibreOffice makes of it."""
    out, profile = path.parent / "out", path.parent / "profile"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_settings(), "utf-8")
    command = [office, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--norestore", "--convert-to", NEWER[kind]]
    run_program([*command, "--outdir", str(out), str(path)], "LibreOffice", limits)
    made = out / f"in.{NEWER[kind]}"
    if not made.is_file():
        raise UnreadableFile(f"{NAMES[kind]} that LibreOffice cannot convert: damaged, or a password is needed")
    texts = _reader(NEWER[kind])(made.read_bytes(), limits)
    return [
        replace(text, meta={**text.meta, "file_type": kind}, notes=("read by LibreOffice", *text.notes)) for text in texts
    ]


def _settings() -> str:
    """LibreOffice's settings: it loads nothing that a document links to, from the network or the disk, and runs no macro."""
    items = (
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in SETTINGS
    )
    namespace = "http://openoffice.org/2001/registry"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="{namespace}">{"".join(items)}</oor:items>\n'


def _reader(kind: str) -> Callable[[bytes, FileLimits], list[FileText]]:
    """The parser of a newer format. Its libraries are imported only here, when needed."""
    if kind == "docx":
        from indexing.files.word import read_docx

        return read_docx
    if kind == "xlsx":
        from indexing.files.sheets import read_xlsx

        return read_xlsx
    from indexing.files.slides import read_pptx

    return read_pptx


def _by_catdoc(command: Sequence[str], path: Path, limits: FileLimits, kind: str) -> list[FileText]:
    """The plain text that catdoc gives: of a workbook the rows of each sheet, of a presentation its slides."""
    printed = run_program([*command, str(path)], "catdoc", limits)
    decoded = decode(printed)
    if decoded is None or not decoded.text.strip():
        raise UnreadableFile(f"{NAMES[kind]} in which catdoc finds no text: damaged, encrypted, or only pictures")
    parts = [part for part in decoded.text.split("\f") if part.strip()]
    check_pages(len(parts), limits.max_pages)
    builder = TextBuilder(limits.max_chars)
    for part in parts:
        if kind != "doc":
            builder.page()
        text = "\n".join(table_lines(_rows(part))) if kind == "xls" else part.strip("\r\n")
        builder.add(text, "" if kind != "doc" else "\n\n")
    note = "read by catdoc: text only; LibreOffice would read its tables and headings, too"
    return [FileText(builder.text(), tuple(builder.pages), {"file_type": kind}, (), (note, *decoded.notes))]


def _rows(printed: str) -> Iterator[list[str]]:
    """The cells of each row that xls2csv prints."""
    for row in csv.reader(io.StringIO(printed.replace("\0", ""))):
        yield [" ".join(cell.split()) for cell in row]

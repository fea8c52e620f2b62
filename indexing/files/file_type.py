"""File type detection from magic bytes, then from the file name where bytes are ambiguous.

Nothing is parsed here beyond a zip's table of contents. For unsupported formats the error names the format.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

from indexing.errors import UnreadableFile
from indexing.files.charset import is_binary

BY_NAME = {
    "txt": "txt",
    "text": "txt",
    "log": "txt",
    "rst": "txt",
    "md": "md",
    "markdown": "md",
    "mdown": "md",
    "mkd": "md",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "xht": "html",
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "geojson": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "eml": "eml",
}
_READ = "txt, md, html, pdf, docx, pptx, xlsx, csv, tsv, json, jsonl, eml"
_NOT_READ = "not a format we read"

# Magic bytes of unsupported formats. Those of the first group can also begin a text, so the rest decides.
_MAYBE_TEXT = {
    b"GIF87a": "an image (GIF)",
    b"GIF89a": "an image (GIF)",
    b"BM": "an image (BMP)",
    b"RIFF": "an image, sound or video (RIFF)",
    b"ID3": "a sound file (MP3)",
    b"OggS": "a sound or video file (Ogg)",
    b"fLaC": "a sound file (FLAC)",
    b"MZ": "a program (Windows)",
    b"BZh": "a compressed file (bzip2)",
    b"Rar!": "an archive (RAR)",
    b"ITSF": "a help file (CHM)",
    b"SQLite format 3\x00": "a database (SQLite)",
    b"II*\x00": "an image (TIFF)",
    b"MM\x00*": "an image (TIFF)",
    b"wOFF": "a font (WOFF)",
    b"wOF2": "a font (WOFF2)",
    b"OTTO": "a font (OpenType)",
    b"PAR1": "a table file (Parquet)",
    b"AT&TFORM": "a DjVu document",
    b"8BPS": "an image (Photoshop)",
    b"MThd": "a music file (MIDI)",
}
_BINARY = {
    b"\xff\xd8\xff": "an image (JPEG)",
    b"\x89PNG\r\n\x1a\n": "an image (PNG)",
    b"\x00\x00\x01\x00": "an image (icon)",
    b"\x1f\x8b": "a compressed file (gzip)",
    b"\xfd7zXZ\x00": "a compressed file (xz)",
    b"7z\xbc\xaf\x27\x1c": "an archive (7z)",
    b"\x28\xb5\x2f\xfd": "a compressed file (zstd)",
    b"\x7fELF": "a program (ELF)",
    b"\xca\xfe\xba\xbe": "a program (Java or macOS)",
    b"\xcf\xfa\xed\xfe": "a program (macOS)",
    b"\xff\xfb": "a sound file (MP3)",
    b"\xff\xf3": "a sound file (MP3)",
    b"\x1a\x45\xdf\xa3": "a video (Matroska)",
    b"\x00\x01\x00\x00\x00": "a font (TrueType)",
    b"\x00asm": "a program (WebAssembly)",
    b"\x93NUMPY": "an array file (numpy)",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
}
_BEGINNINGS = {**_MAYBE_TEXT, **_BINARY}
_SPECIAL = (b"%PDF-", b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf")
_ANY = tuple(_BEGINNINGS) + _SPECIAL

# The main part of an office file by its content type, whatever program or kind of file (template, show, with macros).
_MAIN_PARTS = (
    (re.compile(rb"wordprocessingml\.(?:document|template)[^\"']{0,20}\.?main|ms-word\.(?:document|template)"), "docx"),
    (
        re.compile(rb"presentationml\.(?:presentation|template|slideshow)\.main|ms-powerpoint\.(?:pres|temp|slidesh|addin)"),
        "pptx",
    ),
    (re.compile(rb"spreadsheetml\.(?:sheet|template)\.main|ms-excel\.(?:sheet|template|addin)\.macro"), "xlsx"),
)
_OFFICE_FOLDERS = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))
_IN_ZIP = {"word/document.xml": "docx", "ppt/presentation.xml": "pptx", "xl/workbook.xml": "xlsx"}
_ZIP_NAMED = (
    ("xl/workbook.bin", "an Excel binary workbook (xlsb)"),
    ("META-INF/MANIFEST.MF", "a Java archive"),
    ("AndroidManifest.xml", "an Android package"),
)
_MIMETYPES = {
    "application/epub+zip": "an e-book (EPUB)",
    "application/vnd.oasis.opendocument.text": "an OpenDocument text (odt)",
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (ods)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (odp)",
}
_OLE_STREAMS = (
    ("EncryptedPackage", "encrypted: a password is needed"),
    ("WordDocument", "an old Word document (.doc), not a format we read; save it as .docx"),
    ("Workbook", "an old Excel workbook (.xls), not a format we read; save it as .xlsx"),
    ("Book", "an old Excel workbook (.xls), not a format we read; save it as .xlsx"),
    ("PowerPoint Document", "an old PowerPoint presentation (.ppt), not a format we read; save it as .pptx"),
    ("__properties_version1.0", "an Outlook message (.msg), not a format we read; save it as .eml"),
)
_OFFICE = {
    "docx": "a Word document",
    "pptx": "a PowerPoint presentation",
    "xlsx": "an Excel workbook",
    "pdf": "a PDF",
}
_HTML = re.compile(rb"\s*(<\?xml[^>]{0,200}>\s*)?(<!--.{0,2000}?-->\s*)*<(!doctype\s+html|html|head|body)[\s>]", re.I | re.S)
_MAIL = re.compile(
    rb"(?:(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*|[ \t][^\n]*)\r?\n){0,60}?"
    rb"(?:From|Received|Return-Path|Subject|MIME-Version):[^\n]*\r?\n",
    re.I,
)


def kind_of(data: bytes, name: str) -> str:
    """The format of a file: txt, md, html, pdf, docx, pptx, xlsx, csv, tsv, json, jsonl or eml.

    Raises UnreadableFile for everything else; the message names the format if it is known.

    >>> kind_of(b"# Bridges", "notes/bridges.md"), kind_of(b"%PDF-1.7\\n1 0 obj ", "bridges.txt")
    ('md', 'pdf')
    """
    if data.startswith(_ANY) and (kind := _by_beginning(data, name)):
        return kind
    ending = _ending(name)
    kind = BY_NAME.get(ending, "")
    if kind in ("txt", "md", "csv", "tsv", "json", "jsonl", "html"):
        return kind
    if ending in _OFFICE or data[4:8] == b"ftyp":
        return _not_what_it_says(data, ending)
    if kind == "eml" or (ending in ("mail", "mht", "mhtml") and _MAIL.match(data)):
        return "eml"
    return "html" if _HTML.match(data[:4_000]) else "txt"


def _ending(name: str) -> str:
    """The extension of the file name in lower case; "" without a dot."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""


def _by_beginning(data: bytes, name: str) -> str:
    """The format by magic bytes; "" if the file is a text that begins like them. Raises UnreadableFile."""
    if data.startswith(b"%PDF-"):
        return "pdf" if _ending(name) == "pdf" or b" obj" in data or b"xref" in data else ""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "" if _is_text(data) else _in_zip(data)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableFile(_in_ole(data))
    if data.startswith(b"{\\rtf"):
        raise UnreadableFile(f"an RTF document, {_NOT_READ}; save it as .docx")
    beginning = next(beginning for beginning in _BEGINNINGS if data.startswith(beginning))
    if _is_text(data) or (beginning in _MAYBE_TEXT and not is_binary(data)):
        return ""
    raise UnreadableFile(f"{_BEGINNINGS[beginning]}, {_NOT_READ}")


def _is_text(data: bytes) -> bool:
    """Whether the first 4,000 bytes are UTF-8 without control characters other than white space."""
    sample = data[:4_000]
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3 or len(data) <= 4_000:
            return False
        text = sample[: error.start].decode("utf-8")
    return not any(character < " " and character not in "\t\n\r\f\v\b\x1b" for character in text)


def _in_zip(data: bytes) -> str:
    """The office format that a zip contains. For other zips, raises UnreadableFile with the kind of zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.replace("\\", "/") for name in archive.namelist()[:100_000]}
            if kind := _office_kind(archive, names):
                return kind
            raise UnreadableFile(_zip_words(names, lambda member: archive.read(member)[:200].decode("ascii", "replace")))
    except UnreadableFile:
        raise
    except Exception:
        raise UnreadableFile("a zip file that is damaged or cut off") from None


def _office_kind(archive: zipfile.ZipFile, names: set[str]) -> str:
    """The office format of a zip by its content types, else by its folders; "" for other zips."""
    if "[Content_Types].xml" not in names and "_rels/.rels" not in names:
        return next((kind for member, kind in _IN_ZIP.items() if member in names), "")
    if "xl/workbook.bin" in names:
        return ""
    types = archive.open("[Content_Types].xml").read(1_000_000) if "[Content_Types].xml" in archive.namelist() else b""
    for pattern, kind in _MAIN_PARTS:
        if pattern.search(types):
            return kind
    folders = [kind for folder, kind in _OFFICE_FOLDERS if any(name.startswith(folder) for name in names)]
    return folders[0] if folders else ""


def _zip_words(names: set[str], read: Callable[[str], str]) -> str:
    """The error message for a zip that is not an office file."""
    for member, words in _ZIP_NAMED:
        if member in names:
            return f"{words}, {_NOT_READ}"
    kind = read("mimetype").strip() if "mimetype" in names else ""
    if not names:
        return f"an empty zip archive, {_NOT_READ}"
    return f"{_MIMETYPES.get(kind, 'a zip archive')}, {_NOT_READ}"


def _in_ole(data: bytes) -> str:
    """The error message for an OLE container, by the names of its streams."""
    for stream, words in _OLE_STREAMS:
        if (stream + "\0").encode("utf-16-le") in data:
            return words
    return f"an old Office file (OLE), {_NOT_READ}"


def _not_what_it_says(data: bytes, ending: str) -> str:
    """The real format of a file with a PDF or office extension but other magic bytes. Raises UnreadableFile."""
    if data[4:8] == b"ftyp":
        raise UnreadableFile(f"a video, sound or image file (MP4 family), {_NOT_READ}")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if _HTML.match(data[:4_000]):
        return "html"
    if _is_text(data):
        return "txt"
    raise UnreadableFile(f"named .{ending} but not {_OFFICE[ending]}: damaged, or another format")


def not_text() -> str:
    """The error message for bytes that are neither a known format nor text."""
    return f"binary data, not text and no format we read ({_READ})"

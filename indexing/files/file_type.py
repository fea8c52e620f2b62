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
from indexing.files.mailboxes import is_mailbox

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
    "ipynb": "ipynb",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "eml": "eml",
    "emlx": "eml",
    "ics": "ics",
    "ical": "ics",
    "vcs": "ics",
    "vcf": "vcf",
    "vcard": "vcf",
    "mbox": "mbox",
    "mbx": "mbox",
}
_READ = (
    "txt, md, html, pdf, docx, pptx, xlsx, odt, ods, odp, epub, rtf, csv, tsv, json, jsonl, eml, msg, mbox, ics, vcf,"
    " archives"
)
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
_PACKED = {
    b"\x1f\x8b\x08": "gz",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x28\xb5\x2f\xfd": "zst",
    b"BZh": "bz2",
    b"!BDN": "pst",
    b"\x78\x9f\x3e\x22": "tnef",
}
_ANY = (*_BEGINNINGS, *_SPECIAL, *_PACKED)

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
    "application/epub+zip": "epub",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.text-template": "odt",
    "application/vnd.oasis.opendocument.text-master": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.spreadsheet-template": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.presentation-template": "odp",
    "application/vnd.oasis.opendocument.graphics": "odp",
    "application/vnd.oasis.opendocument.graphics-template": "odp",
    "application/vnd.sun.xml.writer": "odt",
    "application/vnd.sun.xml.calc": "ods",
    "application/vnd.sun.xml.impress": "odp",
}
_OLE_STREAMS = (
    ("WordDocument", "doc"),
    ("Workbook", "xls"),
    ("Book", "xls"),
    ("PowerPoint Document", "ppt"),
    ("__properties_version1.0", "msg"),
)
_OLE_NAMES = {"doc": "doc", "dot": "doc", "xls": "xls", "xlt": "xls", "ppt": "ppt", "pps": "ppt", "pot": "ppt", "msg": "msg"}
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
_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*|[ \t][^\n]*)\r?\n)+")
_FIELD = re.compile(rb"^([A-Za-z-]+):", re.M)
_FIELDS = frozenset(
    b"from to cc date subject received return-path message-id mime-version delivered-to content-type reply-to".split()
)
_CALENDAR = re.compile(rb"(?:\xef\xbb\xbf)?\s*BEGIN:VCALENDAR\b", re.I)

_CARD = re.compile(rb"(?:\xef\xbb\xbf)?\s*BEGIN:VCARD\b", re.I)


def kind_of(data: bytes, name: str) -> str:
    """The format of a file, such as txt, pdf or docx; mbox, zip, tar, gz, bz2, xz, zst and 7z hold other files.

    Raises UnreadableFile for everything else; the message names the format if it is known.

    >>> kind_of(b"# Bridges", "notes/bridges.md"), kind_of(b"%PDF-1.7\\n1 0 obj ", "bridges.txt")
    ('md', 'pdf')
    """
    if data.startswith(_ANY) and (kind := _by_beginning(data, name)):
        return kind
    ending = _ending(name)
    kind = BY_NAME.get(ending, "")
    if kind in ("txt", "md", "csv", "tsv", "json", "jsonl", "ipynb", "html"):
        return kind
    if is_mailbox(data):
        return "mbox"
    if data[257:262] == b"ustar" or (ending == "tar" and not _is_text(data)):
        return "tar"
    if ending in _OFFICE or data[4:8] == b"ftyp":
        return _not_what_it_says(data, ending)
    if kind == "eml" or (ending in ("mail", "mht", "mhtml") and _MAIL.match(data)) or _is_mail(data):
        return "eml"
    if ending == "p7m":
        return "p7m"
    if kind == "vcf" or _CARD.match(data[:200]):
        return "vcf"
    if kind == "ics" or _CALENDAR.match(data[:200]):
        return "ics"
    return "html" if _HTML.match(data[:4_000]) else "txt"


def _is_mail(data: bytes) -> bool:
    """Whether bytes begin with a mail's header: three of its usual fields or more, one of them From or Received."""
    head = _HEAD.match(data[:20_000])
    names = {name.lower() for name in _FIELD.findall(head[0])} if head else set()
    return len(names & _FIELDS) >= 3 and bool(names & {b"from", b"received"})


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
        return _in_ole(data, name)
    if data.startswith(b"{\\rtf"):
        return "rtf"
    for beginning, kind in _PACKED.items():
        if data.startswith(beginning):
            return "" if _is_text(data) else kind
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
    """The format of a zip by what it contains. Raises UnreadableFile for a damaged one, and for programs."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.replace("\\", "/") for name in archive.namelist()[:100_000]}
            if kind := _office_kind(archive, names):
                return kind
            return _other_zip(names, lambda member: archive.open(member).read(200).decode("ascii", "replace"))
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


def _other_zip(names: set[str], read: Callable[[str], str]) -> str:
    """The format of a zip that is no Office Open XML file. Raises UnreadableFile for programs and empty zips."""
    kind = read("mimetype").strip() if "mimetype" in names else ""
    if kind in _MIMETYPES:
        return _MIMETYPES[kind]
    if "META-INF/container.xml" in names:
        return "epub"
    for member, words in _ZIP_NAMED:
        if member in names:
            raise UnreadableFile(f"{words}, {_NOT_READ}")
    if not names:
        raise UnreadableFile(f"an empty zip archive, {_NOT_READ}")
    return "zip"


def _in_ole(data: bytes, name: str) -> str:
    """The format of an OLE container, by the names of its streams. Raises UnreadableFile for others, and encrypted files.

    A document can hold objects of other programs with their streams. Then the name of the file decides.
    """
    kinds = [kind for stream, kind in _OLE_STREAMS if _has_stream(data, stream)]
    named = _OLE_NAMES.get(_ending(name), "")
    if kinds:
        return named if named in kinds else "msg" if "msg" in kinds else kinds[0]
    if _has_stream(data, "EncryptedPackage"):
        raise UnreadableFile("encrypted: a password is needed")
    raise UnreadableFile(f"an old Office file (OLE), {_NOT_READ}")


def _has_stream(data: bytes, name: str) -> bool:
    return f"{name}\0".encode("utf-16-le") in data


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

"""Dispatch from file type to parser, and the checks on every parsed text. `parse` runs in the sandboxed worker process."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import Contents, FileLimits, FileText, check_chars, mojibake_note, without_surrogates
from indexing.files.file_type import kind_of, not_text
from indexing.files.markdown import markdown_headings
from indexing.files.pdf_legible import is_illegible

__all__ = ["PLAIN", "WITH_SCANS", "check", "contents", "kind_of", "parse", "plain_text"]

PLAIN = frozenset({"txt", "md"})
PICTURES = frozenset({"png", "jpg", "tiff", "webp"})
WITH_SCANS = PICTURES | {"pdf"}
NAMES = {
    "html": "an HTML page",
    "pdf": "a PDF",
    "pdf+auto": "a PDF",
    "pdf+force": "a PDF",
    "png": "an image (PNG)",
    "jpg": "an image (JPEG)",
    "tiff": "an image (TIFF)",
    "webp": "an image (WebP)",
    "docx": "a Word document",
    "pptx": "a PowerPoint presentation",
    "xlsx": "an Excel workbook",
    "csv": "a CSV table",
    "tsv": "a TSV table",
    "json": "JSON",
    "jsonl": "JSON lines",
    "ipynb": "a notebook",
    "odt": "an OpenDocument text",
    "ods": "an OpenDocument spreadsheet",
    "odp": "an OpenDocument presentation",
    "epub": "an e-book (EPUB)",
    "rtf": "an RTF document",
    "doc": "an old Word document",
    "xls": "an old Excel workbook",
    "ppt": "an old PowerPoint presentation",
    "eml": "a mail",
    "ics": "a calendar",
    "vcf": "a contact (vCard)",
    "tnef": "an Outlook attachment (winmail.dat)",
    "msg": "an Outlook message",
    "mbox": "a mailbox",
    "p7m": "a signed file (p7m)",
    "zip": "a zip archive",
    "tar": "a tar archive",
    "gz": "a gzip file",
    "bz2": "a bzip2 file",
    "xz": "an xz file",
    "zst": "a zstd file",
    "7z": "a 7z archive",
    "pst": "an Outlook data file",
}
ARCHIVES = frozenset(("mbox", "zip", "tar", "gz", "bz2", "xz", "zst", "7z", "pst"))

_SAMPLE = 1_000

# A Python object in an error's message says nothing to a person.
_OBJECT = re.compile(r"'?<[^<>]* object at 0x[0-9a-f]+>'?\s*")

Reader = Callable[[bytes, FileLimits], list[FileText] | Contents]


def plain_text(data: bytes, kind: str) -> FileText:
    """Text or Markdown, verbatim. Raises UnreadableFile for bytes that are not text."""
    decoded = decode(data)
    if decoded is None:
        raise UnreadableFile(not_text())
    headings = markdown_headings(decoded.text) if kind == "md" else ()
    meta = {"file_type": kind, "encoding": decoded.encoding}
    remarks = decoded.notes + mojibake_note(decoded.text) + illegible_note(decoded.text)
    return FileText(decoded.text, (), meta, headings, remarks)


def parse(data: bytes, kind: str, limits: FileLimits) -> list[FileText]:
    """The texts of a file that needs a parser, without those of files inside it. Raises UnreadableFile."""
    return contents(data, kind, limits).texts


def contents(data: bytes, kind: str, limits: FileLimits) -> Contents:
    """What is in a file that needs a parser. Raises UnreadableFile, also in place of any exception of a parser."""
    try:
        found = _reader(kind)(data, limits)
        found = Contents(found) if isinstance(found, list) else found
        return replace(found, texts=[_finished(text, kind) for text in found.texts])
    except (UnreadableFile, MemoryError):
        raise
    except RecursionError:
        raise UnreadableFile(f"nested too deeply to be read as {NAMES[kind]}") from None
    except Exception as error:
        detail = _OBJECT.sub("", " ".join(str(error).split()))[:120]
        words = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
        raise UnreadableFile(f"damaged, or not {NAMES[kind]} ({words})") from None


def _reader(kind: str) -> Reader:
    """The parser of a format. Third-party libraries are imported only here, when needed."""
    if kind == "pdf":
        from indexing.files.pdf import read_pdf

        return read_pdf
    if kind in ("pdf+auto", "pdf+force"):
        from indexing.files.pdf import read_pdf_with_scans

        return partial(read_pdf_with_scans, mode=kind.removeprefix("pdf+"))
    if kind in PICTURES:
        from indexing.files.pictures import read_picture

        return read_picture
    if kind in ("docx", "pptx", "xlsx"):
        return _office_reader(kind)
    if kind == "html":
        from indexing.files.html import read_html

        return read_html
    if kind in ("eml", "ics", "vcf", "msg", "tnef", "p7m"):
        return _mail_reader(kind)
    if kind in ("odt", "ods", "odp", "epub", "rtf", "doc", "xls", "ppt"):
        return _other_office_reader(kind)
    if kind in ARCHIVES:
        from indexing.files.archives import unpack

        return partial(unpack, kind=kind)
    if kind == "ipynb":
        from indexing.files.notebooks import read_notebook

        return read_notebook
    if kind in ("csv", "tsv"):
        from indexing.files import delimited

        return {"csv": delimited.read_csv, "tsv": delimited.read_tsv}[kind]
    from indexing.files import json_files

    return {"json": json_files.read_json, "jsonl": json_files.read_jsonl}[kind]


def _office_reader(kind: str) -> Reader:
    if kind == "docx":
        from indexing.files.word import read_docx

        return read_docx
    if kind == "pptx":
        from indexing.files.slides import read_pptx

        return read_pptx
    from indexing.files.sheets import read_xlsx

    return read_xlsx


def _mail_reader(kind: str) -> Reader:
    if kind == "msg":
        from indexing.files.outlook import read_msg

        return read_msg
    if kind == "tnef":
        from indexing.files.tnef import read_tnef

        return read_tnef
    if kind == "p7m":
        from indexing.files.signed_files import read_signed

        return read_signed
    if kind == "vcf":
        from indexing.files.contacts import read_contacts

        return read_contacts
    from indexing.files.mail import read_calendar, read_mail

    return read_mail if kind == "eml" else read_calendar


def _other_office_reader(kind: str) -> Reader:
    if kind == "rtf":
        from indexing.files.rtf import read_rtf

        return read_rtf
    if kind == "epub":
        from indexing.files.epub import read_epub

        return read_epub
    if kind in ("doc", "xls", "ppt"):
        from indexing.files.old_office import read_old_office

        return partial(read_old_office, kind=kind, parse=parse)
    from indexing.files.open_document import read_open_document

    return partial(read_open_document, kind=kind)


def _finished(text: FileText, kind: str) -> FileText:
    """Replace lone surrogates, and add a remark if the text looks wrongly decoded. PDFs say it page by page themselves."""
    clean = without_surrogates(text.text)
    illegible = illegible_note(clean) if kind != "pdf" else ()
    return replace(text, text=clean, notes=text.notes + mojibake_note(clean) + illegible)


def illegible_note(text: str) -> tuple[str, ...]:
    """A remark if most of a text is no words of any language, judged by its begin, middle and end.

    >>> illegible_note("The bridge opened in 1912."), illegible_note("xkcd bqrt zzpf wqmn " * 10)
    ((), ('text is not legible (no words of any language)',))
    """
    middle = len(text) // 2
    sample = text if len(text) <= 3 * _SAMPLE else text[:_SAMPLE] + text[middle : middle + _SAMPLE] + text[-_SAMPLE:]
    return ("text is not legible (no words of any language)",) if is_illegible(sample) else ()


def check(texts: Sequence[FileText], limits: FileLimits) -> list[FileText]:
    """The texts that are not blank. Raises UnreadableFile if there are none (with their notes), or too much text."""
    check_chars(sum(len(text.text) for text in texts), limits.max_chars)
    full = [text for text in texts if not text.text.isspace() and text.text]
    if not full:
        reasons = [note for text in texts for note in text.notes]
        raise UnreadableFile("; ".join(["no text in it", *dict.fromkeys(reasons)]))
    return full

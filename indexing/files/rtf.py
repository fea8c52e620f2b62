"""Parser of RTF documents, also of the compressed RTF in Outlook messages (MS-OXRTFCP)."""

from __future__ import annotations

import re

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText, TextBuilder, check_chars, clean_meta, counted

_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbol"
    rb"ArialTimes New RomanCourier{\colortbl\red0\green0\blue0" + b"\r\n" + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_WINDOW = 4_096
_INFO = re.compile(r"\{\\(title|author|subject|keywords)\s([^{}\\]{1,500})\}")
_PICTURES = re.compile(rb"\\pict\b")
_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")


def read_rtf(data: bytes, limits: FileLimits) -> list[FileText]:
    """The text of an RTF document; pictures and embedded objects are counted."""
    text = rtf_text(data)
    check_chars(len(text), limits.max_chars)
    builder = TextBuilder(limits.max_chars)
    builder.add(text)
    meta = dict(_INFO.findall(data[:20_000].decode("latin-1"))) | {"file_type": "rtf"}
    notes = counted(len(_PICTURES.findall(data)), "embedded image", "not read")
    return [FileText(builder.text(), (), clean_meta(meta.items()), (), tuple(notes))]


def rtf_text(data: bytes) -> str:
    """The text of RTF. Raises UnreadableFile if it is none."""
    from striprtf import striprtf

    data = _without_binary(data)
    page = re.search(rb"\\ansicpg(\d{3,5})", data[:2_000])
    encoding = f"cp{page[1].decode()}" if page and page[1] not in (b"0", b"65001") else "cp1252"
    try:
        text = str(striprtf.rtf_to_text(data.decode("latin-1"), encoding, "replace"))  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, IndexError, KeyError) as error:
        raise UnreadableFile(f"damaged, or not an RTF document ({type(error).__name__})") from None
    # Characters beyond the first plane come as two units of UTF-16 each.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").strip("\n")


def _without_binary(data: bytes) -> bytes:
    """RTF without the bytes of \\bin, which are no text."""
    at = 0
    kept = []
    while match := _BINARY.search(data, at):
        kept.append(data[at : match.start()])
        at = match.end() + int(match[1])
    return b"".join([*kept, data[at:]])


def decompressed_rtf(data: bytes) -> bytes:
    """RTF as Outlook stores it: LZFu with a fixed first dictionary, or plain.

    >>> decompressed_rtf(bytes(8) + b"MELA" + bytes(4) + b"{x}")
    b'{x}'
    """
    if data[8:12] == b"MELA":
        return data[16:]
    if data[8:12] != b"LZFu":
        return b""
    window = bytearray(_WINDOW)
    window[: len(_DICTIONARY)] = _DICTIONARY
    write, at, size = len(_DICTIONARY), 16, int.from_bytes(data[4:8], "little")
    out = bytearray()
    while at < len(data) and len(out) < size:
        flags = data[at]
        at += 1
        for bit in range(8):
            if at >= len(data):
                break
            if flags >> bit & 1:
                pair = int.from_bytes(data[at : at + 2], "big")
                at += 2
                offset, length = pair >> 4, (pair & 15) + 2
                if offset == write:
                    return bytes(out)
                piece = bytearray()
                for step in range(length):
                    byte = window[(offset + step) % _WINDOW]
                    piece.append(byte)
                    window[write] = byte
                    write = (write + 1) % _WINDOW
                out += piece
            else:
                out.append(data[at])
                window[write] = data[at]
                write = (write + 1) % _WINDOW
                at += 1
    return bytes(out)

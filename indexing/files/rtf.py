"""Parser of RTF documents, also of the compressed RTF in Outlook messages (MS-OXRTFCP)."""

from __future__ import annotations

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText, TextBuilder, clean_meta, counted
from indexing.files.left_out import LeftOut
from indexing.files.rtf_words import Block, RtfWords

_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbol"
    rb"ArialTimes New RomanCourier{\colortbl\red0\green0\blue0" + b"\r\n" + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_WINDOW = 4_096


def read_rtf(data: bytes, limits: FileLimits) -> list[FileText]:
    """The text of an RTF document with notes, boxes, comments and page headers; pictures and objects are counted."""
    left_out = LeftOut(limits.hidden_text)
    words = _words(data, left_out)
    builder = TextBuilder(limits.max_chars)
    last = Block("")
    for block in words.blocks:
        if block.level:
            builder.heading(block.text, block.level)
        elif block.text.strip():
            builder.add(block.text, "\n" if block.kind == last.kind and block.kind in ("item", "row") else "\n\n")
            last = block
    meta = words.info | {"file_type": "rtf"}
    notes = counted(words.objects, "embedded object", "not read") + counted(words.pictures, "embedded image", "not read")
    return [FileText(builder.text(), (), clean_meta(meta.items()), tuple(builder.headings), (*notes, *left_out.remarks()))]


def rtf_text(data: bytes) -> str:
    """The text of RTF, a line for each paragraph. Raises UnreadableFile if it is none."""
    return "\n".join(block.text for block in _words(data, LeftOut()).blocks).strip("\n")


def _words(data: bytes, left_out: LeftOut) -> RtfWords:
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFile("damaged, or not an RTF document")
    return RtfWords(data, left_out)


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

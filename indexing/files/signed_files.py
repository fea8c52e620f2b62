"""What is inside signed files (`.p7m`: CMS SignedData, RFC 5652), which are not encrypted: a mail's text, an invoice."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from indexing.errors import UnreadableFile
from indexing.files.file_text import Contents, FileLimits, Member

_SIGNED = bytes.fromhex("2a864886f70d010702")
_SEQUENCE, _OCTETS, _OID, _TAGGED = 0x30, 0x04, 0x06, 0xA0
_CONSTRUCTED = 0x20
_DEEPEST = 30
_ARMOUR = re.compile(rb"-----[A-Z0-9 ]+-----")


def read_signed(data: bytes, limits: FileLimits) -> Contents:
    """The signed file as a member. Raises UnreadableFile for encrypted ones, and signatures without a file."""
    content = signed_content(data)
    if not content:
        raise UnreadableFile("encrypted, or a signature without its file (p7m)")
    return Contents([], [Member("", content)])


def signed_content(data: bytes) -> bytes:
    """The signed bytes; b"" if the data is encrypted, no CMS, or holds none. It may be in base64.

    >>> signed_content(b"no CMS")
    b''
    """
    outer = _of(data if data[:1] == b"\x30" else _from_base64(data), _SEQUENCE)
    name = next((value for tag, value in _elements(outer) if tag == _OID), b"")
    if name != _SIGNED:
        return b""
    signed = _of(_of(outer, _TAGGED), _SEQUENCE)
    content = _of(_of(signed, _SEQUENCE), _TAGGED)
    return _octets(content, 0)


def _from_base64(data: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(_ARMOUR.sub(b"", data).split()), validate=True)
    except binascii.Error:
        return b""


def _of(data: bytes, wanted: int) -> bytes:
    """The content of the first element with a tag; b"" without one."""
    return next((value for tag, value in _elements(data) if tag == wanted), b"")


def _octets(data: bytes, depth: int) -> bytes:
    """The bytes of octet strings, also of those in pieces."""
    if depth > _DEEPEST:
        return b""
    return b"".join(
        value if tag == _OCTETS else _octets(value, depth + 1) if tag == _OCTETS | _CONSTRUCTED else b""
        for tag, value in _elements(data)
    )


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each element (BER), up to the first one that is cut off."""
    at = 0
    while at + 2 <= len(data):
        tag, begin, length = _header(data, at)
        if length < 0:
            end = _end(data, begin, 0)
            if end < 0:
                return
            yield tag, data[begin : end - 2]
            at = end
        else:
            if begin + length > len(data) or (not tag and not length):
                return
            yield tag, data[begin : begin + length]
            at = begin + length


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, begin of the content, and its length; -1 for one that ends with two zeros."""
    tag, length = data[at], data[at + 1]
    if length == 0x80:
        return tag, at + 2, -1
    if length < 0x80:
        return tag, at + 2, length
    size = length & 0x7F
    return tag, at + 2 + size, int.from_bytes(data[at + 2 : at + 2 + size], "big")


def _end(data: bytes, at: int, depth: int) -> int:
    """The place behind an element of unknown length; -1 if it is cut off."""
    while at + 2 <= len(data) and depth < _DEEPEST:
        if data[at : at + 2] == b"\0\0":
            return at + 2
        _, begin, length = _header(data, at)
        at = _end(data, begin, depth + 1) if length < 0 else begin + length
        if at < 0:
            return -1
    return -1

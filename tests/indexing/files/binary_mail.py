"""Mails in binary forms, made by hand: TNEF (winmail.dat) of attributes and MAPI properties, and CMS signed data (p7m)."""

from __future__ import annotations

import struct


def attribute(level: int, tag: int, value: bytes) -> bytes:
    return struct.pack("<BHHI", level, tag, 1, len(value)) + value + struct.pack("<H", sum(value) % 65536)


def properties(*values: tuple[int, int, bytes]) -> bytes:
    """MAPI properties: (type, number, value) each. Numbers are fixed to 4 bytes, others have a length."""
    out = struct.pack("<I", len(values))
    for kind, number, value in values:
        out += struct.pack("<HH", kind, number)
        if number >= 0x8000:
            out += bytes(16) + struct.pack("<II", 1, 6) + "na\0".encode("utf-16-le") + bytes(2)
        out += value if kind == 3 else struct.pack("<II", 1, len(value)) + value + bytes(-len(value) % 4)
    return out


def tnef(*attributes: bytes) -> bytes:
    return b"\x78\x9f\x3e\x22" + struct.pack("<H", 1) + b"".join(attributes)


def packed(rtf: bytes) -> bytes:
    return struct.pack("<II", len(rtf) + 12, len(rtf)) + b"MELA" + bytes(4) + rtf


def attached(name: str, data: bytes, kind: int = 0x102) -> list[bytes]:
    wide = f"{name}\0".encode("utf-16-le")
    values = properties((3, 0x8001, bytes(4)), (3, 0x0E20, bytes(4)), (0x1F, 0x3707, wide), (kind, 0x3701, data))
    return [attribute(2, 0x9002, bytes(14)), attribute(2, 0x8010, b"SHORT~1.TXT\0"), attribute(2, 0x9005, values)]


def element(tag: int, content: bytes, known: bool = True) -> bytes:
    """An element of BER, of a known length or one that ends with two zeros."""
    size = len(content)
    length = bytes((size,)) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + (length + content if known else b"\x80" + content + b"\0\0")


def signed(inner: bytes, kind: int = 2, known: bool = True) -> bytes:
    """Signed bytes (kind 2) or encrypted ones (3), without signatures."""
    pieces = b"".join(element(0x04, inner[at : at + 100]) for at in range(0, len(inner), 100))
    octets = element(0x04, inner) if known else element(0x24, pieces, known)
    plain = element(0x06, bytes.fromhex("2a864886f70d010701")) + element(0xA0, octets, known)
    data = element(0x30, element(0x02, b"\1") + element(0x31, b"") + element(0x30, plain, known), known)
    name = element(0x06, bytes.fromhex("2a864886f70d0107") + bytes((kind,)))
    return element(0x30, name + element(0xA0, data, known), known)

"""Parser of `winmail.dat` (TNEF, MS-OXTNEF): the form in which Outlook sends a message's text and attachments."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import Contents, FileLimits, FileText, Member, TextBuilder, clean_meta
from indexing.files.left_out import LeftOut

SIGNATURE = b"\x78\x9f\x3e\x22"
_MESSAGE, _ATTACHMENT = 1, 2
_SUBJECT, _BODY, _PROPERTIES = 0x8004, 0x800C, 0x9003
_NEW_ATTACHMENT, _TITLE, _DATA, _ATTACHED_PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
_TAG_SUBJECT, _TAG_PLAIN, _TAG_RTF, _TAG_HTML = 0x0037, 0x1000, 0x1009, 0x1013
_TAG_DATA, _TAG_NAME, _TAG_LONG_NAME = 0x3701, 0x3704, 0x3707
# Bytes of the values of each type; those of the second group have a length of their own.
_FIXED = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 0xA: 4, 0xB: 4, 0x14: 8, 0x40: 8, 0x48: 16}
_TEXT, _WIDE, _OBJECT, _BINARY = 0x1E, 0x1F, 0x0D, 0x102
_MANY = 0x1000
_INTERFACE = 16

Values = dict[int, tuple[int, bytes]]


def read_tnef(data: bytes, limits: FileLimits) -> Contents:
    """The subject and text of a TNEF file. Attachments are members, and so are messages in it."""
    message: Values = {}
    attachments: list[Values] = []
    for level, tag, value in _attributes(data):
        if tag in (_PROPERTIES, _ATTACHED_PROPERTIES):
            target = message if level == _MESSAGE else attachments[-1] if attachments else {}
            target.update(_properties(value))
        elif level == _MESSAGE and tag in (_SUBJECT, _BODY):
            message.setdefault(_TAG_SUBJECT if tag == _SUBJECT else _TAG_PLAIN, (_TEXT, value))
        elif tag == _NEW_ATTACHMENT:
            attachments.append({})
        elif tag in (_TITLE, _DATA) and attachments:
            attachments[-1].setdefault(_TAG_NAME if tag == _TITLE else _TAG_DATA, (_TEXT, value))
    left_out = LeftOut(limits.hidden_text)
    builder = TextBuilder(limits.max_chars)
    subject = _text(message, _TAG_SUBJECT)
    builder.heading(subject, 1)
    builder.add(_body(message, limits, left_out).strip("\r\n"))
    meta = clean_meta([("title", subject), ("subject", subject), ("file_type", "tnef")])
    text = FileText(builder.text(), (), meta, tuple(builder.headings), tuple(left_out.remarks()))
    return Contents([text], [member for values in attachments if (member := _member(values)) is not None])


def _attributes(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(level, tag, value) of each attribute. Raises UnreadableFile if there is none."""
    at, found = 6, False
    while at + 9 <= len(data):
        level, tag, length = struct.unpack_from("<BHxxI", data, at)
        if level not in (_MESSAGE, _ATTACHMENT) or at + 9 + length > len(data):
            break
        found = True
        yield level, tag, data[at + 9 : at + 9 + length]
        at += 9 + length + 2
    if not found or at < len(data) - 9:
        raise UnreadableFile("damaged, or not an Outlook attachment (winmail.dat)")


def _properties(data: bytes) -> Values:
    """Type and value of MAPI properties, by number; of several values the first one. What is cut off is left out."""
    values: Values = {}
    try:
        (count,), at = struct.unpack_from("<I", data), 4
        for _ in range(min(count, len(data))):
            kind, number = struct.unpack_from("<HH", data, at)
            at += 4
            if number >= 0x8000:
                at = _after_name(data, at)
            many, kind = bool(kind & _MANY), kind & ~_MANY
            size = _FIXED.get(kind)
            times = 1
            if many or size is None:
                (times,), at = struct.unpack_from("<I", data, at), at + 4
            for time in range(min(times, len(data))):
                length = size
                if length is None:
                    (length,), at = struct.unpack_from("<I", data, at), at + 4
                if not time:
                    values[number] = (kind, data[at : at + length])
                at += length + -length % 4
    except struct.error:
        pass
    return values


def _after_name(data: bytes, at: int) -> int:
    """The place behind the name of a property: a number, or a text."""
    kind, length = struct.unpack_from("<II", data, at + 16)
    return at + 24 if not kind else at + 24 + length + -length % 4


def _text(values: Values, number: int) -> str:
    kind, value = values.get(number, (_TEXT, b""))
    if kind == _WIDE:
        return value.decode("utf-16-le", "replace").rstrip("\0")
    decoded = decode(value.rstrip(b"\0")) if value else None
    return decoded.text if decoded else ""


def _body(message: Values, limits: FileLimits, left_out: LeftOut) -> str:
    """The text of a message: HTML if it has some, else RTF, else plain text."""
    from indexing.files.html import declared_encoding, html_text
    from indexing.files.rtf import decompressed_rtf, rtf_text

    if html := message.get(_TAG_HTML, (_BINARY, b""))[1]:
        decoded = decode(html, declared_encoding(html))
        return html_text(decoded.text, limits.max_chars, left_out)[0] if decoded else ""
    plain = _text(message, _TAG_PLAIN)
    packed = message.get(_TAG_RTF, (_BINARY, b""))[1]
    if plain.strip() or not packed:
        return plain
    rtf = decompressed_rtf(packed)
    return rtf_text(rtf) if rtf.startswith(b"{\\rtf") else ""


def _member(values: Values) -> Member | None:
    """An attachment; None if it has no data."""
    name = _text(values, _TAG_LONG_NAME) or _text(values, _TAG_NAME)
    kind, data = values.get(_TAG_DATA, (_BINARY, b""))
    if kind == _OBJECT:
        data = data[_INTERFACE:]
        name = (
            name
            if not data.startswith(SIGNATURE) or name.lower().endswith((".dat", ".tnef"))
            else f"{name or 'message'}.dat"
        )
    return Member(name or "attachment", data) if data else None

"""Parser of Outlook messages (.msg): their properties become a mail, which is read as any other."""

from __future__ import annotations

import datetime
import email.policy
import io
import struct
from email.message import EmailMessage
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import Contents, FileLimits
from indexing.files.mail import read_mail
from indexing.files.rtf import decompressed_rtf, rtf_text

_DEEPEST = 5
_SUBJECT, _BODY, _HTML, _RTF, _HEADERS = 0x0037, 0x1000, 0x1013, 0x1009, 0x007D
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP, _TO, _CC, _MESSAGE_ID = 0x0C1A, 0x0C1F, 0x5D01, 0x0E04, 0x0E03, 0x1035
_SENT, _DELIVERED = 0x0039, 0x0E06
_ATTACHED, _LONG_NAME, _SHORT_NAME, _DISPLAY_NAME = 0x3701, 0x3707, 0x3704, 0x3001
_EPOCH = datetime.datetime(1601, 1, 1, tzinfo=datetime.timezone.utc)


def read_msg(data: bytes, limits: FileLimits) -> Contents:
    """One Outlook message. Its attachments, messages among them, are members."""
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            message = _message(container, [], 0)
    except (OSError, struct.error, IndexError, ValueError, AttributeError):
        raise UnreadableFile("damaged, or not an Outlook message") from None
    found = read_mail(message.as_bytes(policy=email.policy.SMTP), limits)
    for text in found.texts:
        text.meta.update(file_type="msg")  # type: ignore[attr-defined]
    return found


def _message(container: Any, place: list[str], depth: int) -> EmailMessage:
    """The message stored below a place of the container."""
    message = EmailMessage(policy=email.policy.SMTP.clone(refold_source="none"))
    sender, address = _text(container, place, _SENDER), _text(container, place, _SENDER_SMTP)
    address = address or _text(container, place, _SENDER_ADDRESS)
    address = "" if address.startswith("/") else address
    moment = _moment(container, place)
    values = {
        "Subject": _text(container, place, _SUBJECT),
        "From": f"{sender} <{address}>" if sender and address and sender != address else sender or address,
        "To": _text(container, place, _TO),
        "Cc": _text(container, place, _CC),
        "Date": email.utils.format_datetime(moment) if moment else "",
        "Message-ID": _text(container, place, _MESSAGE_ID),
    }
    for name, value in values.items():
        if value.strip():
            message._headers.append((name, encoded_word(value)))  # type: ignore[attr-defined]
    plain, html = _text(container, place, _BODY), _html(container, place)
    if not plain.strip() and not html:
        plain = _from_rtf(container, place)
    message.set_content(plain)
    if html:
        message.add_alternative(html, subtype="html")
    for name in sorted({entry[len(place)] for entry in container.listdir() if entry[: len(place)] == place}):
        if name.startswith("__attach_version1.0_") and depth < _DEEPEST:
            _attach(message, container, [*place, name], depth)
    return message


def encoded_word(text: str) -> str:
    """A header's value in ASCII: an encoded word if it has other characters."""
    from email.header import Header

    plain = " ".join(text.split())
    return plain if plain.isascii() else Header(plain, "utf-8", maxlinelen=10_000).encode()


def _attach(message: EmailMessage, container: Any, place: list[str], depth: int) -> None:
    """Add the attachment at a place."""
    names = (_text(container, place, name) for name in (_LONG_NAME, _SHORT_NAME, _DISPLAY_NAME))
    name = next((found for found in names if found.strip()), "attachment")
    inner = [*place, f"__substg1.0_{_ATTACHED:04X}000D"]
    if container.exists([*inner, "__properties_version1.0"]):
        message.add_attachment(_message(container, inner, depth + 1), filename=f"{name}.eml")
        return
    data = _bytes(container, place, _ATTACHED)
    if data is not None:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)


def _bytes(container: Any, place: list[str], property: int, kind: str = "0102") -> bytes | None:
    path = [*place, f"__substg1.0_{property:04X}{kind}"]
    if not container.exists(path) or container.get_type(path) != 2:
        return None
    found: bytes = container.openstream(path).read()
    return found


def _text(container: Any, place: list[str], property: int) -> str:
    """A text property: UTF-16, or bytes of an old encoding."""
    wide = _bytes(container, place, property, "001F")
    if wide is not None:
        return wide.decode("utf-16-le", "replace").rstrip("\0")
    narrow = _bytes(container, place, property, "001E")
    decoded = decode(narrow) if narrow else None
    return decoded.text.rstrip("\0") if decoded else ""


def _html(container: Any, place: list[str]) -> str:
    from indexing.files.html import declared_encoding

    data = _bytes(container, place, _HTML)
    if data is None:
        return _text(container, place, _HTML)
    decoded = decode(data, declared_encoding(data))
    return decoded.text if decoded else ""


def _from_rtf(container: Any, place: list[str]) -> str:
    data = _bytes(container, place, _RTF)
    return rtf_text(decompressed_rtf(data)) if data else ""


def _moment(container: Any, place: list[str]) -> datetime.datetime | None:
    """When the message was sent, from its fixed properties: 16 bytes each after a header."""
    path = [*place, "__properties_version1.0"]
    data = container.openstream(path).read() if container.exists(path) else b""
    for wanted in (_SENT, _DELIVERED):
        for at in range(32 if not place else 24, len(data) - 15, 16):
            kind, property = struct.unpack_from("<HH", data, at)
            if property == wanted and kind == 0x0040:
                ticks = struct.unpack_from("<Q", data, at + 8)[0]
                return _EPOCH + datetime.timedelta(microseconds=ticks // 10) if ticks < 2**58 else None
    return None

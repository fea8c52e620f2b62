"""E-mail parser (.eml): sender, recipients, date, subject and body. Attachments are named, not read."""

from __future__ import annotations

import email
import email.policy
import email.utils
from collections.abc import Iterator
from email.message import EmailMessage
from typing import cast

from indexing.files.charset import decode
from indexing.files.file_text import FileLimits, FileText, TextBuilder, clean_meta

_HEADERS = ("From", "To", "Cc", "Date")


def read_mail(data: bytes, limits: FileLimits) -> list[FileText]:
    """One mail: the subject as a heading, then From, To, Cc and Date, then the plain text or the text of the HTML."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    headers = {name: _header(message, name) for name in ("Subject", *_HEADERS)}
    builder = TextBuilder(limits.max_chars)
    builder.heading(headers["Subject"], 1)
    builder.add("\n".join(f"{name}: {headers[name]}" for name in _HEADERS if headers[name]))
    builder.add(_body(message, limits).strip("\r\n"))
    meta = [(name.lower(), headers[name]) for name in ("Subject", "From", "To", "Cc")]
    meta += [("title", headers["Subject"]), ("date", _date(headers["Date"])), ("file_type", "eml")]
    return [FileText(builder.text(), (), clean_meta(meta), tuple(builder.headings), tuple(_notes(message)))]


def _header(message: EmailMessage, name: str) -> str:
    """A header's text on one line. Headers that cannot be parsed, or contain non-ASCII bytes, are used raw."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    try:
        text = str(message.get(name, "")) if raw.isascii() else raw
    except Exception:
        text = raw
    return " ".join(_unescaped(text).split())


def _unescaped(text: str) -> str:
    """Decode non-ASCII bytes that a header contains without MIME encoding, by detecting their encoding."""
    try:
        raw = text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text
    decoded = None if text.isascii() else decode(raw)
    return decoded.text if decoded else text


def _body(message: EmailMessage, limits: FileLimits) -> str:
    """The message text: its plain parts if they are not blank, else the visible text of its HTML parts."""
    parts = [part for part in _leaves(message) if not _name(part) and part.get_content_disposition() != "attachment"]
    plain = [_text(part) for part in parts if part.get_content_type() == "text/plain"]
    if any(text.strip() for text in plain):
        return "\n\n".join(text.strip("\r\n") for text in plain)
    from indexing.files.html import html_text

    pages = [_text(part) for part in parts if part.get_content_type() == "text/html"]
    return "\n\n".join(html_text(page, limits.max_chars)[0] for page in pages)


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """The leaf parts in order; the parts of attached mails are excluded."""
    stack = [message]
    while stack:
        part = stack.pop()
        inner = part.get_payload() if part.get_content_maintype() == "multipart" else None
        if isinstance(inner, list):
            stack.extend(cast("list[EmailMessage]", inner[::-1]))
        else:
            yield part


def _text(part: EmailMessage) -> str:
    """The text of a part in its declared encoding, or in a detected one if the declaration is wrong."""
    try:
        payload = part.get_payload(decode=True)
    except Exception:
        return ""
    if not isinstance(payload, bytes):
        return ""
    decoded = decode(payload, str(part.get_param("charset", "") or ""))
    return decoded.text if decoded else ""


def _name(part: EmailMessage) -> str:
    """The file name of a part, "" without one."""
    try:
        return " ".join(_unescaped(str(part.get_filename() or "")).split())
    except Exception:
        return ""


def _notes(message: EmailMessage) -> Iterator[str]:
    """A remark that names the attachments."""
    names = [
        _name(part) or part.get_content_type()
        for part in _leaves(message)
        if _name(part)
        or part.get_content_disposition() == "attachment"
        or part.get_content_maintype() not in ("text", "multipart")
    ]
    if names:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        yield f"{len(names):,} attachment{'s' * (len(names) > 1)} not read: {shown}"


def _date(header: str) -> str:
    """The day of a Date header, ISO 8601; "" if it cannot be parsed."""
    try:
        return email.utils.parsedate_to_datetime(header).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""

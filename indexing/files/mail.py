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
    """One mail: its subject as a heading, lines for From, To, Cc and Date, then the plain text, or the HTML's text."""
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
    """A header's text on one line; of one that cannot be parsed, or holds bytes beyond ASCII, those as they look."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    try:
        text = str(message.get(name, "")) if raw.isascii() else raw
    except Exception:
        text = raw
    return " ".join(_unescaped(text).split())


def _unescaped(text: str) -> str:
    """Bytes beyond ASCII that stood unencoded in a header, decoded as well as can be."""
    try:
        raw = text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text
    decoded = None if text.isascii() else decode(raw)
    return decoded.text if decoded else text


def _body(message: EmailMessage, limits: FileLimits) -> str:
    """The message's text: plain parts where there are some, else the visible text of HTML ones."""
    parts = [part for part in _leaves(message) if not _name(part) and part.get_content_disposition() != "attachment"]
    plain = [_text(part) for part in parts if part.get_content_type() == "text/plain"]
    if any(text.strip() for text in plain):
        return "\n\n".join(text.strip("\r\n") for text in plain)
    from indexing.files.html import html_text

    pages = [_text(part) for part in parts if part.get_content_type() == "text/html"]
    return "\n\n".join(html_text(page, limits.max_chars)[0] for page in pages)


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts that hold something, in order; what is inside an attached mail is not ours."""
    stack = [message]
    while stack:
        part = stack.pop()
        inner = part.get_payload() if part.get_content_maintype() == "multipart" else None
        if isinstance(inner, list):
            stack.extend(cast("list[EmailMessage]", inner[::-1]))
        else:
            yield part


def _text(part: EmailMessage) -> str:
    """A part's text in the encoding it declares, or where that is wrong in the likeliest."""
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
    """A remark naming the attachments."""
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
    """The day of a Date header, ISO 8601; "" when it cannot be read."""
    try:
        return email.utils.parsedate_to_datetime(header).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""

"""Headers of mails as text: encoded words, raw bytes of old encodings, names of attachments, dates."""

from __future__ import annotations

import base64
import binascii
import email.utils
import quopri
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any

from indexing.files.charset import decode, decode_declared

_WORD = re.compile(r"=\?([^?\s*]+)(?:\*[^?]*)?\?([BbQq])\?([^?]*)\?=")
_NAME = re.compile(r"""\b(?:file)?name\s*=\s*"?((?:=\?[^?]+\?[BbQq]\?[^?]*\?=[\s"]*)+)""", re.I)
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")


def header(message: Message[str, str], name: str) -> str:
    """A header's text on one line; "" if the message has none of that name."""
    return " ".join(decode_words(raw_header(message, name)).split())


def raw_header(message: Message[str, str], name: str) -> str:
    return next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def decode_words(raw: str) -> str:
    """The text of a raw header: encoded words decoded, neighbours of one encoding together, bytes by their letters.

    >>> decode_words("=?utf-8?Q?Gr=C3=BC=C3=9Fe?= an =?iso-8859-1?Q?B=F6?=")
    'Grüße an Bö'
    """
    return "".join(_pieces(raw))


def _pieces(raw: str) -> Iterator[str]:
    at, waiting, charset = 0, b"", ""
    for match in _WORD.finditer(raw):
        between = raw[at : match.start()]
        at = match.end()
        name, data = match[1].lower(), _bytes_of_word(match[2], match[3])
        if waiting and (between.strip() or name != charset):
            yield decode_declared(waiting, charset)
            waiting = b""
        if between.strip() or not charset:
            yield _plain(between)
        waiting, charset = waiting + data, name
    if waiting:
        yield decode_declared(waiting, charset)
    yield _plain(raw[at:])


def _bytes_of_word(kind: str, text: str) -> bytes:
    raw = text.encode("ascii", "ignore")
    if kind in "Qq":
        return quopri.decodestring(raw, header=True)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return b""


def _plain(text: str) -> str:
    """Text outside of encoded words; bytes that are not ASCII are decoded by their letters."""
    try:
        raw = text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text
    if text.isascii() and "\x1b" not in text:
        return text
    decoded = decode(raw)
    return decoded.text if decoded else text


def file_name(part: Message[str, str]) -> str:
    """The file name of a part, "" without one."""
    for name in ("Content-Disposition", "Content-Type"):
        if match := _NAME.search(raw_header(part, name)):
            return " ".join(decode_words(match[1].strip('" \t\r\n')).split())
    try:
        found: Any = part.get_filename() or part.get_param("name") or ""
        text = email.utils.collapse_rfc2231_value(found)
    except Exception:
        return ""
    return " ".join(_plain(text).split())


def day(text: str) -> str:
    """The day of a Date header, ISO 8601; "" if it cannot be parsed."""
    try:
        return email.utils.parsedate_to_datetime(text).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def thread(message: Message[str, str]) -> dict[str, str]:
    """message_id, in_reply_to, and thread: the id of the message that began the conversation."""
    own = _MESSAGE_ID.findall(raw_header(message, "Message-ID"))[:1]
    reply = _MESSAGE_ID.findall(raw_header(message, "In-Reply-To"))[:1]
    above = _MESSAGE_ID.findall(raw_header(message, "References"))
    first = (above or reply or own or [""])[0]
    found = {"message_id": "".join(own), "in_reply_to": "".join(reply or above[-1:]), "thread": first}
    return {name: value.strip("<>") for name, value in found.items() if value}

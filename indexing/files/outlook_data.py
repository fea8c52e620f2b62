"""Outlook data files (.pst, .ost): their messages as mails, by libpff or by readpst, whichever is installed.

The messages are members with their folder: `archive.pst/Inbox/3.eml`. Attachments stand in the messages.
"""

from __future__ import annotations

import datetime
import email
import email.policy
import email.utils
import io
import shutil
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import FileLimits, Member
from indexing.files.html import declared_encoding
from indexing.files.outlook import encoded_word
from indexing.files.programs import run_program
from indexing.files.rtf import decompressed_rtf, rtf_text

READPST = ("readpst", "-e", "-8", "-q", "-o")
_DEEPEST = 50
_BODY_HEADERS = frozenset(("content-type", "content-transfer-encoding", "mime-version", "content-disposition"))
_LARGEST_PART = 100_000_000


def read_pst(data: bytes, limits: FileLimits) -> Iterator[Member]:
    """The messages of a data file, folder by folder. Raises UnreadableFile, also where nothing is installed to read it."""
    try:
        import pypff
    except ImportError:
        yield from _by_readpst(data, limits)
        return
    try:
        file = pypff.file()
        file.open_file_object(io.BytesIO(data))
        root = file.get_root_folder()
    except (OSError, MemoryError, ValueError):
        raise UnreadableFile("damaged, or not an Outlook data file") from None
    yield from _messages(root, "", 0)


def _messages(folder: Any, place: str, depth: int) -> Iterator[Member]:
    """The messages of a folder, then those of its folders. What cannot be read is a member with the reason."""
    for number in range(_count(folder, "messages")):
        name = f"{place}/{number + 1}.eml".lstrip("/")
        try:
            mail, lost = _mail(folder.get_sub_message(number))
            data = mail.as_bytes(policy=email.policy.SMTP)
        except (OSError, ValueError, UnicodeError, LookupError, TypeError, AttributeError):
            yield Member(name, reason="damaged: libpff cannot read this message")
            continue
        yield Member(name, data)
        yield from (Member(f"{name}/{attached}", reason=reason) for attached, reason in lost)
    if depth >= _DEEPEST and _count(folder, "folders"):
        yield Member(f"{place}/further folders", reason=f"nested more than {_DEEPEST} deep")
        return
    for number in range(_count(folder, "folders")):
        try:
            inner = folder.get_sub_folder(number)
            name = str(inner.get_name() or f"folder {number + 1}").replace("/", "_")
        except (OSError, ValueError):
            yield Member(f"{place}/folder {number + 1}".lstrip("/"), reason="damaged: libpff cannot read this folder")
            continue
        yield from _messages(inner, f"{place}/{name}" if place else name, depth + 1)


def _count(folder: Any, what: str) -> int:
    try:
        return int(getattr(folder, f"get_number_of_sub_{what}")())
    except (OSError, ValueError):
        return 0


def _mail(item: Any) -> tuple[EmailMessage, list[tuple[str, str]]]:
    """A message of libpff as a mail, and the attachments that it lacks, with the reasons."""
    message = EmailMessage(policy=email.policy.SMTP.clone(refold_source="none"))
    for name, value in _headers(item):
        message._headers.append((name, encoded_word(value)))  # type: ignore[attr-defined]
    plain, html = _text(item, "plain_text_body"), _text(item, "html_body")
    if not plain.strip() and not html.strip() and (packed := _value(item, "rtf_body")):
        plain = rtf_text(packed if packed.startswith(b"{\\rtf") else decompressed_rtf(packed))
    message.set_content(plain)
    if html.strip():
        message.add_alternative(html, subtype="html")
    lost = []
    for number in range(int(_value(item, "number_of_attachments") or 0)):
        name = f"attachment {number + 1}"
        if reason := _attach(message, item, number, name):
            lost.append((name, reason))
    return message, lost


def _headers(item: Any) -> Iterator[tuple[str, str]]:
    """The headers that the message came with, without those of its body; else what Outlook knows of it."""
    sent: Message = email.message_from_string(str(_value(item, "transport_headers") or ""))
    stored = [(name, str(value)) for name, value in sent.items() if name.lower() not in _BODY_HEADERS]
    known = {name.lower() for name, _ in stored}
    moment = _value(item, "client_submit_time") or _value(item, "delivery_time")
    date = ""
    if isinstance(moment, datetime.datetime):
        date = email.utils.format_datetime(moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc))
    own = {"Subject": _value(item, "subject"), "From": _value(item, "sender_name"), "Date": date}
    yield from stored
    for name, value in own.items():
        if name.lower() not in known and str(value or "").strip():
            yield name, str(value)


def _attach(message: EmailMessage, item: Any, number: int, name: str) -> str:
    """Attach a file to the mail. name: if it has none. Returns why it cannot be read, else ""."""
    try:
        attachment = item.get_attachment(number)
        size = int(attachment.get_size())
        if size > _LARGEST_PART:
            return f"{size:,} bytes, more than the {_LARGEST_PART:,} that are read"
        data = attachment.read_buffer(size) if size > 0 else b""
        name = str(_value(attachment, "long_filename") or "") or name
    except (OSError, ValueError, MemoryError):
        return "damaged, or a message, which libpff does not give"
    if data:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return ""


def _text(item: Any, name: str) -> str:
    """A body as text; libpff gives bytes in the message's own encoding."""
    value = _value(item, name)
    if isinstance(value, bytes):
        decoded = decode(value, declared_encoding(value) if name == "html_body" else "")
        return decoded.text.rstrip("\0") if decoded else ""
    return str(value or "")


def _value(item: Any, name: str) -> Any:
    """A property of libpff; None if it is missing or cannot be read."""
    try:
        return getattr(item, name, None)
    except (OSError, ValueError, UnicodeError, OverflowError):
        return None


def _by_readpst(data: bytes, limits: FileLimits) -> Iterator[Member]:
    """The messages that readpst writes, each as a file in the folders of the data file."""
    program = shutil.which(READPST[0])
    if program is None:
        raise UnreadableFile("an Outlook data file (.pst, .ost); install docqa[pst] or readpst to read it")
    with tempfile.TemporaryDirectory(prefix="docqa-") as folder:
        path, out = Path(folder) / "in.pst", Path(folder) / "out"
        path.write_bytes(data)
        out.mkdir()
        run_program((program, *READPST[1:], str(out), str(path)), "readpst", limits)
        files = sorted(found for found in out.rglob("*") if found.is_file())
        if not files:
            raise UnreadableFile("an Outlook data file in which readpst finds no message: damaged, or empty")
        for found in files:
            yield Member(found.relative_to(out).as_posix(), found.read_bytes())

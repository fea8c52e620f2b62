"""Parser of mails: headers as text and facets, the body by the structure of its parts, attachments as members."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import Message

from indexing.files.calendars import calendar_text
from indexing.files.charset import decode_declared, decode_text
from indexing.files.file_text import Contents, FileLimits, FileText, Member, TextBuilder, clean_meta
from indexing.files.left_out import LeftOut
from indexing.files.mail_headers import day, file_name, header, thread
from indexing.files.mail_text import enriched_text, unflowed, without_files
from indexing.files.signed_files import signed_content

_HEADERS = ("From", "To", "Cc", "Date")
_LEADING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:>?From [^\n]*\d{4}[^\n]*\n)?")
# A plain part that only says that the message is HTML.
_STUB = re.compile(r"\bHTML\b", re.I)
_STUB_LENGTH = 400
_SHORTER = 10
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# The name of a transfer encoding, before comments, parameters and other faults of the header.
_TRANSFER = re.compile(r"\s*\"?(quoted-printable|base64|x-uuencode|uuencode|x-uue|uue)\b", re.I)
_MESSAGE = re.compile(rb"\s*(?:Content-[A-Za-z-]+|MIME-Version|Received|From|Subject):", re.I)
_MOST_PARTS = 10_000
_DEEPEST = 50
_NO_FILES = frozenset(("text/css", "text/javascript", "application/javascript", "application/x-javascript"))
_SIGNATURES = frozenset(("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"))
_ENCRYPTED = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted"))

# Of attachments without a name.
_EXTENSIONS = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/calendar": ".ics",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "image/png": ".png",
    "image/jpeg": ".jpg",
}

Part = Message


def read_mail(data: bytes, limits: FileLimits) -> Contents:
    """One mail: the subject as a heading, then From, To, Cc and Date, then its body. Attachments are members."""
    data = _in_bytes(data)
    data = data[_leading(data) :]
    message: Part = email.message_from_bytes(data, policy=email.policy.compat32)
    headers = {name: header(message, name) for name in ("Subject", *_HEADERS)}
    body = _Body(limits.max_chars, limits.hidden_text)
    body.add(message)
    builder = TextBuilder(limits.max_chars)
    builder.heading(headers["Subject"], 1)
    builder.add("\n".join(f"{name}: {headers[name]}" for name in _HEADERS if headers[name]))
    builder.add("\n\n".join(body.blocks))
    meta = [(name.lower(), headers[name]) for name in ("Subject", "From", "To", "Cc")]
    meta += [("title", headers["Subject"]), ("date", day(headers["Date"])), ("file_type", "eml")]
    meta += list(thread(message).items())
    notes = (*dict.fromkeys(body.notes), *body.left_out.remarks())
    return Contents([FileText(builder.text(), (), clean_meta(meta), tuple(builder.headings), notes)], body.members)


def read_calendar(data: bytes, limits: FileLimits) -> list[FileText]:
    """A calendar file: its events as lines. Raises UnreadableFile if the bytes are not text."""
    decoded = decode_text(data, "a calendar")
    meta = {"file_type": "ics", "encoding": decoded.encoding}
    builder = TextBuilder(limits.max_chars)
    builder.add(calendar_text(decoded.text))
    return [FileText(builder.text(), (), clean_meta(meta.items()), (), decoded.notes)]


def _in_bytes(data: bytes) -> bytes:
    """A mail that a program saved as UTF-16, in UTF-8; any other as it is."""
    return data.decode("utf-16", "replace").encode("utf-8", "replace") if data.startswith(_UTF_16) else data


def _leading(data: bytes) -> int:
    """The bytes before the first header: a byte order mark, blank lines, a separator of mailboxes."""
    match = _LEADING.match(data)
    return match.end() if match else 0


class _Body:
    """The body of a message as blocks of text, and the files attached to it."""

    def __init__(self, max_chars: int, hidden_text: bool) -> None:
        self.blocks: list[str] = []
        self.members: list[Member] = []
        self.notes: list[str] = []
        self._max_chars = max_chars
        self.left_out = LeftOut(hidden_text)
        self._parts = 0

    def add(self, message: Part) -> None:
        """Add a whole message."""
        self.blocks = [text for text in (block.strip("\r\n") for block in self._blocks(message, 0)) if text.strip()]

    def _blocks(self, part: Part, depth: int) -> list[str]:
        """The texts of a part, in order. What is no text becomes a member."""
        self._parts += 1
        if self._parts > _MOST_PARTS or depth > _DEEPEST:
            self.notes.append("too many parts, or nested too deeply: not all are read")
            return []
        kind = part.get_content_type()
        inner = _children(part)
        if kind == "message/rfc822":
            return self._forwarded(part, inner)
        if inner and kind == "message/delivery-status":
            return ["\n\n".join(filter(None, map(_status, inner)))]
        if inner and kind == "multipart/alternative":
            return self._alternative(inner, depth)
        if inner and kind == "multipart/related":
            return self._related(part, inner, depth)
        if inner and part.get_content_maintype() in ("multipart", "message"):
            return [text for child in inner for text in self._blocks(child, depth + 1)]
        if kind in _ENCRYPTED and (signed := signed_content(_payload(part))):
            if not _MESSAGE.match(signed):
                self.members.append(Member(re.sub(r"\.p7m$", "", _name(part), flags=re.I), signed))
                return []
            return self._blocks(email.message_from_bytes(signed, policy=email.policy.compat32), depth + 1)
        if kind in _ENCRYPTED or kind == "multipart/encrypted":
            self.members.append(Member(_name(part), reason="encrypted or signed as a whole: its program is needed"))
            return []
        if _is_text(part, kind):
            return [self._text(part, kind)]
        self._attach(part, kind)
        return []

    def _alternative(self, children: list[Part], depth: int) -> list[str]:
        """Of several forms of one text the plain one, unless it is a stub of the HTML; and what the others add."""
        forms: dict[str, str] = {}
        rest: list[str] = []
        for child in children:
            kind = child.get_content_type()
            if kind in ("text/x-amp-html", "text/watch-html"):
                continue
            blocks = self._blocks(child, depth + 1)
            text = "\n\n".join(block.strip("\r\n") for block in blocks)
            if kind == "text/plain":
                forms["plain"] = f"{forms.get('plain', '')}\n\n{text}".strip("\r\n")
            elif kind == "text/calendar":
                rest.append(text)
            else:
                forms["html"] = f"{forms.get('html', '')}\n\n{text}".strip("\r\n")
        plain, html = forms.get("plain", ""), forms.get("html", "")
        chosen = html if _is_stub(plain, html) else plain or html
        return [chosen, *rest]

    def _related(self, part: Part, children: list[Part], depth: int) -> list[str]:
        """The root of a compound object; its pictures and others are members."""
        start = str(part.get_param("start") or "").strip("<>")
        named = [child for child in children if start and (child.get("Content-ID") or "").strip("<> ") == start]
        root = (named or children)[0]
        blocks = self._blocks(root, depth + 1)
        for child in children:
            if child is not root:
                if _children(child):
                    blocks += self._blocks(child, depth + 1)
                else:
                    self._attach(child, child.get_content_type())
        return blocks

    def _forwarded(self, part: Part, inner: list[Part]) -> list[str]:
        """A forwarded message as a member: a document of its own."""
        if inner:
            data = _flattened(inner[0])
            subject = header(inner[0], "Subject")
        else:
            data, subject = _payload(part), ""
        name = file_name(part) or (f"{subject[:100].replace('/', '-')}.eml" if subject else "message.eml")
        self.members.append(Member(name if name.lower().endswith((".eml", ".msg")) else f"{name}.eml", data))
        return []

    def _text(self, part: Part, kind: str) -> str:
        text = decode_declared(_payload(part), str(part.get_param("charset", "") or ""))
        if kind == "text/html":
            from indexing.files.html import html_text

            return html_text(text, self._max_chars, self.left_out)[0]
        if kind == "text/calendar":
            return calendar_text(text)
        if kind == "text/enriched":
            return enriched_text(text)
        text, members = without_files(text)
        self.members += members
        flowed = str(part.get_param("format") or "").lower() == "flowed"
        return unflowed(text, str(part.get_param("delsp") or "").lower() == "yes") if flowed else text

    def _attach(self, part: Part, kind: str) -> None:
        if kind in _SIGNATURES or kind in _NO_FILES:
            return
        self.members.append(Member(_name(part), _payload(part)))


def _children(part: Part) -> list[Part]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _is_text(part: Part, kind: str) -> bool:
    """Whether a part belongs to the body: text that is not sent as a file."""
    attached = part.get_content_disposition() == "attachment"
    if kind == "text/calendar":
        return not attached
    if kind not in ("text/plain", "text/html", "text/enriched", "text/x-markdown"):
        return kind in ("message/delivery-status", "text/rfc822-headers")
    return not attached and not file_name(part)


def _status(child: Part) -> str:
    """A block of a delivery's status: its fields, and what stands there in their place."""
    fields = "\n".join(f"{name}: {header(child, name)}" for name in child)
    payload = child.get_payload()
    return f"{fields}\n\n{payload if isinstance(payload, str) else ''}".strip()


def _is_stub(plain: str, html: str) -> bool:
    """Whether the plain form says less than the HTML: nothing, a tenth of it, or only that there is HTML."""
    if not html.strip():
        return False
    if len(plain.strip()) * _SHORTER < len(html.strip()):
        return True
    return len(plain) < _STUB_LENGTH and bool(_STUB.search(plain)) and not _STUB.search(html)


def _payload(part: Part) -> bytes:
    """The bytes of a part, decoded by its transfer encoding."""
    stated = str(part.get("Content-Transfer-Encoding") or "")
    if (match := _TRANSFER.match(stated)) and match[1] != stated:
        part.replace_header("Content-Transfer-Encoding", match[1])
    try:
        payload = part.get_payload(decode=True)
    except Exception:
        return b""
    return payload if isinstance(payload, bytes) else b""


def _flattened(message: Part) -> bytes:
    """A message as bytes again."""
    try:
        return message.as_bytes()
    except Exception:
        return message.as_string().encode("utf-8", "surrogateescape")


def _name(part: Part) -> str:
    """The name of an attached file, made from its type if it has none."""
    kind = part.get_content_type()
    return file_name(part) or f"{part.get_content_maintype()}{_EXTENSIONS.get(kind, '')}"

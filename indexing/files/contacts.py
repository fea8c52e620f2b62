"""Parser of contacts (vCard 2.1 to 4.0): each person or company as lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexing.files.calendars import properties, unescaped
from indexing.files.charset import decode_text
from indexing.files.file_text import FileLimits, FileText, TextBuilder, clean_meta, counted

_FIELDS = {
    "FN": "Name",
    "NICKNAME": "Nickname",
    "ORG": "Organization",
    "TITLE": "Title",
    "ROLE": "Role",
    "TEL": "Phone",
    "EMAIL": "E-mail",
    "IMPP": "Chat",
    "ADR": "Address",
    "URL": "URL",
    "BDAY": "Birthday",
    "ANNIVERSARY": "Anniversary",
    "LANG": "Language",
    "CATEGORIES": "Categories",
    "RELATED": "Related",
    "NOTE": "Note",
}
_TYPES = re.compile(r"(?:;TYPE=|,|;)\"?(home|work|cell|fax|pager|main|other|mobile)\b", re.I)
_SEPARATOR = re.compile(r"(?<!\\);")
_PICTURES = frozenset(("PHOTO", "LOGO"))
# Names in Chinese characters, kana or Hangul begin with the family, without a space.
_EASTERN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+$")
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)$")


def read_contacts(data: bytes, limits: FileLimits) -> list[FileText]:
    """The contacts of a vCard file as lines "Field: value", a blank line between them. Raises UnreadableFile for no text."""
    decoded = decode_text(data, "a contact (vCard)")
    builder = TextBuilder(limits.max_chars)
    card: list[tuple[str, str, str]] = []
    pictures = 0
    for name, parameters, value in properties(decoded.text):
        pictures += name in _PICTURES
        if name in ("BEGIN", "END"):
            builder.add("\n".join(_lines(card)))
            card = []
        else:
            card.append((name, parameters, value))
    builder.add("\n".join(_lines(card)))
    meta = {"file_type": "vcf", "encoding": decoded.encoding}
    notes = (*decoded.notes, *counted(pictures, "embedded image", "not read"))
    return [FileText(builder.text(), (), clean_meta(meta.items()), (), notes)]


def _lines(card: list[tuple[str, str, str]]) -> Iterator[str]:
    named = any(name == "FN" and value.strip() for name, _, value in card)
    for wanted, label in _FIELDS.items():
        for name, parameters, value in card:
            if name == wanted or (wanted == "FN" and name == "N" and not named):
                text = _shown(name, value)
                kinds = ", ".join(dict.fromkeys(kind.lower() for kind in _TYPES.findall(parameters)))
                if text:
                    yield f"{label} ({kinds}): {text}" if kinds else f"{label}: {text}"


def _shown(name: str, value: str) -> str:
    """A value as people read it: parts of names and addresses by spaces and commas, dates in ISO 8601."""
    parts = [unescaped(part).strip() for part in _SEPARATOR.split(value)]
    if name == "N":
        family, given, *others = [*parts, "", ""][:5]
        if _EASTERN.match(family + given):
            return family + given
        return " ".join(filter(None, (*others[1:2], given, *others[:1], family, *others[2:])))
    if name in ("ADR", "ORG"):
        return ", ".join(filter(None, parts))
    text = re.sub(r"^(?:mailto|tel):", "", unescaped(value).strip(), flags=re.I)
    return _DATE.sub(r"\1-\2-\3", text) if name in ("BDAY", "ANNIVERSARY") else text

"""Calendar files and invitations (iCalendar, RFC 5545): each event as lines."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator

from indexing.files.charset import decode_declared

_LINE = re.compile(r"((?:[A-Za-z0-9-]+\.)?[A-Za-z-]+)((?:;[^:\"]*(?:\"[^\"]*\"[^:\"]*)*)?):(.*)", re.S)
_QUOTED = re.compile(r";(?:ENCODING=)?QUOTED-PRINTABLE", re.I)
_CHARSET = re.compile(r";CHARSET=\"?([^;:\"]+)", re.I)
_ESCAPED = re.compile(r"\\([\\;,nN])")
_MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})?(Z?))?$")
_FIELDS = {
    "SUMMARY": "Summary",
    "LOCATION": "Location",
    "DTSTART": "Start",
    "DTEND": "End",
    "DUE": "Due",
    "DURATION": "Duration",
    "RRULE": "Repeats",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Attendee",
    "CONTACT": "Contact",
    "CATEGORIES": "Categories",
    "STATUS": "Status",
    "URL": "URL",
    "COMMENT": "Comment",
    "DESCRIPTION": "Description",
}
_PARTS = frozenset(("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY"))


def calendar_text(text: str) -> str:
    """The events of a calendar, each as lines "Field: value", a blank line between them.

    >>> calendar_text("BEGIN:VEVENT\\nSUMMARY:Piers\\\\, new\\nDTSTART;TZID=Europe/Oslo:20230502T100000\\nEND:VEVENT")
    'Summary: Piers, new\\nStart: 2023-05-02 10:00 (Europe/Oslo)'
    """
    return "\n\n".join(filter(None, ("\n".join(_lines(event)) for event in _events(text))))


def properties(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, parameters, value) of each line of a calendar or contact, unfolded; quoted-printable values are decoded.

    >>> list(properties("SUMMARY;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:Gr=C3=\\n=BC=C3=9Fe".replace("\\\\n", chr(10))))
    [('SUMMARY', ';ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8', 'Grüße')]
    """
    lines = iter(re.split(r"\r\n?|\n", re.sub(r"\r?\n[ \t]", "", text)))
    for line in lines:
        match = _LINE.match(line)
        if not match:
            continue
        value = match[3]
        if _QUOTED.search(match[2]):
            pieces = [value]
            while pieces[-1].endswith("=") and (more := next(lines, None)) is not None:
                pieces[-1:] = [pieces[-1][:-1], more]
            value = "".join(pieces)
            charset = _CHARSET.search(match[2])
            value = decode_declared(quopri.decodestring(value.encode()), charset[1] if charset else "utf-8")
        yield match[1].upper().rpartition(".")[2], match[2], value


def _events(text: str) -> Iterator[list[tuple[str, str, str]]]:
    """(name, parameters, value) of the lines of each event, without those of its alarms."""
    event: list[tuple[str, str, str]] | None = None
    inner = 0
    for name, parameters, value in properties(text):
        if name == "BEGIN" and value.strip().upper() in _PARTS and event is None:
            event = []
        elif name == "BEGIN" and event is not None:
            inner += 1
        elif name == "END" and event is not None:
            if inner:
                inner -= 1
            else:
                yield event
                event = None
        elif event is not None and not inner:
            event.append((name, parameters, value))


def _lines(event: list[tuple[str, str, str]]) -> Iterator[str]:
    for wanted, label in _FIELDS.items():
        for name, parameters, value in event:
            if name == wanted and (text := _shown(name, parameters, value)):
                yield f"{label}: {text}"


def _shown(name: str, parameters: str, value: str) -> str:
    """A value as people read it: moments in ISO 8601, people by name and address."""
    value = unescaped(value).strip()
    zone = re.search(r"TZID=\"?([^;:\"]+)", parameters)
    if name in ("DTSTART", "DTEND", "DUE") and (moment := _MOMENT.match(value)):
        year, month, day, hour, minute, _, utc = moment.groups()
        clock = f" {hour}:{minute}" if hour else ""
        return f"{year}-{month}-{day}{clock}" + (" UTC" if utc else f" ({zone[1]})" if zone and clock else "")
    if name in ("ORGANIZER", "ATTENDEE"):
        address = re.sub(r"^mailto:", "", value, flags=re.I)
        person = re.search(r"CN=\"?([^;:\"]+)", parameters)
        return f"{person[1]} <{address}>" if person and person[1] != address else address
    return value


def unescaped(value: str) -> str:
    """A value with its escaped separators and line ends.

    >>> unescaped("Piers\\\\, new")
    'Piers, new'
    """
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)

"""Tables and lists as escaped, responsive HTML with isolated writing direction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from ui.render.highlight import escape_html

STYLE = Path(__file__).with_name("tables.css")
UNITS = ("bytes", "KB", "MB", "GB")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], told: Collection[str] = ()) -> str:
    """A table. columns: plain text; rows: cells as HTML, from `text`, `figure` and `highlight.name`.

    `told`: columns whose cells repeat the column name on narrow screens, where each row is a block.

    >>> table(["File"], [[text("<a>")]]).partition("<tbody>")[2]
    '<tr><td><div dir="auto">&lt;a&gt;</div></td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape_html(column)}</th>" for column in columns)
    labels = [f' data-label="{escape_html(column)}"' if column in told else "" for column in columns]
    body = "".join(f"<tr>{_cells(labels, row)}</tr>" for row in rows)
    return f'<table class="docqa-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(labels: Sequence[str], row: Sequence[str]) -> str:
    return "".join(f"<td{label}>{cell}</td>" for label, cell in zip(labels, row, strict=True))


def text(words: str, kind: str = "") -> str:
    """A text as a table cell with its own writing direction.

    >>> text("a & b")
    '<div dir="auto">a &amp; b</div>'
    """
    shown = f'<span class="docqa-{escape_html(kind)}">{escape_html(words)}</span>' if kind else escape_html(words)
    return f'<div dir="auto">{shown}</div>' if words else ""


def figure(number: int) -> str:
    """
    >>> figure(12345)
    '12,345'
    """
    return f"{number:,}"


def heading(inner: str) -> str:
    """The title of a list entry. inner: HTML."""
    return f'<div class="docqa-entry" dir="auto">{inner}</div>'


def facts(items: Iterable[str]) -> str:
    """A line of facts, each HTML; empty ones are omitted."""
    return f'<div class="docqa-facts">{"".join(f"<span>{item}</span>" for item in items if item)}</div>'


def count(number: int, one: str, many: str = "") -> str:
    """
    >>> count(1, "document"), count(2000, "document"), count(0, "reply", "replies")
    ('1 document', '2,000 documents', '0 replies')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: float) -> str:
    """A number of bytes in a readable unit.

    >>> size(1), size(999), size(1_234_000), size(5e12)
    ('1 byte', '999 bytes', '1.2 MB', '5,000.0 GB')
    """
    if number < 1_000:
        return count(int(number), "byte")
    unit = 0
    while number >= 1_000 and unit < len(UNITS) - 1:
        number, unit = number / 1_000, unit + 1
    return f"{number:,.1f} {UNITS[unit]}"


def when(time: str | None) -> str:
    """A time (ISO 8601, UTC) to the minute, "" for none; an invalid time is returned unchanged.

    >>> when("2026-11-21T09:05:59.123+00:00"), when(None), when("soon")
    ('2026-11-21 09:05 UTC', '', 'soon')
    """
    try:
        return datetime.fromisoformat((time or "").replace("Z", "+00:00")).strftime("%Y-%m-%d %H:%M UTC") if time else ""
    except ValueError:
        return str(time)

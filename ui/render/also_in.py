"""The other documents that have a text."""

from __future__ import annotations

from collections.abc import Sequence

from ui.client.schemas import DocumentName
from ui.render.highlight import escape_html, name

NAMED = 3


def also_in(others: Sequence[DocumentName]) -> list[str]:
    """The other documents with a text, as HTML: the first ones by name, all of them in the tooltip; [] for none."""
    if not others:
        return []
    shown = ", ".join(name(other.source) for other in others[:NAMED])
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    everyone = escape_html("\n".join(other.source for other in others))
    return [f'<span title="{everyone}">also in {shown}{more}</span>']

"""XML parts of office files and e-books: parsed without entities or the network, and beyond a fault as far as possible."""

from __future__ import annotations

from typing import Any

from lxml import etree


def parsed(data: bytes) -> tuple[Any, bool]:
    """(root element, whether the XML is sound). What follows a fault is lost; the root is None if nothing is left.

    >>> root, sound = parsed(b"<a><b/><c></a>")
    >>> root.tag, sound
    ('a', False)
    """
    for recover in (False, True):
        parser = etree.XMLParser(
            resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True, recover=recover, remove_comments=True
        )
        try:
            return etree.fromstring(data, parser), not recover
        except etree.XMLSyntaxError:
            continue
    return None, False


def local(element: Any) -> str:
    """The tag without its namespace; "" for comments and entities."""
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """An attribute by its name without namespace; "" if it is missing."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def whole(text: str | None, default: int = 0) -> int:
    """The number that an attribute states in ASCII digits, at most nine; else the default.

    >>> whole("12"), whole("²"), whole(None, 1)
    (12, 0, 1)
    """
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else default

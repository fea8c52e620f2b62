"""HTML parser: visible text in blocks, headings, and metadata from the head."""

from __future__ import annotations

import html
import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from indexing.files.charset import decode_text
from indexing.files.file_text import FileLimits, FileText, Heading, clean_meta
from indexing.files.html_writer import HtmlWriter, ancestors, outermost
from indexing.files.left_out import LeftOut

_SPACE = re.compile(r"[ \t\n\r\f]+")
_CHARSET = re.compile(
    rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)"""
    rb"""|<\?xml[^>]{0,200}?encoding=["']([A-Za-z0-9_.-]+)""",
    re.I,
)
_META = {
    "description": "description",
    "og:description": "description",
    "author": "author",
    "article:author": "author",
    "date": "date",
    "article:published_time": "date",
    "dc.date": "date",
    "dcterms.date": "date",
    "keywords": "keywords",
    "dc.creator": "author",
}
# XHTML allows an empty element of any name; HTML knows a few, and takes others for opened.
_XHTML = re.compile(r"\s*<\?xml\b|<(?:\w+:)?html\b[^>]*\bxmlns\b", re.I)
_PREFIX = re.compile(r"""\bxmlns:([\w.-]+)\s*=\s*["']http://www\.w3\.org/1999/xhtml["']""")
_EMPTY = re.compile(r"""<([A-Za-z][\w:.-]*)((?:[^<>"'/]|"[^"]*"|'[^']*'|/(?!>))*)/>""")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.S)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
# The least share of a page's text for which a part stands for the page.
_SHARES = (("main, [role=main]", 0.5), ("article", 0.8))
_LEFT_OUT = 500


def read_html(data: bytes, limits: FileLimits) -> list[FileText]:
    """The visible text of a page. Raises UnreadableFile if the bytes are not text."""
    decoded = decode_text(data, "an HTML page", declared_encoding(data))
    page = _parsed(decoded.text)
    left_out = LeftOut(limits.hidden_text)
    writer, notes = _visible(page, limits.max_chars, left_out)
    notes += tuple(left_out.remarks())
    meta = _head(page) | {"file_type": "html", "encoding": decoded.encoding}
    return [FileText(writer.text(), (), clean_meta(meta.items()), tuple(writer.headings), decoded.notes + notes)]


def declared_encoding(data: bytes) -> str:
    """The encoding that a page declares in its first 2,048 bytes, or "".

    >>> declared_encoding(b'<meta charset="koi8-r">')
    'koi8-r'
    """
    match = _CHARSET.search(data[:2_048])
    return (match[1] or match[2]).decode("ascii") if match else ""


def html_text(source: str, max_chars: int, left_out: LeftOut | None = None) -> tuple[str, tuple[Heading, ...]]:
    """(visible text, headings) of a page or of a part of one. left_out: counts its hidden and struck-out text."""
    writer, _ = _visible(_parsed(source), max_chars, left_out or LeftOut())
    return writer.text(), tuple(writer.headings)


def _parsed(source: str) -> Any:
    """The tree of a page. Empty elements of XHTML are closed, and its CDATA sections become text."""
    source = source.replace("\x00", "\ufffd")
    if _XHTML.search(source[:4_000]):
        for prefix in _PREFIX.findall(source[:4_000]):
            source = re.sub(rf"(</?){re.escape(prefix)}:", r"\1", source)
        source = _CDATA.sub(lambda match: html.escape(match[1], quote=False), source)
        source = _EMPTY.sub(_closed, source)
    return LexborHTMLParser(source)


def _closed(match: re.Match[str]) -> str:
    return match.group() if match[1].lower() in _VOID else f"<{match[1]}{match[2]}></{match[1]}>"


def _visible(tree: Any, max_chars: int, left_out: LeftOut) -> tuple[HtmlWriter, tuple[str, ...]]:
    """The text of <main> or of all <article> if it is most of the page's text, else of the page; and remarks."""
    page = HtmlWriter(max_chars, left_out)
    if tree.body is not None:
        page.walk(tree.body)
    for selector, share in _SHARES:
        nodes = outermost(tree.css(selector))
        if not nodes:
            continue
        part = HtmlWriter(max_chars, LeftOut(left_out.read))
        for node in nodes:
            part.walk(node)
        if part.length and part.length >= share * page.length:
            left = page.length - part.length
            much = left >= _LEFT_OUT and left * 4 >= page.length
            return part, (f"{left:,} characters outside the main part of the page not read",) if much else ()
    return page, ()


def _head(tree: Any) -> dict[str, object]:
    """title, language, description, author, date and keywords, as far as present."""
    meta: dict[str, object] = {}
    titles = (node for node in tree.css("title") if not any(above.tag == "svg" for above in ancestors(node)))
    if (title := next(titles, None)) is not None:
        meta["title"] = _SPACE.sub(" ", title.text(deep=True)).strip()
    root = tree.css_first("html")
    if root is not None and root.attributes.get("lang"):
        meta["lang"] = root.attributes["lang"]
    for node in tree.css("meta"):
        name = _META.get((node.attributes.get("name") or node.attributes.get("property") or "").lower())
        if name and node.attributes.get("content"):
            meta.setdefault(name, node.attributes["content"])
    return meta

"""HTML parser: visible text in blocks, headings, and metadata from the head."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import FileLimits, FileText, Heading, TextBuilder, clean_meta


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNSEEN = _names(
    "script style head nav footer template noscript svg math iframe object embed canvas audio video datalist select"
    " option button textarea input meta link map"
)
_PARAGRAPHS = _names(
    "p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre section article main aside header figure form fieldset address hr"
    " details body"
)
_LINES = _names("div li dt dd tr caption figcaption legend summary thead tbody tfoot center option")
_CELLS = frozenset(("td", "th"))
_HEADING = re.compile(r"h[1-6]$")
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
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


def read_html(data: bytes, limits: FileLimits) -> list[FileText]:
    """The visible text of a page. Raises UnreadableFile if the bytes are not text."""
    decoded = decode(data, declared_encoding(data))
    if decoded is None:
        raise UnreadableFile("not an HTML page: binary data")
    text, headings, meta = html_text(decoded.text, limits.max_chars)
    meta |= {"file_type": "html", "encoding": decoded.encoding}
    return [FileText(text, (), clean_meta(meta.items()), headings, decoded.notes)]


def declared_encoding(data: bytes) -> str:
    """The encoding that a page declares in its first 2,048 bytes, or "".

    >>> declared_encoding(b'<meta charset="koi8-r">')
    'koi8-r'
    """
    match = _CHARSET.search(data[:2_048])
    return (match[1] or match[2]).decode("ascii") if match else ""


def html_text(source: str, max_chars: int) -> tuple[str, tuple[Heading, ...], dict[str, object]]:
    """(visible text, headings, metadata of the head). Only <main> or <article> counts, if it contains text."""
    tree = LexborHTMLParser(source.replace("\x00", "\ufffd"))
    for selector in ("main, [role=main]", "article"):
        writer = _Writer(max_chars)
        for node in _outermost(tree.css(selector)):
            writer.walk(node)
        if writer.length:
            return writer.text(), tuple(writer.headings), _head(tree)
    writer = _Writer(max_chars)
    if tree.body is not None:
        writer.walk(tree.body)
    return writer.text(), tuple(writer.headings), _head(tree)


def _outermost(nodes: list[Any]) -> list[Any]:
    """The nodes (in document order) that are not inside another one or inside an invisible element."""
    ids = {node.mem_id for node in nodes}
    return [node for node in nodes if not any(_unseen(above) or above.mem_id in ids for above in _above(node))]


def _above(node: Any) -> Iterator[Any]:
    """The ancestors of a node; at most a thousand, for absurdly deep pages."""
    for _ in range(1_000):
        node = node.parent
        if node is None:
            return
        yield node


def _unseen(node: Any) -> bool:
    """Whether an element is invisible, by its tag, `hidden`, `aria-hidden` or its style."""
    if node.tag in _UNSEEN:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    hidden = "hidden" in attributes and attributes["hidden"] != "until-found"
    return hidden or attributes.get("aria-hidden") == "true" or bool(_HIDING.search(attributes.get("style") or ""))


class _Writer(TextBuilder):
    """Traverses elements without recursion and writes their text; white space is collapsed except in <pre>."""

    def __init__(self, max_chars: int) -> None:
        super().__init__(max_chars)
        self._gap = ""
        self._pre = 0
        self._heading: tuple[int, int] | None = None

    def walk(self, root: Any) -> None:
        """Write everything below `root`, each block separated."""
        self._wish("\n\n")
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                self._leave(node.tag)
            elif node.is_text_node:
                self._say(node.text_content or "")
            elif node.is_element_node and not _unseen(node):
                self._enter(node.tag)
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(_children(node)))
        self._wish("\n\n")

    def _wish(self, gap: str) -> None:
        """Request a separator before the next words; the strongest request wins."""
        if _STRENGTH[gap] > _STRENGTH[self._gap]:
            self._gap = gap

    def _enter(self, tag: str) -> None:
        self._edge(tag)
        if tag == "br":
            self.newline()
        elif tag == "pre":
            self._pre += 1
        elif _HEADING.match(tag):
            self._heading = (-1, int(tag[1]))

    def _leave(self, tag: str) -> None:
        if tag == "pre":
            self._pre -= 1
        elif _HEADING.match(tag):
            if self._heading and self._heading[0] >= 0:
                self.headings.append((self._heading[0], self.length, self._heading[1]))
            self._heading = None
        self._edge(tag)

    def _edge(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._wish("\n\n")
        elif tag in _LINES:
            self._wish("\n")
        elif tag in _CELLS:
            self._wish("\t")

    def newline(self) -> None:
        """Add a line break (<br>); a second one makes a blank line."""
        self._gap = "\n\n" if self._gap == "\n" else "\n" if self._gap != "\n\n" else self._gap

    def _say(self, words: str) -> None:
        """Write words after the requested separator; white space at their ends requests a space."""
        if not self._pre:
            words = _SPACE.sub(" ", words)
            bare = words.strip(" ")
            if words[:1] == " ":
                self._wish(" ")
            if not bare:
                return
            self._put(bare)
            if words[-1] == " ":
                self._wish(" ")
        elif words:
            self._put(words.strip("\n") if not words.isspace() else words)

    def _put(self, words: str) -> None:
        if self.length:
            self.write(self._gap)
        self._gap = ""
        if self._heading and self._heading[0] < 0:
            self._heading = (self.length, self._heading[1])
        self.write(words)


_STRENGTH = {"": 0, " ": 1, "\t": 2, "\n": 3, "\n\n": 4}


def _children(node: Any) -> list[Any]:
    return list(node.iter(include_text=True))


def _head(tree: Any) -> dict[str, object]:
    """title, language, description, author, date and keywords, as far as present."""
    meta: dict[str, object] = {}
    title = tree.css_first("title")
    if title is not None:
        meta["title"] = _SPACE.sub(" ", title.text(deep=True)).strip()
    root = tree.css_first("html")
    if root is not None and root.attributes.get("lang"):
        meta["lang"] = root.attributes["lang"]
    for node in tree.css("meta"):
        name = _META.get((node.attributes.get("name") or node.attributes.get("property") or "").lower())
        if name and node.attributes.get("content"):
            meta.setdefault(name, node.attributes["content"])
    return meta

"""Writes the visible text of HTML elements: blocks, table cells, lines of <pre>, form values, equations and ruby."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from indexing.files.equations import Element, linear, lowered, raised
from indexing.files.file_text import TextBuilder
from indexing.files.html_lists import ListNumbers
from indexing.files.left_out import HIDDEN, STRUCK, LeftOut


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNSEEN = _names(
    "script style head nav template noscript iframe object embed canvas audio video datalist meta link map rp"
    " annotation annotation-xml"
)
_PARAGRAPHS = _names(
    "p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre section article main aside header footer figure form fieldset"
    " address hr details body listing xmp plaintext"
)
_LINES = _names("div li dt dd tr caption figcaption legend summary thead tbody tfoot center")
_CELLS = _names("td th")
_PRE = _names("pre textarea listing xmp plaintext")
_OF_A_PART = _names("article blockquote section figure details td li")
_VALUES = _names("text search email tel url number date month week time datetime-local")
_HEADING = re.compile(r"h[1-6]$")
_STRIKING = frozenset(("s", "strike", "del"))
_STRUCK = re.compile(r"(?:^|;)\s*text-decoration(?:-line)?\s*:[^;]*\bline-through\b", re.I)
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
_KEEPING = re.compile(r"(?:^|;)\s*white-space\s*:\s*(?:pre|break-spaces)", re.I)
_NOTE = re.compile(r"\b(?:foot|end)?note|\breference\b|noteref|\bfn", re.I)
_NOTEREF = re.compile(r"\bnoteref\b", re.I)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_STRENGTH = {"": 0, " ": 1, "\t": 2, "\n": 3, "\n\n": 4}
_LONGEST_CELL = 500
_LONGEST_REPEATED = 200
_MOST_COLUMNS = 1_000
_DEEPEST_TABLE = 20


def outermost(nodes: list[Any]) -> list[Any]:
    """The nodes (in document order) that are not inside another one or inside an invisible element."""
    ids = {node.mem_id for node in nodes}
    return [node for node in nodes if not any(_hides(above) or above.mem_id in ids for above in ancestors(node))]


def ancestors(node: Any) -> Iterator[Any]:
    """The ancestors of a node; at most a thousand, for absurdly deep pages."""
    for _ in range(1_000):
        node = node.parent
        if node is None:
            return
        yield node


def _hides(node: Any) -> bool:
    return _unseen(node) or _how_left_out(node) == HIDDEN


def _unseen(node: Any) -> bool:
    """Whether an element is none of the page's text, by its tag or `aria-hidden`."""
    tag = node.tag
    if tag in _UNSEEN:
        return True
    if tag == "footer":  # The page's own footer; that of an article or quotation is read.
        return not any(above.tag in _OF_A_PART for above in ancestors(node))
    if tag == "button" and (node.attributes.get("type") in ("submit", "reset") or _in_form(node)):
        return True
    if tag == "option" and "selected" not in node.attributes:
        return True
    return node.attributes.get("aria-hidden") == "true" and not _is_equation(node)


def _is_equation(node: Any) -> bool:
    """Whether an element holds an equation, which is hidden beside its picture."""
    return "mathml" in (node.attributes.get("class") or "")


def _how_left_out(node: Any) -> str:
    """HIDDEN or STRUCK for an element that is hidden or struck out by its tag, `hidden` or its style, else ""."""
    attributes = node.attributes
    if node.tag in _STRIKING:
        return STRUCK
    if node.tag == "dialog" and "open" not in attributes:
        return HIDDEN
    if not attributes or _is_equation(node):
        return ""
    style = attributes.get("style") or ""
    if ("hidden" in attributes and attributes["hidden"] != "until-found") or _HIDING.search(style):
        return HIDDEN
    return STRUCK if _STRUCK.search(style) else ""


def _in_form(node: Any) -> bool:
    return node.attributes.get("type") != "button" and any(above.tag == "form" for above in ancestors(node))


class _Table:
    """The column that is written in a table, and the cells that reach down from rows above."""

    def __init__(self, data: bool) -> None:
        self.data = data
        self.column = 0
        self.cell = 0
        self.gap = ""
        self.repeated = False
        self.down: dict[int, tuple[int, str]] = {}


class HtmlWriter(TextBuilder):
    """Traverses elements without recursion and writes their text; white space is collapsed except in <pre>."""

    def __init__(self, max_chars: int, left_out: LeftOut) -> None:
        super().__init__(max_chars)
        self.left_out = left_out
        self._gap = ""
        self._tabs = 0
        self._held = ""
        self._pre: list[int] = []
        self._tables: list[_Table] = []
        self._heading: tuple[int, int] | None = None
        self._numbers = ListNumbers()
        self._mark = ""

    def walk(self, root: Any) -> None:
        """Write everything below `root`, each block separated."""
        self._wish("\n\n")
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                self._leave(node)
            elif node.is_text_node:
                self._say(node.text_content or "")
            elif node.is_element_node and not _unseen(node) and not self._omits(node):
                if (words := _whole(node, self._last())) is not None:
                    self._say(words)
                elif node.tag == "svg":
                    stack.extend((inner, False) for inner in reversed(node.css("text")))
                else:
                    self._enter(node)
                    stack.append((node, True))
                    stack.extend((child, False) for child in reversed(list(node.iter(include_text=True))))
        self._wish("\n\n")

    def _omits(self, node: Any) -> bool:
        """Whether an element is left out as hidden or struck out."""
        how = _how_left_out(node)
        if not how:
            return False
        text = node.text(deep=True)
        for inner in node.css("script, style, template"):
            text = text.replace(inner.text(deep=True), "", 1)
        return self.left_out.omits(how, _SPACE.sub(" ", text).strip())

    def _last(self) -> str:
        """The character that the next words stand right behind, "" after a gap."""
        return self._pieces[-1][-1:] if self._pieces and not self._gap and not self._tabs else ""

    def _wish(self, gap: str) -> None:
        """Request a separator before the next words; the strongest request wins. In a table's cell all are spaces."""
        if gap and self._tables and self._tables[-1].data and self._tables[-1].cell:
            gap = " "
        if _STRENGTH[gap] > _STRENGTH[self._gap]:
            self._gap = gap

    def _enter(self, node: Any) -> None:
        tag = node.tag
        self._edge(tag)
        if tag == "br":
            self._break()
        elif tag == "table":
            self._tables.append(_Table(len(self._tables) < _DEEPEST_TABLE and _holds_data(node)))
        elif tag == "tr" and self._tables:
            self._tables[-1].column = 0
            self._tables[-1].repeated = len(node.css("td, th")) > 1
            self._tabs = 0
        elif tag in _CELLS and self._tables and self._tables[-1].data:
            self._open_cell(self._tables[-1])
        elif _HEADING.match(tag):
            self._heading = (-1, int(tag[1]))
        elif tag == "li":
            self._mark = self._numbers.mark(node)
        if _keeps_lines(node):
            self._pre.append(self.length)

    def _leave(self, node: Any) -> None:
        tag = node.tag
        if _keeps_lines(node):
            self._pre.pop()
            self._held = ""
        if _HEADING.match(tag):
            if self._heading and self._heading[0] >= 0:
                self.headings.append((self._heading[0], self.length, self._heading[1]))
            self._heading = None
        elif tag in _CELLS and self._tables and self._tables[-1].data:
            self._close_cell(self._tables[-1], node.attributes)
        elif tag == "li":
            self._mark = ""
        elif tag == "tr" and self._tables and self._tables[-1].data:
            self._fill(self._tables[-1])
        elif tag == "table" and self._tables:
            self._tables.pop()
            self._tabs = 0
        self._edge(tag)

    def _edge(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._wish("\n\n")
        elif tag in _LINES:
            self._wish("\n")
        elif tag in _CELLS and not (self._tables and self._tables[-1].data):
            self._wish("\t")
        elif tag in ("option", "text", "button"):
            self._wish(" ")

    def _break(self) -> None:
        """Add a line break (<br>); a second one makes a blank line."""
        if self._pre:
            self._held += "\n"
        elif self._tables and self._tables[-1].cell and self._tables[-1].data:
            self._wish(" ")
        else:
            self._gap = "\n\n" if self._gap == "\n" else "\n" if self._gap != "\n\n" else self._gap

    # -- tables ------------------------------------------------------------------------------------------------------

    def _open_cell(self, table: _Table) -> None:
        self._fill(table)
        self._next_column(table)
        table.cell = len(self._pieces) + 1
        table.gap = self._gap

    def _next_column(self, table: _Table) -> None:
        self._tabs += table.column > 0
        table.column += 1

    def _fill(self, table: _Table) -> None:
        """Write the cells of rows above that reach into this row at the next columns."""
        while table.column in table.down:
            rows, text = table.down.pop(table.column)
            if rows > 1:
                table.down[table.column] = (rows - 1, text)
            self._next_column(table)
            if text:
                self._put(text)

    def _close_cell(self, table: _Table, attributes: Any) -> None:
        text = "".join(self._pieces[table.cell - 1 :]).strip()
        self._gap = "" if text else table.gap
        table.cell = 0
        text = text if len(text) <= _LONGEST_REPEATED and table.repeated else ""
        rows, columns = _span(attributes.get("rowspan")), min(_span(attributes.get("colspan")), _MOST_COLUMNS)
        first = table.column - 1
        for _ in range(columns - 1):
            self._next_column(table)
            if text:
                self._put(text)
        if rows > 1:
            table.down.update((column, (rows - 1, text)) for column in range(first, first + columns))

    # -- words -------------------------------------------------------------------------------------------------------

    def _say(self, words: str) -> None:
        """Write words after the requested separator; white space at their ends requests a space."""
        if self._pre:
            self._say_lines(words)
            return
        words = _SPACE.sub(" ", words)
        bare = words.strip(" ")
        if words[:1] == " ":
            self._wish(" ")
        if not bare:
            return
        self._put(bare)
        if words[-1] == " ":
            self._wish(" ")

    def _say_lines(self, words: str) -> None:
        """Write words of <pre> as they are. Line ends at their end wait for more words."""
        if self._pre[-1] == self.length:
            words = words.lstrip("\n")
        body = words.rstrip("\n")
        if body:
            if "\n" in self._gap and len(self._held) >= len(self._gap):
                self._gap = ""
            self._put(("" if self._gap else self._held) + body)
            self._held = ""
        self._held += words[len(body) :]

    def _put(self, words: str) -> None:
        if self.length:
            self.write(self._gap if not self._tabs or "\n" in self._gap else "")
            self.write("\t" * self._tabs)
        self._gap, self._tabs = "", 0
        if self._mark:
            self.write(f"{self._mark} ")
            self._mark = ""
        if self._heading and self._heading[0] < 0:
            self._heading = (self.length, self._heading[1])
        self.write(words)


def _keeps_lines(node: Any) -> bool:
    return node.tag in _PRE or bool(_KEEPING.search(node.attributes.get("style") or ""))


def _span(value: str | None) -> int:
    """The rows or columns that a cell spans; 0 rows mean all that follow."""
    digits = (value or "1").strip()
    if not (digits.isascii() and digits.isdigit()):
        return 1
    return min(int(digits[:6]) or 65_534, 65_534)


def _holds_data(table: Any) -> bool:
    """Whether a table's cells are short and hold neither tables nor headings: no table for layout."""
    if table.attributes.get("role") in ("presentation", "none") or table.css_first("td table, td h1, td h2, td h3, td pre"):
        return False
    return all(len(cell.text(deep=True)) <= _LONGEST_CELL for cell in table.css("td, th"))


def _whole(node: Any, before: str) -> str | None:
    """The text of an element that is written at once; None for all others. before: the character right before it."""
    tag = node.tag
    if tag == "math":
        return linear(_equation(node, 0))
    if tag == "ruby":
        return _ruby(node)
    if tag in ("sup", "sub"):
        return _script(node, before)
    if tag == "a" and _NOTEREF.search(f"{node.attributes.get('epub:type') or ''} {node.attributes.get('role') or ''}"):
        mark = _SPACE.sub(" ", node.text(deep=True)).strip()
        return (mark if mark[:1] in ("[", "(") else f"[{mark}]") if mark else None
    if tag == "img":
        alt = "" if node.attributes.get("role") == "presentation" else node.attributes.get("alt") or ""
        return f" {alt} " if alt.strip() else ""
    if tag == "input":
        kind = (node.attributes.get("type") or "text").lower()
        if kind in ("checkbox", "radio") and "role" not in node.attributes:
            return " ☒ " if "checked" in node.attributes else " ☐ "
        return f" {node.attributes.get('value') or ''} " if kind in _VALUES else ""
    return None


def _equation(node: Any, depth: int) -> Element:
    children = [child for child in node.iter()] if depth < 100 else []
    text = "" if children else _SPACE.sub(" ", node.text(deep=True)).strip()
    values = {name: value or "" for name, value in node.attributes.items()}
    return Element(node.tag, values, text, [_equation(child, depth + 1) for child in children])


def _script(node: Any, before: str) -> str | None:
    """A raised or lowered number as its Unicode form, a mark of a note in brackets; None for anything longer."""
    words = _SPACE.sub(" ", node.text(deep=True))
    bare = words.strip()
    if len(bare) > 20 or node.css_first("img, math, br"):
        return None
    link = node.css_first("a")
    found = [node.attributes.get(name) for name in ("class", "role", "id", "epub:type")]
    found += [] if link is None else [link.attributes.get(name) for name in ("class", "role", "epub:type")]
    marks = " ".join(filter(None, found))
    if node.tag == "sup" and bare and (_NOTE.search(marks) or _to_note(link)):
        return words if bare.startswith(("[", "(")) else f"[{bare}]"
    if node.tag == "sup":
        return raised(words) if before.isalnum() or before in ")]}’'" else words
    return lowered(words) if before.isdigit() else words


def _to_note(link: Any) -> bool:
    return link is not None and (link.attributes.get("href") or "").startswith("#")


def _ruby(node: Any) -> str:
    """The base text, then its reading in parentheses."""
    base: list[str] = []
    reading: list[str] = []
    stack = [(child, False) for child in reversed(list(node.iter(include_text=True)))]
    while stack:
        inner, above = stack.pop()
        if inner.is_text_node:
            (reading if above else base).append((inner.text_content or "").strip())
        elif inner.is_element_node and inner.tag != "rp" and not _hides(inner):
            inside = above or inner.tag in ("rt", "rtc")
            stack.extend((child, inside) for child in reversed(list(inner.iter(include_text=True))))
    mark = node.css_first("rp")
    first = (mark.text().strip() if mark is not None else "") or "（"
    closing = {"(": ")", "（": "）", "【": "】", "[": "]", "《": "》"}.get(first, "）")
    read = "".join(reading)
    return "".join(base) + (f"{first if closing != '）' else '（'}{read}{closing}" if read else "")

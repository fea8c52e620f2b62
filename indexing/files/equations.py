"""Equations of MathML and Office as one line of text, and raised or lowered characters as their Unicode forms.

An equation comes as a tree of (tag, attributes, content), where content is a text or a list of such trees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


class Element(NamedTuple):
    """An element of an equation: its tag without namespace, its attributes, its text, and its child elements."""

    tag: str
    attributes: Mapping[str, str]
    text: str
    children: Sequence[Element]


def raised(text: str) -> str:
    """A superscript as text, distinct from the digits before it.

    >>> raised("6"), raised("-3"), raised("n+k"), raised("th")
    ('⁶', '⁻³', '^(n+k)', 'th')
    """
    return _moved(text, _RAISED, "^")


def lowered(text: str) -> str:
    """A subscript as text.

    >>> lowered("2"), lowered("max")
    ('₂', 'max')
    """
    return _moved(text, _LOWERED, "_")


def _moved(text: str, table: dict[int, int], sign: str) -> str:
    bare = text.strip()
    if bare and all(ord(character) in table for character in bare) and not bare.isalpha():
        return text.translate(table)
    digits = any(character.isdigit() or character in "+-−=" for character in bare)
    return f"{sign}({bare})" if digits and not bare[0].isdigit() and " " not in bare and len(bare) < 20 else text


def script(text: str, before: str, up: bool) -> str:
    """A raised or lowered run as text; `before` is the character it follows.

    >>> script("2", "m", True), script("2", "", True), script("10", "2", False)
    ('²', '2', '₁₀')
    """
    if up:
        return raised(text) if before.isalnum() or (before and before in ")]}’'") else text
    return lowered(text) if before.isdigit() else text


def linear(element: Element) -> str:
    """An equation on one line, of MathML or Office Math.

    >>> linear(Element("msup", {}, "", [Element("mi", {}, "r", []), Element("mn", {}, "2", [])]))
    'r²'
    """
    return "".join(_linear(element, 0).split("\n"))


def _linear(element: Element, depth: int) -> str:
    if depth > 200:
        return ""
    write = _WRITERS.get(element.tag)
    return write(element, depth + 1) if write else _row(element, depth + 1)


def _row(element: Element, depth: int) -> str:
    return element.text + "".join(_linear(child, depth) for child in element.children)


def _nothing(element: Element, depth: int) -> str:
    return ""


def _first(element: Element, depth: int) -> str:
    """The presentation of `semantics`; its annotations repeat it."""
    return _linear(element.children[0], depth) if element.children else element.text


def _grouped(text: str) -> str:
    """The text in parentheses if it is more than one number or name."""
    text = text.strip()
    return text if len(text) < 2 or text.replace(".", "").replace(",", "").isalnum() else f"({text})"


def _parts(element: Element, depth: int, *names: str) -> list[str]:
    """The children by name (Office), or in their order (MathML); "" for missing ones."""
    named = {child.tag: _linear(child, depth).strip() for child in element.children}
    if any(name in named for name in names):
        return [named.get(name, "") for name in names]
    found = [_linear(child, depth).strip() for child in element.children if child.tag[-2:] != "Pr"]
    return (found + [""] * len(names))[: len(names)]


def _over(element: Element, depth: int) -> str:
    above, below = _parts(element, depth, "num", "den")
    return f"{_grouped(above)}/{_grouped(below)}"


def _script(text: str, move: Callable[[str], str], sign: str) -> str:
    moved = move(text)
    if not text or moved != text or sign in moved:
        return moved
    return sign + (f"({text})" if len(text) > 1 else text)


def _up(element: Element, depth: int) -> str:
    base, above = _parts(element, depth, "e", "sup")
    return base + _script(above, raised, "^")


def _down(element: Element, depth: int) -> str:
    base, below = _parts(element, depth, "e", "sub")
    return base + _script(below, lowered, "_")


def _both(element: Element, depth: int) -> str:
    base, below, above = _parts(element, depth, "e", "sub", "sup")
    return base + _script(below, lowered, "_") + _script(above, raised, "^")


def _root(element: Element, depth: int) -> str:
    if element.tag == "msqrt":
        return "√" + _grouped(_row(element, depth))
    if element.tag == "mroot":
        base, degree = _parts(element, depth, "", "")
    else:
        degree, base = _parts(element, depth, "deg", "e")
    return _ROOTS.get(degree, f"{_script(degree, raised, '^')}√") + _grouped(base)


def _property(element: Element, group: str, name: str, default: str) -> str:
    for child in element.children:
        if child.tag == group:
            for inner in child.children:
                if inner.tag == name:
                    return inner.attributes.get("val", default)
    return default


def _nary(element: Element, depth: int) -> str:
    below, above, base = _parts(element, depth, "sub", "sup", "e")
    sign = _property(element, "naryPr", "chr", "∫")
    return f"{sign}{_script(below, lowered, '_')}{_script(above, raised, '^')} {base}"


def _delimited(element: Element, depth: int) -> str:
    first, last = _property(element, "dPr", "begChr", "("), _property(element, "dPr", "endChr", ")")
    inner = [_linear(child, depth) for child in element.children if child.tag != "dPr"]
    return first + _property(element, "dPr", "sepChr", "|").join(inner) + last


def _fenced(element: Element, depth: int) -> str:
    inner = ",".join(_linear(child, depth) for child in element.children)
    return element.attributes.get("open", "(") + inner + element.attributes.get("close", ")")


def _function(element: Element, depth: int) -> str:
    name, argument = _parts(element, depth, "fName", "e")
    return f"{name} {argument}" if argument[:1].isalnum() else name + argument


def _matrix(element: Element, depth: int) -> str:
    rows = [child for child in element.children if child.tag in ("mr", "mtr")]
    return "; ".join(", ".join(_linear(cell, depth).strip() for cell in row.children) for row in rows)


def _space(element: Element, depth: int) -> str:
    return " "


_WRITERS: dict[str, Callable[[Element, int], str]] = {
    "semantics": _first,
    "annotation": _nothing,
    "annotation-xml": _nothing,
    "mphantom": _nothing,
    "mspace": _space,
    "mfrac": _over,
    "f": _over,
    "msup": _up,
    "mover": _up,
    "sSup": _up,
    "limUpp": _up,
    "msub": _down,
    "munder": _down,
    "sSub": _down,
    "limLow": _down,
    "msubsup": _both,
    "munderover": _both,
    "sSubSup": _both,
    "msqrt": _root,
    "mroot": _root,
    "rad": _root,
    "nary": _nary,
    "d": _delimited,
    "mfenced": _fenced,
    "func": _function,
    "m": _matrix,
    "mtable": _matrix,
}

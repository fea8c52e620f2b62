"""Reads the control words of RTF: what a word processor shows of a document, in blocks, with notes and boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from indexing.files.equations import script
from indexing.files.left_out import HIDDEN, STRUCK, LeftOut
from indexing.files.rtf_codes import (
    CHARSETS,
    EDGE,
    ESCAPED,
    INFO,
    OTHER_SCRIPT,
    PROPERTIES,
    SHOWN,
    SIGNS,
    SILENT,
    SYMBOLS,
    default_encoding,
)
from indexing.files.symbol_fonts import plain_text, symbol

_TOKEN = re.compile(rb"\\([A-Za-z]{1,40})(-?\d{1,10})?\x20?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z])|([{}])|([^\\{}\r\n]+)", re.S)
_DEEPEST = 10_000


@dataclass(frozen=True, slots=True)
class _State:
    """What a group inherits, and its end restores. fonts: by kind of script, "" for Latin."""

    silent: bool = False
    fonts: tuple[tuple[str, int], ...] = ()
    mode: str = ""
    skipped: int = 1
    hidden: bool = False
    struck: bool = False
    deleted: bool = False
    script: str = ""
    target: str = ""
    level: int = 0
    item: bool = False
    in_table: bool = False

    def font(self) -> int | None:
        """The font of the next characters."""
        fonts = dict(self.fonts)
        return fonts.get(self.mode, fonts.get("")) if self.mode in OTHER_SCRIPT else fonts.get("")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list item ("item"), a row of a table ("row"), a note, a comment or the edge of a page."""

    text: str
    kind: str = ""
    level: int = 0


@dataclass(slots=True)
class _Story:
    """A stream of blocks: the body, or a note, a box, a page header. cells: of the row that is not ended yet."""

    kind: str = ""
    cells: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)

    def write(self, text: str) -> None:
        """Add to the paragraph or cell that is not ended yet."""
        self._pieces += [text] if text else []

    def last(self) -> str:
        """The last character; "" at the beginning of a paragraph."""
        return self._pieces[-1][-1] if self._pieces else ""

    def taken(self) -> str:
        """The text so far, which is then empty."""
        text = "".join(self._pieces)
        self._pieces.clear()
        return text


class RtfWords:
    """The content of an RTF document: `blocks` in order, `info` and the number of `pictures` and `objects`."""

    def __init__(self, data: bytes, left_out: LeftOut) -> None:
        self.default = default_encoding(data)
        self.left_out = left_out
        self.info: dict[str, str] = {}
        self.pictures = self.objects = 0
        self._fonts: dict[int, tuple[int | None, str]] = {}
        self._levels: dict[int, int] = {}
        self._default_font = -1
        self._state, self._stack = _State(), list[tuple[_State, _Story]]()
        self._body = self._story = _Story()
        self._last: list[Block] = []
        self._pending, self._skip, self._starred, self._open = bytearray(), 0, False, False
        self._collected, self._font, self._style = list[str](), -1, -1
        self._author, self._field = "", dict[str, int]()
        self._entries: list[str] = []
        self._read(data)

    @property
    def blocks(self) -> Iterator[Block]:
        """All blocks: the body with its boxes, then notes, comments, and what page headers and footers say."""
        yield from self._body.blocks
        yield from sorted(self._last, key=lambda block: ("note", "comment", "edge").index(block.kind))

    # -- tokens ------------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        at = 0
        while match := _TOKEN.search(data, at):
            at = match.end()
            word, number, code, escaped, brace, text = match.groups()
            if word == b"bin":
                at += max(int(number or 0), 0)
            elif text is not None:
                self._bytes(text)
            elif code is not None:
                self._bytes(bytes((int(code, 16),)))
            elif brace is not None:
                self._brace(brace == b"{")
            elif escaped is not None:
                self._escaped(escaped)
            else:
                self._word(word.decode(), None if number is None else int(number))
        while self._stack:
            self._brace(False)
        self._flush()
        self._close(self._story)

    def _bytes(self, text: bytes) -> None:
        """Characters in the encoding of the font; those that stand for \\u in old programs are passed over."""
        text = text.replace(b"\0", b"")
        passed = min(self._skip, len(text))
        self._skip -= passed
        self._open = False
        if len(text) > passed:
            self._pending += text[passed:]

    def _brace(self, begins: bool) -> None:
        self._flush()
        self._skip = 0
        if begins:
            if len(self._stack) < _DEEPEST:
                self._stack.append((self._state, self._story))
            self._open, self._starred = True, False
        elif self._stack:
            ended, story = self._state, self._story
            self._state, self._story = self._stack.pop()
            if story is not self._story:
                self._end(story)
            if ended.target != self._state.target:
                self._collect(ended.target)
            self._open = False

    def _escaped(self, sign: bytes) -> None:
        if sign == b"*":
            self._starred = True
        elif sign in (b"\\", b"{", b"}"):
            self._bytes(sign)
        elif sign in (b"\n", b"\r"):
            self._word("par", None)
        elif sign in ESCAPED and not self._passed():
            self._write(ESCAPED[sign])

    def _passed(self) -> bool:
        """Whether the sign at hand only stands for the \\u before it."""
        self._flush()
        self._skip -= (passed := self._skip > 0)
        return passed

    def _flush(self) -> None:
        """Decode the bytes that wait, by the font they are in."""
        if not self._pending:
            return
        data, self._pending = bytes(self._pending), bytearray()
        charset, name = self._fonts.get(self._font_now(), (None, ""))
        if charset == SYMBOLS:
            self._write("".join(symbol(name, byte) or ("•" if byte > 0x7E else chr(byte)) for byte in data), False)
        else:
            self._write(data.decode(CHARSETS.get(-1 if charset is None else charset, self.default), "replace"))

    def _font_now(self) -> int:
        font = self._state.font()
        return self._default_font if font is None else font

    def _write(self, text: str, named: bool = True) -> None:
        state = self._state
        if state.target == "fonttbl":
            charset, name = self._fonts.get(self._font, (None, ""))
            self._fonts[self._font] = (charset, (name + text).split(";")[0])
        elif state.target:
            self._collected.append(text)
        elif state.silent or state.deleted:
            return
        else:
            text = plain_text(text, self._fonts.get(self._font_now(), (None, ""))[1]) if named else text
            how = HIDDEN if state.hidden else STRUCK if state.struck else ""
            if not self.left_out.omits(how, text):
                story = self._story
                raised = state.script == "super"
                story.write(script(text, story.last(), raised) if state.script and text.strip() else text)

    # -- control words -----------------------------------------------------------------------------------------------

    def _word(self, word: str, number: int | None) -> None:
        if word == "u":
            self._flush()
            self._write(chr((number or 0) % 0x10000))
            self._skip, self._open = self._state.skipped, False
            return
        if self._passed():
            return
        opens, starred, self._open = self._open, self._starred, False
        self._starred = False
        if opens and self._destination(word, starred):
            return
        if word in SIGNS:
            self._write(SIGNS[word])
        elif not self._format(word, number) and not self._state.silent and not self._state.target:
            self._structure(word, number)
        elif self._state.target:
            self._property(word, number)

    def _destination(self, word: str, starred: bool) -> bool:
        """Whether the first word of a group says what the group is for."""
        if starred and word not in SHOWN or word in SILENT or PROPERTIES.match(word):
            self._state = replace(self._state, silent=True, target="styles" if word == "stylesheet" else "")
            self.pictures += word == "pict" and not self._silent_above()
        elif word in ("fonttbl", "ffdata") or word in INFO and not self._state.silent:
            self._state, self._collected = replace(self._state, target=word), []
            self._field, self._entries = {}, []
        elif word in ("ffl", "atnauthor"):
            self._state, self._collected = replace(self._state, target=word), []
        elif word in ("upr", "nesttableprops"):
            self._state = replace(self._state, silent=word == "upr")
        elif word == "ud":
            self._state = replace(self._state, silent=False)
        elif word in ("footnote", "annotation", "shptxt", "dptxbxtext", "listtext", "pntext") or EDGE.match(word):
            kind = {"footnote": "note", "annotation": "comment", "shptxt": "box", "dptxbxtext": "box"}.get(word, word)
            self._story = _Story("edge" if EDGE.match(word) else "number" if kind in ("listtext", "pntext") else kind)
            self._state = _State(self._state.silent, (), "", self._state.skipped)
        elif word == "object":
            self.objects += 1
        else:
            return word in ("info", "shp", "shpinst", "do", "field", "fldrslt", "shppict", "moMath", "moMathPara", "result")
        return True

    def _silent_above(self) -> bool:
        return bool(self._stack) and self._stack[-1][0].silent

    def _format(self, word: str, number: int | None) -> bool:
        """Whether a word changes how characters are read or shown."""
        on, state = number != 0, self._state
        if word in ("f", "af"):
            kind = state.mode if state.mode in OTHER_SCRIPT else ""
            if word == "f" or kind:
                fonts = dict(state.fonts) | {kind: number or 0} | ({"": number or 0} if word == "f" else {})
                self._state, self._font = replace(state, fonts=tuple(fonts.items())), number or 0
        elif word in ("loch", "hich", "dbch", "ltrch", "rtlch"):
            self._state = replace(state, mode=word)
        elif word == "uc":
            self._state = replace(state, skipped=min(max(number or 0, 0), 10))
        elif word == "v":
            self._state = replace(state, hidden=on)
        elif word in ("strike", "striked"):
            self._state = replace(state, struck=on)
        elif word == "deleted":
            self._state = replace(state, deleted=on)
        elif word in ("super", "sub", "nosupersub"):
            self._state = replace(state, script=word if on and word != "nosupersub" else "")
        elif word == "plain":
            self._state = replace(state, fonts=(), mode="", hidden=False, struck=False, deleted=False, script="")
        elif word == "deff":
            self._default_font = number or 0
        else:
            return False
        return True

    def _structure(self, word: str, number: int | None) -> None:
        """A word that ends or describes a block."""
        story = self._story
        if word in ("par", "sect", "page", "column"):
            self._paragraph(story)
        elif word == "cell":
            story.cells.append(" ".join(story.taken().split()))
        elif word == "nestcell":
            story.write(" ")
        elif word == "row":
            self._row(story)
        elif word == "pard":
            self._state = replace(self._state, level=0, item=False, in_table=False)
        elif word == "intbl":
            self._state = replace(self._state, in_table=True)
        elif word == "outlinelevel":
            self._state = replace(self._state, level=(number or 0) + 1 if (number or 0) < 9 else 0)
        elif word == "s":
            self._state = replace(self._state, level=self._levels.get(number or 0, self._state.level))
        elif word == "ls":
            self._state = replace(self._state, item=True)

    def _property(self, word: str, number: int | None) -> None:
        """A word inside a table of fonts or styles, or the data of a form field."""
        target = self._state.target
        if target == "fonttbl" and word == "fcharset":
            self._fonts[self._font] = (number, "")
        elif target == "fonttbl" and word == "cpg":
            self._fonts[self._font] = (next((key for key, name in CHARSETS.items() if name == f"cp{number}"), None), "")
        elif target == "styles" and word == "s":
            self._style = number or 0
        elif target == "styles" and word == "outlinelevel" and number is not None and number < 9:
            self._levels[self._style] = number + 1
        elif target == "ffdata":
            self._field[word] = 0 if number is None else number

    def _collect(self, target: str) -> None:
        """The end of a group that was collected, not shown."""
        words = _joined("".join(self._collected)).strip()
        if target in INFO:
            self.info[target] = words
        elif target == "atnauthor":
            self._author = words
        elif target == "ffl":
            self._entries.append(words)
        elif target == "ffdata":
            given, chosen = self._field, self._field.get("ffres", 25)
            chosen = given.get("ffdefres", 0) if chosen == 25 else chosen
            if given.get("fftype") == 1:
                self._write("☒" if chosen else "☐")
            elif given.get("fftype") == 2 and 0 <= chosen < len(self._entries):
                self._write(self._entries[chosen])
        self._collected = []

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _paragraph(self, story: _Story) -> None:
        if self._state.in_table:
            story.write(" ")
            return
        text = _joined(story.taken()).strip("\n ")
        story.blocks.append(Block(text, "item" if self._state.item else "", self._state.level if text else 0))
        self._state = replace(self._state, item=False)

    def _close(self, story: _Story) -> None:
        """End a stream of blocks, whatever of it is still open."""
        if story.cells:
            story.cells.append(story.taken())
            self._row(story)
        elif story.last():
            state, self._state = self._state, replace(self._state, in_table=False)
            self._paragraph(story)
            self._state = state

    def _row(self, story: _Story) -> None:
        if any(story.cells):
            story.blocks.append(Block(_joined("\t".join(story.cells)), "row"))
        story.cells = []
        story.taken()
        self._state = replace(self._state, in_table=False)

    def _end(self, story: _Story) -> None:
        """Put a story that ends where it belongs: a number before its item, a box after its paragraph, a note last."""
        if story.kind == "number":
            number = " ".join(story.taken().split())
            self._state = replace(self._state, item=True)
            if any(map(str.isalnum, number)):
                self._write(f"{number} ")
            return
        self._close(story)
        blocks = [block for block in story.blocks if block.text.strip()]
        if story.kind == "box":
            self._body.blocks += blocks
        elif blocks:
            words = " ".join(block.text.strip() for block in blocks)
            begin = f"Comment ({self._author}): " if self._author else "Comment: "
            known_edge = story.kind == "edge" and (
                any(block.text == words for block in self._last) or not any(map(str.isalpha, words))
            )
            if not known_edge:
                self._last.append(Block(begin + words if story.kind == "comment" else words, story.kind))


def _joined(text: str) -> str:
    """Characters beyond the first plane, which RTF has as two units of UTF-16 each, as one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

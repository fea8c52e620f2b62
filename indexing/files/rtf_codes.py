"""Words and code pages of RTF: what groups are for, which signs words stand for, and the encodings of fonts."""

from __future__ import annotations

import re

CHARSETS = {
    0: "cp1252", 77: "mac_roman", 78: "shift_jis", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030",
    136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_CODE_PAGES = {"10000": "mac_roman", "10001": "shift_jis", "10007": "mac_cyrillic", "936": "gb18030", "1361": "johab"}
SYMBOLS = 2
SIGNS = {
    "tab": "\t", "line": "\n", "lbr": "\n", "emdash": "—", "endash": "–", "emspace": "\u2003", "enspace": "\u2002",
    "qmspace": "\u2005", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "zwj": "\u200d", "zwnj": "\u200c", "ltrmark": "\u200e", "rtlmark": "\u200f",
}  # fmt: skip
ESCAPED = {b"~": "\u00a0", b"_": "-", b"-": ""}
# Groups whose text is no part of what is shown. A group that begins with \* and is unknown is none either.
SILENT = frozenset(
    ("colortbl", "stylesheet", "pict", "objdata", "nonshppict", "shprslt", "sp", "xe", "tc", "tcn", "rxe", "filetbl",
     "template", "private", "fldinst", "atnid", "mmathPict", "comment", "doccomm", "operator", "company", "category",
     "manager", "hlinkbase", "pntxta", "pntxtb", "objclass", "objname", "ffname", "ffhelptext", "ffstattext",
     "listtable", "listoverridetable", "rsidtbl", "revtbl", "nonesttables")
)  # fmt: skip
SHOWN = frozenset(("shpinst", "do", "ud", "moMath", "moMathPara", "annotation", "shppict", "ffdata", "ffl", "atnauthor"))
INFO = frozenset(("title", "author", "subject", "keywords"))
EDGE = re.compile(r"(?:header|footer)[lrf]?$")
PROPERTIES = re.compile(r"m[A-Za-z]+(?:Pr|Chr)$")
OTHER_SCRIPT = ("dbch", "rtlch")
_OLD = tuple(
    (re.compile(rb"\\" + word + rb"(?![a-z])"), name)
    for word, name in ((b"mac", "mac_roman"), (b"pca", "cp850"), (b"pc", "cp437"))
)


def default_encoding(data: bytes) -> str:
    """The encoding of bytes in no font, or in one that names none.

    >>> default_encoding(rb"{\\rtf1\\ansi\\ansicpg1251 "), default_encoding(rb"{\\rtf1\\mac ")
    ('cp1251', 'mac_roman')
    """
    old = next((name for word, name in _OLD if word.search(data[:200])), "cp1252")
    page = re.search(rb"\\ansicpg(\d{3,5})", data[:2_000])
    number = page[1].decode() if page else ""
    name = _CODE_PAGES.get(number, f"cp{number}")
    try:
        "".encode(name)
    except LookupError:
        return old
    return old if number == "65001" else name

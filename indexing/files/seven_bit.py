"""Encodings that write other scripts with ASCII bytes: ISO-2022 (Japanese, Korean, Chinese), HZ and UTF-7.

Such bytes are valid UTF-8, so they are recognized before UTF-8 is tried: by the declared name, or by their escape sequences.
"""

from __future__ import annotations

import re
import unicodedata

_TWO_BYTES = re.compile(rb"\x1b\$(?:[@AB]|\([A-Z])")
_SHIFTED = re.compile(rb"\x1b\$\)([ACG])")
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")
_BASE64_RUN = re.compile(rb"\+[A-Za-z0-9+/]{2,}-?")
_JAPANESE = ("iso2022_jp", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004")
_PART = re.compile(rb"\x1b(\$\(?[@ABCD]|\([BIJ])")


def is_seven_bit(name: str) -> bool:
    """Whether an encoding of this name writes ASCII bytes only.

    >>> is_seven_bit("ISO-2022-JP"), is_seven_bit("utf-8")
    (True, False)
    """
    plain = name.strip().lower().replace("_", "-")
    return plain.startswith(("iso-2022", "iso2022", "csiso2022", "hz", "utf-7", "utf7", "unicode-1-1-utf-7"))


def decode_seven_bit(data: bytes, hint: str = "") -> tuple[str, str] | None:
    """(text, encoding) of bytes in a seven-bit encoding; None for other bytes. `hint`: the declared encoding.

    >>> decode_seven_bit("倉庫の鍵".encode("iso2022_jp"))
    ('倉庫の鍵', 'iso-2022-jp')
    """
    marked = b"\x1b$" in data or b"\x1b(I" in data or b"~{" in data
    if not (marked or b"+" in data) or not data.isascii():
        return None
    if marked and (found := _iso_2022(data) or _hz(data)):
        return found
    declared = is_seven_bit(hint) and "7" in hint
    return _utf_7(data, declared) if b"+" in data else None


def _iso_2022(data: bytes) -> tuple[str, str] | None:
    """The text by its escape sequences, which differ between the languages."""
    if shifted := _SHIFTED.search(data):
        if shifted[1] == b"C":
            return _strict(data, "iso2022_kr", "iso-2022-kr")
        return _chinese(data)
    if not _TWO_BYTES.search(data) and b"\x1b(I" not in data:
        return None
    for name in _JAPANESE:
        if found := _strict(data, name, "iso-2022-jp"):
            return found
    return _windows_japanese(data)


def _strict(data: bytes, codec: str, name: str) -> tuple[str, str] | None:
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return None
    return None if "\x1b" in text else (text, name)


def _windows_japanese(data: bytes) -> tuple[str, str] | None:
    """ISO-2022-JP with the characters that Windows added (code page 50221), such as circled numbers."""
    pieces, at, charset = [], 0, b"(B"
    try:
        for match in [*_PART.finditer(data), None]:
            pieces.append(_part(data[at : match.start() if match else len(data)], charset))
            if match:
                at, charset = match.end(), match[1]
    except UnicodeDecodeError:
        return None
    text = "".join(pieces)
    return None if "\x1b" in text else (text, "iso-2022-jp")


def _part(data: bytes, charset: bytes) -> str:
    """The text of the bytes after one escape sequence. Line ends are ASCII in every character set."""
    if charset in (b"(B", b"(J"):
        return data.decode("ascii")
    if charset == b"(I":
        return bytes(byte | 0x80 if byte > 0x20 else byte for byte in data).decode("cp932")
    pieces = re.split(rb"([\x00-\x20]+)", data)
    return "".join(piece.decode("ascii") if at % 2 else _pairs(piece, charset) for at, piece in enumerate(pieces))


def _pairs(data: bytes, charset: bytes) -> str:
    """Two-byte characters: of JIS X 0208 through Windows' table, of the others through their EUC form."""
    high = bytes(byte | 0x80 for byte in data)
    if charset == b"$A":
        return high.decode("gb2312")
    if charset == b"$(C":
        return high.decode("cp949")
    if charset == b"$(D":
        return b"".join(b"\x8f" + high[at : at + 2] for at in range(0, len(high), 2)).decode("euc_jp")
    return b"".join(_shift_jis(data[at : at + 2]) for at in range(0, len(data), 2)).decode("cp932")


def _shift_jis(pair: bytes) -> bytes:
    """The Shift JIS form of a JIS X 0208 character (JIS X 0208:1997, annex 1)."""
    if len(pair) < 2:
        return b"\xff"
    row, cell = pair[0] - 0x21, pair[1]
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + 0x7E if row % 2 else cell + 0x1F + (cell >= 0x60)
    return bytes((lead, trail))


def _chinese(data: bytes) -> tuple[str, str] | None:
    """ISO-2022-CN with GB 2312; None for the planes of CNS 11643, which Python has no table of."""
    pieces = re.split(rb"(\x0e[^\x0f]*\x0f?)", re.sub(rb"\x1b\$[)*+][A-Z]", b"", data))
    if len(pieces) < 3 or b"\x1b$)G" in data:
        return None
    try:
        text = "".join(
            re.sub(rb"[\x21-\x7e]", lambda match: bytes((match[0][0] | 0x80,)), piece.strip(b"\x0e\x0f")).decode("gb2312")
            if at % 2
            else piece.decode("ascii")
            for at, piece in enumerate(pieces)
        )
    except UnicodeDecodeError:
        return None
    return text, "iso-2022-cn"


def _hz(data: bytes) -> tuple[str, str] | None:
    """HZ, by a closed run of pairs. All of its characters are Chinese letters or full-width signs."""
    if not _HZ.search(data):
        return None
    found = _strict(data, "hz", "hz")
    beyond = [character for character in found[0] if character > "\x7f"] if found else []
    fits = [character for character in beyond if "\u2e80" <= character <= "\uffef" or character in "“”‘’—…·"]
    return found if beyond and len(fits) * 10 >= len(beyond) * 9 else None


def _utf_7(data: bytes, declared: bool) -> tuple[str, str] | None:
    """UTF-7. Undeclared: two runs or more, which spell letters of one script."""
    if not declared and len(_BASE64_RUN.findall(data)) < 2:
        return None
    found = _strict(data, "utf-7", "utf-7")
    if found is None or declared or found[0].isascii():
        return found if declared and found and not found[0].isascii() else None
    beyond = [character for character in found[0] if character > "\x7f"]
    letters = [character for character in beyond if character.isalpha()]
    scripts = {unicodedata.name(character, "?").split()[0] for character in letters}
    latin = scripts == {"LATIN"} and max(beyond) < "\u2100"
    one = len(scripts) == 1 or scripts <= {"CJK", "HIRAGANA", "KATAKANA"}
    enough = len(letters) * 5 >= len(beyond) * 4
    return found if enough and (latin or (one and len(beyond) >= 6)) else None

"""PDF files made by hand: every string at its place on the page, in a font that is only a table of Unicode values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Placed = tuple[float, float, float, str]


def make_pdf(
    pages: Sequence[Sequence[Placed | str]],
    info: dict[str, str] | None = None,
    tail: str = "",
    *,
    annotations: Sequence[str] = (),
    catalog: str = "",
    spelled: Mapping[str, str] | None = None,
    mapped: bool = True,
    shapes: bool = False,
) -> bytes:
    """A PDF of pages 600 by 800 points; each string is (x, y, size, text), half a size wide a letter, CJK a whole one.

    A bare string is content as it is, such as a mark. annotations: entries of the first page's annotations. catalog: more
    entries of the catalog. spelled: the letters of glyphs that have
    several. mapped: whether the font tells the letters of its glyphs. shapes: whether its glyphs are boxes, which single
    ones need to be seen; at most 255 letters then.
    """
    letters = sorted({letter for page in pages for placed in page if not isinstance(placed, str) for letter in placed[3]})
    codes = {letter: number for number, letter in enumerate(letters, 1)}
    kids = " ".join(f"{7 + 2 * at} 0 R" for at in range(len(pages)))
    to_unicode = "/ToUnicode 5 0 R" if mapped else ""
    annots = " ".join(f"<< /Type /Annot {annotation} >>" for annotation in annotations)
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(),
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] /MediaBox [0 0 600 800] >>".encode(),
        _type3(codes, to_unicode)
        if shapes
        else b"<< /Type /Font /Subtype /Type0 /BaseFont /Any /Encoding /Identity-H /DescendantFonts [4 0 R]"
        b" %b >>" % to_unicode.encode(),
        _stream(b"500 0 20 -200 480 800 d1 20 -200 460 1000 re f") if shapes else _font(codes),
        _stream(_unicode_map(codes, spelled or {}, 2 if shapes else 4)),
        "<< {} >>".format(" ".join(f"/{name} ({value})" for name, value in (info or {}).items())).encode(),
    ]
    for at, page in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /Contents {8 + 2 * at} 0 R /Resources << /Font << /F 3 0 R >> >>"
            f" {'/Annots [' + annots + ']' if at == 0 else ''} >>".encode()
        )
        objects.append(_stream("\n".join(_shown(placed, codes, 2 if shapes else 4) for placed in page).encode()))
    return _file(objects, tail)


def _font(codes: dict[str, int]) -> bytes:
    wide = " ".join(f"{code} [1000]" for letter, code in codes.items() if "\u2e80" <= letter <= "\uffef")
    return (
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Any /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity)"
        f" /Supplement 0 >> /DW 500 /W [{wide}] /FontDescriptor << /Type /FontDescriptor /FontName /Any /Flags 4"
        " /FontBBox [0 -200 1000 800] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >> >>"
    ).encode()


def _type3(codes: dict[str, int], to_unicode: str) -> bytes:
    names = " ".join("/g" for _ in codes)
    widths = " ".join("500" for _ in codes)
    return (
        "<< /Type /Font /Subtype /Type3 /FontBBox [0 -200 500 800] /FontMatrix [0.001 0 0 0.001 0 0]"
        f" /CharProcs << /g 4 0 R >> /Encoding << /Type /Encoding /Differences [1 {names}] >>"
        f" /FirstChar 1 /LastChar {len(codes)} /Widths [{widths}] /Resources << >> {to_unicode} >>"
    ).encode()


def _unicode_map(codes: dict[str, int], spelled: Mapping[str, str], digits: int) -> bytes:
    lines = [
        f"<{code:0{digits}x}> <{spelled.get(letter, letter).encode('utf-16-be').hex()}>" for letter, code in codes.items()
    ]
    blocks = [lines[at : at + 100] for at in range(0, len(lines), 100)]
    body = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Any def /CMapType 2 def\n"
        f"1 begincodespacerange <{'00' * (digits // 2)}> <{'ff' * (digits // 2)}> endcodespacerange\n{body}\nendcmap end end"
    ).encode()


def _shown(placed: Placed | str, codes: dict[str, int], digits: int) -> str:
    if isinstance(placed, str):
        return placed
    x, y, size, text = placed
    return f"BT /F {size} Tf {x} {y} Td <{''.join(f'{codes[letter]:0{digits}x}' for letter in text)}> Tj ET"


def _stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(data), data)


def _file(objects: Sequence[bytes], tail: str) -> bytes:
    """The objects with their table; `tail`: more entries of the trailer."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info 6 0 R {tail} >>\nstartxref\n{table}\n%%EOF\n"
    return bytes(out) + trailer.encode()


def paragraph(lines: Sequence[str], x: float = 60, top: float = 700, size: float = 10, leading: float = 12) -> list[Placed]:
    """Lines one under the other."""
    return [(x, top - leading * at, size, line) for at, line in enumerate(lines)]

"""Renders a page of a PDF, or a picture, as an image, with boxes around a span of its text, given by offsets.

A child process renders, so that a malicious file cannot crash the service. If the page's text differs from the indexed
text, there are no boxes and `exact` is false. The boxes of recognised text are known; only the image is rendered.
"""

from __future__ import annotations

import ctypes
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexing.child_process import ChildProcess, code_to_serve, parent
from indexing.errors import UnreadableFile
from indexing.ocr.words import PlacedWord

Box = tuple[float, float, float, float]

SECONDS = 20.0
MEMORY = 2 * 2**30
PIXELS = 12_000_000
PICTURE = 500_000
"""Pixels of a picture at scale 1 at most: about those of a page of A4."""
SCAN_PIXELS = 40_000_000
GRID = 1_000_000
LARGEST = 2**28
_CODE = code_to_serve("indexing.files.pdf_images")


@dataclass(frozen=True, slots=True)
class PageImage:
    """A rendered page. width, height: pixels; png: the image; exact: whether the page's text equals the indexed text.

    boxes: (left, top, right, bottom) from the page's top left, in 0..1 of its size; one for each line of the span.
    """

    width: int
    height: int
    png: bytes
    boxes: tuple[Box, ...]
    exact: bool


def page_image(
    path: Path,
    page: int,
    *,
    text: str,
    start: int | None = None,
    end: int | None = None,
    scale: float = 1.5,
    known: Sequence[Box] | None = None,
) -> PageImage:
    """Render a page (from 1) of a PDF or a picture.

    text: the page's text as indexed. start, end: the span in it, in code points; None for no span.
    scale: pixels per point (1/72 inch), reduced for a page of more than PIXELS pixels; of a picture, of its own pixels.
    known: the boxes of the span, for a page without a text layer. Raises UnreadableFile when it cannot be rendered.
    """
    span = None if start is None or end is None else [start, end]
    asked = {"page": page, "span": span, "scale": scale, "text": text, "path": str(path), "known": known}
    child = ChildProcess(_CODE)
    try:
        with child.within(SECONDS):
            child.connection.send_bytes(json.dumps(asked).encode())
            values, png = json.loads(child.connection.recv_bytes(LARGEST)), child.connection.recv_bytes(LARGEST)
    except TimeoutError:
        raise UnreadableFile(f"The page was not drawn within {SECONDS:g} seconds; open the original instead.") from None
    except (OSError, EOFError, ValueError):
        raise UnreadableFile("The page cannot be drawn (the file may be damaged); open the original instead.") from None
    finally:
        child.close()
    boxes = tuple((box[0], box[1], box[2], box[3]) for box in values["boxes"])
    return PageImage(int(values["width"]), int(values["height"]), png, boxes, bool(values["exact"]))


# -- in the rendering process ------------------------------------------------------------------------------------------


def serve() -> None:
    """Render one page: receive a request as JSON, send the boxes and sizes as JSON, then the PNG."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = parent()
    asked = json.loads(connection.recv_bytes())
    import pypdfium2

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from indexing.files.pdf_annotations import form_environment
    from indexing.files.pictures import drawn_frame, picture_kind

    with open(asked["path"], "rb") as file:
        is_picture = bool(picture_kind(file.read(16)))
    found = asked["known"]
    if is_picture:
        width, height, png = drawn_frame(Path(asked["path"]).read_bytes(), asked["page"], int(PICTURE * asked["scale"] ** 2))
    else:
        document = pypdfium2.PdfDocument(asked["path"])
        form_environment(document)
        page = document[asked["page"] - 1]
        found = boxes(page, asked["text"], asked["span"]) if found is None else found
        width, height, png = _drawn(page, asked["scale"])
    facts = {"width": width, "height": height, "boxes": found or [], "exact": found is not None}
    connection.send_bytes(json.dumps(facts).encode())
    connection.send_bytes(png)


def boxes(page: Any, text: str, span: Sequence[int] | None) -> list[Box] | None:
    """The boxes of a span of the page's text, one for each line; None if the page's text differs from `text`."""
    from indexing.files.pdf import pdf_page_text

    found, origins = pdf_page_text(page)
    if found != text:
        return None
    if span is None:
        return []
    textpage = page.get_textpage()
    try:
        wanted = origins[span[0] : span[1]]
        return [_on_page(page, line) for line in lines(_character_boxes(page, textpage.raw, wanted))]
    finally:
        textpage.close()


def word_boxes(words: Sequence[PlacedWord], start: int, end: int) -> list[Box]:
    """The boxes of the recognised words that overlap a span of their page's text, merged for each line.

    >>> words = [PlacedWord(0, 3, (0.1, 0.1, 0.2, 0.2), 1.0), PlacedWord(4, 8, (0.3, 0.1, 0.4, 0.2), 1.0)]
    >>> word_boxes(words, 0, 8), word_boxes(words, 3, 4)
    ([(0.1, 0.1, 0.4, 0.2)], [])
    """
    return list(lines([word.box for word in words if word.start < end and start < word.end]))


def lines(characters: Sequence[Box]) -> Iterator[Box]:
    """Merge the boxes of characters in reading order that are on the same line.

    >>> list(lines([(0.1, 0.1, 0.2, 0.2), (0.2, 0.1, 0.3, 0.2), (0.1, 0.3, 0.2, 0.4)]))
    [(0.1, 0.1, 0.3, 0.2), (0.1, 0.3, 0.2, 0.4)]
    """
    line: Box | None = None
    for box in characters:
        if line is not None and min(line[3], box[3]) - max(line[1], box[1]) > 0.5 * min(line[3] - line[1], box[3] - box[1]):
            line = (min(line[0], box[0]), min(line[1], box[1]), max(line[2], box[2]), max(line[3], box[3]))
            continue
        if line is not None:
            yield line
        line = box
    if line is not None:
        yield line


def _character_boxes(page: Any, raw: Any, origins: Sequence[int]) -> list[Box]:
    """The boxes of characters in PDF points, (left, bottom, right, top); of an annotation, once for all its characters."""
    import pypdfium2.raw as pdfium

    from indexing.files.pdf_annotations import annotation_box
    from indexing.files.pdf_pieces import ANNOTATION, box_of

    found, box = [], pdfium.FS_RECTF()
    last = -1
    for origin in origins:
        if origin <= ANNOTATION:
            if origin != last:
                found.append(annotation_box(page, origin))
        elif origin >= 0 and pdfium.FPDFText_GetLooseCharBox(raw, origin, ctypes.byref(box)):
            found.append(box_of(box))
        last = origin
    return found


def _on_page(page: Any, box: Box) -> Box:
    """Convert a box from PDF points to the page as displayed (rotated, cropped): from the top left, in 0..1."""
    (a, b), (c, d) = _seen(page, box[0], box[1]), _seen(page, box[2], box[3])
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _seen(page: Any, x: float, y: float) -> tuple[float, float]:
    import pypdfium2.raw as pdfium

    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page.raw, 0, 0, GRID, GRID, 0, x, y, ctypes.byref(across), ctypes.byref(down))
    left, top = (round(min(GRID, max(0, value.value)) / GRID, 5) for value in (across, down))
    return left, top


def _drawn(page: Any, scale: float) -> tuple[int, int, bytes]:
    width, height = page.get_size()
    scale = min(scale, (PIXELS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=True)
    rows = bitmap.to_numpy()[:, :, :3]
    return bitmap.width, bitmap.height, png_of(bitmap.width, bitmap.height, [row.tobytes() for row in rows])


def gray_page(data: bytes, number: int, dpi: int) -> tuple[Any, int]:
    """(gray values uint8 [height, width], dots per inch) of a page, from 1, of a PDF as it is shown.

    dpi: reduced for a page of more than SCAN_PIXELS pixels. Raises UnreadableFile if the page cannot be drawn.
    """
    import pypdfium2

    from indexing.files.pdf_annotations import form_environment

    try:
        document = pypdfium2.PdfDocument(data)
        form_environment(document)
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(dpi / 72, (SCAN_PIXELS / max(1.0, width * height)) ** 0.5)
        bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=True)
        values = bitmap.to_numpy()
    except pypdfium2.PdfiumError:
        raise UnreadableFile("damaged: the page cannot be drawn") from None
    return (values if values.ndim == 2 else values[:, :, 0]).copy(), max(1, round(scale * 72))


def png_of(width: int, height: int, rows: Sequence[bytes]) -> bytes:
    """A PNG of rows of RGB bytes (ISO/IEC 15948), unfiltered and deflated."""
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _part(b"IHDR", header) + _part(b"IDAT", data) + _part(b"IEND", b"")


def _part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

"""A page of a PDF drawn: boxes where the text stands, none where that is not sure, no harm from a bad file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from indexing.errors import UnreadableFile
from indexing.files import pdf_images
from indexing.files.pdf import pdf_page_text
from indexing.files.pdf_images import boxes, lines, page_image, png_of
from tests.pdfs import make_pdf, paragraph

LINES = ["The tower was built in 1731 by", "a miller of Marrow. 水車は高い。", "برج الماء عال"[::-1]]


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "tower.pdf"
    path.write_bytes(make_pdf([paragraph(LINES), paragraph(["Another page."])]))
    return path


def text_of(path: Path, number: int = 1) -> str:
    text: str = pdf_page_text(pypdfium2.PdfDocument(path)[number - 1])[0]
    return text


def decoded(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and rows of a PNG as `png_of` makes them."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    parts, at = {}, 8
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + data)
        parts[name], at = data, at + 12 + size
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    raw = zlib.decompress(parts[b"IDAT"])
    stride = 3 * width + 1
    return width, height, [raw[row * stride + 1 : (row + 1) * stride] for row in range(height)]


def test_a_box_stands_where_the_text_does(pdf: Path) -> None:
    text = text_of(pdf)
    start = text.index("1731")
    image = page_image(pdf, 1, text=text, start=start, end=start + 4, scale=1)
    assert image.exact and (image.width, image.height) == (600, 800)
    ((left, top, right, bottom),) = image.boxes
    at = LINES[0].index("1731")
    assert left == pytest.approx((60 + 5 * at) / 600, abs=0.005) and right == pytest.approx(
        (60 + 5 * (at + 4)) / 600, abs=0.005
    )
    assert top < 1 - 700 / 800 < bottom and bottom - top < 0.03


def test_a_span_over_lines_has_a_box_for_each(pdf: Path) -> None:
    text = text_of(pdf)
    image = page_image(pdf, 1, text=text, start=text.index("built"), end=text.index("Marrow") + 6)
    assert len(image.boxes) == 2 and image.boxes[0][3] <= image.boxes[1][1] + 0.01
    for script in ("水車", "برج", "الماء"):
        start = text.index(script)
        found = page_image(pdf, 1, text=text, start=start, end=start + len(script))
        assert found.exact and len(found.boxes) == 1


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_turn_with_the_page_and_keep_to_what_is_seen_of_it(pdf: Path, turn: int) -> None:
    document = pypdfium2.PdfDocument(pdf)
    page = document[0]
    page.set_rotation(turn)
    page.set_cropbox(0, 400, 600, 800)
    text = pdf_page_text(page)[0]
    found = boxes(page, text, [text.index("The"), text.index("The") + 3])
    assert found is not None and len(found) == 1
    left, top, right, bottom = found[0]
    x, y = (left + right) / 2, (top + bottom) / 2
    seen = {0: (x, y), 90: (y, 1 - x), 180: (1 - x, 1 - y), 270: (1 - y, x)}[turn]
    assert seen[0] == pytest.approx((60 + 7.5) / 600, abs=0.01) and seen[1] == pytest.approx((800 - 703) / 400, abs=0.02)


@pytest.mark.parametrize("text", ["", "Another text", "The tower was built in 1731"])
def test_a_page_with_another_text_has_no_boxes_and_says_so(pdf: Path, text: str) -> None:
    image = page_image(pdf, 1, text=text, start=0, end=3)
    assert not image.exact and image.boxes == () and image.png


def test_no_span_no_boxes_and_a_large_page_is_drawn_smaller(pdf: Path) -> None:
    image = page_image(pdf, 2, text=text_of(pdf, 2), scale=4)
    assert image.exact and image.boxes == () and image.width == 2400
    assert (image.width, image.height) == decoded(image.png)[:2]
    small = page_image(pdf, 2, text="", scale=100)
    assert small.width * small.height <= 1.01 * pdf_images.PIXELS
    assert set(b"".join(decoded(small.png)[2])) - {255}, "an empty picture"


@pytest.mark.parametrize("data", [b"", b"no pdf", b"%PDF-1.7\n1 0 obj\n<<"])
def test_a_bad_file_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.pdf").write_bytes(data)
    with pytest.raises(UnreadableFile, match="original"):
        page_image(tmp_path / "bad.pdf", 1, text="")


def test_a_page_that_is_not_there_or_takes_too_long(pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableFile):
        page_image(pdf, 9, text="")
    monkeypatch.setattr(pdf_images, "SECONDS", 0.001)
    with pytest.raises(UnreadableFile, match="seconds"):
        page_image(pdf, 1, text="")


def test_a_picture_is_what_was_drawn() -> None:
    rows: Any = [bytes([1, 2, 3, 4, 5, 6]), bytes([7, 8, 9, 10, 11, 12])]
    assert decoded(png_of(2, 2, rows)) == (2, 2, rows)


def test_characters_join_to_lines() -> None:
    assert list(lines([])) == []
    assert list(lines([(0.1, 0.1, 0.2, 0.2)])) == [(0.1, 0.1, 0.2, 0.2)]

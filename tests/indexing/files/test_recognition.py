"""Scans and pictures become documents: what is recognised, kept, bounded and told; with a stand-in for tesseract."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.pictures import drawn_frame, gray, is_blank, picture_kind, read_picture
from indexing.files.recognised_text import with_recognised
from indexing.files.recognition import OcrPlan, Recogniser, UnreadPages, plan_here
from indexing.files.walk import FileReader
from indexing.ocr.engines import Engines
from indexing.ocr.settings import OcrSettings
from indexing.ocr.words import PlacedWord, RecognisedPage
from tests.indexing.files.conftest import wait_for
from tests.pdfs import make_pdf, paragraph
from tests.scans import LIMITS, PAGE, FakeTesseract, drawing, no_engine, png, scanned_pdf


def recognised(data: bytes, name: str, settings: OcrSettings | None = None, limits: FileLimits = LIMITS) -> list[FileText]:
    with Recogniser(plan_here(settings), limits, workers=1) as recogniser, FileReader(limits, recogniser) as reader:
        return reader.parse(data, name)


def check_words(text: FileText) -> None:
    """Each word of a recognised page is in the page's text, at its place."""
    stops = (*text.pages[1:], len(text.text) + 2)
    for number, words in text.recognised.items():
        page = text.text[text.pages[number - 1] : stops[number - 1] - 2]
        assert " ".join(page[word.start : word.end] for word in words) == " ".join(page.split())


def test_a_picture_becomes_a_document_with_the_places_of_its_words(fake: FakeTesseract) -> None:
    (text,) = recognised(png(drawing(3)), "tower.png")
    assert text.text == PAGE.format(3) and text.pages == (0,) and text.meta["file_type"] == "png"
    assert text.meta["recognised"] is True and text.meta["recognised_pages"] == "1"
    assert text.meta["recognition_confidence"] == 0.955
    assert text.notes == ("text recognised by tesseract eng, mean confidence 96%",)
    check_words(text)
    tower = text.recognised[1][1]
    assert tower.box == pytest.approx((175 / 1240, 200 / 1754, 275 / 1240, 240 / 1754), abs=0.001)


@pytest.mark.parametrize("kind", ["jpg", "tiff", "webp"])
def test_pictures_of_other_formats(fake: FakeTesseract, kind: str) -> None:
    out = io.BytesIO()
    drawing(2).convert("RGB").save(out, {"jpg": "JPEG"}.get(kind, kind.upper()))
    assert picture_kind(out.getvalue()) == kind
    (text,) = recognised(out.getvalue(), "tower.bin")
    assert text.text == PAGE.format(2) and text.meta["file_type"] == kind


def test_the_pages_of_a_tiff(fake: FakeTesseract) -> None:
    out = io.BytesIO()
    drawing(1).save(out, "TIFF", save_all=True, append_images=[drawing(2), Image.new("L", (1240, 1754), 255)])
    (text,) = recognised(out.getvalue(), "fax.tif")
    assert text.text == f"{PAGE.format(1)}\n\n{PAGE.format(2)}\n\n" and len(text.pages) == 3
    assert text.notes == (
        "text recognised on pages 1–2 by tesseract eng, mean confidence 96%",
        "no text found on page 3",
    )
    check_words(text)
    with pytest.raises(UnreadableFile, match="3 pages, more than the 2 allowed"):
        read_picture(out.getvalue(), FileLimits(max_pages=2))


def test_pages_without_a_text_layer_join_those_with_one(fake: FakeTesseract) -> None:
    import pypdfium2

    made = pypdfium2.PdfDocument.new()
    made.import_pages(pypdfium2.PdfDocument(make_pdf([paragraph(["A page with its own text."], size=16)])))
    made.import_pages(pypdfium2.PdfDocument(scanned_pdf(drawing(2))))
    made.import_pages(pypdfium2.PdfDocument(make_pdf([paragraph(["Another page of text, longer than the heading."])])))
    out = io.BytesIO()
    made.save(out)
    (text,) = recognised(out.getvalue(), "mixed.pdf")
    assert text.text == f"A page with its own text.\n\n{PAGE.format(2)}\n\nAnother page of text, longer than the heading."
    assert text.meta["recognised_pages"] == "2" and list(text.recognised) == [2]
    assert [text.text[a:b] for a, b, _ in text.headings] == ["A page with its own text."]
    assert text.notes[0] == "text recognised on page 2 by tesseract eng, mean confidence 96%"
    assert len(fake.reads()) == 1
    check_words(text)


def test_a_text_layer_that_is_not_legible_is_recognised(fake: FakeTesseract) -> None:
    codes = "+HUDXVJHEHU*HPHLQGHYHUZDOWXQJ6SDWHQVWLFKIXU"
    data = make_pdf([[(60, 700, 10, codes)]], shapes=True)
    with pytest.raises(UnreadableFile, match="text is not legible"), FileReader(LIMITS) as reader:
        reader.parse(data, "codes.pdf")
    (text,) = recognised(data, "codes.pdf")
    assert "was built in 1731" in text.text and text.meta["recognised"] is True


def test_force_recognises_pages_with_text_too(fake: FakeTesseract) -> None:
    data = make_pdf([[(60, 700, 10, "I")], [(60, 700, 10, "I")]], shapes=True)
    (text,) = recognised(data, "both.pdf", OcrSettings("force"))
    assert text.text.count("was built in 1731") == 2 and text.meta["recognised_pages"] == "1–2"
    fake.say({"eng": ["never"]})
    (own,) = recognised(data, "both.pdf")
    assert own.text == "I\n\nI" and not own.recognised


def test_a_turned_page_has_its_boxes_on_the_page_as_it_lies(fake: FakeTesseract) -> None:
    fake.say({"eng": ["The tower of Marrow was sold"]}, rotate=90)
    (text,) = recognised(png(drawing(1)), "turned.png")
    box = text.recognised[1][0].box
    # The first word is at (100, 200, 160, 240) of the picture turned clockwise, which is 1,754 wide and 1,240 high.
    assert box == pytest.approx((200 / 1240, 1 - 160 / 1754, 240 / 1240, 1 - 100 / 1754), abs=0.001)


def test_a_blank_picture_and_one_without_text_say_so(fake: FakeTesseract) -> None:
    with pytest.raises(UnreadableFile, match=r"^no text found by recognition \(OCR\)$"):
        recognised(png(Image.new("L", (1240, 1754), 250)), "blank.png")
    assert not fake.calls, "no engine looks at a blank page"
    fake.say({})
    with pytest.raises(UnreadableFile, match=r"^no text found on any of its 2 pages by recognition \(OCR\)$"):
        recognised(scanned_pdf(drawing(1), drawing(2)), "scan.pdf")
    fake.say({}, script="Thai")
    with pytest.raises(UnreadableFile, match="^not recognised: Thai script, for which tesseract's data is missing"):
        recognised(png(drawing(1)), "thai.png")


def test_a_page_that_takes_too_long_costs_only_itself(fake: FakeTesseract) -> None:
    fake.say({"eng": ["slow"]}, seconds=60)
    with pytest.raises(UnreadableFile, match=r"not recognised within 1 seconds \(--seconds\)"):
        recognised(png(drawing(1)), "slow.png", limits=FileLimits(seconds=1))


def test_a_page_that_crashes_the_recognition_costs_only_itself(fake: FakeTesseract) -> None:
    fake.say({"eng": ["The tower of page @"]}, crashes=[2])
    (text,) = recognised(scanned_pdf(drawing(1), drawing(2), drawing(3)), "scan.pdf")
    assert text.text == "The tower of page 1\n\n\n\nThe tower of page 3"
    assert "not recognised on page 2: the recognition crashed on it" in text.notes[1]


def test_pages_that_were_recognised_are_not_read_again(fake: FakeTesseract, tmp_path: Path) -> None:
    data, numbers = scanned_pdf(drawing(1), drawing(2), drawing(3)), (1, 2, 3)
    plan = plan_here(None)
    told: list[float] = []
    with Recogniser(plan, LIMITS, tmp_path / "kept", workers=2) as recogniser:
        first = recogniser.pages(data, "pdf", numbers[:2])
    calls = len(fake.calls)
    with Recogniser(plan, LIMITS, tmp_path / "kept", workers=2, told=told.append) as recogniser:
        second = recogniser.pages(data, "pdf", numbers)
    assert {number: second[number] for number in (1, 2)} == first and len(fake.calls) == calls + 1
    assert [seconds > 0 for seconds in told] == [False, False, True]
    other = OcrPlan(OcrSettings(languages=("en",)), plan.engines)
    with Recogniser(other, LIMITS, tmp_path / "kept", workers=1) as recogniser:
        recogniser.pages(data, "pdf", (1,))
    assert len(fake.calls) > calls + 1, "other settings read the page themselves"


def test_an_ended_recognition_leaves_no_process(fake: FakeTesseract) -> None:
    def running() -> list[Path]:
        return [path for path in Path("/proc").glob("[0-9]*") if str(fake.folder).encode() in command_of(path)]

    fake.say({"eng": ["slow"]}, seconds=60)
    with Recogniser(plan_here(None), LIMITS, workers=1) as recogniser, ThreadPoolExecutor(1) as pool:
        pages = pool.submit(recogniser.pages, png(drawing(1)), "png", (1,))
        assert wait_for(running)
        recogniser.stop()
        assert pages.result()[1].reason
    assert wait_for(lambda: not running()), "tesseract still runs"


def command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_scans_inside_other_files(fake: FakeTesseract) -> None:
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/tower.png", png(drawing(1)))
        archive.writestr("note.txt", "A note.")
    found = {text.member: text for text in recognised(out.getvalue(), "all.zip")}
    assert found["a/tower.png"].text == PAGE.format(1) and found["a/tower.png"].meta["recognised"] is True
    assert found["note.txt"].text == "A note." and "recognised" not in found["note.txt"].meta


def test_the_first_pass_leaves_pages_unread(fake: FakeTesseract) -> None:
    with FileReader(LIMITS, UnreadPages(OcrSettings())) as reader:
        (text,) = reader.parse(scanned_pdf(drawing(1), drawing(2)), "scan.pdf")
        assert reader.parse(b"Plain text.", "a.txt")[0].unread == ()
    assert text.unread == (1, 2) and not fake.calls


def test_the_reason_names_what_would_read_a_scan(tmp_path: Path) -> None:
    with no_engine(tmp_path / "empty"):
        without, off = plan_here(None), plan_here(OcrSettings("off"))
    assert not without.active and not off.active and without.key == ""
    for plan, advice in ((without, "to recognise its text, install docqa"), (off, "--ocr auto recognises its text")):
        with FileReader(LIMITS, None, plan.why_not) as reader:
            with pytest.raises(UnreadableFile, match=rf"^an image \(PNG\); {advice}"):
                reader.parse(png(drawing()), "a.png")
            with pytest.raises(UnreadableFile, match=rf"^no text layer \(a scan\?\) on its one page; {advice}"):
                reader.parse(scanned_pdf(drawing()), "a.pdf")
            (mixed,) = reader.parse(make_pdf([paragraph(["Text."]), []]), "b.pdf")
            assert mixed.notes[0].startswith(f"no text layer on page 2; {advice}")
    assert OcrPlan(OcrSettings(), Engines(rapid="3.10")).why_not == ""


# -- text and pictures -------------------------------------------------------------------------------------------------


def test_recognised_pages_keep_the_pages_around_them() -> None:
    text = FileText("one\n\n\n\nthree", (0, 5, 7), {"title": "T"}, ((7, 12, 1),), ("a remark",), unread=(2,))
    word = PlacedWord(0, 3, (0.0, 0.0, 1.0, 1.0), 0.5)
    found = with_recognised(text, {2: RecognisedPage("two", (word,), "engine")})
    assert found.text == "one\n\ntwo\n\nthree" and found.pages == (0, 5, 10)
    assert found.headings == ((10, 15, 1),) and found.recognised == {2: (word,)} and found.unread == ()
    assert found.notes == ("text recognised on page 2 by engine, mean confidence 50%", "a remark")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "CMYK"])
def test_pictures_of_every_mode(mode: str) -> None:
    out = io.BytesIO()
    image = drawing(5)
    made = image.point(lambda value: 257 * value, "I").convert("I;16") if mode == "I;16" else image.convert(mode)
    made.save(out, "TIFF" if mode == "CMYK" else "PNG")
    values, dpi = gray(out.getvalue(), 1)
    assert values.dtype == np.uint8 and values.shape == (1754, 1240) and dpi == 300
    assert values[220, 300] < 60 and values[900, 900] > 200 and not is_blank(values)


def test_transparent_and_turned_pictures_are_as_they_are_shown() -> None:
    out = io.BytesIO()
    clear = Image.new("RGBA", (1300, 20), (0, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned; the picture is shown 20 wide
    clear.save(out, "PNG", exif=exif)
    values, _ = gray(out.getvalue(), 1)
    assert values.shape == (1300, 20) and values.min() == 255 and is_blank(values)
    width, height, data = drawn_frame(out.getvalue(), 1, 13_000)
    assert (width, height) == (14, 919) and data.startswith(b"\x89PNG")


def test_small_pictures_are_enlarged_and_too_large_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    values, dpi = gray(png(drawing(1, (700, 500))), 1)
    assert values.shape == (1000, 1400) and dpi == 300
    monkeypatch.setattr("indexing.files.pictures.MOST_PIXELS", 1_000)
    with pytest.raises(UnreadableFile, match="an image of 700 by 500 pixels, more than the 1,000 pixels that are read"):
        gray(png(drawing(1, (700, 500))), 1)


@pytest.mark.parametrize("cut", [9, 40, 400])
def test_damaged_pictures_are_refused(fake: FakeTesseract, cut: int) -> None:
    with pytest.raises(UnreadableFile, match="damaged"):
        recognised(png(drawing())[:cut], "cut.png")

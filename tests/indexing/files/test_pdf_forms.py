"""PDF: form values and typed notes are read at their place and boxed on the page; what cannot be read is reported."""

from __future__ import annotations

import pypdfium2
import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.formats import parse
from indexing.files.pdf import pdf_page_text
from indexing.files.pdf_images import boxes
from tests.pdfs import Placed, make_pdf, paragraph

LABELS: list[Placed] = [(60, 700, 10, "Name of vessel:"), (60, 640, 10, "Leak found:")]
VESSEL = "/Subtype /Widget /FT /Tx /T (vessel) /V (MS Orveth Star) /F 4 /Rect [160 696 300 712]"
TICK = (
    "/Subtype /Widget /FT /Btn /T (leak) /V /{0} /AS /{0} /F 4 /Rect [160 636 172 650]"
    " /AP << /N << /{0} 4 0 R /Off 4 0 R >> >>"
)


def form(*annotations: str, page: list[Placed] = LABELS, catalog: str = "") -> bytes:
    fields = " ".join(f"<< /Type /Annot {annotation} >>" for annotation in annotations if "/Widget" in annotation)
    return make_pdf([page], annotations=annotations, catalog=catalog or f"/AcroForm << /Fields [{fields}] >>")


def read(data: bytes) -> FileText:
    (text,) = parse(data, "pdf", FileLimits())
    return text


@pytest.mark.parametrize(("state", "said"), [("Yes", " yes"), ("On", " yes"), ("starboard", " starboard"), ("Off", "")])
def test_values_follow_their_labels(state: str, said: str) -> None:
    assert read(form(VESSEL, TICK.replace("{0}", state))).text == f"Name of vessel: MS Orveth Star\n\nLeak found:{said}"


def test_a_form_without_printed_words_is_no_scan() -> None:
    assert read(form(VESSEL, page=[])).text == "MS Orveth Star"


def test_a_choice_is_read_by_its_label() -> None:
    choice = (
        "/Subtype /Widget /FT /Ch /Ff 131072 /T (port) /Opt [[(de) (Germany)] [(fr) (France)]] /V (fr) /F 4"
        " /Rect [160 636 300 652]"
    )
    assert read(form(choice)).text == "Name of vessel:\n\nLeak found: France"


@pytest.mark.parametrize(
    "hidden",
    [
        "/Subtype /Widget /FT /Tx /Ff 8192 /T (key) /V (secret) /F 4 /Rect [160 636 300 652]",
        "/Subtype /Widget /FT /Tx /T (key) /V (secret) /F 2 /Rect [160 636 300 652]",
        "/Subtype /FreeText /Contents (secret) /F 2 /Rect [160 636 300 652]",
        "/Subtype /Link /Contents (secret) /F 4 /Rect [160 636 300 652]",
        "/Subtype /Popup /Contents (secret) /F 4 /Rect [160 636 300 652]",
    ],
)
def test_passwords_and_hidden_annotations_are_left_out(hidden: str) -> None:
    assert read(form(hidden)).text == "Name of vessel:\n\nLeak found:"


@pytest.mark.parametrize("kind", ["FreeText", "Text", "Highlight", "StrikeOut", "Stamp", "Square"])
def test_typed_text_and_comments_follow_the_page(kind: str) -> None:
    note = f"/Subtype /{kind} /Contents (Moved to 9 July\\rby the customer) /F 4 /Rect [60 500 200 520]"
    assert read(form(note, page=[(60, 700, 10, "The deadline is 2 July.")])).text == (
        "The deadline is 2 July.\n\nMoved to 9 July by the customer"
    )


def test_a_value_in_another_script_is_verbatim() -> None:
    value = "البحر الكبير".encode("utf-16-be").hex()
    text = read(form(f"/Subtype /Widget /FT /Tx /T (x) /V <FEFF{value}> /F 4 /Rect [160 696 300 712]")).text
    assert text.startswith("Name of vessel: البحر الكبير")


def test_a_value_is_boxed_on_the_page_and_drawn() -> None:
    (page,) = pypdfium2.PdfDocument(form(VESSEL))
    text, origins = pdf_page_text(page)
    start = text.index("MS Orveth")
    assert set(origins[start : start + 14]) == {-2} and -2 not in origins[:start]
    (box,) = boxes(page, text, [start, start + 9]) or []
    assert box == pytest.approx((160 / 600, 88 / 800, 300 / 600, 104 / 800), abs=1e-3)
    (label,) = boxes(page, text, [0, 4]) or []
    assert label[2] < box[0]


def test_an_xfa_form_is_reported() -> None:
    xfa = "/AcroForm << /Fields [] /XFA 4 0 R >>"
    assert read(form(catalog=xfa)).notes == ("an XFA form, not read",)
    with pytest.raises(UnreadableFile, match="an XFA form, not read"):
        read(form(page=[], catalog=xfa))


def test_pictures_are_counted() -> None:
    dot = "BI /W 1 /H 1 /CS /G /BPC 8 ID x EI"
    page: list[Placed | str] = [
        *paragraph(["A picture of the bridge"]),
        f"q 300 0 0 200 60 300 cm {dot} Q",
        f"q 9 0 0 9 5 5 cm {dot} Q",
    ]
    assert read(make_pdf([page])).notes == ("1 embedded image not read",)

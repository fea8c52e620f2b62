"""PDFs of ../shared/cases, where a checkout stands beside that folder: each gives the text that a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.formats import parse

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs the folder ../shared/cases beside the checkout")


def read(name: str) -> FileText:
    (text,) = parse((CASES / name).read_bytes(), "pdf", FileLimits())
    return text


@pytest.mark.parametrize("folder", ["01-pdf-chrome-rtl", "02-pdf-chrome-clusters"])
def test_browsers_pdfs_give_their_paragraphs(folder: str) -> None:
    truth = json.loads((CASES / "lab" / "mx_truth.json").read_text("utf-8"))
    files = sorted((CASES / folder / "in").glob("*_chromium.pdf"))
    assert len(files) > 3
    for file in files:
        assert read(f"{folder}/in/{file.name}").text == truth[file.name[:2]], file.name


def test_right_to_left_lines_keep_latin_words_and_numbers() -> None:
    text = read("01-pdf-chrome-rtl/in/he.pdf").text
    assert "info@example.com" in text and "v2.1 של Windows 11 Pro" in text and "(ראו דוח 45-א)" in text and "17%." in text
    assert "info@example.com" in read("01-pdf-chrome-rtl/in/he_dv_visual.pdf").text
    assert "03-1234567" in read("01-pdf-chrome-rtl/in/ar_forms.pdf").text


@pytest.mark.parametrize(
    "name",
    [
        "04-pdf-no-tounicode/in/no_tounicode_de.pdf",
        "04-pdf-no-tounicode/in/no_tounicode_he.pdf",
        "04-pdf-no-tounicode/in/no_tounicode_ru.pdf",
        "60-files-in-public-collections/in/glyph-codes.pdf",
    ],
)
def test_glyph_codes_are_not_indexed_as_text(name: str) -> None:
    with pytest.raises(UnreadableFile, match="not legible"):
        read(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("05-pdf-form-fields/in/form.pdf", ["Name of vessel: MS Orveth Star", "6.4", "Leak found: yes"]),
        ("05-pdf-form-fields/in/freetext.pdf", ["APPROVED by Ada Orveth"]),
        ("05-pdf-form-fields/in/annot.pdf", ["Moved to 9 July by the customer"]),
        ("60-files-in-public-collections/in/form.pdf", ["Ansgar Wendelstein", "Approved by the council on 4 May"]),
        ("60-files-in-public-collections/in/form-only.pdf", ["Ansgar Wendelstein"]),
        ("60-files-in-public-collections/in/lam-alef.pdf", ["خلال"]),
        ("60-files-in-public-collections/in/footnote-mark.pdf", ["1 Preliminary"]),
        ("06-pdf-table-empty-cell/in/table.pdf", ["Tarn\t\t130\t200"]),
        ("06-pdf-table-empty-cell/in/2_table.pdf", ["Tarn\t\t130\t200", "City\tDepth\tTide\tShips", "10⁶ m²"]),
        ("07-pdf-columns-row-by-row/in/columns_interleaved.pdf", ["it is closed in winter for repairs to its crane."]),
        ("08-superscript-number/in/sup.pdf", ["4 × 10⁶ litres", "30⁵ percent"]),
    ],
)
def test_what_a_person_reads_is_there(name: str, parts: list[str]) -> None:
    text = read(name).text
    assert [part for part in parts if part not in text] == []


def test_an_xfa_form_is_reported() -> None:
    assert "an XFA form, not read" in read("05-pdf-form-fields/in/xfa.pdf").notes

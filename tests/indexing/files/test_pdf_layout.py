"""PDF: words, rows, columns and right-to-left text from the places of glyphs, as browsers and typesetters put them."""

from __future__ import annotations

import pypdfium2
import pytest

from indexing.errors import UnreadableFile
from indexing.files.bidi import reading_order, with_brackets_turned
from indexing.files.file_text import FileLimits, FileText
from indexing.files.formats import parse
from indexing.files.pdf import pdf_page_text
from indexing.files.pdf_legible import is_illegible
from tests.pdfs import Placed, make_pdf, paragraph

Content = list[Placed | str]


def read(*pages: Content, spelled: dict[str, str] | None = None, mapped: bool = True) -> FileText:
    (text,) = parse(make_pdf(pages, spelled=spelled, mapped=mapped, shapes=mapped), "pdf", FileLimits())
    return text


def drawn(visual: str, x: float = 60, y: float = 700, size: float = 10, mark: str = "") -> Content:
    """Each glyph as an object of its own, from left to right, a space as a gap; as browsers print text."""
    content: Content = []
    for at, letter in enumerate(visual):
        if letter != " ":
            placed: Content = [(x + 0.5 * size * at, y, size, letter)]
            content += [f"/{mark} BMC", *placed, "EMC"] if mark else placed
    return content


def span(text: str, *placed: Placed) -> Content:
    """Glyphs that stand for a text together."""
    return [f"/Span <</ActualText <FEFF{text.encode('utf-16-be').hex()}>>> BDC", *placed, "EMC"]


# -- right-to-left -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visual", "text"),
    [
        ("לחכה ףדמה לע 1912 תנשב", "בשנת 1912 על המדף הכחל"),
        (".דורה 1912 לגסמ", "מסגל 1912 הרוד."),
        ("۱۹۱۲ لاس رد لپ", "پل در سال ۱۹۱۲"),
        ("ریبکلا رهنلا ١٢٥٠ نازخ", "خزان ١٢٥٠ النهر الکبیر"),
    ],
)
@pytest.mark.parametrize("mark", ["ReversedChars", ""])
def test_right_to_left_rows_of_single_glyphs_are_in_reading_order(visual: str, text: str, mark: str) -> None:
    assert read(drawn(visual, mark=mark)).text == text


def test_objects_in_any_order_on_a_row_are_read_by_place() -> None:
    content = drawn("לחכה ףדמה")
    assert read(content[::-1]).text == read([*content[4:], *content[:4]]).text == "המדף הכחל"


@pytest.mark.parametrize("backward", [True, False])
def test_the_letters_of_a_ligature_keep_their_order(backward: bool) -> None:
    """One glyph for lam and alef: pdfium turns its letters round with the row."""
    glyphs = "ل\ufefbخ"
    content: Content = list(drawn(glyphs)) if backward else [(60.0, 700.0, 10.0, glyphs)]
    assert read(content, spelled={"\ufefb": "لا"}).text == "خلال"


@pytest.mark.parametrize(
    ("visual", "logical"),
    [
        ('info@example.com ל"אודהו', 'והדוא"ל info@example.com'),
        ("Windows 11 Pro לש v2.1", "v2.1 של Windows 11 Pro"),
        ('17% לש מ"עמ', 'מע"מ של 17%'),
        ("%17 ةبسنب", "بنسبة 17%"),
        ("(א-45 חוד ואר)", "(ראו דוח 45-א)"),
        (")א-45 חוד ואר(", "(ראו דוח 45-א)"),
        ("םירטמ 10-20 חווט", "טווח 10-20 מטרים"),
        ("1234567-03 فتاه", "هاتف 03-1234567"),
        ("GB 5 לש לדוגב", "בגודל של 5 GB"),
        ("Windows 11 םע", "עם Windows 11"),
        ("12,500.75 ריחמה", "המחיר 12,500.75"),
        ("The word םולש means peace", "The word שלום means peace"),
        ("The year 1912 only", "The year 1912 only"),
        ("12:30 העשב", "בשעה 12:30"),
        ("COVID-19 תפגמ", "מגפת COVID-19"),
    ],
)
def test_latin_words_and_numbers_stay_as_they_are(visual: str, logical: str) -> None:
    order = reading_order(visual, rtl=not logical.startswith("The "))
    assert sorted(at for at, _ in order) == list(range(len(visual)))
    assert "".join(with_brackets_turned([visual[at] for at, _ in order], [rtl for _, rtl in order])) == logical


def test_vowel_points_stay_with_their_letters() -> None:
    content: Content = [
        (70.0, 700.0, 10.0, "ש"),
        (65.0, 700.0, 10.0, "ל"),
        (60.0, 700.0, 10.0, "ם"),
        (70.0, 700.0, 10.0, "\u05b8"),
    ]
    assert read(content).text == "ש\u05b8לם"


def test_the_index_of_each_right_to_left_character_is_its_own() -> None:
    (page,) = pypdfium2.PdfDocument(make_pdf([drawn("(א-45 חוד ואר)")], shapes=True))
    text, origins = pdf_page_text(page)
    textpage = page.get_textpage()
    boxes = [textpage.get_charbox(at, loose=True)[0] for at in origins if at >= 0]
    assert text == "(ראו דוח 45-א)" and sorted(boxes[1:7], reverse=True) == boxes[1:7]
    assert boxes[text.replace(" ", "").index("4")] < boxes[text.replace(" ", "").index("5")]


# -- clusters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", ["กุ", "มิ", "ගො", "ള്ള", "ന്റെ", "ខ្មែ", "গো"])
def test_a_cluster_of_several_objects_is_read_once_and_unbroken(cluster: str) -> None:
    """The sign of a cluster is drawn after the next letter: pdfium tells the cluster twice, with line ends."""
    place = [(60.0, 700.0, 10.0, "x"), (65.0, 700.0, 10.0, "y")]
    content = [*span(cluster, place[0], place[1]), *drawn("เค", x=70), *span(cluster, (80.0, 700.0, 10.0, "x"))]
    assert read(content).text == f"{cluster}เค{cluster}"


def test_words_are_parted_by_gaps_and_not_by_objects() -> None:
    whole: Content = [(60.0, 700.0, 10.0, "Kes"), (75.2, 700.0, 10.0, "trel"), (98.0, 700.0, 10.0, "bridge")]
    assert read(whole).text == "Kestrel bridge"
    assert read([*drawn("Kestrel bridge of Ost")]).text == "Kestrel bridge of Ost"


# -- superscripts ------------------------------------------------------------------------------------------------------


def test_raised_digits_are_superscripts() -> None:
    content: Content = [
        (60, 700, 10, "fell by 30"),
        (110, 704, 6, "5"),
        (113, 700, 10, " percent of 4 × 10"),
        (203, 704, 6, "−6"),
    ]
    assert read(content).text == "fell by 30⁵ percent of 4 × 10⁻⁶"


def test_the_mark_of_a_footnote_is_apart_from_its_first_word() -> None:
    assert read([(50, 704, 6, "1"), (53, 700, 10, "Preliminary report")]).text == "1 Preliminary report"
    assert read([(50, 704, 6, "st"), (56, 700, 10, "and more")]).text == "stand more"


# -- columns and tables ------------------------------------------------------------------------------------------------


def cells(*rows: dict[float, str]) -> Content:
    return [(x, 700.0 - 14 * at, 10.0, cell) for at, row in enumerate(rows) for x, cell in row.items()]


def test_an_empty_cell_keeps_its_place() -> None:
    table = cells({60: "City", 160: "Depth", 230: "Tide"}, {60: "Ostby", 160: "120", 230: "340"}, {60: "Tarn", 230: "130"})
    assert read(table).text == "City\tDepth\tTide\nOstby\t120\t340\nTarn\t\t130"


def test_cells_without_a_wide_gap_are_found_by_their_edges() -> None:
    table = cells(
        {130: "City", 300: "Depth", 400: "Ships"},
        {60: "Ostby", 260: "120", 360: "340", 378: "560"},
        {60: "Tarn", 360: "130", 378: "200"},
        {60: "Velm harbour at the northern ends now", 260: "110 m in winter now", 360: "230", 378: "450"},
    )
    lines = read(table).text.split("\n")
    assert lines[1:] == [
        "Ostby\t120\t340\t560",
        "Tarn\t\t130\t200",
        "Velm harbour at the northern ends now\t110 m in winter now\t230\t450",
    ]


def test_right_to_left_tables_begin_at_the_right() -> None:
    table = cells({400: "ריע", 200: "קמוע", 60: "תואפש"}, {400: "יבתסוא", 200: "120", 60: "340"}, {400: "ןראט", 60: "130"})
    assert read(table).text == "עיר\tעומק\tשפאות\nאוסתבי\t120\t340\nטאר" + "ן\t\t130"


LEFT = ["Pier seven is twelve", "metres deep and it is", "closed in winter for", "repairs to its crane."]
RIGHT = ["The lighthouse of Velm", "was built in nineteen", "thirty one by Ada and", "it has a green lamp."]


def test_columns_drawn_row_by_row_follow_each_other() -> None:
    rows = cells(*({60.0: left, 320.0: right} for left, right in zip(LEFT, RIGHT, strict=True)))
    assert read(rows).text == f"{' '.join(LEFT)}\n\n{' '.join(RIGHT)}"
    glossary = cells(
        {60: "anchor", 320: "a hook that holds a ship"},
        {60: "buoy", 320: "a float that marks a way"},
        {60: "keel", 320: "the lowest beam of a hull"},
    )
    assert read(glossary).text.count("\t") == 3


def test_columns_may_end_at_different_heights_and_have_paragraphs() -> None:
    longer = [*LEFT, "", "Pier eight is closed in", "summer, as swallows nest", "under its old roof."]
    rows = [{60.0: left} if left else {} for left in longer]
    for row, right in zip(rows, RIGHT, strict=False):
        row[320.0] = right
    content = [*paragraph(["HARBOUR NEWS OF THE YEAR"], top=740, size=14), *cells(*rows)]
    assert read(content).text == (
        f"HARBOUR NEWS OF THE YEAR\n\n{' '.join(LEFT)}\n\n{' '.join(longer[5:])}\n\n{' '.join(RIGHT)}"
    )


def test_right_to_left_columns_begin_at_the_right() -> None:
    right = ["דורהו לודגה ףצרה", "ךותב דמוע ןשיה", "ףרוחב רגסנו ריעה"]
    left = ["רפסב בותכ תורוקה", "ןקזה רפסמה לש", "רהנה תפש לע בשיש"]
    rows = cells(*({60.0: one, 320.0: two} for one, two in zip(left, right, strict=True)))
    text = read(rows).text
    assert text.index("הרצף הגדול") < text.index("העיר ונסגר") < text.index("הקורות כתוב")


def test_text_that_stands_upright_on_a_turned_page_is_read_in_rows() -> None:
    rows = [
        "".join(f"{ord(letter) - 96:04x}" if letter != " " else "001b" for letter in row)
        for row in ("the bridge", "is long")
    ]
    letters = "abcdefghijklmnopqrstuvwxyz~"
    content: Content = [f"BT /F 10 Tf 0 1 -1 0 {300 + 12 * at} 100 Tm <{row}> Tj ET" for at, row in enumerate(rows)]
    # One hidden string gives the font its letters, in the order of the codes.
    found = parse(make_pdf([[*content, (700.0, 900.0, 10.0, letters)]], spelled={"~": " "}), "pdf", FileLimits())[0].text
    assert "the bridge is long" in found or "the bridge\nis long" in found


# -- text that is not what is seen -------------------------------------------------------------------------------------


def test_fonts_that_do_not_tell_their_letters_are_not_legible() -> None:
    content: Content = list(paragraph(["the bridge over the alder was built by hand"]))
    with pytest.raises(UnreadableFile, match="not legible"):
        read(content, mapped=False)


@pytest.mark.parametrize(
    "text", ["Der Schlussel zum Lager liegt auf dem blauen Regal", "The bridge over the Alder was built by hand in summer"]
)
def test_letters_shifted_by_glyph_numbers_are_not_legible(text: str) -> None:
    assert is_illegible("".join(chr(ord(letter) - 29) for letter in text if letter != " "))
    assert not is_illegible(text) and not is_illegible(text.upper())


@pytest.mark.parametrize(
    "text",
    [
        "ZAŻÓŁĆ GĘŚLĄ JAŹŃ. PCHNĄĆ W TĘ ŁÓDŹ JEŻA LUB OŚM SKRZYŃ FIG.",
        "Strč prst skrz krk. Vlk zmrzl, zhltl hrst zrn. " * 3,
        "NATO, UNESCO, HTML, XML, RDBMS and HTTPS are read by PDFBOX in MSDN " * 2,
        "Кључ од складишта лежи на плавој полици на трећем спрату. " * 3,
        "Der Angstschweiß des Rechtschreibprüfers überraschte Herbstspaziergänger. " * 4,
        "1912 340 560 120\n" * 30,
    ],
)
def test_real_languages_are_legible(text: str) -> None:
    assert not is_illegible(text)


@pytest.mark.parametrize(
    "text", ["の削除・インストールについて", "p20-40:p15-25 10/02/2012 16:24 Page 12", "The key is on the shelf."]
)
def test_fonts_without_a_map_are_legible_where_their_codes_are_letters(text: str) -> None:
    assert not is_illegible(text, unmapped=len(text))
    assert is_illegible("Ķ<Ǎ蒭鍍伴俘u勢渡袱糫Đǿ", unmapped=16)

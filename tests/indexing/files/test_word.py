"""Word documents: kinds and namespaces, numbers, symbols, equations, hidden text, merged cells, comments, charts."""

from __future__ import annotations

import io
import zipfile

import pytest

from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.numerals_of_lists import formatted
from indexing.files.word import read_docx
from tests.indexing.files.conftest import archive
from tests.indexing.files.office_files import DECLARED, OFFICE, SPACES, WORD, package, paragraph, relations, run, word

WORDS = "Boats longer than 14 metres must anchor at pier 7."


def read(data: bytes) -> FileText:
    assert kind_of(data, "a.bin") == "docx"
    (text,) = read_docx(data, FileLimits())
    return text


@pytest.mark.parametrize(
    "type",
    [
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
    ],
)
def test_macros_and_templates(type: str) -> None:
    assert read(word(paragraph(run(WORDS)), type=type)).text == WORDS


def test_a_document_without_properties_gets_none() -> None:
    assert dict(read(word(paragraph(run(WORDS)))).meta) == {"file_type": "docx"}


def test_the_main_part_has_any_name_and_relations_may_lead_nowhere() -> None:
    body = f"<w:document {DECLARED}><w:body>{paragraph(run(WORDS))}</w:body></w:document>"
    links = relations({"rId1": "image NULL", "rId2": "hyperlink #_Toc1", "rId3": "styles styles9.xml"})
    parts = {"word/document2.xml": body, "word/_rels/document2.xml.rels": links}
    assert read(package("word/document2.xml", WORD, parts)).text == WORDS
    backslashes = {name.replace("/", "\\"): text for name, text in parts.items()}
    assert read(package("word/document2.xml", WORD, backslashes)).text == WORDS


def test_strict_namespaces() -> None:
    with zipfile.ZipFile(io.BytesIO(word(paragraph(run(WORDS))))) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    for uri in SPACES.values():
        new = uri.replace("schemas.openxmlformats.org", "purl.oclc.org/ooxml").replace("/2006/", "/")
        if "openxmlformats" in uri:
            parts = {name: data.replace(uri.encode(), new.encode()) for name, data in parts.items()}
    assert b"purl.oclc.org/ooxml/wordprocessingml/main" in parts["word/document.xml"]
    assert OFFICE.encode() not in parts["_rels/.rels"]
    assert read(archive(parts)).text == WORDS


NUMBERING = f"""<w:numbering {DECLARED}><w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="§ %1"/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%1.%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="upperRoman"/>
<w:lvlText w:val="%1."/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
</w:numbering>"""


def listed(text: str, level: int, number: int = 1) -> str:
    return paragraph(run(text), f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def test_automatic_numbers_are_text() -> None:
    body = "".join(
        [listed("Scope", 0), listed("North", 1), listed("South", 1), listed("End", 0), listed("All", 1), listed("dot", 2)]
    )
    body += listed("Annex", 0, 2) + paragraph(run("By style"), '<w:pStyle w:val="Numbered"/>')
    styles = f"""<w:styles {DECLARED}><w:style w:styleId="Base"><w:pPr><w:numPr><w:numId w:val="2"/></w:numPr></w:pPr>
        </w:style><w:style w:styleId="Numbered"><w:basedOn w:val="Base"/></w:style></w:styles>"""
    parts = {"word/numbering.xml": NUMBERING, "word/styles.xml": styles}
    text = read(word(body, parts, {"rId1": "numbering numbering.xml", "rId2": "styles styles.xml"})).text
    expected = ["§ 1 Scope", "(1.a) North", "(1.b) South", "§ 2 End", "(2.a) All", "dot", "III. Annex", "IV. By style"]
    assert [line for line in text.split("\n") if line] == expected


def test_symbols_equations_and_raised_digits() -> None:
    symbols = '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r><w:r><w:sym w:font="Symbol" w:char="F0B3"/></w:r>'
    raised = run(" 5 mm, 10") + run("6", '<w:vertAlign w:val="superscript"/>') + run(" CO")
    lowered = run("2", '<w:vertAlign w:val="subscript"/>')
    math = "<m:oMath><m:r><m:t>A=π</m:t></m:r><m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r>"
    fraction = "<m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath>"
    body = paragraph(run("Open ") + symbols + raised + lowered + run(", ") + math + "</m:sup></m:sSup>" + fraction)
    assert read(word(body)).text == "Open ☒≥ 5 mm, 10⁶ CO2, A=πr²(a+b)/2"


def test_hidden_and_struck_text_is_left_out_and_counted() -> None:
    styles = f'<w:styles {DECLARED}><w:style w:styleId="Secret"><w:rPr><w:vanish/></w:rPr></w:style></w:styles>'
    body = paragraph(
        run("Price ")
        + run("99", "<w:strike/>")
        + run("10")
        + run(" (pay 99)", "<w:vanish/>")
        + run(" secret", '<w:rStyle w:val="Secret"/>')
        + run(" shown", '<w:rStyle w:val="Secret"/><w:vanish w:val="0"/>')
    )
    text = read(word(body, {"word/styles.xml": styles}, {"rId1": "styles styles.xml"}))
    assert text.text == "Price 10 shown"
    assert text.notes == ("16 characters of hidden text not read", "2 characters of struck-out text not read")
    data = word(body, {"word/styles.xml": styles}, {"rId1": "styles styles.xml"})
    (whole,) = read_docx(data, FileLimits(hidden_text=True))
    assert whole.text == "Price 9910 (pay 99) secret shown"
    assert whole.notes == ("16 characters of hidden text read", "2 characters of struck-out text read")


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(run(text) if text else '')}</w:tc>"


def test_merged_cells_are_repeated() -> None:
    first = cell("North", '<w:vMerge w:val="restart"/>') + cell("Ostby") + cell("12")
    second = cell("", "<w:vMerge/>") + cell("both", '<w:gridSpan w:val="2"/>')
    body = f"<w:tbl><w:tr>{first}</w:tr><w:tr>{second}</w:tr></w:tbl>"
    assert read(word(body)).text == "North\tOstby\t12\nNorth\tboth\tboth"


def test_notes_comments_headers_forms_and_inserted_files() -> None:
    box = '<w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData></w:fldChar>'
    drop = (
        '<w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:result w:val="1"/><w:listEntry w:val="Red"/>'
        '<w:listEntry w:val="Blue"/></w:ddList></w:ffData></w:fldChar>'
    )
    body = paragraph(f"<w:r>{box}</w:r>" + run(" yes, ") + f"<w:r>{drop}</w:r>") + '<w:altChunk r:id="rId4"/>'
    head = f"<w:hdr {DECLARED}>{paragraph(run('Port authority'))}{paragraph(run('7'))}</w:hdr>"
    comment = f'<w:comments {DECLARED}><w:comment w:author="Ada">{paragraph(run("Check this."))}</w:comment></w:comments>'
    parts = {
        "word/header1.xml": head,
        "word/header2.xml": head,
        "word/comments.xml": comment,
        "word/chunk.html": "<p>From <b>HTML</b></p>",
    }
    links = {
        "rId1": "header header1.xml",
        "rId2": "header header2.xml",
        "rId3": "comments comments.xml",
        "rId4": "aFChunk chunk.html",
    }
    assert read(word(body, parts, links)).text == "☒ yes, Blue\n\nFrom HTML\n\nComment (Ada): Check this.\n\nPort authority"


CHART = f"""<c:chartSpace {DECLARED}><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Depths</a:t></a:r></a:p></c:rich></c:tx>
</c:title><c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>2023</c:v></c:pt></c:strCache>
</c:strRef></c:tx><c:cat><c:strRef><c:strCache><c:pt idx="0"><c:v>Ostby</c:v></c:pt><c:pt idx="1"><c:v>Velm</c:v></c:pt>
</c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache><c:pt idx="0"><c:v>12</c:v></c:pt><c:pt idx="1"><c:v>9.5</c:v>
</c:pt></c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>"""
DIAGRAM = f"<dgm:dataModel {DECLARED}><dgm:ptLst><dgm:pt><dgm:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t></dgm:pt>"
DIAGRAM += "<dgm:pt><dgm:t><a:p><a:r><a:t>Build</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>"


def test_charts_diagrams_and_text_boxes() -> None:
    drawing = '<w:r><w:drawing><a:graphic><c:chart r:id="rId1"/></a:graphic></w:drawing></w:r>'
    smart = '<w:r><w:drawing><dgm:relIds r:dm="rId2"/></w:drawing></w:r>'
    box = f"<w:txbxContent>{paragraph(run('In a box'))}</w:txbxContent>"
    both = f"<mc:Choice><wps:txbx>{box}</wps:txbx></mc:Choice><mc:Fallback><v:textbox>{box}</v:textbox></mc:Fallback>"
    old = f"<mc:Choice/><mc:Fallback><v:textbox>{box.replace('In a', 'Old')}</v:textbox></mc:Fallback>"
    shapes = f"<w:r><mc:AlternateContent>{both}</mc:AlternateContent><mc:AlternateContent>{old}</mc:AlternateContent></w:r>"
    parts = {"word/charts/chart1.xml": CHART, "word/diagrams/data1.xml": DIAGRAM}
    links = {"rId1": "chart charts/chart1.xml", "rId2": "diagramData diagrams/data1.xml"}
    body = paragraph(run("Before") + drawing + smart) + paragraph(shapes)
    expected = "Before\n\nDepths\nOstby\t2023: 12\nVelm\t2023: 9.5\n\nPlan\nBuild\n\nIn a box\n\nOld box"
    assert read(word(body, parts, links)).text == expected


def test_damaged_xml_keeps_what_stands_before() -> None:
    parts = {"word/document.xml": f"<w:document {DECLARED}><w:body>{paragraph(run(WORDS))}<w:p><w:r></w:body>"}
    text = read(package("word/document.xml", WORD, parts))
    assert text.text == WORDS and "text after the fault can be missing" in text.notes[0]


def test_a_damaged_part_costs_no_other() -> None:
    data = bytearray(
        word(paragraph(run(WORDS)), {"word/styles.xml": f"<w:styles {DECLARED}/>"}, {"rId1": "styles styles.xml"})
    )
    at = data.rindex(b"word/styles.xml") - 46 + 16
    data[at : at + 4] = b"\0\0\0\0"
    text = read(bytes(data))
    assert text.text == WORDS and text.notes == ("damaged part not read: styles.xml",)


@pytest.mark.parametrize("number", ["²", "", "-1", "9" * 5_000])
def test_an_attribute_that_is_no_number_costs_no_text(number: str) -> None:
    field = (
        f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:default w:val="{number}"/>'
        '<w:listEntry w:val="north"/></w:ddList></w:ffData></w:fldChar></w:r>'
    )
    heading = f'<w:p><w:pPr><w:outlineLvl w:val="{number}"/></w:pPr>{run(WORDS)}{field}</w:p>'
    cell = f'<w:tc><w:tcPr><w:gridSpan w:val="{number}"/></w:tcPr>{paragraph(run("7"))}</w:tc>'
    text = read(word(heading + f"<w:tbl><w:tr>{cell}{cell}</w:tr></w:tbl>"))
    assert text.text.removesuffix("\n\n7\t7").removesuffix("north") == WORDS and text.headings == ()


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("hebrew1", {4: "ד", 15: "טו", 16: "טז", 121: "קכא"}),
        ("koreanCounting", {1: "일", 11: "십일", 23: "이십삼"}),
        ("chineseLegalSimplified", {3: "叁", 12: "壹拾贰", 105: "壹佰零伍", 1005: "壹仟零伍"}),
        ("ideographTraditional", {1: "甲", 10: "癸"}),
        ("ideographZodiac", {1: "子", 12: "亥"}),
        ("ideographEnclosedCircle", {2: "㊁", 11: "11"}),
        ("decimalEnclosedParen", {3: "⑶"}),
        ("decimalEnclosedCircle", {20: "⑳", 21: "21"}),
        ("arabicAbjad", {3: "ج"}),
        ("iroha", {2: "ロ"}),
        ("numberInDash", {5: "- 5 -"}),
        ("upperLetter", {27: "AA"}),
    ],
)
def test_numbers_of_lists_in_other_scripts(form: str, numbers: dict[int, str]) -> None:
    assert {number: formatted(number, form) for number in numbers} == numbers


def test_lists_of_boxes_and_levels_that_a_list_changes() -> None:
    levels = "".join(
        f'<w:abstractNum w:abstractNumId="{at}"><w:lvl w:ilvl="0"><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/>'
        f"{font}</w:lvl></w:abstractNum>"
        for at, (form, text, font) in enumerate(
            [
                ("bullet", "☐", ""),
                ("bullet", "\uf0fe", '<w:rPr><w:rFonts w:ascii="Wingdings"/></w:rPr>'),
                ("bullet", "\uf0b7", '<w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr>'),
                ("decimal", "%1.", ""),
            ]
        )
    )
    numbers = "".join(f'<w:num w:numId="{at + 1}"><w:abstractNumId w:val="{at}"/></w:num>' for at in range(4))
    numbers += '<w:num w:numId="5"><w:abstractNumId w:val="3"/><w:lvlOverride w:ilvl="0"><w:lvl w:ilvl="0"><w:numFmt'
    numbers += ' w:val="upperRoman"/><w:lvlText w:val="Art. %1"/></w:lvl></w:lvlOverride></w:num>'
    parts = {"word/numbering.xml": f"<w:numbering {DECLARED}>{levels}{numbers}</w:numbering>"}
    body = "".join(listed(f"Item {number}", 0, number) for number in range(1, 6))
    text = read(word(body, parts, {"rId1": "numbering numbering.xml"})).text
    assert text.split("\n") == ["☐ Item 1", "☒ Item 2", "Item 3", "1. Item 4", "Art. II Item 5"]


def test_a_drop_cap_and_a_deleted_end_of_a_paragraph_break_no_word() -> None:
    body = paragraph(run("O"), "<w:framePr w:dropCap='drop'/>") + paragraph(run("nce a pier"))
    body += paragraph(run("was bro"), "<w:rPr><w:del/></w:rPr>") + paragraph(run("ken.")) + paragraph(run("End"))
    body += paragraph(run("Last"), "<w:rPr><w:del/></w:rPr>")
    assert read(word(body)).text == "Once a pier\n\nwas broken.\n\nEnd\n\nLast"
    table = f"<w:tbl><w:tr><w:tc>{paragraph(run('cell'))}</w:tc></w:tr></w:tbl>"
    body = paragraph(run("Before."), "<w:rPr><w:del/></w:rPr>") + table + paragraph(run("Behind."))
    assert read(word(body)).text == "Before.\n\ncell\n\nBehind.", "a table does not change places with it"


def test_digits_that_are_moved_up_are_raised() -> None:
    body = run("10") + run("5", '<w:position w:val="8"/>') + run(" H") + run("2", '<w:position w:val="-6"/>')
    assert read(word(paragraph(body + run(" 7") + run("8", '<w:position w:val="1"/>')))).text == "10⁵ H2 78"

"""PowerPoint: kinds, equations, charts, merged cells, comments and hidden slides."""

from __future__ import annotations

import pytest

from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.slides import read_pptx
from tests.indexing.files.office_files import DECLARED, relations, shape, slides
from tests.indexing.files.test_word import CHART

TYPES = "application/vnd.openxmlformats-officedocument.presentationml"


def read(data: bytes) -> FileText:
    assert kind_of(data, "a.bin") == "pptx"
    (text,) = read_pptx(data, FileLimits())
    return text


@pytest.mark.parametrize(
    "type",
    [
        f"{TYPES}.slideshow.main+xml",
        f"{TYPES}.template.main+xml",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
    ],
)
def test_shows_templates_and_macros(type: str) -> None:
    text = read(slides(shape("<a:r><a:t>Boats anchor.</a:t></a:r>"), type=type))
    assert text.text == "Boats anchor." and dict(text.meta) == {"file_type": "pptx"}


def test_equations_raised_digits_and_struck_text() -> None:
    math = "<a14:m xmlns:a14='http://schemas.microsoft.com/office/drawing/2010/main'><m:oMath><m:r><m:t>Q=42</m:t></m:r>"
    runs = "<a:r><a:t>It is 10</a:t></a:r><a:r><a:rPr baseline='30000'/><a:t>6</a:t></a:r><a:br/>"
    runs += f"<a:r><a:rPr strike='sngStrike'/><a:t>no</a:t></a:r>{math}</m:oMath></a14:m>"
    choice = f"<mc:AlternateContent><mc:Choice>{shape(runs)}</mc:Choice><mc:Fallback>{shape('')}</mc:Fallback>"
    text = read(slides(f"{choice}</mc:AlternateContent>"))
    assert text.text == "It is 10⁶\nQ=42" and text.notes == ("2 characters of struck-out text not read",)


def test_hidden_shapes_and_struck_text_are_counted_and_can_be_read() -> None:
    hidden = (
        '<p:sp><p:nvSpPr><p:cNvPr hidden="1"/></p:nvSpPr><p:txBody><a:p><a:r><a:t>secret</a:t></a:r></a:p></p:txBody></p:sp>'
    )
    struck = shape("<a:r><a:rPr strike='dblStrike'/><a:t>99</a:t></a:r><a:r><a:rPr strike='noStrike'/><a:t>10</a:t></a:r>")
    data = slides(shape("<a:r><a:t>Price</a:t></a:r>", "title") + struck + hidden)
    text = read(data)
    assert text.text == "Price\n\n10"
    assert text.notes == ("6 characters of hidden text not read", "2 characters of struck-out text not read")
    (whole,) = read_pptx(data, FileLimits(hidden_text=True))
    assert whole.text == "Price\n\n9910\n\nsecret"
    assert whole.notes == ("6 characters of hidden text read", "2 characters of struck-out text read")


def test_charts_merged_cells_comments_and_numbers_of_slides() -> None:
    def cell(text: str, more: str = "") -> str:
        return f"<a:tc {more}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

    down, on = 'rowSpan="2"', 'vMerge="1"'
    rows = f"<a:tr>{cell('North', down)}{cell('Ostby')}</a:tr><a:tr>{cell('', on)}{cell('Velm')}</a:tr>"
    table = f"<p:graphicFrame><a:tbl>{rows}</a:tbl></p:graphicFrame>"
    chart = '<p:graphicFrame><a:graphic><c:chart r:id="rId1"/></a:graphic></p:graphicFrame>'
    tree = shape("<a:r><a:t>Harbour</a:t></a:r>", "title") + table + chart + shape("<a:fld><a:t>3</a:t></a:fld>", "sldNum")
    comments = f'<p:cmLst {DECLARED}><p:cm authorId="0"><p:text>Check this.</p:text></p:cm></p:cmLst>'
    parts = {"ppt/charts/chart1.xml": CHART, "ppt/comments/comment1.xml": comments}
    data = slides(tree, parts, {"rId1": "chart ../charts/chart1.xml", "rId2": "comments ../comments/comment1.xml"})
    text = read(data)
    assert text.text == (
        "Harbour\n\nNorth\tOstby\nNorth\tVelm\n\nDepths\nOstby\t2023: 12\nVelm\t2023: 9.5\n\nComment: Check this."
    )
    assert text.headings == ((0, 7, 1),) and text.pages == (0,)


def numbered(words: str, kind: str = "arabicPeriod", level: int = 0, start: str = "") -> str:
    at = f" startAt='{start}'" if start else ""
    return f"<a:pPr lvl='{level}'><a:buAutoNum type='{kind}'{at}/></a:pPr><a:r><a:t>{words}</a:t></a:r></a:p><a:p>"


def test_automatic_numbers_are_text() -> None:
    text = (
        numbered("Open") + numbered("twist", "alphaLcParenR", 1) + numbered("pull", "alphaLcParenR", 1) + numbered("Close")
    )
    text += "<a:r><a:t>Pause</a:t></a:r></a:p><a:p>" + numbered("Again") + numbered("Third", "romanUcParenBoth", 0, "3")
    text += numbered("") + numbered("Fourth", "romanUcParenBoth", 0, "3") + numbered("四", "ea1JpnChsDbPeriod", 1, "4")
    assert read(slides(shape(text))).text.split("\n") == [
        "1. Open", "a) twist", "b) pull", "2. Close", "Pause", "1. Again", "(III) Third", "(IV) Fourth", "4. 四",
    ]  # fmt: skip


def test_footers_and_texts_of_the_master_are_read_once() -> None:
    run = "<a:r><a:t>{}</a:t></a:r>".format
    layout = f"<p:sldLayout {DECLARED}><p:cSld><p:spTree>{shape(run('Port of Ostby'))}{shape(run('Click here'), 'body')}"
    master = f"<p:sldMaster {DECLARED}><p:cSld><p:spTree>{shape(run('Internal'))}{shape(run('7'))}"
    parts = {
        "ppt/slideLayouts/layout1.xml": f"{layout}</p:spTree></p:cSld></p:sldLayout>",
        "ppt/slideLayouts/_rels/layout1.xml.rels": relations({"rId1": "slideMaster ../slideMasters/master1.xml"}),
        "ppt/slideMasters/master1.xml": f"{master}</p:spTree></p:cSld></p:sldMaster>",
    }
    tree = shape(run("Words")) + shape(run("Report 2023"), "ftr") + shape(run("3"), "sldNum")
    text = read(slides(tree, parts, {"rId1": "slideLayout ../slideLayouts/layout1.xml"})).text
    assert text.split("\n\n") == ["Words", "Report 2023", "Port of Ostby", "Internal"]


def test_a_hidden_group_is_left_out_and_counted() -> None:
    hidden = "<p:nvGrpSpPr><p:cNvPr id='2' name='g' hidden='1'/></p:nvGrpSpPr>"
    tree = f"<p:grpSp>{hidden}{shape('<a:r><a:t>secret</a:t></a:r>')}</p:grpSp>" + shape("<a:r><a:t>Words</a:t></a:r>")
    text = read(slides(tree))
    assert text.text == "Words" and text.notes == ("6 characters of hidden text not read",)

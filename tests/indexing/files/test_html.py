"""HTML as people see it: lines, tables, form values, equations, raised digits, ruby, XHTML."""

from __future__ import annotations

import pytest

from indexing.files.file_text import FileLimits
from indexing.files.html import read_html


def shown(page: str) -> str:
    (text,) = read_html(page.encode(), FileLimits())
    return text.text


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<pre>\nFrom: <a>alice</a>\nTo: <b>bob</b>\n\nThe end.\n</pre>", "From: alice\nTo: bob\n\nThe end."),
        ("<pre>a\n<i>  b</i>\n</pre>c", "a\n  b\n\nc"),
        ("<div style='white-space: pre-wrap'>l1\nl2</div>", "l1\nl2"),
        ("<p>x\ny<br>z", "x y\nz"),
    ],
)
def test_lines(page: str, expected: str) -> None:
    assert shown(page) == expected


def test_hidden_and_struck_text_is_counted_and_can_be_read() -> None:
    page = (
        b"<p>Price <s>99</s> <span style='text-decoration: line-through red'>98</span> 10 <del>each</del></p>"
        b"<p hidden>secret<script>code()</script></p><div style='display:none'>draft</div><div aria-hidden=true>icon</div>"
    )
    (text,) = read_html(page, FileLimits())
    assert text.text == "Price 10"
    assert text.notes == ("11 characters of hidden text not read", "8 characters of struck-out text not read")
    (whole,) = read_html(page, FileLimits(hidden_text=True))
    assert whole.text == "Price 99 98 10 each\n\nsecret\n\ndraft"
    assert whole.notes == ("11 characters of hidden text read", "8 characters of struck-out text read")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("4 × 10<sup>6</sup> m<sup>3</sup>", "4 × 10⁶ m³"),
        ("30<sup>5</sup> percent", "30⁵ percent"),
        ("10<sup>−3</sup> 2<sup>n+1</sup>", "10⁻³ 2ⁿ⁺¹"),
        ("30<sup><a href='#fn5'>5</a></sup> percent", "30[5] percent"),
        ("deep<sup class='reference'><a href='x'>[7]</a></sup>.", "deep[7]."),
        ("the 1<sup>st</sup> of CO<sub>2</sub>, 101<sub>2</sub>", "the 1st of CO2, 101₂"),
    ],
)
def test_raised_digits_stand_apart_from_numbers(page: str, expected: str) -> None:
    assert shown(page) == expected


MATH = "<math><semantics><mrow><mi>E</mi><mo>=</mo><mn>42</mn></mrow><annotation>E=42</annotation></semantics></math>"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (f"It is {MATH} joules.", "It is E=42 joules."),
        (f"<span>{MATH}</span><span aria-hidden='true'>E=42</span>", "E=42"),
        (f"<span class='mwe-math-mathml-a11y' style='display:none'>{MATH}</span><img aria-hidden='true' alt='E'>", "E=42"),
        ("<math><mfrac><mn>1</mn><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></mfrac></math>", "1/(a+b)"),
        ("<math><msqrt><mi>x</mi></msqrt><mo>≤</mo><mroot><mi>y</mi><mn>3</mn></mroot></math>", "√x≤∛y"),
        ("<math><msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup></math>", "x₁²"),
        (
            "<math><mtable><mtr><mtd>1</mtd><mtd>2</mtd></mtr><mtr><mtd>3</mtd><mtd>4</mtd></mtr></mtable></math>",
            "1, 2; 3, 4",
        ),
    ],
)
def test_equations_are_text(page: str, expected: str) -> None:
    assert shown(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "<table><tr><td rowspan=2>North<td>Ostby<td>12<tr><td>Velm<td>9</table>",
            "North\tOstby\t12\nNorth\tVelm\t9",
        ),
        ("<table><tr><td>a<td>b<td rowspan=2>n<tr><td>c<td>d</table>", "a\tb\tn\nc\td\tn"),
        ("<table><tr><th colspan=2>Sales<th>Q<tr><td>1<td>2<td>3</table>", "Sales\tSales\tQ\n1\t2\t3"),
        ("<table><tr><td colspan=3>Title<tr><td>1<td>2<td>3</table>", "Title\n1\t2\t3"),
        ("<table><tr><td>a<td><td>c<tr><td><td>x<td>y</table>z", "a\t\tc\n\tx\ty\n\nz"),
        ("<table><tr><td><p>a<p>b</td><td><p>c</td></tr></table>", "a b\tc"),
        ("<table><tr><td>menu<td><table><tr><td>a<td>b</table></table>", "menu\n\na\tb"),
    ],
)
def test_tables_keep_their_columns(page: str, expected: str) -> None:
    assert shown(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h2><button>How long?</button></h2><p>36 months.", "How long?\n\n36 months."),
        ("<form>Name <input value='Ada'><button>Send</button></form>", "Name Ada"),
        ("<input type=hidden value=no><select><option>Red<option selected>Blue</select>", "Blue"),
        ("<textarea>a\nb</textarea>", "a\nb"),
        ("<p>Gauge: <img alt='17 bar'> ok", "Gauge: 17 bar ok"),
        ("<svg><title>no</title><text>Pump P-101</text></svg>", "Pump P-101"),
        ("<blockquote>Go.<footer>M. Tarn</footer></blockquote><footer>no</footer>", "Go.\n\nM. Tarn"),
        ("<ruby>倉<rt>そう</rt>庫<rt>こ</rt></ruby>の鍵", "倉庫（そうこ）の鍵"),
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>", "漢字(かんじ)"),
    ],
)
def test_what_is_shown_is_read(page: str, expected: str) -> None:
    assert shown(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<head><title/><script src='a'/></head><body><p>Boats.</p></body>", "Boats."),
        (
            "<body><p>Before.<textarea/></p><p>Boats <i/>anchor.</p><iframe/><p>After.</p></body>",
            "Before.\n\nBoats anchor.\n\nAfter.",
        ),
        ("<body><p><![CDATA[a < b]]></p></body>", "a < b"),
    ],
)
def test_xhtml(page: str, expected: str) -> None:
    assert shown(f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">{page}</html>') == expected
    prefixed = page.replace("</", "</h:").replace("<", "<h:").replace("<h:/h:", "</h:").replace("<h:!", "<!")
    if "CDATA" not in page:
        assert shown(f'<?xml version="1.0"?><h:html xmlns:h="http://www.w3.org/1999/xhtml">{prefixed}</h:html>') == expected


def test_what_a_main_part_leaves_out_is_said() -> None:
    page = f"<p>{'side ' * 200}</p><main>{'bridge ' * 200}</main>"
    (text,) = read_html(page.encode(), FileLimits())
    assert "side" not in text.text and text.notes == ("1,001 characters outside the main part of the page not read",)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<ol><li>Open.<li><p>Close.</p><p>Lock.</p></ol>", "1. Open.\n\n2. Close.\n\nLock."),
        ("<ol start=3 type=a><li>x<li>y<ul><li>z</ul></ol>", "c. x\nd. y\n\nz"),
        ("<ol reversed><li>p<li>q</ol>", "2. p\n1. q"),
        (
            "<ol><li>a<ol style='list-style: upper-roman'><li>b</ol><li value=7>c<li>d</ol>",
            "1. a\n\nI. b\n\n7. c\n8. d",
        ),
        ("<ol style='list-style: none'><li>menu</ol><ul><li>u</ul><ol><li><li>s</ol>", "menu\n\nu\n\n2. s"),
        ("<ol style='list-style-type: hebrew'><li value=15>h</ol>", "טו. h"),
    ],
)
def test_items_of_ordered_lists_have_their_numbers(page: str, expected: str) -> None:
    assert shown(page) == expected


def test_boxes_show_whether_they_are_ticked() -> None:
    page = "<ul><li><input type=checkbox checked disabled> Paid<li><input type=radio>Sent</ul>"
    page += "<input type=checkbox role=switch>"
    assert shown(page) == "☒ Paid\n☐ Sent"


def test_a_closed_dialog_is_not_shown() -> None:
    assert shown("<dialog>Cookies?</dialog><p>Words</p><dialog open>Now</dialog>") == "Words\n\nNow"


def test_the_title_of_a_drawing_is_none_of_the_page() -> None:
    (text,) = read_html(b"<body><svg><g><title>Menu</title></g></svg><p>Words</p>", FileLimits())
    assert "title" not in text.meta


def test_marks_of_notes_in_e_books_stand_apart() -> None:
    page = (
        "<p>It is deep<a epub:type='noteref' href='#n'>1</a>, and long<sup><a role='doc-noteref' href='b#n'>2</a></sup>.</p>"
    )
    assert shown(page) == "It is deep[1], and long[2]."

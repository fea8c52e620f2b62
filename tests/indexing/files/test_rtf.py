"""RTF as word processors show it, and the compressed RTF of Outlook."""

from __future__ import annotations

import pytest

from indexing.files.file_text import FileLimits, FileText
from indexing.files.formats import contents
from indexing.files.rtf import decompressed_rtf
from tests.indexing.files.conftest import SCRIPTS


def rtf(text: str) -> bytes:
    """RTF in which every character beyond ASCII is \\u, as Word writes it."""
    units = text.encode("utf-16-le")
    codes = [int.from_bytes(units[at : at + 2], "little", signed=True) for at in range(0, len(units), 2)]
    return ("{\\rtf1\\ansi " + "".join(f"\\u{code}?" if not 0 < code < 128 else chr(code) for code in codes) + "}").encode()


@pytest.mark.parametrize("script", SCRIPTS)
def test_rtf_keeps_every_script(script: str) -> None:
    assert contents(rtf(SCRIPTS[script]), "rtf", FileLimits()).texts[0].text == SCRIPTS[script]


def test_rtf_encodings_tables_and_pictures() -> None:
    russian = "".join(f"\\'{byte:02x}" for byte in "Мост".encode("cp1251"))
    head = "{\\rtf1\\ansi\\ansicpg1251{\\fonttbl{\\f0 Arial;}}{\\info{\\title Piers}}"
    data = head + f"\\b {russian}\\b0\\par Next\\par"
    data += "\\trowd a\\cell b\\cell\\row{\\pict\\pngblip 89504e47}}"
    text = contents(data.encode(), "rtf", FileLimits()).texts[0]
    assert [line for line in text.text.split("\n") if line.strip()][:2] == ["Мост", "Next"]
    assert "a" in text.text and "89504e47" not in text.text
    assert text.meta["title"] == "Piers" and text.notes == ("1 embedded image not read",)


FONTS = (
    "{\\fonttbl{\\f0\\fcharset0 Arial;}{\\f1\\fcharset204 Arial Cyr{\\*\\falt Arial};}{\\f2\\fcharset128 MS Mincho;}"
    "{\\f3\\fcharset2 Symbol;}{\\f4\\fcharset178 Arabic;}}{\\stylesheet{\\s1\\outlinelevel0 heading 1;}}"
)


def rtf_of(body: str, limits: FileLimits | None = None) -> FileText:
    """What is read of a body, after fonts of several scripts."""
    data = ("{\\rtf1\\ansi\\ansicpg1252\\deff0" + FONTS + body + "}").encode()
    return contents(data, "rtf", limits or FileLimits()).texts[0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"\f1 \'ca\'eb\'fe\'f7 {\f0 key}", "Ключ key"),
        (r"\f2 \'8c\'ae\'82\'cd\'8eO\'8aK", "鍵は三階"),
        (r"\loch\af0\hich\af0\dbch\f2 \'8c\'ae", "鍵"),
        (r"\rtlch\af4 \'c7\'e1\'cc\'d3\'d1\ltrch\f0  A", "الجسر A"),
        (r"{\f3\'b3} 5 mm, {\f3 a}", "≥ 5 mm, α"),
        (r"\uc2\u28023\'8a\'43\uc1\u-10179?\u-8704?", "海😀"),
        (r"10{\super 5} m{\super 2} and x{\sub 2}", "10⁵ m² and x2"),
        (r"{\upr{?}{\*\ud{\u945?}}}{\xe index}{\*\unknown x}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "αlink"),
        (r"{\*\ffdata\fftype1\ffres25\ffdefres1}yes {\*\ffdata\fftype1\ffres0}no", "☒yes ☐no"),
        (r"{\*\ffdata\fftype2\ffres1{\*\ffl red}{\*\ffl blue}}", "blue"),
        (r"{\mmath{\*\moMath{\mr E=mc}}{\mmathPict{\pict 00}}}", "E=mc"),
        (r"{\deleted old}{\revised new}\bin3 {{{ end", "new end"),
        ("caf\\'e9\\~5\\_7 soft\\-ware\0", "café\u00a05-7 software"),
    ],
)
def test_rtf_words_are_what_a_word_processor_shows(body: str, text: str) -> None:
    assert rtf_of(body).text == text


def test_rtf_notes_comments_boxes_and_edges_of_pages_are_read() -> None:
    body = r"{\header Report of the port}{\footerl Report of the port}{\footer 3}"
    body += r"\pard Depth{\super\chftn}{\footnote\pard {\super\chftn}"
    body += r" At low tide.} is 12 m.\par{\*\atnid A}{\*\atnauthor Ada}{\*\annotation\pard Checked.}"
    body += r"{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt\pard Box.\par}}{\shprslt Box again}}Last\par"
    text = rtf_of(body).text
    assert text.split("\n\n") == [
        "Depth is 12 m.",
        "Box.",
        "Last",
        "At low tide.",
        "Comment (Ada): Checked.",
        "Report of the port",
    ]


def test_rtf_hidden_and_struck_out_text_is_left_out_and_counted() -> None:
    body = r"Price {\strike 500 }400{\v  secret}{\v0  EUR}"
    found = rtf_of(body)
    assert found.text == "Price 400 EUR"
    assert found.notes == ("7 characters of hidden text not read", "4 characters of struck-out text not read")
    assert rtf_of(body, FileLimits(hidden_text=True)).text == "Price 500 400 secret EUR"


def test_rtf_headings_lists_tables_and_objects() -> None:
    body = r"{\info{\title Tiefe\'fc}{\author \u1040?\u1076?\u1072?}}\pard\s1 Piers{\footnote\pard Old.}\par\pard"
    body += r"{\listtext\pard 1.\tab}First\par{\listtext 2.\tab}Second\par{\pntext\f3\'b7\tab}Third\par"
    body += (
        r"\trowd\pard\intbl Name\cell Long\par words\cell\row\trowd\intbl\cell in {\pard\intbl\itap2 a\nestcell b\nestcell"
    )
    body += r"{\*\nesttableprops\nestrow}{\nonesttables\par no}}\cell\row\pard After {\object{\*\objdata 01}{\result R}}\par"
    found = rtf_of(body)
    assert found.text == "Piers\n\n1. First\n2. Second\nThird\n\nName\tLong words\n\tin a b\n\nAfter R\n\nOld."
    assert found.headings == ((0, 5, 1),) and found.notes == ("1 embedded object not read",)
    assert found.meta["title"] == "Tiefeü" and found.meta["author"] == "Ада"


def test_rtf_that_ends_too_early_keeps_what_is_there() -> None:
    assert rtf_of(r"\trowd\intbl a\cell b").text.split() == ["a", "b"]
    assert rtf_of(r"}}} x {\b{\i y").text == "x y"


def test_compressed_rtf_of_outlook() -> None:
    sample = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0".replace(
            " ", ""
        )
    )
    assert decompressed_rtf(sample) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"

"""Small Office files written part by part, as other programs than python-docx write them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.indexing.files.conftest import archive

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACES = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "p": "http://schemas.openxmlformats.org/presentationml/2006/main",
    "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
    "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
    "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
    "xdr": "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing",
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
    "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
    "v": "urn:schemas-microsoft-com:vml",
    "r": OFFICE,
}
DECLARED = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items())
TYPES = "application/vnd.openxmlformats-officedocument"
WORD = f"{TYPES}.wordprocessingml.document.main+xml"
SHOW = f"{TYPES}.presentationml.presentation.main+xml"
BOOK = f"{TYPES}.spreadsheetml.sheet.main+xml"


def relations(targets: Mapping[str, str]) -> str:
    """Relationships by id: "kind target"."""
    rows = []
    for name, value in targets.items():
        kind, target = value.split(" ")
        rows.append(f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"/>')
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{"".join(rows)}</Relationships>'


def package(main: str, content_type: str, parts: Mapping[str, str]) -> bytes:
    """An Office file with these parts; `main` names the main one."""
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Override PartName="/{main}" ContentType="{content_type}"/></Types>'
    )
    root = {"[Content_Types].xml": types, "_rels/.rels": relations({"rId1": f"officeDocument {main}"})}
    return archive({name: text.encode() for name, text in {**root, **parts}.items()})


def word(
    body: str, parts: Mapping[str, str] | None = None, links: Mapping[str, str] | None = None, type: str = WORD
) -> bytes:
    """A Word document of this body; parts by name, and the relationships of the document."""
    document = f"<w:document {DECLARED}><w:body>{body}</w:body></w:document>"
    return package(
        "word/document.xml",
        type,
        {"word/document.xml": document, "word/_rels/document.xml.rels": relations(links or {}), **(parts or {})},
    )


def paragraph(runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{runs}</w:p>"


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def slides(
    tree: str, parts: Mapping[str, str] | None = None, links: Mapping[str, str] | None = None, type: str = SHOW
) -> bytes:
    """A presentation of one slide with this shape tree."""
    show = f'<p:presentation {DECLARED}><p:sldIdLst><p:sldId id="256" r:id="rId7"/></p:sldIdLst></p:presentation>'
    return package(
        "ppt/presentation.xml",
        type,
        {
            "ppt/presentation.xml": show,
            "ppt/_rels/presentation.xml.rels": relations({"rId7": "slide slides/slide1.xml"}),
            "ppt/slides/slide1.xml": f"<p:sld {DECLARED}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>",
            "ppt/slides/_rels/slide1.xml.rels": relations(links or {}),
            **(parts or {}),
        },
    )


def shape(text: str, placeholder: str = "") -> str:
    mark = f'<p:nvSpPr><p:nvPr><p:ph type="{placeholder}"/></p:nvPr></p:nvSpPr>' if placeholder else ""
    return f"<p:sp>{mark}<p:txBody><a:p>{text}</a:p></p:txBody></p:sp>"


def book(
    rows: str,
    parts: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    *,
    before: str = "",
    after: str = "",
    formats: tuple[str, ...] = (),
    state: str = "visible",
    type: str = BOOK,
) -> bytes:
    """A workbook of one sheet with these rows; formats are those of the cell styles 1, 2, …"""
    s = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    codes = "".join(f'<numFmt numFmtId="{200 + at}" formatCode="{code}"/>' for at, code in enumerate(formats))
    styles = "".join(f'<xf numFmtId="{200 + at}"/>' for at in range(len(formats)))
    return package(
        "xl/workbook.xml",
        type,
        {
            "xl/workbook.xml": f'<workbook {s} xmlns:r="{OFFICE}"><sheets>'
            f'<sheet name="Depths" sheetId="1" state="{state}" r:id="rId1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relations(
                {"rId1": "worksheet worksheets/sheet1.xml", "rId2": "styles styles.xml"}
            ),
            "xl/styles.xml": f'<styleSheet {s}><numFmts>{codes}</numFmts><fills><fill/></fills><cellXfs><xf numFmtId="0"/>'
            f"{styles}</cellXfs></styleSheet>",
            "xl/worksheets/sheet1.xml": f"<worksheet {s}>{before}<sheetData>{rows}</sheetData>{after}</worksheet>",
            "xl/worksheets/_rels/sheet1.xml.rels": relations(links or {}),
            **(parts or {}),
        },
    )


def row(*cells: str | float | tuple[float, int], at: int = 0) -> str:
    """A row: texts, numbers, and numbers with a style."""
    made = []
    for cell in cells:
        if isinstance(cell, tuple):
            made.append(f'<c s="{cell[1]}"><v>{cell[0]}</v></c>')
        elif isinstance(cell, str):
            made.append(f'<c t="inlineStr"><is><t>{cell}</t></is></c>')
        else:
            made.append(f"<c><v>{cell}</v></c>")
    place = f' r="{at}"' if at else ""
    return f"<row{place}>{''.join(made)}</row>"

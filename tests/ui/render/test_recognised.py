"""Text that was recognised from a picture says so: on cards, in the document's head, in CSV and citations."""

from __future__ import annotations

import csv
import io

from msgspec.structs import replace

from tests.ui.replies import answer, reply
from ui.client.schemas import Document
from ui.components.answer_cards import answer_html, passage_html, where
from ui.components.document_view import recognised_text
from ui.render.export import citations, table

OWN = answer("1912", "bridge")
READ = replace(
    answer("1731", "scan"),
    recognised=True,
    passage=replace(answer("1731", "scan").passage, recognised=True),  # type: ignore[type-var]
)


def test_cards_say_so() -> None:
    assert READ.passage is not None and OWN.passage is not None
    for shown in (where(READ), answer_html(READ, "", ""), passage_html(READ.passage)):
        assert shown.count("recognised text</abbr>") == 1
    for shown in (where(OWN), answer_html(OWN, "", ""), passage_html(OWN.passage)):
        assert "recognised" not in shown


def test_exports_say_so() -> None:
    rows = list(csv.DictReader(io.StringIO(table(reply(OWN, READ), lambda *_: "link").decode("utf-8-sig"))))
    assert [(row["text"], row["recognised"]) for row in rows if row["kind"] == "answer"] == [("1912", ""), ("1731", "yes")]
    assert [row["recognised"] for row in rows if row["kind"] == "passage"] == ["", "yes"]
    lines = citations(reply(OWN, READ), {}, lambda *_: "link").splitlines()
    (first,) = [line for line in lines if "1912" in line]
    (second,) = [line for line in lines if "1731" in line]
    assert second.endswith("recognised text.") and "recognised" not in first


def document(**meta: object) -> Document:
    pages = (0, 5, 9)
    return Document("id", "scan.pdf", "en", "h", pages, (), meta, "text", 0, 4, 4, len(pages))


def test_the_head_of_a_document_says_which_pages() -> None:
    marks = {"recognised": True, "recognised_pages": "1–2", "recognition_confidence": 0.874}
    assert recognised_text(document(**marks)) == ["recognised text on pages 1–2, mean confidence 87%"]
    assert recognised_text(document(**{**marks, "recognised_pages": "2"})) == [
        "recognised text on page 2, mean confidence 87%"
    ]
    assert recognised_text(document(title="A text")) == []
    # Fields of somebody's records that have these names.
    assert recognised_text(document(recognised=True, recognised_pages=3)) == []
    assert "<" not in recognised_text(document(recognised=True, recognised_pages="<b>"))[0]

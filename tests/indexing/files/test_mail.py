"""Mails: the body by its structure, headers in their encodings, attachments and forwarded mails as documents."""

from __future__ import annotations

import base64
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from indexing.errors import UnreadableFile
from indexing.files.calendars import calendar_text
from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.mail import read_mail
from indexing.files.mail_headers import decode_words
from indexing.files.walk import FileReader
from tests.indexing.files.binary_mail import signed
from tests.indexing.files.conftest import archive, put
from tests.pdfs import make_pdf

HEAD = b"From: Ada <ada@example.org>\nTo: bo@example.org\nSubject: Pier\nMIME-Version: 1.0\n"


def body(mail: bytes) -> str:
    """What follows the headers of a mail with these headers."""
    text = read_mail(mail, FileLimits()).texts[0].text
    head = "Pier\n\nFrom: Ada <ada@example.org>\nTo: bo@example.org"
    assert text.startswith(head)
    return text[len(head) :].strip()


def multi(kind: str, *parts: tuple[str, str]) -> bytes:
    """A part of several parts: (headers, text) each."""
    pieces = "".join(f"--q\nContent-Type: {head}\n\n{text}\n" for head, text in parts)
    return f"Content-Type: multipart/{kind}; boundary=q\n\n{pieces}--q--\n".encode()


LONG = "The invoice 4711 amounts to 1,250 euros and is due on 3 June. " * 4


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (multi("alternative", ("text/plain", "Plain words."), ("text/html", "<p>Plain words.")), "Plain words."),
        (multi("alternative", ("text/plain", ""), ("text/html", "<p>Words.")), "Words."),
        (multi("alternative", ("text/plain", "See it."), ("text/html", f"<p>{LONG}")), LONG.strip()),
        (multi("alternative", ("text/plain", "This message is in HTML."), ("text/html", "<p>Due 3 June")), "Due 3 June"),
        (
            multi("mixed", ("text/html", "<p>It moved to room 214."), ("text/plain", "Confidential.")),
            "It moved to room 214.\n\nConfidential.",
        ),
        (multi("related", ("text/html", "<p>Words."), ("image/png; name=a.png", "x")), "Words."),
        (multi("signed", ("text/plain", "Words."), ("application/pgp-signature", "x")), "Words."),
        (
            multi(
                "alternative",
                ("text/plain", "Please come."),
                (
                    "text/calendar",
                    "BEGIN:VEVENT\nSUMMARY:Kick\n off\nLOCATION:Room 12\nDTSTART:20240503T090000Z\nEND:VEVENT",
                ),
            ),
            "Please come.\n\nSummary: Kickoff\nLocation: Room 12\nStart: 2024-05-03 09:00 UTC",
        ),
    ],
)
def test_the_structure_decides(mail: bytes, expected: str) -> None:
    assert body(HEAD + mail) == expected


@pytest.mark.parametrize(
    ("charset", "text"),
    [("gb2312", "關於鎔基倉庫"), ("iso-2022-jp", "倉庫の鍵について"), ("ks_c_5601-1987", "똠방각하"), ("utf-8", "Größe 👍")],
)
def test_headers_in_their_encodings(charset: str, text: str) -> None:
    codec = {"gb2312": "gb18030", "ks_c_5601-1987": "cp949"}.get(charset, charset)
    whole = base64.b64encode(text.encode(codec)).decode()
    assert decode_words(f"=?{charset}?B?{whole}?=") == text
    data = text.encode(codec)
    if charset != "iso-2022-jp":  # A character that two encoded words share, as many programs write it.
        first, second = (base64.b64encode(piece).decode() for piece in (data[:3], data[3:]))
        assert decode_words(f"Re: =?{charset}?B?{first}?=\n =?{charset}?B?{second}?= x") == f"Re: {text} x"


@pytest.mark.parametrize("before", [b"\n\n", b"\xef\xbb\xbf", b"From ada@example.org Mon Jan  2 10:00:00 2023\n", b""])
def test_what_stands_before_the_headers(before: bytes) -> None:
    assert body(before + HEAD + b"\nThe key is here.\n") == "The key is here."


@pytest.mark.parametrize("name", ["1096234.M1P2.host,S=512_2,S", "42", "mail", "1:2,FS"])
def test_a_mail_of_any_name(name: str) -> None:
    assert kind_of(HEAD + b"\nwords", name) == "eml"
    assert kind_of(b"Name: Ada\nTown: Ostby\nSubject: depth\n", name) == "txt"


def test_facets_and_threads() -> None:
    extra = b"Message-ID: <3@x>\nIn-Reply-To: <2@x>\nReferences: <1@x> <2@x>\nDate: Tue, 02 May 2023 10:00:00 +0900\n"
    meta = dict(read_mail(HEAD + extra + b"\nwords", FileLimits()).texts[0].meta)
    expected = {"from": "Ada <ada@example.org>", "to": "bo@example.org", "subject": "Pier", "title": "Pier"}
    expected |= {"date": "2023-05-02", "message_id": "3@x", "in_reply_to": "2@x", "thread": "1@x", "file_type": "eml"}
    assert meta == expected


def forwarding() -> EmailMessage:
    inner = EmailMessage()
    inner["Subject"], inner["From"] = "Depths", "Cy <cy@example.org>"
    inner.set_content("The pier is 12 metres deep.")
    inner.add_attachment(b"City,Depth\nOstby,12\n", maintype="text", subtype="csv", filename="depths.csv")
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Fwd", "Ada <ada@example.org>"
    mail.set_content("See below.")
    mail.add_attachment(
        make_pdf([[(50, 700, 12, "Boats anchor at pier 7.")]]), maintype="application", subtype="pdf", filename="Größe.pdf"
    )
    mail.add_attachment(
        make_pdf([[(50, 700, 12, "Another report.")]]), maintype="application", subtype="pdf", filename="Größe.pdf"
    )
    mail.add_attachment(b"\x7fELF" + bytes(90), maintype="application", subtype="octet-stream", filename="run")
    mail.add_attachment(archive({"in/notes.txt": b"Packed words."}), maintype="application", subtype="zip", filename="a.zip")
    mail.add_attachment(inner)
    return mail


def test_attachments_are_documents_of_their_own(reader: FileReader, tmp_path: Path) -> None:
    texts, _ = reader.read(put(tmp_path, "box/mail.eml", forwarding().as_bytes()))
    found = {text.member: text for text in texts}
    assert list(found) == [
        "",
        "Größe.pdf",
        "Größe (2).pdf",
        "a.zip/in/notes.txt",
        "Depths.eml",
        "Depths.eml/depths.csv",
    ]
    assert found[""].text == "Fwd\n\nFrom: Ada <ada@example.org>\n\nSee below." and "parent" not in found[""].meta
    assert found[""].notes == ("1 file in it not read: run (a program (ELF))",)
    assert found["Größe.pdf"].text == "Boats anchor at pier 7." and found["Größe.pdf"].meta["file_type"] == "pdf"
    assert found["a.zip/in/notes.txt"].meta["parent"] == "box/mail.eml/a.zip"
    assert found["Depths.eml"].text.endswith("The pier is 12 metres deep.")
    assert found["Depths.eml/depths.csv"].text == "City: Ostby\tDepth: 12"
    assert found["Depths.eml/depths.csv"].meta["parent"] == "box/mail.eml/Depths.eml"


def test_a_bad_attachment_costs_no_other(reader: FileReader, tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["Subject"] = mail["From"] = "x"
    for name, data in (("bad.pdf", b"%PDF-1.7\n1 0 obj <<"), ("good.txt", b"Good words."), ("none.txt", b"")):
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    texts, _ = reader.read(put(tmp_path, "mail.eml", mail.as_bytes()))
    assert [text.member for text in texts] == ["", "good.txt"]
    assert texts[0].notes[0].startswith("2 files in it not read: bad.pdf (damaged, or not a PDF")
    assert texts[0].notes[0].endswith("none.txt (empty (0 bytes))")


def nested(depth: int) -> bytes:
    data = b"Deep words."
    name = "a.txt"
    for level in range(depth):
        data, name = archive({name: data}), f"{level}.zip"
    return data


def test_nesting_is_bounded(reader: FileReader, tmp_path: Path) -> None:
    def texts(depth: int) -> list[FileText]:
        return reader.read(put(tmp_path, f"{depth}.zip", nested(depth)))[0]

    assert [text.member for text in texts(5)] == ["3.zip/2.zip/1.zip/0.zip/a.txt"]
    with pytest.raises(Exception, match="nested more than 5 deep"):
        texts(6)


def test_hidden_and_struck_text_of_a_body_is_counted(reader: FileReader, tmp_path: Path) -> None:
    html = b"<p style='display:none'>Only today!</p><p>It costs <s>99</s> 10.</p>"
    mail = b"From: a@x.org\nTo: b@x.org\nSubject: Price\nContent-Type: text/html\n\n" + html
    ((text,), _) = reader.read(put(tmp_path, "a.eml", mail))
    assert text.text.endswith("It costs 10.")
    assert text.notes == ("11 characters of hidden text not read", "2 characters of struck-out text not read")


def test_encrypted_mail_is_named(reader: FileReader, tmp_path: Path) -> None:
    data = HEAD + b'Content-Type: application/pkcs7-mime; name="smime.p7m"\nContent-Transfer-Encoding: base64\n\nAAAA\n'
    (text,), _ = reader.read(put(tmp_path, "a.eml", data))
    assert text.notes == ("1 file in it not read: smime.p7m (encrypted or signed as a whole: its program is needed)",)


def test_a_value_of_a_calendar_keeps_what_only_unicode_takes_for_line_ends() -> None:
    event = "BEGIN:VEVENT\r\nSUMMARY:Pier\u2028two\x85closed\r\nLOCATION:Ostby\r\nEND:VEVENT\r\n"
    assert calendar_text(event) == "Summary: Pier\u2028two\x85closed\nLocation: Ostby"


FLOWED = b"Content-Type: text/plain; charset=utf-8; format=flowed"


@pytest.mark.parametrize(
    ("head", "text", "expected"),
    [
        ("", "The pier \nis deep.\n  A list\n", "The pier is deep.\n A list"),
        ("; delsp=yes", "\u5009 \n\u5eab \nis", "\u5009\u5eabis"),
        ("", "> Who \n> says \n>> it?\n-- \nAda \n", "> Who says \n>> it?\n-- \nAda"),
        ("", "End \r\nof it.\r\n\r\nNext", "End of it.\n\nNext"),
    ],
)
def test_flowed_lines_are_joined(head: str, text: str, expected: str) -> None:
    assert body(HEAD + FLOWED + head.encode() + b"\n\n" + text.encode()) == expected


def test_lines_that_do_not_flow_stay() -> None:
    assert body(HEAD + b"\nThe pier \nis deep.\n") == "The pier \nis deep."


def test_enriched_text_is_read_without_its_commands() -> None:
    mail = (
        HEAD + b"Content-Type: text/enriched\n\n<color><param>red</param>Due</color> on\n<bold>3 June</bold>.\n\n\nAda <<a"
    )
    assert body(mail) == "Due on 3 June.\n\nAda <a"


def test_uuencoded_files_in_a_body_are_attachments() -> None:
    mail = (
        HEAD + b"\nSee the file.\n\nbegin 644 depth.txt\n-5&AE(&1E<'1H(#$R;0``\n`\nend\n\nAda\n\nbegin 644 steps\nno file\n"
    )
    found = read_mail(mail, FileLimits())
    assert [(member.name, member.data) for member in found.members] == [("depth.txt", b"The depth 12m")]
    assert found.texts[0].text.split("\n\n", 2)[2].split() == "See the file. Ada begin 644 steps no file".split()


def test_calendars_of_version_1_are_quoted_printable() -> None:
    text = "BEGIN:VEVENT\nSUMMARY;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Gr=C3=BC=\n=C3=9Fe\nDURATION:PT1H\nEND:VEVENT"
    assert calendar_text(text) == "Summary: Grüße\nDuration: PT1H"


def test_contacts_are_lines(reader: FileReader, tmp_path: Path) -> None:
    cards = (
        "BEGIN:VCARD\nVERSION:2.1\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=BCrgen M=C3=BC=\n=C3=9Fler\n"
        "TEL;CELL:+47 123\nitem1.ADR;TYPE=home:;;Pier 1;Ostby;;1234;NO\nNOTE:Tall\\, kind\nBDAY:19800203\n"
        "PHOTO;ENCODING=BASE64:/9j/4AAQ\n SkZJRg==\n\nEND:VCARD\nBEGIN:VCARD\nN:山田;太郎;;;\nEND:VCARD\n"
        "BEGIN:VCARD\nN:Lund;Ada;M.;Dr.;\nEMAIL;TYPE=INTERNET,WORK:ada@x.org\nEND:VCARD\n"
    )
    texts, _ = reader.read(put(tmp_path, "cards.vcf", cards.encode()))
    assert texts[0].text == (
        "Name: Jürgen Müßler\nPhone (cell): +47 123\nAddress (home): Pier 1, Ostby, 1234, NO\nBirthday: 1980-02-03\n"
        "Note: Tall, kind\n\nName: 山田太郎\n\nName: Dr. Ada M. Lund\nE-mail (work): ada@x.org"
    )
    assert texts[0].notes == ("1 embedded image not read",) and kind_of(cards.encode(), "x") == "vcf"


@pytest.mark.parametrize("name", [" Quoted-Printable ", "quoted-printable; charset=utf-8", '"quoted-printable"'])
def test_a_transfer_encoding_with_faults_is_known(name: str) -> None:
    mail = HEAD + f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding:{name}\n\n".encode()
    assert body(mail + b"Gr=C3=BC=C3=9Fe =\nan=3D") == "Grüße an="


def test_the_status_of_a_delivery_is_text() -> None:
    status = "Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; bo@x.org\nAction: failed\nStatus: 5.1.1"
    mail = HEAD + multi("report", ("text/plain", "Not sent."), ("message/delivery-status", status))
    assert body(mail) == f"Not sent.\n\n{status}"
    words = "This message was not sent:\n\nno such user"
    assert body(HEAD + multi("report", ("message/delivery-status", f"\n{words}"))) == words


def test_a_mail_saved_as_utf_16() -> None:
    mail = HEAD.decode() + "Content-Type: text/plain; charset=utf-16\n\nGrüße 倉庫"
    assert body(mail.encode("utf-16")) == "Grüße 倉庫"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", [2, 3])
def test_a_mail_that_is_signed_as_a_whole_is_read(kind: int, known: bool) -> None:
    data = signed(b"Content-Type: text/plain; charset=utf-8\n\n" + f"Grüße. {LONG}".encode(), kind, known)
    mail = HEAD + b"Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n"
    found = read_mail(mail + base64.b64encode(data), FileLimits())
    assert ("Grüße. The invoice" in found.texts[0].text) == (kind == 2) == all(not member.reason for member in found.members)


@pytest.mark.parametrize("encode", [bytes, base64.encodebytes])
def test_signed_files_are_read(reader: FileReader, tmp_path: Path, encode: Callable[[bytes], bytes]) -> None:
    data = signed("Posten;Betrag\nBögen;12\n".encode())
    texts, _ = reader.read(put(tmp_path, "invoice.csv.p7m", encode(data)))
    assert [(text.member, text.text) for text in texts] == [("invoice.csv", "Posten: Bögen\tBetrag: 12")]
    mail = HEAD + b"Content-Type: application/pkcs7-mime; name=invoice.csv.p7m\nContent-Transfer-Encoding: base64\n\n"
    texts, _ = reader.read(put(tmp_path, "a.eml", mail + base64.b64encode(data)))
    assert texts[-1].member == "invoice.csv"


def test_an_encrypted_file_is_named(reader: FileReader, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="encrypted"):
        reader.read(put(tmp_path, "a.p7m", signed(b"x", 3)))

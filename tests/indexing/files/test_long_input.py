"""Long input that never ends what it began: the time grows with its length. By its square, each would take hours."""

from __future__ import annotations

from indexing.files.calendars import properties
from indexing.files.mail_text import enriched_text, without_files
from indexing.files.rtf import rtf_text


def test_files_in_a_mail_that_begin_and_do_not_end() -> None:
    text = "begin 644 a.txt\nxx\n" * 200_000
    assert without_files(text) == (text, [])


def test_parameters_of_enriched_text_that_do_not_end() -> None:
    assert enriched_text("<param>x" * 200_000) == "x" * 200_000


def test_a_value_on_many_lines() -> None:
    ((name, _, value),) = properties("NOTE;ENCODING=QUOTED-PRINTABLE:" + "=C3=A4=\n" * 500_000 + "end")
    assert name == "NOTE" and value == "ä" * 500_000 + "end"


def test_a_paragraph_of_single_characters() -> None:
    assert rtf_text(b"{\\rtf1\\ansi " + b"\\u27211?" * 500_000 + b"\\line end\\par}") == "橋" * 500_000 + "\nend"

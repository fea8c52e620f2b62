"""Remarks on members of a container: one line for each kind, none lost."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from indexing.build import build_index
from indexing.files.remarks import MOST_KINDS, Remarks
from tests.known import WordEmbedder


def test_remarks_of_one_kind_are_one_line() -> None:
    found = Remarks()
    for number in range(1, 1_001):
        found.add(f"{number}.eml", f"1 file in it not read: image{number:03}.png (damaged)")
    found.add("1001.eml", "encrypted")
    assert found.told() == (
        "1.eml: 1 file in it not read: image001.png (damaged) (and 999 more like this)",
        "1001.eml: encrypted",
    )


def test_remarks_go_on_from_those_that_were_told() -> None:
    notes = [f"kind {chr(97 + n % 13)}" if n % 3 else "7 characters of hidden text not read" for n in range(60)]
    once, before = Remarks(), Remarks()
    for number, note in enumerate(notes):
        once.add(f"{number}.eml", note)
        if number < 30:
            before.add(f"{number}.eml", note)
    resumed = Remarks(before.told(), re.compile(r"\d+\.eml: "))
    for number, note in enumerate(notes[30:], 30):
        resumed.add(f"{number}.eml", note)
    assert resumed.told() == once.told() and "140 characters of hidden text not read" in once.told()


def test_behind_many_kinds_remarks_are_counted() -> None:
    found = Remarks()
    for number in range(MOST_KINDS + 7):
        found.add("", f"kind {'x' * number}")
    assert len(found.told()) == MOST_KINDS + 1 and found.told()[-1] == "7 more remarks"


def test_members_of_an_archive_are_named_in_its_remarks(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(40):
            archive.writestr(f"page{number}.html", f"<p>The harbour opened in 18{number:02}.</p><p hidden>twelve words</p>")
            archive.writestr(f"bad{number}.png", b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "in" / "all.zip").write_bytes(out.getvalue())
    (file,) = build_index(tmp_path / "in", tmp_path / "index", embedder=WordEmbedder()).files  # type: ignore[arg-type]
    assert file.notes[0] == "480 characters of hidden text not read" and len(file.notes) == 2
    assert file.notes[1].startswith("40 files in it not read: bad0.png (")

"""Encodings of text files: told apart in many scripts, and named in the meta."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing.files.charset import decode
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import SCRIPTS, only, put


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_encodings(script: str, encoding: str) -> None:
    text = SCRIPTS[script]
    found = decode(text.encode(encoding))
    assert found is not None and found.text == text and not found.notes


OLD = [
    ("latin-1", "Le pont a été ouvert en 1912 près de la rivière, où l'été brûle."),
    ("cp1252", "The café’s façade cost £5 – “quite” a naïve résumé."),
    ("cp1252", "Der Berg liegt auf der Insel. Überall schöne Häuser und Straßen."),
    ("cp1252", "BMW fährt über die Brücke."),
    ("cp1254", "Köprü bin dokuz yüz on iki yılında açıldı; şehirde ığdır ağaçları vardır."),
    ("cp1250", "Most został otwarty w tysiąc dziewięćset dwunastym roku. Jest bardzo długi."),
    ("cp1251", "Мост был открыт в 1912 году рядом с рекой. Он очень длинный."),
    ("koi8-r", "Мост был открыт в 1912 году рядом с рекой. Он очень длинный."),
    ("cp866", "Мост был открыт в 1912 году рядом с рекой. Он очень длинный."),
    ("cp1253", "Η γέφυρα άνοιξε το 1912 κοντά στο ποτάμι. Είναι πολύ μεγάλη."),
    ("cp1255", "הגשר נפתח בשנת 1912 ליד הנהר. הוא ארוך מאוד."),
    ("cp1256", "افتتح الجسر عام 1912 بالقرب من النهر. إنه طويل جدا."),
    ("tis-620", "สะพานเปิดในปี 1912 ใกล้แม่น้ำ มันยาวมาก"),
    ("gb18030", "这座桥于1912年在河边开通。它很长，造价很高。人们每天从桥上走过。"),
    ("big5", "這座橋於1912年在河邊開通。它很長，造價很高。人們每天從橋上走過。"),
    ("shift_jis", "この橋は1912年に川の近くで開通しました。とても長くて、高い。"),
    ("euc-jp", "この橋は1912年に川の近くで開通しました。とても長くて、高い。"),
    ("euc-kr", "이 다리는 1912년에 강 근처에서 개통되었습니다. 매우 길다."),
]


@pytest.mark.parametrize(("encoding", "text"), OLD)
@pytest.mark.parametrize("length", [30, 1_000])
def test_old_encodings_are_told_apart(encoding: str, text: str, length: int) -> None:
    data = text[:length].encode(encoding)
    found = decode(data)
    assert found is not None and found.text == text[:length], found


def test_the_encoding_is_in_the_meta(reader: FileReader, tmp_path: Path) -> None:
    data = ("Мост открыт в 1912 году.\r\n" * 9_000).encode("koi8-r")
    text = only(reader.read(put(tmp_path, "a.txt", data)))
    assert text.meta == {"file_type": "txt", "encoding": "koi8-r"} and text.text.endswith("году.\r\n")


def test_a_few_bad_bytes_are_replaced_and_told(reader: FileReader, tmp_path: Path) -> None:
    data = ("Η γέφυρα άνοιξε. " * 20).encode() + b"\xff"
    text = only(reader.read(put(tmp_path, "a.txt", data)))
    assert text.text.endswith("\ufffd") and text.notes == ("bytes that are not utf-8 were replaced by U+FFFD: 1",)


def test_mojibake_is_suspected(reader: FileReader, tmp_path: Path) -> None:
    wrong = "La météo de l’été était très belle à Genève".encode().decode("cp1252", "replace")
    assert "mojibake" in only(reader.read(put(tmp_path, "a.txt", wrong.encode()))).notes[0]

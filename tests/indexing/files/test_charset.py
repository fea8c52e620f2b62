"""Encodings of text files: recognised in many scripts, and named in the meta."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing.files.charset import decode, decode_declared
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import SCRIPTS, only, put
from tests.indexing.files.office_files import word


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
def test_old_encodings_are_recognised(encoding: str, text: str, length: int) -> None:
    data = text[:length].encode(encoding)
    found = decode(data)
    assert found is not None and found.text == text[:length], found


def test_the_encoding_is_in_the_meta(reader: FileReader, tmp_path: Path) -> None:
    data = ("Мост открыт в 1912 году.\r\n" * 9_000).encode("koi8-r")
    text = only(reader.read(put(tmp_path, "a.txt", data)))
    assert text.meta == {"file_type": "txt", "encoding": "koi8-r"} and text.text.endswith("году.\r\n")


def test_a_few_bad_bytes_are_replaced_and_reported(reader: FileReader, tmp_path: Path) -> None:
    data = ("Η γέφυρα άνοιξε. " * 20).encode() + b"\xff"
    text = only(reader.read(put(tmp_path, "a.txt", data)))
    assert text.text.endswith("\ufffd") and text.notes == ("bytes that are not utf-8 were replaced by U+FFFD: 1",)


def test_mojibake_is_suspected(reader: FileReader, tmp_path: Path) -> None:
    wrong = "La météo de l’été était très belle à Genève".encode().decode("cp1252", "replace")
    assert "mojibake" in only(reader.read(put(tmp_path, "a.txt", wrong.encode()))).notes[0]


SHIFTED = "".join(chr(ord(letter) - 29) if letter.isalpha() else letter for letter in "thebridgeopenedyesterdaymorning" * 9)
ILLEGIBLE = ("text is not legible (no words of any language)",)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", SHIFTED.encode()),
        ("a.md", ("# Bridge\n\n" + "xkcd bqrt zzpf wqmn " * 300).encode()),
        ("a.html", f"<html><body><p>{'xkcd bqrt zzpf wqmn ' * 20}</p></body></html>".encode()),
        ("a.docx", word(f"<w:p><w:r><w:t>{'xkcd bqrt zzpf wqmn ' * 20}</w:t></w:r></w:p>")),
        ("a.eml", b"From: a@x.org\nTo: b@x.org\nSubject: x\n\n" + b"xkcd bqrt zzpf wqmn " * 20),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_without_words_of_any_language_is_said(reader: FileReader, tmp_path: Path, name: str, data: bytes) -> None:
    assert only(reader.read(put(tmp_path, name, data))).notes == ILLEGIBLE


@pytest.mark.parametrize(
    "text", ["The bridge opened in 1912. " * 9, "Strč prst skrz krk, řekl strážce mostu a odešel. " * 9, "מים " * 40]
)
def test_words_of_a_language_are_not_remarked_on(reader: FileReader, tmp_path: Path, text: str) -> None:
    assert only(reader.read(put(tmp_path, "a.txt", text.encode()))).notes == ()


JAPANESE = "倉庫の鍵は三階の青い棚にあります。"
SEVEN_BIT = [
    ("iso2022_jp", "iso-2022-jp", JAPANESE),
    ("iso2022_jp_2", "iso-2022-jp", "鍵は青い棚。 한국"),
    ("iso2022_jp_ext", "iso-2022-jp", "担当はｻﾄｳです。"),
    ("iso2022_kr", "iso-2022-kr", "창고 열쇠는 삼층 파란 선반에 있습니다.\nKey 12\n"),
    ("hz", "hz", "仓库的钥匙在三楼。 Room 214, 蓝色架子。\n"),
    ("utf-7", "utf-7", "Der Schlüssel hängt im Büro – 1+1 für Gäste."),
    ("utf-7", "utf-7", "Ключ лежит на синей полке, склад закрыт."),
]


@pytest.mark.parametrize(("codec", "name", "text"), SEVEN_BIT)
@pytest.mark.parametrize("declared", [True, False])
def test_seven_bit_encodings_come_before_utf_8(codec: str, name: str, text: str, declared: bool) -> None:
    found = decode(text.encode(codec), codec.replace("_", "-") if declared else "")
    assert found is not None and (found.text, found.encoding) == (text, name)


def test_japanese_mail_of_windows_has_characters_beyond_jis() -> None:
    found = decode(b"\x1b$B-!!!\x1b(B 1. \x1b$B-j\x1b(BABC", "iso-2022-jp")
    assert found is not None and found.text == "①　 1. ㈱ABC"


def test_iso_2022_cn_is_read() -> None:
    shifted = bytes(byte & 0x7F for byte in "仓库的钥匙".encode("gb2312"))
    found = decode(b"\x1b$)A\x0e" + shifted + b"\x0f 214\n")
    assert found is not None and found.text == "仓库的钥匙 214\n"


@pytest.mark.parametrize(
    "text",
    ["a+b=c and C++-code +49-30-1234", "f(x) = x+y- z+abc-", "Escape: \x1b[31mred\x1b[0m", "sed s/~{x}/y~}/", "q+AB-r"],
)
def test_plain_ascii_stays_plain(text: str) -> None:
    found = decode(text.encode())
    assert found is not None and (found.text, found.encoding) == (text, "utf-8")


def test_a_declared_seven_bit_encoding_of_utf_8_bytes_is_not_believed() -> None:
    found = decode(JAPANESE.encode(), "iso-2022-jp")
    assert found is not None and found.text == JAPANESE


CAPITALS = [
    ("cp1251", "ПОСТАНОВЛЕНИЕ ПРАВИТЕЛЬСТВА ОТ 5 МАЯ. СКЛАД ЗАКРЫТ, КЛЮЧ У ДЕЖУРНОГО."),
    ("koi8-r", "ПОСТАНОВЛЕНИЕ ПРАВИТЕЛЬСТВА ОТ 5 МАЯ. СКЛАД ЗАКРЫТ, КЛЮЧ У ДЕЖУРНОГО."),
    ("iso8859_5", "ПОСТАНОВЛЕНИЕ ПРАВИТЕЛЬСТВА ОТ 5 МАЯ. СКЛАД ЗАКРЫТ, КЛЮЧ У ДЕЖУРНОГО."),
    ("cp866", "ПОСТАНОВЛЕНИЕ ПРАВИТЕЛЬСТВА ОТ 5 МАЯ. СКЛАД ЗАКРЫТ, КЛЮЧ У ДЕЖУРНОГО."),
    ("cp1251", "МІСТ БУВ ВІДКРИТИЙ БІЛЯ РІЧКИ, МЕШКАНЦІ МІСТА ЗАДОВОЛЕНІ."),
    ("cp1251", "МОСТЪТ БЕШЕ ОТКРИТ БЛИЗО ДО РЕКАТА, ЖИТЕЛИТЕ СА ДОВОЛНИ."),
    ("cp1253", "ΑΝΑΚΟΙΝΩΣΗ: Η ΑΠΟΘΗΚΗ ΘΑ ΕΙΝΑΙ ΚΛΕΙΣΤΗ ΤΗ ΔΕΥΤΕΡΑ."),
    ("iso8859_7", "Η ΓΈΦΥΡΑ ΆΝΟΙΞΕ ΤΟ 1912 ΚΟΝΤΆ ΣΤΟ ΠΟΤΆΜΙ."),
]


@pytest.mark.parametrize(("encoding", "text"), CAPITALS)
@pytest.mark.parametrize("times", [1, 20])
def test_texts_in_capitals_keep_their_script(encoding: str, text: str, times: int) -> None:
    found = decode((text * times).encode(encoding))
    assert found is not None and found.text == text * times, found


@pytest.mark.parametrize(
    "text", ["日付,摘要,金額\n2023-05-01,ﾌﾘｺﾐ ｶ)ｵｵﾔﾏｼﾖｳｼﾞ,120000\n", "ｶﾌﾞｼｷｶﾞｲｼｬ ｵｵﾔﾏ ﾌﾘｺﾐ 12000", "ﾃﾞﾝｷﾘﾖｳｷﾝ ﾄｳｷﾖｳｶﾞｽ"]
)
def test_half_width_kana_of_banks(text: str) -> None:
    found = decode(text.encode("cp932"))
    assert found is not None and found.text == text, found


@pytest.mark.parametrize(("encoding", "word"), [("cp866", "Длина моста"), ("cp850", "Größe für Gäste")])
def test_boxes_of_dos_texts(encoding: str, word: str) -> None:
    line = "─" * len(word)
    text = f"┌─{line}─┐\n│ {word} │\n└─{line}─┘\n"
    found = decode(text.encode(encoding))
    assert found is not None and found.text == text, found


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Der Schlüssel hängt im Büro für Gäste".encode() + b"\xc3", "Der Schlüssel hängt im Büro für Gäste\ufffd"),
        ("Schlüssel\n".encode() + b"B\xfcro\n", "Schlüssel\nB\ufffdro\n"),
        ("Ключ у дежурного. ".encode() + b"\xff", "Ключ у дежурного. \ufffd"),
        ("倉庫の鍵".encode() + b"\xe3\x81", "倉庫の鍵\ufffd"),
        (b"smile \xed\xa0\xbd\xed\xb8\x80", "smile \U0001f600"),
    ],
)
def test_utf_8_with_a_bad_byte_is_utf_8(data: bytes, text: str) -> None:
    found = decode(data)
    assert found is not None and found.text == text
    assert bool(found.notes) == ("\ufffd" in text)


@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [
        ("x-sjis", "cp932", "鍵"),
        ("Windows-31J", "cp932", "①鍵"),
        ("x-euc-jp", "euc_jp", "鍵"),
        ("iso-8859-8-i", "cp1255", "מפתח"),
        ("iso-8859-6-i", "iso8859_6", "مفتاح"),
        ("windows-874", "cp874", "กุญแจ"),
        ("windows-949", "cp949", "열쇠"),
        ("x-gbk", "gb18030", "钥匙"),
        ("x-x-big5", "big5", "鑰匙"),
        ("x-mac-cyrillic", "mac_cyrillic", "Ключ"),
        ("x-cp1250", "cp1250", "Klíč"),
        ("koi8", "koi8-r", "Ключ"),
        ("dos-866", "cp866", "Ключ"),
    ],
)
def test_names_of_encodings_that_mails_and_pages_declare(name: str, codec: str, text: str) -> None:
    """They decide where a text is too short to know its encoding by its letters."""
    assert decode_declared(text.encode(codec), name) == text

"""Which engine reads a picture, in which language, and how often; with a stand-in for tesseract."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from indexing.errors import SettingError
from indexing.ocr import engines as engines_module
from indexing.ocr.engines import Engines, choose, engines_here, read_picture
from indexing.ocr.languages import LANGUAGES, data_for
from indexing.ocr.page_cache import PageCache, clear_pages
from indexing.ocr.rapid import in_columns, rapid_version
from indexing.ocr.settings import OcrSettings
from indexing.ocr.tesseract import Picture, lines_of_tsv, tesseract_facts
from indexing.ocr.words import Line, PlacedWord, RecognisedPage, SeenWord, page_of_dict, words_of_rows
from tests.scans import FakeTesseract, drawing, no_engine

GERMAN = ["Der Turm wurde im Jahr 1731 von einem Müller gebaut", "und später durch die Gemeinde verkauft."]


def picture() -> Picture:
    return np.asarray(drawing())


def texts(lines: object) -> list[str]:
    return [" ".join(word.text for word in line) for line in lines]  # type: ignore[attr-defined]


def test_the_engines_of_a_machine_are_found_without_importing_them(fake: FakeTesseract) -> None:
    found = engines_here()
    assert found == Engines("", "tesseract 5.0-test", ("ara", "deu", "eng", "osd", "rus")) and found.any


def test_a_machine_without_engines(tmp_path: Path) -> None:
    with no_engine(tmp_path / "empty"):
        assert engines_here() == Engines() and not engines_here().any
    assert not Engines(tesseract="5.3", data=("osd",)).any


def test_the_script_chooses_the_data(fake: FakeTesseract) -> None:
    fake.say({"ara": ["برج الماء"]}, script="Arabic")
    found = read_picture(picture(), engines_here())
    assert texts(found.lines) == ["برج الماء"] and (found.engine, found.script) == ("tesseract ara", "Arabic")


def test_a_first_reading_shows_the_language_and_its_data_reads_again(fake: FakeTesseract) -> None:
    fake.say({"eng": [line.replace("ü", "ii") for line in GERMAN], "deu": GERMAN})
    found = read_picture(picture(), engines_here())
    assert texts(found.lines) == GERMAN and found.engine == "tesseract deu" and found.language == "de"
    assert fake.reads() == ["eng", "deu"]


def test_given_languages_decide_against_the_script_that_is_seen(fake: FakeTesseract) -> None:
    fake.say({"rus": ["Башня"], "eng": ["Bawhr"]})
    assert texts(read_picture(picture(), engines_here(), languages=("ru",)).lines) == ["Башня"]
    assert fake.reads() == ["rus"]
    fake.say({"eng+deu": ["both"]})
    assert texts(read_picture(picture(), engines_here(), languages=("en", "de")).lines) == ["both"]


def test_a_page_is_read_as_the_one_before_it_unless_that_is_doubtful(fake: FakeTesseract) -> None:
    fake.say({"deu": GERMAN, "eng": ["wrong"]})
    found = read_picture(picture(), engines_here(), hint=("Latin", "de"))
    assert texts(found.lines) == GERMAN and len(fake.calls) == 1, "neither script nor language is looked for"
    fake.say({"deu": ["xqz"], "rus": ["Башня"]}, script="Cyrillic", confidence=40)
    found = read_picture(picture(), engines_here(), hint=("Latin", "de"))
    assert texts(found.lines) == ["Башня"] and found.script == "Cyrillic"


def test_a_script_without_data_is_not_read_and_the_reason_says_what_would(fake: FakeTesseract) -> None:
    fake.say({}, script="Thai")
    found = read_picture(picture(), engines_here())
    assert not found.lines and found.reason == "Thai script, for which tesseract's data is missing; install it for tha"
    alone = read_picture(picture(), Engines(rapid="3.10"), languages=("th",))
    assert alone.reason == "Thai script, which tesseract with its data for tha would read"


def test_a_doubtful_reading_gives_way_to_a_better_one_in_a_script_that_looks_alike(fake: FakeTesseract) -> None:
    fake.say({"eng": ["Bawhr"], "rus": ["Башня"]}, script="Latin", confidences={"eng": 59})
    found = read_picture(picture(), engines_here())
    assert texts(found.lines) == ["Башня"] and (found.script, found.engine) == ("Cyrillic", "tesseract rus")
    fake.say({"eng": ["Tower"], "rus": ["Тошег"]}, script="Latin", confidences={"eng": 59, "rus": 50})
    assert texts(read_picture(picture(), engines_here()).lines) == ["Tower"]
    fake.say({"eng": ["Bawhr"], "rus": ["Башня"]}, script="Latin", confidences={"eng": 59})
    assert texts(read_picture(picture(), engines_here(), languages=("en",)).lines) == ["Bawhr"]


def test_too_little_text_for_a_script_is_read_as_latin(fake: FakeTesseract) -> None:
    fake.say({"eng": ["1731"]}, script="")
    assert texts(read_picture(picture(), engines_here()).lines) == ["1731"]


def test_chinese_is_read_by_rapidocr_and_latin_where_its_data_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Engines("3.10", "5.3", ("eng", "chi_sim", "vie"))
    assert choose("Han", "", both) == choose("Japanese", "ja", both) == choose("Latin", "fr", both) == ("rapidocr",)
    assert choose("Latin", "vi", both) == ("tesseract", "vie") and choose("Latin", "en", both) == ("tesseract", "eng")
    assert choose("Han", "", Engines(tesseract="5.3", data=("chi_sim",))) == ("tesseract", "chi_sim")
    assert choose("Cyrillic", "", Engines(rapid="3.10")) == ()
    line = (SeenWord("塔", (0, 0, 9, 9), 0.9),)
    monkeypatch.setattr(engines_module, "rapid_lines", lambda picture: [line])
    assert read_picture(picture(), Engines(rapid="3.10"), languages=("zh",)).lines == [line]


def test_greek_is_read_with_english_beside_it() -> None:
    assert choose("Greek", "el", Engines(tesseract="5.3", data=("ell", "eng"))) == ("tesseract", "ell+eng")


def test_every_language_has_a_script_and_data() -> None:
    for code, (script, names) in LANGUAGES.items():
        assert data_for(script, code, names) == names and len(code) == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "maybe"}, "ocr is 'maybe'; it must be one of auto, off, force."),
        ({"languages": ("xx",)}, "ocr_languages has 'xx'; it takes codes of two letters: en de "),
    ],
)
def test_bad_settings_are_told(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError) as told:
        OcrSettings(**values)  # type: ignore[arg-type]
    assert str(told.value).startswith(message)


# -- what engines give -------------------------------------------------------------------------------------------------


def test_rows_of_a_table_that_are_no_words_are_left_out() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    rows = [
        "1\t1\t0\t0\t0\t0\t0\t0\t500\t500\t-1\t",
        "5\t1\t1\t1\t1\t1\t10\t10\t20\t10\t90\ta",
        "5\t1\t1\t1\t1\t2\t40\t10\t20\t10\t80\t ",
        "5\t1\t1\t1\t2\t1\t10\t30\t20\t10\t-1\tb\tc",
    ]
    first, second = lines_of_tsv("\r\n".join([head, *rows]))
    assert [word.text for word in first] == ["a"]
    assert second == (SeenWord("b\tc", (10, 30, 30, 40), 0.0),)
    assert lines_of_tsv("") == []


def a_line(text: str, left: float, top: float, width: float = 300) -> Line:
    return (SeenWord(text, (left, top, left + width, top + 20), 0.9),)


def test_columns_follow_each_other_and_rows_of_cells_do_not() -> None:
    prose = [a_line(f"l{n}", 0, 30 * n) for n in range(5)] + [a_line(f"r{n}", 350, 30 * n + 7) for n in range(5)]
    title = a_line("title", 0, -60, 650)
    ordered = [line[0].text for line in in_columns([*prose, title])]
    assert ordered == ["title", *(f"l{n}" for n in range(5)), *(f"r{n}" for n in range(5))]
    cells = [a_line(f"{n}{side}", left, 30 * n, 60) for n in range(5) for side, left in (("a", 0), ("b", 350))]
    assert [line[0].text for line in in_columns(cells)] == [f"{n}{side}" for n in range(5) for side in "ab"]
    assert in_columns([]) == []


# -- pages that are kept -----------------------------------------------------------------------------------------------

PAGE = RecognisedPage("Marrow 塔", (PlacedWord(0, 6, (0.1, 0.2, 0.3, 0.4), 0.5),), "tesseract eng", "Latin", "en")


def test_a_page_is_kept_by_content_page_and_engine(tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "p", "one")
    assert cache.get("hash", 1) is None
    cache.put("hash", 1, PAGE)
    assert PageCache(tmp_path / "p", "one").get("hash", 1) == PAGE
    assert PageCache(tmp_path / "p", "two").get("hash", 1) is None and cache.get("hash", 2) is None
    (path,) = (tmp_path / "p" / "hash").iterdir()
    path.write_text("{", encoding="utf-8")
    assert cache.get("hash", 1) is None, "a damaged page is read again"
    assert clear_pages(tmp_path / "p") and not (tmp_path / "p").exists() and clear_pages(tmp_path / "p")


@pytest.mark.parametrize(
    "rows", [[[0, 0, 0, 0, 1, 1, 1]], [[3, 5, 0, 0, 1, 1, 1], [4, 6, 0, 0, 1, 1, 1]], [[0, 99] + [0] * 5]]
)
def test_words_outside_their_text_are_refused(rows: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="not in the text"):
        words_of_rows(rows, 9)
    with pytest.raises(ValueError, match="page"):
        page_of_dict({"text": "x"})


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError):
        words_of_rows([[0, 1, float("nan"), 0, 1, 1, 1]], 5)
    assert PAGE.confidence == 0.5 and RecognisedPage().confidence == 0


# -- the engines themselves --------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_itself_reads_what_is_drawn() -> None:
    tesseract_facts.cache_clear()
    found = read_picture(written("The bridge of Orsund opened in 1912"), Engines("", *tesseract_facts()), languages=("en",))
    assert "1912" in " ".join(texts(found.lines)) and found.engine == "tesseract eng"


@pytest.mark.slow
@pytest.mark.skipif(not rapid_version(), reason="docqa[ocr] is not installed")
def test_rapidocr_itself_reads_what_is_drawn() -> None:
    found = read_picture(written("The bridge of Orsund opened in 1912"), Engines(rapid=rapid_version()))
    assert "1912" in " ".join(texts(found.lines)) and found.engine == "rapidocr"


def written(text: str) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (1300, 160), 255)
    ImageDraw.Draw(image).text((40, 40), text, font=ImageFont.load_default(64), fill=0)
    return np.asarray(image)

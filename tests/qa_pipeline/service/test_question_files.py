"""Files of questions in, files of answers out: every format, every mistake with its row, nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import DocumentMissing, FilterError, SettingError
from qa_pipeline.answers import Answer, NoAnswer, Passage, Reply, Timings, UsedModels
from qa_pipeline.errors import JobCancelled
from qa_pipeline.service.question_files import (
    COLUMNS,
    AnsweredRow,
    BatchQuestion,
    api_link,
    filters_of,
    read_questions,
    run_questions,
    write_answers,
)
from tests.known import SCRIPTS

Reads = Callable[..., list[BatchQuestion]]
CONTRACT = (
    "id corpus question language answer score no_answer no_answer_score source page start end document_id link".split()
)


@pytest.fixture
def reads(tmp_path: Path) -> Reads:
    def read(content: bytes | str, name: str, limit: int = 100, **more: Any) -> list[BatchQuestion]:
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_questions(path, name, limit, **more)

    return read


def workbook(*sheets: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def reply(question: str, text: str = "1912", language: str = "en", answers: int = 1) -> Reply:
    passage = Passage("d1", "reports/bridge.txt", 3, "en", 0, 40, "x", None, None, None, None, 1, 0.0)
    found = Answer(text, 21, 21 + len(text), 0.9, "d1", "reports/bridge.txt", 3, "en", "hash", passage)
    verdict = NoAnswer(0.1 if answers else 0.9, 0.5, not answers)
    timings, models = Timings(0.0, 0.0, 0.0, 0.0), UsedModels("words", "words")
    return Reply(question, language, (found,) * answers, (passage,), verdict, timings, models, 4, 1, "all", "none")


def silent(done: int, total: int, message: str) -> None:
    pass


def written(rows: Sequence[AnsweredRow], kind: str) -> bytes:
    out = io.BytesIO()
    write_answers(rows, kind, out)
    assert not out.closed
    return out.getvalue()


# -- reading: formats --------------------------------------------------------------------------------------------------

TABLE = "id{0}Question{0}corpus{0}filters\n7{0}Wann?{0}north{0}language=de\n\n{0}Who?{0}{0}\n"
EXPECTED = [
    BatchQuestion("Wann?", 2, "7", "north", {"$and": [{"$or": [{"language": {"$eq": "de"}}]}]}),
    BatchQuestion("Who?", 4, "4", "home"),
]


@pytest.mark.parametrize("delimiter", list(",;\t|:"))
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_csv_with_any_delimiter(reads: Reads, delimiter: str, ends: str) -> None:
    text = TABLE.format(delimiter).replace("\n", ends)
    assert reads(text, "Fragen.CSV", corpus="home") == EXPECTED
    assert reads(f"sep={delimiter}{ends}{text}", "f.csv", corpus="home") == [
        replace(EXPECTED[0], row=3),
        replace(EXPECTED[1], row=5, id="5"),
    ]


def test_xlsx_is_read_as_csv_is(reads: Reads) -> None:
    rows: list[list[Any]] = [
        ["id", " QUESTION ", "corpus", "filters"],
        [7.0, "Wann?", "north", "language=de"],
        [],
        [None, "Who?"],
    ]
    assert reads(workbook(rows), "q.xlsx", corpus="home") == EXPECTED
    assert reads(workbook([["notes"], ["not here"]], [], rows), "q.xlsx", corpus="home") == EXPECTED


def test_json_and_json_lines(reads: Reads) -> None:
    first = {"ID": 7, "question": "Wann?", "corpus": "north", "filters": {"language": "de"}}
    for content, name in (
        (json.dumps([first, {"question": "Who?", "filters": None}, "Where?"]), "q.json"),
        (f'{json.dumps(first)}\n{{"question": "Who?"}}\r\n"Where?"\n', "q.jsonl"),
        (f'{json.dumps(first)}\n{{"question": "Who?"}}\n"Where?"\n', "q.json"),
    ):
        found = reads(content, name)
        assert found[0] == BatchQuestion("Wann?", 1, "7", "north", {"language": "de"})
        assert [(asked.question, asked.id) for asked in found[1:]] == [("Who?", "2"), ("Where?", "3")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Wo ist die Brücke über den großen Fluß? Schöne Grüße", "cp1252"),
        ("Когда открылся мост через реку в городе?", "cp1251"),
        ("橋はいつ開通しましたか。町の人々は知っています", "shift_jis"),
        (SCRIPTS["ar"], "utf-8-sig"),
        (SCRIPTS["th"], "utf-16"),
    ],
)
def test_csv_in_any_encoding(reads: Reads, text: str, encoding: str) -> None:
    content = f'question;id\r\n"{text}";1\r\n'.encode(encoding)
    assert [asked.question for asked in reads(content, "q.csv")] == [text]


def test_a_lone_column_is_never_cut(reads: Reads) -> None:
    found = reads('question\nWhen, where; and | why: all?\n"Who, then?"\n', "q.txt")
    assert [asked.question for asked in found] == ["When, where; and | why: all?", "Who, then?"]


def test_line_ends_inside_quotes_stay(reads: Reads) -> None:
    assert reads('question,id\n"one\r\ntwo\x00",1\n', "q.csv")[0].question == "one\r\ntwo"


# -- reading: mistakes -------------------------------------------------------------------------------------------------


def test_every_mistake_is_told_with_its_row(reads: Reads) -> None:
    text = "question,filters\n,no sign\nWho?,nonsense\nFine?,\nWhen, where?,x=1\n" + "y" * 600 + ",\n"
    with pytest.raises(SettingError) as error:
        reads(text, "q.csv")
    told = str(error.value)
    assert "Row 2: The filter 'no sign' is not" in told and "Row 3: The filter 'nonsense' is not" in told
    assert "Row 5: It has more cells than the first row" in told and "Row 6: The question has 600 characters" in told
    assert "Row 4" not in told


def test_a_hundred_mistakes_are_told_in_short(reads: Reads) -> None:
    with pytest.raises(SettingError, match=r"Row 11: .* 90 more rows have mistakes\.$"):
        reads("question,filters\n" + "Who?,x\n" * 100, "q.csv")


def test_empty_questions_are_rows_with_an_error_and_no_mistake(reads: Reads) -> None:
    found = reads("question,id\nWho?,a\n,b\n  ,c\n,\nWhen?,d\n", "q.csv")
    assert [(asked.question, asked.id) for asked in found] == [("Who?", "a"), ("", "b"), ("", "c"), ("When?", "d")]
    asked: list[str] = []

    def ask(question: BatchQuestion) -> Reply:
        asked.append(question.question)
        raise SettingError("not today")

    rows = run_questions(found, ask, lambda done, total, message: None)
    assert asked == ["Who?", "When?"]
    assert [row.error for row in rows] == ["not today", "Row 3 has no question.", "Row 4 has no question.", "not today"]
    with pytest.raises(SettingError, match="holds no question; 2 rows are empty"):
        reads("question,id\n,1\n,2\n", "q.csv")


def test_the_limit(reads: Reads) -> None:
    text = "question\n" + "Who?\n" * 5
    assert len(reads(text, "q.csv", 5)) == 5
    for content, name in (
        (text, "q.csv"),
        ('"Who?"\n' * 5, "q.jsonl"),
        (workbook([["question"], *[["Who?"]] * 5]), "q.xlsx"),
    ):
        with pytest.raises(SettingError, match="more than 4 questions"):
            reads(content, name, 4)


ZIP_OF_NOTHING = b"PK\x05\x06" + bytes(18)
REFUSED = [
    ("", "q.csv", "No column is named `question`"),
    ("frage\nWer?\n", "q.csv", "No column is named `question`"),
    ("question\n\n\n", "q.csv", "holds no question"),
    ("question,Question\na,b\n", "q.csv", "Two columns are named `question`"),
    ("question,filter,filters\na,x=1,y=2\n", "q.csv", "Two columns are named `filters`"),
    (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe\x00\x01" * 9, "q.csv", "is not text"),
    ("question\nWho?\n", "q.pdf", "not from 'q.pdf'"),
    ("question\nWho?\n", "question", "not from 'question'"),
    ("no zip", "q.xlsx", "workbook cannot be read"),
    (ZIP_OF_NOTHING, "q.xlsx", "workbook cannot be read"),
    (workbook([["question"]])[:-40], "q.xlsx", "workbook cannot be read: damaged"),
    (workbook([["Frage"], ["Wer?"]]), "q.xlsx", "No sheet of the workbook has a column"),
    (workbook([]), "q.xlsx", "No sheet of the workbook has a column"),
    ("[", "q.json", "not valid JSON"),
    ("[" * 100_000, "q.json", "not valid JSON"),
    ("[]", "q.json", "holds no question"),
    ('"Who?"\n{"question":\n', "q.jsonl", "Row 2: it is not valid JSON"),
    ('{"question": 5}', "q.json", "Row 1: The question is not a text"),
    ("[1, null]", "q.json", "Row 1: The question is not a text"),
    ("[null, null]", "q.json", "holds no question; 2 rows are empty"),
    ('{"question": "a", "corpus": ["b"]}', "q.json", "Row 1: Its corpus is neither"),
    ('{"question": "a", "filters": []}', "q.json", "Row 1: A filter must be a dictionary"),
    ('{"question": "a", "filters": false}', "q.json", "Row 1: A filter must be a dictionary"),
    ('{"question": "a", "filters": {"$or": 1}}', "q.json", "Row 1: The filter operator"),
    ('{"question": "a", "filters": {"x": NaN}}', "q.json", "Row 1: The filter on 'x'"),
    ('{"question": "\\ud800?"}', "q.jsonl", "Row 1: It holds half of a character"),
]


@pytest.mark.parametrize(("content", "name", "told"), REFUSED, ids=[f"{n}-{t}" for _, n, t in REFUSED])
def test_what_cannot_be_read_is_told_in_a_sentence(reads: Reads, content: bytes | str, name: str, told: str) -> None:
    with pytest.raises(SettingError) as error:
        reads(content, name)
    assert told in str(error.value)


def test_a_workbook_that_unpacks_to_too_much_is_not_opened(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b" " * 30_000_000)
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(SettingError, match="would unpack to more than"):
        reads(bomb.getvalue(), "q.xlsx")
    monkeypatch.setattr("qa_pipeline.service.spreadsheets.UNPACKED_BYTES", 10)
    with pytest.raises(SettingError, match="10 are the most that are read"):
        reads(workbook([["question"], ["Who?"]]), "q.xlsx")


def test_a_row_number_from_nowhere_costs_no_time(reads: Reads) -> None:
    sheet = workbook([["question"], ["Who?"], ["When?"]])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheet)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'r="3"', b'r="3000000000"').replace(b"A3", b"A3000000000"))
    try:
        assert [asked.question for asked in reads(out.getvalue(), "q.xlsx")] == ["Who?"]
    except SettingError as error:
        assert "workbook" in str(error)


@given(st.binary(max_size=300), st.sampled_from(["q.csv", "q.json", "q.jsonl", "q.xlsx"]))
def test_any_bytes_are_questions_or_a_sentence(data: bytes, name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(b"question\n" + data if name == "q.csv" else data)
        try:
            assert all(asked.question for asked in read_questions(path, name, 10))
        except SettingError as error:
            assert str(error)


# -- filters -----------------------------------------------------------------------------------------------------------


def test_filters_in_a_cell() -> None:
    terms = filters_of("language=de; language=fr\n source=reports/*;")
    assert terms == {
        "$and": [
            {"$or": [{"language": {"$eq": "de"}}, {"language": {"$eq": "fr"}}]},
            {"$or": [{"source": {"$path": "reports/*"}}]},
        ]
    }
    assert filters_of(' {"year": {"$gte": 1912}} ') == {"year": {"$gte": 1912}}
    assert filters_of("") is None and filters_of("  ") is None and filters_of(None) is None
    for wrong in ("{nonsense", '{"$bad": 1}', "language", 5, ["language=de"]):
        with pytest.raises(FilterError):
            filters_of(wrong)


# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_row_for_each_question_in_order() -> None:
    asked = [BatchQuestion("When?", 2, "a", "north"), BatchQuestion("Who?", 3, "b", "north")]
    seen: list[tuple[int, int]] = []
    rows = run_questions(
        asked, lambda q: reply(q.question, answers=int(q.id == "a")), lambda done, total, _: seen.append((done, total))
    )
    link = "/v1/corpora/north/documents/d1?start=21&end=25"
    source = "reports/bridge.txt"
    assert rows[0] == AnsweredRow("a", "north", "When?", "en", "1912", 0.9, False, 0.1, source, 3, 21, 25, "d1", link, "", 1)
    assert rows[1] == AnsweredRow("b", "north", "Who?", "en", no_answer=True, no_answer_score=0.9, passages_read=1)
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_one_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def ask(asked: BatchQuestion) -> Reply:
        if asked.id == "a":
            raise DocumentMissing("There is no corpus `south`.")
        if asked.id == "b":
            raise ZeroDivisionError(asked.question)
        return reply(asked.question)

    rows = run_questions([BatchQuestion("my secret question", id=name) for name in "abc"], ask, silent)
    assert [row.error != "" for row in rows] == [True, True, False]
    assert rows[0].error == "There is no corpus `south`." and rows[0].no_answer is None
    assert "ZeroDivisionError" in rows[1].error and "secret" not in rows[1].error
    assert "ZeroDivisionError" in caplog.text and "test_question_files" in caplog.text and "my secret" not in caplog.text


def test_a_cancelled_batch_ends() -> None:
    asked: list[str] = []

    def report(done: int, total: int, message: str) -> None:
        if done == 2:
            raise JobCancelled("stopped")

    def ask(question: BatchQuestion) -> Reply:
        asked.append(question.id)
        return reply("x")

    nine = [BatchQuestion("x", id=str(number)) for number in range(9)]
    with pytest.raises(JobCancelled):
        run_questions(nine, ask, report)
    assert asked == ["0", "1"]
    with pytest.raises(JobCancelled):
        run_questions(nine, lambda _: report(2, 9, ""), silent)  # type: ignore[arg-type, return-value, func-returns-value]


def test_links_are_made_by_whoever_knows_the_address() -> None:
    rows = run_questions(
        [BatchQuestion("x", corpus="a b")], lambda q: reply("x"), silent, link=lambda c, a: f"{c}!{a.start}"
    )
    assert rows[0].link == "a b!21"
    assert api_link("a b", reply("x").answers[0]).startswith("/v1/corpora/a%20b/documents/d1?")


# -- writing -----------------------------------------------------------------------------------------------------------

ROW = AnsweredRow("1", "north", "Wann?", "de", "1912", 0.93, False, 0.07, "a.txt", 2, 5, 9, "d1", "/v1/x")


def csv_cells(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def xlsx_cells(data: bytes) -> list[list[Any]]:
    return [list(row) for row in openpyxl.load_workbook(io.BytesIO(data)).worksheets[0].iter_rows()]


def test_the_columns_are_those_of_the_contract() -> None:
    assert [*CONTRACT, "error", "passages_read"] == list(COLUMNS)
    assert csv_cells(written([], "csv")) == [list(COLUMNS)]
    assert [cell.value for cell in xlsx_cells(written([], "xlsx"))[0]] == list(COLUMNS)
    assert written([], "jsonl") == b""


def test_known_rows() -> None:
    assert csv_cells(written([ROW], "csv"))[1] == (
        "1 north Wann? de 1912 0.93 false 0.07 a.txt 2 5 9 d1 /v1/x".split() + ["", ""]
    )
    cells = {name: cell.value for name, cell in zip(COLUMNS, xlsx_cells(written([ROW], "xlsx"))[1], strict=True)}
    assert cells["score"] == 0.93 and cells["no_answer"] is False and cells["start"] == 5 and cells["answer"] == "1912"
    line = json.loads(written([ROW], "jsonl"))
    assert AnsweredRow(**line) == ROW and list(line) == list(COLUMNS)
    with pytest.raises(SettingError, match="csv, xlsx, jsonl"):
        write_answers([ROW], "pdf", io.BytesIO())


@pytest.mark.parametrize("head", ["=", "+", "-", "@", "\t", "\r", "'=", "＝", "＠"])
def test_no_cell_is_a_formula(head: str) -> None:
    evil = f'{head}HYPERLINK("x")'
    names = ("id", "corpus", "question", "answer", "source", "link", "error")
    changes: dict[str, Any] = dict.fromkeys(names, evil)
    row = replace(ROW, **changes)
    for cell in csv_cells(written([row], "csv"))[1]:
        assert cell[:1] not in tuple("=+-@\t\r＝＋－＠")
    for cell in xlsx_cells(written([row], "xlsx"))[1]:
        assert cell.data_type != "f"


WRITABLE = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=60
)


@given(WRITABLE.filter(lambda text: text.strip() != ""), st.sampled_from(["csv", "xlsx", "jsonl"]))
def test_answers_can_be_asked_again(text: str, kind: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers"
        path.write_bytes(written([replace(ROW, question=text, answer=text), ROW], kind))
        found = read_questions(path, f"answers.{kind}", 2)
    assert [(asked.question, asked.corpus) for asked in found] == [(text.strip(), "north"), ("Wann?", "north")]


@given(st.text(max_size=60))
def test_any_text_can_be_written(text: str) -> None:
    row = replace(ROW, answer=text, source=text, error=text)
    assert len(csv_cells(written([row], "csv"))) == 2
    assert len(xlsx_cells(written([row], "xlsx"))) == 2
    assert json.loads(written([row], "jsonl"))["answer"] == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("language", SCRIPTS)
def test_every_script_is_kept(language: str) -> None:
    text = SCRIPTS[language]
    row = replace(ROW, answer=text)
    assert json.loads(written([row], "jsonl"))["answer"] == text
    assert csv_cells(written([row], "csv"))[1][4] == text.replace("\x00", "\ufffd")
    assert xlsx_cells(written([row], "xlsx"))[1][4].value == text.replace("\x00", "\ufffd").replace("\r\n", "\n")

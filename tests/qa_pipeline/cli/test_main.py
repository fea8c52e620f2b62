"""The terminal's door, run as people and programs run it, with the built-in models."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from qa_pipeline.cli import main
from tests.pdfs import make_pdf, paragraph

ROOT = Path(__file__).resolve().parents[3]


def docqa(*arguments: object, stdin: str | bytes = "", **environment: str) -> subprocess.CompletedProcess[str]:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    run = subprocess.run(
        [sys.executable, "-m", "qa_pipeline.cli", *map(str, arguments)],
        cwd=ROOT,
        input=data,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )
    return subprocess.CompletedProcess(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli")
    corpus = root / "corpus"
    corpus.mkdir()
    (corpus / "bridge.txt").write_text("Kestrel Bridge was opened in 1912. The engineer was Dagny Ruhlmann.")
    (corpus / "berg.md").write_text("# Der Berg\n\nDer Berg Orveth ist 2341 Meter hoch und liegt auf Vorn.\n")
    (corpus / "灯台.txt").write_text("灯台の高さは54メートルである。灯台は1868年に点灯した。", encoding="utf-8")
    (corpus / "evil\x1b[31m.txt").write_text("A file whose name and text \x1b[2J try to command the terminal.")
    (corpus / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 50)
    run = docqa("index", corpus, "--into", root / "i", "--embedder", "builtin")
    assert run.returncode == 0, run.stderr
    assert "skipped    photo.jpg: " in run.stdout and "4 indexed, 1 skipped" in run.stdout
    assert "\x1b" not in run.stdout
    return root / "i"


def test_bad_files_are_named_with_their_reasons_and_the_rest_is_indexed(tmp_path: Path) -> None:
    zeros = "00" * 32
    locked = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{zeros}> /U <{zeros}> /P -4 >> /ID [<00> <00>]"
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "locked.pdf").write_bytes(make_pdf([paragraph(["A secret."])], tail=locked))
    (corpus / "empty.txt").write_bytes(b"")
    (corpus / "photo.pdf").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 200)
    (corpus / "server.log").write_bytes(b"12:00:00 GET /index.html 200\n" * 1_100_000)
    (corpus / "latin1.txt").write_bytes("Die Brücke wurde eröffnet.".encode("latin-1"))
    (corpus / "utf16.txt").write_bytes("Ο φάρος άναψε το 1868.".encode("utf-16"))
    with zipfile.ZipFile(corpus / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("[Content_Types].xml", "<Types/>")
        with bomb.open("word/document.xml", "w", force_zip64=True) as member:
            for _ in range(600):
                member.write(bytes(1_000_000))
    run = docqa("index", corpus, "--into", tmp_path / "i", "--embedder", "builtin", "--json")
    assert run.returncode == 0, run.stderr
    files = {file["source"]: file for file in map(json.loads, run.stdout.splitlines()[:-1])}
    reasons = {source: file["reason"] for source, file in files.items() if file["status"] == "skipped"}
    assert set(files) - set(reasons) == {"latin1.txt", "utf16.txt"}
    words = {
        "locked.pdf": "encrypted",
        "empty.txt": "0 bytes",
        "photo.pdf": "JPEG",
        "server.log": "more than",
        "bomb.docx": "zip bomb",
    }
    assert all(word in reasons[source] for source, word in words.items()) and set(reasons) == set(words)


def test_ask_prints_the_answer_in_its_place(index: Path) -> None:
    run = docqa("ask", index, "When was Kestrel Bridge opened?", "--reader", "builtin")
    assert run.returncode == 0 and run.stderr == ""
    assert "[[1912]]" in run.stdout and "bridge.txt" in run.stdout and "score" in run.stdout


def test_ask_json_obeys_the_law_as_show_tells(index: Path) -> None:
    run = docqa("ask", index, "灯台の高さは?", "--reader", "builtin", "--json", "--no-answer-threshold", "1")
    reply = json.loads(run.stdout)
    assert reply["models"] == {"embedder": "builtin", "reader": "builtin"} and reply["answers"]
    best = reply["answers"][0]
    shown = docqa("show", index, best["document_id"], "--start", best["start"], "--end", best["end"])
    assert shown.stdout == best["text"]


def test_questions_from_standard_input(index: Path) -> None:
    asked = "\ufeffWhen was Kestrel Bridge opened?\n\n" + "x" * 600 + "\nWie hoch ist der Berg Orveth?\n"
    run = docqa("ask", index, "-", "--reader", "builtin", "--json", stdin=asked)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0 and len(lines) == 3
    assert lines[0]["question"] == "When was Kestrel Bridge opened?" and "600 characters" in lines[1]["error"]
    assert lines[2]["answers"][0]["source"] == "berg.md"


def test_nothing_found_is_exit_1(index: Path) -> None:
    run = docqa("ask", index, "bridge", "--reader", "builtin", "--filter", "language=xx")
    assert run.returncode == 1 and "No passage was found." in run.stdout and "These are" not in run.stdout
    assert docqa("search", index, "bridge", "--filter", "language=xx").returncode == 1


def test_search_gives_passages(index: Path) -> None:
    run = docqa("search", index, "Berg Orveth", "--json", "--filter", "source=*.md")
    reply = json.loads(run.stdout)
    assert run.returncode == 0 and [p["source"] for p in reply["passages"]] == ["berg.md"] and reply["answers"] == []


@pytest.mark.parametrize("way", ["text", "file", "stdin"])
def test_read_one_passage(way: str, tmp_path: Path) -> None:
    text = "The Quille lighthouse is 54 m high. It was first lit in 1868 by Amalia Storrow."
    (tmp_path / "c.txt").write_text(text)
    context = {"text": text, "file": str(tmp_path / "c.txt"), "stdin": "-"}[way]
    run = docqa(
        "read", "When was the lighthouse first lit?", "--context", context, "--reader", "builtin", "--json", stdin=text
    )
    found = json.loads(run.stdout)
    assert set(found) == {"answer", "start", "end", "score"}
    assert found["answer"] == "1868" and text[found["start"] : found["end"]] == "1868"


def test_status_and_doctor(index: Path) -> None:
    facts = json.loads(docqa("status", index, "--json", "--documents").stdout)
    assert facts["documents"] == 4 and len(facts["list"]) == 4 and facts["embedder"] == "builtin"
    assert facts["skipped"][0]["source"] == "photo.jpg" and facts["bytes"] > 10_000
    assert "documents" in docqa("status", index).stdout
    run = docqa("doctor", index)
    assert run.returncode == 0 and "sound" in run.stdout
    run = docqa("doctor", index, "--compact", "--json")
    told = json.loads(run.stdout)
    assert run.returncode == 0 and told["problems"] == [] and told["compacted"] is True and told["bytes"] > 0


def test_models_are_listed() -> None:
    run = docqa("models", "--json")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    known = {(row["kind"], row["name"]): row["available"] for row in rows}
    assert known["reader", "builtin"] is True and known["embedder", "builtin"] is True
    assert {"xlmr-squad2", "mbert-xquad", "xlm-xquad", "distilbert-tydiqa"} <= {name for _, name in known}
    auto = rows[0]["auto"]
    told = docqa("models").stdout.splitlines()[-1]
    assert told == f"On this machine `--precision auto` computes in {auto['precision']} ({auto['instruction_set']})."


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "{i}", ""],
        ["ask", "{i}", "x" * 600],
        ["ask", "{i}", "q", "--top-k", "0"],
        ["ask", "{i}", "q", "--top-k", "x"],
        ["ask", "nowhere", "q"],
        ["ask", "{i}", "q", "--filter", "nosign"],
        ["ask", "{i}", "q", "--reader", "no-such"],
        ["ask", "{i}", "q"],
        ["show", "{i}", "0" * 32],
        ["show", "nowhere", "x"],
        ["index", "nowhere", "--into", "x"],
        ["index", "{i}"],
        ["read", "q", "--context", "", "--reader", "builtin"],
        ["doctor", "nowhere"],
        ["dance"],
        [],
        ["index", ".", "--into", "{i}", "--chunk-tokens", "5"],
        ["index", ".", "--into", "{i}", "--embedder", "e5-base"],
    ],
)
def test_mistakes_are_one_sentence_and_exit_2(index: Path, arguments: list[str]) -> None:
    run = docqa(*[argument.format(i=index) for argument in arguments])
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stdout == "" and run.stderr.startswith("docqa: ") and run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stderr


def test_a_model_that_is_not_here_names_the_ways_out(index: Path) -> None:
    run = docqa("ask", index, "q")
    assert "docqa models" in run.stderr and "--reader builtin" in run.stderr


def test_documents_cannot_command_the_terminal(index: Path) -> None:
    run = docqa("search", index, "command the terminal")
    assert "evil" in run.stdout and "\x1b" not in run.stdout


@pytest.mark.parametrize(
    "old, new",
    [
        (["cut", "x", "--layers", "1"], ["prune", "x", "--layers", "1"]),
        (["slim", "e", "--numbers", "8"], ["reduce", "e", "--dim", "8"]),
        (["mean", "a", "b"], ["average", "a", "b"]),
        (["augment", "f", "--how", "switch"], ["augment", "f", "--method", "code-switch"]),
        (["augment", "switch", "--how=switch"], ["augment", "switch", "--method", "code-switch"]),
        (["slim", "e", "--numbers=8"], ["reduce", "e", "--dim", "8"]),
        (["slim", "e", "--n", "8"], ["reduce", "e", "--dim", "8"]),
        (["augment", "f", "--ho=switch"], ["augment", "f", "--method", "code-switch"]),
        (["augment", "f", "--h"], ["augment", "f", "--h"]),
        (["augment", "f", "--method=switch"], ["augment", "f", "--method", "code-switch"]),
        (["ask", "i", "switch", "--how"], ["ask", "i", "switch", "--how"]),
        ([], []),
    ],
)
def test_old_verbs_are_understood_and_shown_nowhere(
    old: list[str], new: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main._renamed(old) == new
    told = capsys.readouterr().err
    assert told == (f"docqa: `docqa {old[0]}` is now `docqa {new[0]}`.\n" if old[:1] != new[:1] else "")
    shown = main.parser().format_help().split()
    assert not {"cut", "slim", "mean"} & set(shown) and {"prune", "reduce", "average"} <= set(shown)


def test_a_damaged_index_is_exit_status_2_and_a_sentence(index: Path, tmp_path: Path) -> None:
    """Never status 1, which says that there is no answer; `doctor` lists findings and repairs what can be repaired."""
    broken = tmp_path / "broken"
    shutil.copytree(index, broken)
    content = bytearray((broken / "corpus.db").read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    (broken / "corpus.db").write_bytes(content)
    for arguments in (["ask", broken, "When?", "--reader", "builtin"], ["search", broken, "When?"], ["status", broken]):
        run = docqa(*arguments)
        assert run.returncode == 2 and "Traceback" not in run.stderr and run.stdout == "", run.stderr
        assert run.stderr.startswith("docqa: ") and run.stderr.count("\n") == 1
    run = docqa("doctor", broken)
    assert run.returncode == 2 and run.stderr == "" and "--repair" in run.stdout
    told = json.loads(docqa("doctor", broken, "--json").stdout)
    assert told["problems"] and told["left"] == told["problems"]


def test_one_bad_byte_is_repaired_from_the_original(index: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(index, broken)
    connection = sqlite3.connect(broken / "corpus.db")
    connection.execute("UPDATE documents SET text = CAST(x'ff' || text AS TEXT) WHERE source = 'bridge.txt'")
    connection.commit()
    connection.close()
    run = docqa("ask", broken, "How tall is Orveth?", "--reader", "builtin")
    assert run.returncode == 0 and "2341" in run.stdout, run.stderr
    run = docqa("doctor", broken, "--repair", "--documents", index.parent / "corpus")
    assert run.returncode == 0 and "read again: bridge.txt" in run.stdout, run.stdout + run.stderr
    run = docqa("ask", broken, "When was Kestrel Bridge opened?", "--reader", "builtin")
    assert run.returncode == 0 and "1912" in run.stdout


def test_a_defect_of_docqa_is_never_no_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for error, sentence in (
        (RuntimeError("odd"), "error in docqa itself"),
        (OSError(28, "No space left on device"), "no space left on device"),
        (MemoryError(), "not enough memory"),
    ):

        def fail(*_: object, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr("qa_pipeline.cli.index._status", fail)
        assert main.main(["status", "x"]) == 2
        assert sentence in capsys.readouterr().err


def test_words_are_searched_without_a_question(index: Path) -> None:
    run = docqa("search", index, "--words", '"kestrel bridge" OR 灯台')
    assert run.returncode == 0 and run.stdout.startswith("2 passages in 2 documents\n") and "bridge.txt" in run.stdout
    found = json.loads(docqa("search", index, "--words", "engin* NOT berg", "--json").stdout)
    (hit,) = found["hits"]
    assert [hit["text"][start:end] for start, end in hit["marks"]] == ["engineer"] and found["documents"] == 1
    none = docqa("search", index, "--words", "zebra", "--filter", "language=de")
    assert none.returncode == 1 and none.stdout.startswith("0 passages in 0 documents")
    reply = json.loads(docqa("search", index, "How high is it?", "--words", "orveth", "--json").stdout)
    assert {passage["source"] for passage in reply["passages"]} == {"berg.md"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Give a question, or words to search for with --words."),
        (("--words", "(a"), "A bracket is not closed"),
        (("--words", "colour:red"), "No document has a field 'colour'"),
        (("Who?", "--words", "a OR"), "A word is missing after OR"),
    ],
)
def test_words_that_are_no_query_are_one_sentence(index: Path, arguments: tuple[str, ...], told: str) -> None:
    run = docqa("search", index, *arguments)
    assert run.returncode == 2 and run.stdout == "" and told in run.stderr and run.stderr.count("\n") == 1

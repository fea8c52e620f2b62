"""The evaluations of a home: the report of a run is what its files say, and a broken one hides no other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError
from qa_pipeline.cli.main import main
from qa_pipeline.errors import EvaluationDamaged, EvaluationMissing
from qa_pipeline.evaluation.analysis.error_analysis import JudgedQuery
from qa_pipeline.evaluation.metrics.scorers import SCORERS
from qa_pipeline.evaluation.reading_comprehension.run import evaluate_reading
from qa_pipeline.evaluation.runs.question_records import LONGEST, NEAR, pieces
from qa_pipeline.service.evaluation_runs import EvaluationRuns, folder_of
from qa_pipeline.service.home import Home
from tests.live import Live, live, problem
from tests.runs import ENGLISH, PROBE, ROWS, make_run, make_runs, measured, questions
from ui.client.http import Client
from ui.client.schemas import ApiError

NAMES = {"good", "poor", "open", "half", "torn"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("evaluations") / "home"
    Home.open(home, create=True)
    return make_runs(home, tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def api(runs: Path) -> Iterator[Live]:
    with live(runs.parent) as service:
        yield service


@pytest.fixture(scope="module")
def client(api: Live) -> Iterator[Client]:
    with Client(api.url) as client:
        yield client


# -- the report is what is there ----------------------------------------------------------------------------------------


def test_every_run_is_listed_and_the_broken_ones_say_why(runs: Path) -> None:
    found = {one.name: one for one in EvaluationRuns(runs).list()}
    assert set(found) == NAMES
    states = {name: one.state for name, one in found.items()}
    assert states == {**dict.fromkeys(NAMES, "done"), "half": "unfinished", "torn": "broken"}
    assert "6 of 6" in found["half"].problem and "settings.json of torn" in found["torn"].problem
    assert all(one.problem.count(".\n") == 0 and one.problem.endswith(".") for one in found.values() if one.problem)
    assert [one.made for one in EvaluationRuns(runs).list()] == sorted((one.made for one in found.values()), reverse=True)


def test_a_home_without_evaluations_has_none(tmp_path: Path) -> None:
    assert EvaluationRuns(tmp_path / "evaluations").list() == []


@pytest.mark.parametrize(
    ("file", "text", "state", "words"),
    [
        ("metrics.json", '{"scorer": "squad1"}', "broken", "metrics.json of run is not what"),
        ("metrics.json", '{"rows": NaN}', "broken", "metrics.json"),
        ("metrics.json", "[" * 100_000, "broken", "metrics.json"),
        ("settings.json", "[]", "broken", "settings.json"),
        ("settings.json", '{"kind": "dance", "reader": {"name": "x"}, "set_of_questions": []}', "broken", "dance"),
        ("predictions.jsonl", '{"id": 1}\n', "done", ""),
    ],
)
def test_whatever_is_in_a_folder_it_is_told_in_one_sentence(
    tmp_path: Path, file: str, text: str, state: str, words: str
) -> None:
    make_run(tmp_path / "runs" / "run", tmp_path)
    (tmp_path / "runs" / "run" / file).write_text(text, "utf-8")
    shelf = EvaluationRuns(tmp_path / "runs")
    (one,) = shelf.list()
    assert one.state == state and words in one.problem and "\n" not in one.problem
    if file != "metrics.json":
        with pytest.raises(EvaluationDamaged):
            shelf.judge("run")
        with pytest.raises(EvaluationDamaged):
            shelf.compare("run", "run")


def test_a_folder_that_is_none_and_an_odd_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "a b <i>").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "file").write_text("x", "utf-8")
    found = {one.name: one.problem for one in EvaluationRuns(tmp_path).list()}
    assert set(found) == {"a b <i>", "empty"}
    assert "cannot stand in an address" in found["a b <i>"] and "no settings.json" in found["empty"]


def test_what_is_counted_one_by_one_is_what_the_metrics_say(runs: Path) -> None:
    for name in ("good", "poor", "open"):
        judged = EvaluationRuns(runs).judge(name)
        metrics = json.loads((runs / name / "metrics.json").read_text("utf-8"))
        for row in (*metrics["rows"], metrics["all"]):
            mine = [one for one in judged if row["name"] in (one.row, "all")]
            assert len(mine) == row["questions"]
            for figure in ("exact", "f1"):
                mean = sum(getattr(one, figure) for one in mine) / len(mine)
                assert mean == pytest.approx(row[figure]["value"]), (name, row["name"])


def test_a_run_of_questions_without_answers_counts_silence(tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "id": "none", "answers": []}]
    evaluate_reading(questions(tmp_path, rows), measured(), SCORERS["squad2"], tmp_path / "runs" / "run")
    judged = {one.id: one for one in EvaluationRuns(tmp_path / "runs").judge("run")}
    assert judged["none"].wanted == () and judged["none"].said == "1912" and judged["none"].verdict == "wrong"


def test_predictions_of_a_row_and_a_verdict_are_counted_without_their_own_condition(runs: Path) -> None:
    judged = EvaluationRuns(runs).judge("good")
    found = JudgedQuery("de", "wrong").of(judged)
    assert [one.id for one in found.predictions] == ["5"] and found.total == 1
    assert found.verdicts == {"right": 1, "partly": 0, "wrong": 1} and found.rows == {"ar": 1, "de": 1, "en": 1}
    assert [one.id for one in JudgedQuery().of(judged, 2, 2).predictions] == ["3", "4"]
    surest = [one.no_answer for one in JudgedQuery(surest_first=True).of(judged).predictions]
    assert surest == sorted(surest) and len(set(surest)) > 1
    assert {one.id: one.verdict for one in judged}["3"] == "partly" and judged[1].question == ROWS[1]["question"]


@given(st.text("ab \n\u0301שلم", max_size=900), st.lists(st.tuples(st.integers(0, 899), st.integers(1, 900)), max_size=3))
def test_pieces_are_the_text_around_the_answers(context: str, drawn: list[tuple[int, int]]) -> None:
    spans = [(start, min(start + size, len(context))) for start, size in drawn if start < len(context)]
    found = list(pieces(context, spans))
    assert all(context[start : start + len(text)] == text and text for start, text in found)
    ends = [(start, start + len(text)) for start, text in found]
    assert all(left[1] < right[0] for left, right in zip(ends, ends[1:], strict=False)), "in order, and apart"
    for start, end in spans:
        assert any(left <= start and min(end, start + LONGEST - NEAR) <= right for left, right in ends)


def test_the_text_around_an_answer_is_kept_with_its_question(runs: Path) -> None:
    one = next(one for one in EvaluationRuns(runs).judge("good") if one.id == "3")
    ((start, text),) = one.pieces
    assert (start, text) == (0, ENGLISH) and [text[a:b] for a, b in one.right] == ["in 1912"]
    assert one.found is not None and text[slice(*one.found)] == one.said == "1912"
    opened = EvaluationRuns(runs).judge("open")[0]
    assert opened.found is None and opened.pieces and opened.right


def test_what_changed_is_read_anew(tmp_path: Path) -> None:
    shelf = EvaluationRuns(tmp_path / "runs")
    make_run(tmp_path / "runs" / "run", tmp_path)
    assert len(shelf.judge("run")) == 6 and shelf.judge("run") is shelf.judge("run")
    assert shelf.compare("run", "run")[0].all.questions == 6 and shelf.compare("run", "run") is shelf.compare("run", "run")
    path = tmp_path / "runs" / "run" / "predictions.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:2]), "utf-8")
    assert len(shelf.judge("run")) == 2 and shelf.compare("run", "run")[0].all.questions == 2
    shutil.rmtree(tmp_path / "runs" / "run")
    with pytest.raises(EvaluationMissing):
        shelf.judge("run")


def test_runs_of_an_open_domain_are_compared_by_what_their_tables_say(runs: Path) -> None:
    found, notes = EvaluationRuns(runs).compare("open", "open")
    metrics = json.loads((runs / "open" / "metrics.json").read_text("utf-8"))
    assert (found.all.a, found.all.f1.value, notes) == (pytest.approx(metrics["all"]["f1"]["value"]), 0.0, ())


# -- the command -------------------------------------------------------------------------------------------------------


def test_a_run_of_the_command_is_shown_by_the_service_of_that_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Home.open(home, create=True)
    questions(tmp_path, ROWS[:2])
    command = ["evaluate", str(tmp_path / "asked.jsonl"), "--reader", "builtin", "--home", str(home), "--name", "first"]
    assert main(command) == 0
    (one,) = EvaluationRuns(home / "evaluations").list()
    assert (one.name, one.state, one.answered) == ("first", "done", 2) and main(command) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--home", "{h}"], "belong together"),
        (["--name", "x"], "belong together"),
        (["--home", "{h}", "--name", "x", "--out", "y"], "in place of --out"),
        (["--home", "{h}", "--name", "../x"], "cannot name"),
        (["--home", "{h}", "--name", ".."], "cannot name"),
        (["--home", "{h}/nowhere", "--name", "x"], "home"),
        (["--home", "{h}", "--name", "x", "--sentences"], "no folder"),
    ],
)
def test_a_place_that_is_none_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    Home.open(tmp_path / "h", create=True)
    questions(tmp_path)
    sent = [option.format(h=tmp_path / "h") for option in more]
    assert main(["evaluate", str(tmp_path / "asked.jsonl"), "--reader", "builtin", *sent]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
    with pytest.raises(SettingError):
        folder_of(tmp_path, "a/b")


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_the_client_tells_what_the_folders_say(client: Client, runs: Path) -> None:
    listed = {one.name: one for one in client.list_evaluations()}
    assert set(listed) == NAMES and listed["torn"].problem and listed["open"].recall == 100.0
    good = client.get_evaluation("good")
    metrics = json.loads((runs / "good" / "metrics.json").read_text("utf-8"))
    assert good.f1 and good.all and good.f1 == good.all.f1 and good.f1.value == metrics["all"]["f1"]["value"]
    assert [row.name for row in good.rows] == ["ar", "de", "en"] and good.plots == ("by-language.png", "by-language.svg")
    opened = client.get_evaluation("open")
    assert opened.kind == "open-domain" and opened.rows[0].silence and opened.fingerprints["embedder"] == "words-1"
    assert opened.rows[0].retrieval and opened.rows[0].retrieval["fused"]["recall"]["10"] == 100.0
    wrong = client.list_predictions("good", verdict="wrong", language="en")
    assert wrong.total == 1 and wrong.predictions[0].question and PROBE in wrong.predictions[0].question
    found = client.compare_evaluations("good", "poor")
    assert (found.a_reader, found.b_reader, found.scorer, found.all.better) == ("words", "silent", "squad1", "A")
    assert client.compare_evaluations("good", "poor", "mlqa").scorer == "mlqa"
    for name, wanted in (("none", 404), ("half", 422)):
        with pytest.raises(ApiError) as caught:
            client.compare_evaluations("good", name)
        assert caught.value.status == wanted and str(runs) not in caught.value.detail


def test_a_picture_comes_as_it_is_and_cannot_run(api: Live, client: Client, runs: Path) -> None:
    for name, kind in (("by-language.png", "image/png"), ("by-language.svg", "image/svg+xml")):
        answer = api.http.get(f"/v1/evaluations/good/plots/{name}")
        assert answer.content == (runs / "good" / "plots" / name).read_bytes() == client.get_plot("good", name).data
        assert answer.headers["content-type"] == kind and answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "sandbox" in policy and "default-src 'none'" in policy and "script" not in policy


OUTSIDE = [
    "../settings.json",
    "..%2fsettings.json",
    "%2e%2e/settings.json",
    "..",
    "by-language",
    "secret.png",
    "link.png",
    "page.html",
    "by-language.png%00.svg",
    "%2fetc%2fpasswd",
    "..%5csettings.json",
    "a.png/../../settings.json",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_pictures(api: Live, runs: Path, name: str) -> None:
    plots = runs / "good" / "plots"
    (plots / "page.html").write_text("<script>alert(1)</script>", "utf-8")
    if not (plots / "link.png").is_symlink():
        os.symlink(runs / "good" / "settings.json", plots / "link.png")
    answer = raw(api, f"/v1/evaluations/good/plots/{name}")
    assert answer.status_code == 404 and "set_of_questions" not in answer.text


@pytest.mark.parametrize("name", ["..", "%2e%2e", "../corpora", "..%2f..", ".hidden", "%00", "good%2f..", "a" * 500])
def test_no_name_leads_out_of_the_evaluations(api: Live, name: str) -> None:
    for rest in ("", "/predictions", "/plots/by-language.png", "/compare/good"):
        assert raw(api, f"/v1/evaluations/{name}{rest}").status_code == 404
    assert raw(api, f"/v1/evaluations/good/compare/{name}").status_code == 404


def raw(api: Live, path: str) -> httpx.Response:
    """Sent as it is written: a client would tidy the dots away."""
    import socket

    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sent:
        sent.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: sent.recv(65_536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return httpx.Response(int(head.split()[1]), content=body)


def test_what_cannot_be_asked_is_told(api: Live) -> None:
    problem(api.http.get("/v1/evaluations/torn/predictions"), 503, "EvaluationDamaged")
    assert "not finished" in problem(api.http.get("/v1/evaluations/half/predictions"), 503, "EvaluationDamaged")
    problem(api.http.get("/v1/evaluations/none"), 404, "EvaluationMissing")
    problem(api.http.get("/v1/evaluations/good/predictions?verdict=sideways"), 422, "SettingError")
    problem(api.http.get("/v1/evaluations/good/predictions?limit=5000"), 422, "SettingError")
    problem(api.http.get("/v1/evaluations/good/compare/poor?scorer=mine"), 422, "SettingError")
    problem(api.http.get("/v1/evaluations/good/compare/open"), 422, "SettingError")

"""The page Corpora over a real service with known models: what there is, uploads and their reports, deletion by name."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.live import BRIDGE, MINE, Live, live
from ui.client.schemas import Job, UploadedFile
from ui.components.document_files import name_pattern
from ui.components.job_progress import fraction, words
from ui.render.html_tables import table, text
from ui.render.upload_report import FileLine, as_csv, report

ROOT = Path(__file__).resolve().parents[3]
PROBE = "<img src=x onerror=alert(1)>"
JPEG = b"\xff\xd8\xff\xe0\0\0"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("corpora") / "home") as api:
        yield api


@pytest.fixture(autouse=True)
def _here(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", api.url)


def opened(view: str = "corpora", **query: Any) -> AppTest:
    """A view of the page with this in its address."""
    at = AppTest.from_file(str(ROOT / "ui/app.py"), default_timeout=120).run().switch_page(f"views/{view}.py")
    at.query_params.clear()
    at.query_params.update(query)
    return sound(at.run())


def sound(at: AppTest) -> AppTest:
    assert not at.exception, at.exception[0].message
    return at


def shown(at: AppTest) -> str:
    """Everything the page says, HTML and Markdown as they are."""
    kinds = (at.get("html"), at.markdown, at.caption, at.info, at.success, at.warning, at.error)
    return "\n".join(str(getattr(one, "value", None) or one.proto.body) for kind in kinds for one in kind)


def runs(shown: str) -> bool:
    """Whether a probe is there as markup; Markdown shows a sign behind a backslash as it is."""
    return re.search(r"(?<!\\)<img", shown) is not None


def said(at: AppTest, name: str) -> str:
    """A parameter of the address, "" where it is not there."""
    given: Any = at.query_params.get(name, "")
    return str(given[0] if isinstance(given, list) else given)


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if button.label == label]
    return sound(button.click().run())


def settled(api: Live, at: AppTest) -> AppTest:
    """The page once the job in its address has ended."""
    api.wait(said(at, "job"))
    return sound(at.run())


def upload(at: AppTest, *files: tuple[str, bytes]) -> AppTest:
    at.file_uploader[0].set_value([(name, data, "application/octet-stream") for name, data in files])
    return press(sound(at.run()), f"Add {len(files)} file{'s' * (len(files) > 1)} to the collection")


# -- which there are ---------------------------------------------------------------------------------------------------


def test_a_corpus_is_made_and_listed_with_its_languages(api: Live) -> None:
    at = opened()
    assert at.title[0].value == "Collections"
    at.text_input(key="new_title").input(f"Städte & {PROBE}")
    at.text_input(key="new_name").input("towns")
    at = press(at, "Create collection")
    assert said(at, "corpus") == "towns" and "is created" in at.success[0].value
    assert "&lt;img" in shown(at) and not runs(shown(at))
    api.fill("towns", {"a.txt": BRIDGE, "b.txt": "Der Berg ist 2341 Meter hoch und liegt auf der Insel Vorn.\n"})
    listed = shown(opened())
    assert "German 1" in listed and "English 1" in listed and "2 documents" in listed and not runs(listed)


@pytest.mark.parametrize(
    "title, name, told",
    [("", "", "Give the collection a name"), (" ", "", "Give the collection a name"), ("x", "No Good", "small letters")],
)
def test_a_name_that_cannot_be_is_told_in_one_sentence(title: str, name: str, told: str) -> None:
    at = opened()
    at.text_input(key="new_title").input(title)
    at.text_input(key="new_name").input(name)
    at = press(at, "Create collection")
    assert told in at.error[0].value and not said(at, "corpus")


@pytest.mark.parametrize("title", ["الجزر", "群島", "Острова", "หมู่เกาะ", "Ωκεανός"])
def test_a_title_in_any_script_makes_a_collection(api: Live, title: str) -> None:
    at = opened()
    at.text_input(key="new_title").input(title)
    at = press(at, "Create collection")
    name = said(at, "corpus")
    assert api.http.get(f"/v1/corpora/{name}").json()["title"] == title and title in shown(at)


def test_a_name_twice_and_a_corpus_that_is_not_there(api: Live) -> None:
    api.http.post("/v1/corpora", json={"name": "twice"})
    at = opened()
    at.text_input(key="new_name").input("twice")
    assert "twice" in press(at, "Create collection").error[0].value
    assert len(opened(corpus="nowhere").error) == 1


def test_a_service_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", "http://127.0.0.1:9")
    at = AppTest.from_file(str(ROOT / "ui/app.py"), default_timeout=120).run().switch_page("views/corpora.py").run()
    assert len(at.error) == 1 and at.error[0].value.startswith("The service does not answer") and not at.exception
    assert [button.label for button in at.button] == ["Retry"]


def test_a_question_stays_typed_until_the_service_is_back(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    api.fill("again", {"a.txt": BRIDGE})
    monkeypatch.setenv("DOCQA_API_URL", "http://127.0.0.1:9")
    at = AppTest.from_file(str(ROOT / "ui/app.py"), default_timeout=120)
    at.query_params.update({"corpus": "again", "q": "When was the bridge opened in?"})
    at.run()
    assert at.text_input(key="question").value == "When was the bridge opened in?" and len(at.error) == 1
    monkeypatch.setenv("DOCQA_API_URL", api.url)
    at = press(at, "Retry")
    assert "1912" in shown(at) and said(at, "q") == "When was the bridge opened in?"


# -- uploads -----------------------------------------------------------------------------------------------------------


def test_every_file_of_an_upload_is_in_the_report_with_its_reason(api: Live) -> None:
    api.http.post("/v1/corpora", json={"name": "up"})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/mine.txt", MINE)
        archive.writestr("../out.txt", "no")
    hostile = f"{PROBE}.txt"
    at = opened(corpus="up")
    at = upload(
        at, ("bridge.txt", BRIDGE.encode()), ("photo.jpg", JPEG), ("all.zip", packed.getvalue()), (hostile, b"One 1.")
    )
    at = settled(api, at)
    told = shown(at)
    assert "1 refused · 1 could not be read · 3 indexed" in told
    assert "leads out of the folder" in told and "folder/mine.txt" in told and "photo.jpg" in told
    assert not runs(told) and "img src=x onerror=alert" in told
    assert not at.file_uploader[0].value, "a sent file stays to be sent again"
    assert {one["source"] for one in api.http.get("/v1/corpora/up").json()["skipped"]} == {"photo.jpg"}


def test_an_upload_of_what_is_there_and_one_of_nothing_good(api: Live) -> None:
    api.fill("again", {"bridge.txt": BRIDGE})
    at = settled(api, upload(opened(corpus="again"), ("bridge.txt", BRIDGE.encode())))
    assert "not changed" in shown(at)
    at = upload(opened(corpus="again"), ("....", b"x"))
    assert "1 refused" in shown(at) and not said(at, "job")


def test_limits_are_told_before_sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "home", file_bytes=2_000, upload_bytes=5_000, upload_files=3) as api:
        monkeypatch.setenv("DOCQA_API_URL", api.url)
        api.http.post("/v1/corpora", json={"name": "small"})
        at = opened(corpus="small")
        assert "At most 3 files and 5.0 KB at once; 2.0 KB a file, except for zip archives." in shown(at)
        kinds = "application/octet-stream"
        (add,) = [button for button in at.button if button.key == "add"]
        at.file_uploader[0].set_value([(f"{n}.txt", b"One 1.", kinds) for n in range(4)])
        at = sound(at.run())
        (add,) = [button for button in at.button if button.key == "add"]
        assert "These are 4 files, and 3 are the most at once." in shown(at) and add.disabled
        at.file_uploader[0].set_value([(f"{n}.zip", b"1" * 1_999, kinds) for n in range(3)])
        at = sound(at.run())
        (add,) = [button for button in at.button if button.key == "add"]
        assert "These files have 6.0 KB, and 5.0 KB are the most at once." in shown(at) and add.disabled
        at.file_uploader[0].set_value([("large.txt", b"One. " * 401, kinds), ("small.txt", b"Two 2.", kinds)])
        at = sound(at.run())
        assert "Larger than 2.0 KB, and left out: \u2068large\\.txt\u2069." in shown(at)
        at = settled(api, press(at, "Add 2 files to the collection"))
        assert "1 refused · 1 indexed" in shown(at)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for n in range(3):
                archive.writestr(f"{n}.txt", f"The bridge {n} was opened in 1912. " * 20)
        assert 2_000 < len(packed.getvalue()) < 5_000, "an archive larger than a file may be"
        at = settled(api, upload(opened(corpus="small"), ("all.zip", packed.getvalue()), ("no.zip", b"no" * 1_100)))
        assert "1 refused · 3 indexed" in shown(at)


def test_the_report_has_an_address(api: Live) -> None:
    api.fill("addressed", {"bridge.txt": BRIDGE, "photo.jpg": JPEG})
    job = api.http.get("/v1/jobs", params={"corpus": "addressed"}).json()[0]["id"]
    assert "1 could not be read · 1 indexed" in shown(opened(corpus="addressed", job=job))
    assert len(opened(corpus="addressed", job="none").error) == 1


# -- documents ---------------------------------------------------------------------------------------------------------


def test_documents_are_found_by_name_and_language(api: Live) -> None:
    files = {f"n{number:02}.txt": f"The bridge number {number} is long and old.\n" for number in range(30)}
    api.fill("many", {**files, "Ödland.txt": "Der Berg ist hoch und liegt auf der Insel Vorn.\n"})
    first = shown(opened(corpus="many"))
    assert "n00.txt" in first and "n29.txt" not in first and "Page 1 of 2, 31 documents" in first
    assert "n29.txt" in shown(opened(corpus="many", at="2"))
    at = opened(corpus="many", at="2")
    at = sound(at.text_input(key="files_name").input("öDLAND").run())
    assert said(at, "name") == "öDLAND" and not said(at, "at")
    assert "Ödland.txt" in shown(at) and "n00.txt" not in shown(at)
    assert "n00.txt" not in shown(opened(corpus="many", language="de")), "the address says the language"
    assert "No document matches" in shown(opened(corpus="many", name="*"))


# -- deletion ----------------------------------------------------------------------------------------------------------


def typed(at: AppTest, name: str) -> AppTest:
    (box,) = [box for box in at.text_input if box.label.startswith("Name of the")]
    box.input(name)
    (button,) = [button for button in at.button if button.label == "Delete" and "FormSubmitter" in str(button.key)]
    return sound(button.click().run())


def test_a_document_goes_only_when_its_name_was_typed(api: Live) -> None:
    ids = api.fill("drop", {"in/bridge.txt": BRIDGE, "mine.txt": MINE, "photo.jpg": JPEG})
    at = opened(corpus="drop")
    at = sound(at.button(key=f"delete-{ids['in/bridge.txt']}").click().run())
    at = typed(at, "mine.txt")
    assert "nothing was deleted" in at.error[0].value and api.http.get("/v1/corpora/drop").json()["documents"] == 2
    at = settled(api, typed(at, " bridge.txt "))
    assert api.http.get("/v1/corpora/drop").json()["documents"] == 1 and "removed" in shown(at)
    at = sound(opened(corpus="drop").button(key="drop-photo.jpg").click().run())
    settled(api, typed(at, "photo.jpg"))
    assert api.http.get("/v1/corpora/drop").json()["skipped"] == []


def test_a_corpus_goes_only_when_its_name_was_typed(api: Live) -> None:
    api.fill("going", {"mine.txt": MINE})
    at = press(opened(corpus="going"), "Delete this collection")
    at = typed(at, "Going")
    assert "nothing was deleted" in at.error[0].value and api.http.get("/v1/corpora/going").status_code == 200
    at = typed(at, "going")
    assert api.http.get("/v1/corpora/going").status_code == 404
    assert not said(at, "corpus") and "is deleted" in at.success[0].value and at.title[0].value == "Collections"


# -- the parts ---------------------------------------------------------------------------------------------------------


def job(**values: Any) -> Job:
    told: dict[str, Any] = {
        "id": "j",
        "corpus": "c",
        "kind": "index",
        "state": "done",
        "created": "",
        "started": None,
        "ended": None,
        "done": 0,
        "total": 0,
        "message": "",
    }
    return Job(**{**told, **values})


def test_a_report_tells_every_file_once() -> None:
    put = [
        UploadedFile("a", "a", "stored", ""),
        UploadedFile("b", "", "refused", "no"),
        UploadedFile("c", "c", "stored", ""),
    ]
    files = [{"source": "a", "status": "indexed", "documents": 1, "passages": 2, "notes": ["1 page without text"]}]
    lines = report(put, job(result={"files": files}))
    assert [(line.file, line.status) for line in lines] == [("b", "refused"), ("a", "indexed"), ("c", "unchanged")]
    assert lines[1].about == "1 page without text; 1 document, 2 passages" and lines[0].about == "no"
    assert [line.status for line in report(put, job(state="cancelled"))] == ["refused", "waiting", "waiting"]
    assert report([], None) == []


def test_a_report_for_spreadsheets_runs_nothing() -> None:
    assert as_csv([FileLine("=cmd()", "indexed", "+1")]).decode("utf-8-sig") == (
        "file,status,about\r\n'=cmd(),Indexed,'+1\r\n"
    )


@pytest.mark.parametrize(
    "state, done, total, said, part",
    [("queued", 0, 0, "Waiting", 0), ("running", 5, 10, "Looking", 0.5), ("running", 20, 10, "Looking", 1)],
)
def test_what_is_said_of_a_job(state: str, done: int, total: int, said: str, part: float) -> None:
    assert words(job(state=state, done=done, total=total)).startswith(said)
    assert fraction(job(done=done, total=total)) == part


@pytest.mark.parametrize("ugly", ["", "a", PROBE, "أ", "e\u0301", "👩‍👩‍👧", "a\r\nb", "\0", "\ud800", '"'])
def test_a_table_holds_any_text_as_text(ugly: str) -> None:
    made = table([ugly, "x"], [[text(ugly), ""]], [ugly])
    assert "<img" not in made and "\0" not in made and made.count("<td") == 2
    made.encode("utf-8")


def test_a_pattern_for_names_takes_signs_as_they_are() -> None:
    assert name_pattern("[x]") == "*[[][xX]]*" and name_pattern("ß") == "*ß*" and name_pattern("") == ""

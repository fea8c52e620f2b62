"""Uploaded scans: recognised by the job, marked in replies, boxed on the page; with a stand-in for tesseract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, live
from tests.scans import drawing, installed, png, scanned_pdf

ASKED = {"question": "When was the tower built in?"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("scans")
    with installed(folder / "bin"), live(folder / "home") as api:
        yield api


@pytest.fixture(scope="module")
def ids(api: Live) -> dict[str, str]:
    files: dict[str, bytes | str] = {"tower.png": png(drawing(3)), "scan.pdf": scanned_pdf(drawing(1), drawing(2))}
    return api.fill("a", files | {"mill.txt": "The mill of Orsund grinds rye."})


def test_recognised_text_is_marked_and_quoted(api: Live, ids: dict[str, str]) -> None:
    reply = api.http.post("/v1/corpora/a/ask", json=ASKED).json()
    marks = {passage["source"]: passage["recognised"] for passage in reply["passages"]}
    assert marks == {"tower.png": True, "scan.pdf": True, "mill.txt": False}
    assert reply["answers"] and all(answer["recognised"] for answer in reply["answers"])
    for answer in reply["answers"]:
        document = api.http.get(f"/v1/corpora/a/documents/{answer['document_id']}").json()
        assert document["text"][answer["start"] : answer["end"]] == answer["text"]
        assert document["meta"]["recognised"] is True
    hits = api.http.post("/v1/corpora/a/words", json={"words": "tower"}).json()["hits"]
    assert hits and all(hit["recognised"] for hit in hits)


@pytest.mark.parametrize(("source", "page"), [("tower.png", 1), ("scan.pdf", 2)])
def test_the_words_of_an_answer_are_boxed_where_they_stand(api: Live, ids: dict[str, str], source: str, page: int) -> None:
    path = f"/v1/corpora/a/documents/{ids[source]}"
    text = api.http.get(path).json()["text"]
    start = text.rindex("tower of page")
    drawn = api.http.get(f"{path}/pages/{page}", params={"start": start, "end": start + 5}).json()
    assert drawn["exact"] and drawn["image"].startswith("data:image/png;base64,")
    ((left, top, right, bottom),) = drawn["boxes"]
    # The stand-in's coordinates are pixels of the picture at 150 dpi; a page of a PDF is recognised at 300.
    scale = 2 if source == "scan.pdf" else 1
    assert left == pytest.approx(175 / (1240 * scale), abs=0.003) and right == pytest.approx(275 / (1240 * scale), abs=0.003)
    assert top == pytest.approx(200 / (1754 * scale), abs=0.003) and bottom == pytest.approx(240 / (1754 * scale), abs=0.003)
    assert api.http.get(f"{path}/pages/{page}").json()["boxes"] == []


def test_boxes_over_lines_are_one_each(api: Live, ids: dict[str, str]) -> None:
    path = f"/v1/corpora/a/documents/{ids['tower.png']}"
    drawn = api.http.get(f"{path}/pages/1", params={"start": 0, "end": 10_000}).status_code
    assert drawn == 422
    text = api.http.get(path).json()["text"]
    boxes = api.http.get(f"{path}/pages/1", params={"start": 0, "end": len(text)}).json()["boxes"]
    assert len(boxes) == 2 and boxes[0][3] <= boxes[1][1]


def test_a_file_that_changed_since_has_no_boxes(api: Live, ids: dict[str, str]) -> None:
    (stored,) = Path(api.service.settings.home).rglob("scan.pdf")
    before = stored.read_bytes()
    try:
        stored.write_bytes(scanned_pdf(drawing(5), drawing(6)))
        drawn = api.http.get(f"/v1/corpora/a/documents/{ids['scan.pdf']}/pages/1", params={"start": 0, "end": 9}).json()
        assert not drawn["exact"] and drawn["boxes"] == []
    finally:
        stored.write_bytes(before)


def test_a_service_can_leave_scans_out(tmp_path: Path) -> None:
    with installed(tmp_path / "bin") as fake, live(tmp_path / "home", ocr="off") as api:
        api.http.post("/v1/corpora", json={"name": "a"})
        sent = api.http.post("/v1/corpora/a/documents", files=[("files", ("tower.png", png(drawing(1))))]).json()
        (file,) = api.wait(sent["job"]["id"])["result"]["files"]
        assert file["reason"] == "an image (PNG); --ocr auto recognises its text" and not fake.calls

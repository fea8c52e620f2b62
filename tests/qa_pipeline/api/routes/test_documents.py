"""Documents over HTTP: lists, originals and pages; uploads that write nothing outside; deletions."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from qa_pipeline.api.problems import MEDIA_TYPE
from tests.live import ASKED, BRIDGE, Live, problem
from tests.qa_pipeline.api.conftest import PDF

# -- documents ---------------------------------------------------------------------------------------------------------


def test_documents_are_listed_with_facets_and_given_by_piece(api: Live, ids: dict[str, str]) -> None:
    found = api.http.get("/v1/corpora/a/documents", params={"limit": 3}).json()
    assert found["total"] == len(ids) and len(found["documents"]) == 3
    assert found["facets"]["folder"] == {"": len(ids) - 2, "reports": 2} and found["facets"]["type"]["pdf"] == 1
    pdfs = api.http.get("/v1/corpora/a/documents", params={"type": "pdf"}).json()
    assert pdfs["total"] == 1 and pdfs["documents"][0]["pages"] == 2 and len(pdfs["facets"]["type"]) > 1
    assert pdfs["facets"]["language"] == {"en": 1}
    reports = api.http.get("/v1/corpora/a/documents", params={"source": "reports/*", "offset": 1}).json()
    assert reports["total"] == 2 and [d["source"] for d in reports["documents"]] == ["reports/mine.txt"]
    assert api.http.get("/v1/corpora/a/documents", params={"language": "xx"}).json()["total"] == 0
    path = f"/v1/corpora/a/documents/{ids['reports/bridge.txt']}"
    whole, piece = api.http.get(path).json(), api.http.get(path, params={"start": 21, "end": 25}).json()
    assert whole["text"] == BRIDGE and whole["characters"] == len(BRIDGE) and piece["text"] == "1912"
    for query in ({"start": 5, "end": 4}, {"end": len(BRIDGE) + 1}, {"start": -1}, {"start": "x"}):
        problem(api.http.get(path, params=query), 422, "SettingError")
    problem(api.http.get("/v1/corpora/a/documents/" + "0" * 32), 404, "DocumentMissing")


def test_an_original_comes_as_it_was_and_cannot_run_in_a_browser(api: Live, ids: dict[str, str]) -> None:
    answer = api.http.get(f"/v1/corpora/a/documents/{ids['tower.pdf']}/original")
    assert answer.content == PDF and answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers["content-security-policy"]
    other = api.fill("names", {'Bericht "März"; x.html': "<script>alert(1)</script><p>Of the tower 1731</p>"})
    (id,) = other.values()
    answer = api.http.get(f"/v1/corpora/names/documents/{id}/original")
    assert "filename*=UTF-8''Bericht" in answer.headers["content-disposition"]
    assert "\n" not in answer.headers["content-disposition"] and answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_of_a_pdf_with_its_span_boxed(api: Live, ids: dict[str, str]) -> None:
    text = api.http.get(f"/v1/corpora/a/documents/{ids['tower.pdf']}").json()["text"]
    start = text.index("1999")
    path = f"/v1/corpora/a/documents/{ids['tower.pdf']}/pages"
    page = api.http.get(f"{path}/2", params={"start": start, "end": start + 4}).json()
    assert page["exact"] and page["image"].startswith("data:image/png;base64,") and len(page["boxes"]) == 1
    left, top, right, bottom = page["boxes"][0]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert api.http.get(f"{path}/1", params={"start": start, "end": start + 4}).json()["boxes"] == []
    problem(api.http.get(f"{path}/3"), 404, "DocumentMissing")
    problem(api.http.get(f"{path}/1", params={"scale": 100}), 422, "SettingError")
    problem(api.http.get(f"/v1/corpora/a/documents/{ids['lines.txt']}/pages/1"), 404, "DocumentMissing")


def test_an_attachment_is_a_document_of_its_own(api: Live) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Piers", "Ada <ada@example.org>"
    mail.set_content("See the report.")
    mail.add_attachment(PDF, maintype="application", subtype="pdf", filename="report.pdf")
    ids = api.fill("mail", {"mail.eml": mail.as_string()})
    assert set(ids) == {"mail.eml", "mail.eml/report.pdf"}
    attached = api.http.get(f"/v1/corpora/mail/documents/{ids['mail.eml/report.pdf']}").json()
    assert attached["meta"]["parent"] == "mail.eml" and attached["meta"]["file_type"] == "pdf"
    page = api.http.get(f"/v1/corpora/mail/documents/{ids['mail.eml/report.pdf']}/pages/1")
    assert "is inside mail.eml" in problem(page, 404, "DocumentMissing")


# -- uploads -----------------------------------------------------------------------------------------------------------


FORM = "multipart/form-data; boundary=x"


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_an_upload_tells_of_each_file_and_writes_nothing_outside(api: Live) -> None:
    api.http.post("/v1/corpora", json={"name": "up"})
    archive = zipped({"in/a.txt": "In the zip 1.", "../../evil.txt": "out", "/etc/evil.txt": "out", "b.txt": "Two 2."})
    sent = [
        ("files", ("pack.zip", archive)),
        ("files", ("../../evil.txt", b"out")),
        ("files", ("c.txt", b"Three 3.")),
    ]
    sent += [("files", ("big.txt", b"x" * 50_001)), ("files", ("..", b"x"))]
    answer = api.http.post("/v1/corpora/up/documents", files=sent)
    assert answer.status_code == 202
    found = {file["name"]: file for file in answer.json()["files"]}
    stored = {file["source"] for file in found.values() if file["status"] == "stored"}
    assert {"in/a.txt", "b.txt", "c.txt"} <= stored and not [name for name in stored if ".." in name]
    assert found["../../evil.txt"]["status"] == "refused" and "50,000" in found["big.txt"]["reason"]
    done = api.wait(answer.json()["job"]["id"])
    assert done["state"] == "done" and done["result"]["counts"] == {"indexed": len(stored)}
    home = api.service.home.path
    assert not list(home.parent.rglob("evil.txt")) and not Path("/etc/evil.txt").exists()
    assert list(home.joinpath("uploads").iterdir()) == []
    again = api.http.post("/v1/corpora/up/documents", files=[("files", ("c.txt", b"Three is 33 now."))])
    assert api.wait(again.json()["job"]["id"])["result"]["counts"] == {"unchanged": len(stored) - 1, "updated": 1}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"no multipart", "text/plain"),
        (b"x", "multipart/form-data"),
        (b"", FORM),
        (b"--x", FORM),
        (b"--x--\r\n", FORM),
        (b"--x\r\n\r\nno name\r\n--x--\r\n", FORM),
        (b"--x\r\n" + b"a" * 10_000, FORM),
        (b"--x\r\nContent-Disposition: form-data; name=files; filename=a\r\n\r\ncut", FORM),
    ],
)
def test_a_bad_upload_is_told_why_and_leaves_nothing(api: Live, ids: dict[str, str], content: bytes, kind: str) -> None:
    for way in ("documents", "questions"):
        answer = api.http.post(f"/v1/corpora/a/{way}", content=content, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422) and answer.headers["content-type"] == MEDIA_TYPE, answer.text
    assert list((api.service.home.path / "uploads").iterdir()) == []


def test_bodies_over_the_limit_are_refused_before_they_are_read(api: Live, ids: dict[str, str]) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"question": "'
        for _ in range(1_000):
            yield b"x" * 1_000

    for way, content in (
        ("ask", b"x" * 100_001),
        ("ask", endless()),
        ("documents", b"x" * 200_001),
        ("documents", endless()),
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=y"}
        try:
            answer = api.http.post(f"/v1/corpora/a/{way}", content=content, headers=headers)
        except httpx.TransportError:
            continue
        assert answer.status_code == 413, answer.text
    assert api.http.get("/health").json() == {"status": "up", "precision": "", "instruction_set": ""}


def test_a_document_of_a_file_with_others_goes_only_with_all_of_them(api: Live) -> None:
    lines = "".join(f'{{"id": "{n}", "text": "Number {n} is here."}}\n' for n in range(3))
    ids = api.fill("many", {"many.jsonl": lines, "one.txt": "One 1."})
    path = f"/v1/corpora/many/documents/{ids['many.jsonl#1']}"
    assert "3 documents" in problem(api.http.delete(path), 422, "SettingError")
    job = api.http.delete(path, params={"whole_file": "true"})
    assert job.status_code == 202 and api.wait(job.json()["job"]["id"])["result"]["counts"]["removed"] == 1
    assert api.http.get("/v1/corpora/many").json()["documents"] == 1
    problem(api.http.delete(path), 404, "DocumentMissing")
    last = api.http.delete("/v1/corpora/many/files", params={"source": "one.txt"})
    assert api.wait(last.json()["job"]["id"])["state"] == "done"
    assert api.http.get("/v1/corpora/many").json()["documents"] == 0
    assert api.http.post("/v1/corpora/many/ask", json=ASKED).json()["passages"] == []
    problem(api.http.delete("/v1/corpora/many/files", params={"source": "../../keys.json"}), 404, "DocumentMissing")

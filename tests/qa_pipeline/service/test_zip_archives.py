"""Archives that cannot hurt: members that lead out, lie about themselves or unpack to too much are refused."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError
from qa_pipeline.service import zip_archives
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.uploaded_files import safe_name
from qa_pipeline.service.zip_archives import PutReport, UploadLimits
from tests.known import SCRIPTS
from tests.qa_pipeline.service.conftest import below


def entry(name: str, **facts: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    for key, value in facts.items():
        setattr(info, key, value)
    return info


def make_zip(path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def outcome(reports: list[PutReport]) -> dict[str, str]:
    """name -> its source, or "!" and the reason."""
    assert all((r.status == "stored") == bool(r.source) != bool(r.reason) for r in reports)
    return {r.name: r.source or f"!{r.reason}" for r in reports}


def test_an_ordinary_archive(home: Home, reports: Corpus, tmp_path: Path) -> None:
    members = {f"دليل/{name}.txt": text.encode() for name, text in SCRIPTS.items()}
    members |= {"stored.txt": b"plain", "a\\b.txt": b"windows", "empty.txt": b""}
    path = make_zip(
        tmp_path / "z.zip",
        [
            ("folder/", b""),
            (entry("stored.txt", compress_type=0), b"plain"),
            *[(name, data) for name, data in members.items() if name != "stored.txt"],
        ],
    )
    found = outcome(home.put_zip(reports, path))
    assert found == {name: name.replace("\\", "/") for name in members}
    assert below(reports.documents) == set(found.values())
    for name, data in members.items():
        assert home.original(reports, found[name]).read_bytes() == data
    assert list(reports.incoming.iterdir()) == []


REFUSED = [
    ("../up.txt", "leads out"),
    ("a/../../up.txt", "leads out"),
    ("a/../b.txt", "leads out"),
    ("..\\up.txt", "leads out"),
    ("/abs.txt", "leads out"),
    ("\\abs.txt", "leads out"),
    ("//server/share.txt", "leads out"),
    ("C:\\drive.txt", "leads out"),
    ("c:drive.txt", "leads out"),
    (".hidden", "hidden"),
    ("a/.git/config", "hidden"),
    ("__MACOSX/a.txt", "hidden"),
    ("~$a.docx", "hidden"),
    (".Sent/dovecot-uidlist", "hidden"),
    ("???", "nothing|no letter"),
]


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp866", "Склад.txt"), ("gbk", "仓库规则.txt"), ("cp932", "倉庫の規則.txt")]
)
def test_names_of_other_countries(home: Home, reports: Corpus, tmp_path: Path, encoding: str, name: str) -> None:
    raw = name.encode(encoding)
    path = make_zip(tmp_path / "z.zip", [("x" * len(raw), b"good")])
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    (found,) = home.put_zip(reports, path)
    assert (found.name, found.source) == (name, name)


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_members_with_bad_names(home: Home, reports: Corpus, tmp_path: Path, name: str, reason: str) -> None:
    path = make_zip(tmp_path / "z.zip", [("good.txt", b"good"), (name, b"bad"), ("later.txt", b"later")])
    before = below(tmp_path)
    good, bad, later = home.put_zip(reports, path)
    assert (good.status, bad.status, later.status) == ("stored", "refused", "stored")
    assert any(part in bad.reason for part in reason.split("|")), bad
    assert below(tmp_path) - before == {f"home/corpora/reports/documents/{n}.txt" for n in ("good", "later")}


def test_members_that_are_no_files(home: Home, reports: Corpus, tmp_path: Path) -> None:
    def unix(name: str, mode: int) -> zipfile.ZipInfo:
        return entry(name, create_system=3, external_attr=(mode | 0o777) << 16)

    members = [
        (unix("link", stat.S_IFLNK), b"/etc/passwd"),
        (entry("dos-claims", create_system=0, external_attr=(stat.S_IFLNK | 0o777) << 16), b"/etc/passwd"),
        (entry("reparse", create_system=0, external_attr=0x400), b"x"),
        (unix("fifo", stat.S_IFIFO), b""),
        (unix("device", stat.S_IFCHR), b""),
        (unix("folder", stat.S_IFDIR), b"x"),
        (unix("link/inside.txt", stat.S_IFREG), b"fine"),
        (unix("run.sh", stat.S_IFREG), b"fine"),
    ]
    found = outcome(home.put_zip(reports, make_zip(tmp_path / "z.zip", members)))
    assert [value[:11] for value in found.values()] == ["!a link, not"[:11]] * 3 + ["!not an ordi"[:11]] * 3 + [
        "link/inside",
        "run.sh",
    ]
    assert below(reports.documents) == {"link/inside.txt", "run.sh"}
    assert not any(path.is_symlink() for path in reports.documents.rglob("*"))
    assert os.stat(reports.documents / "run.sh").st_mode & 0o111 == 0


def test_equal_names(home: Home, reports: Corpus, tmp_path: Path) -> None:
    names = [
        "a.txt",
        "A.TXT",
        "b/caf\u00e9.txt",
        "b/cafe\u0301.txt",
        "Straße.txt",
        "STRASSE.txt",
        "q?.txt",
        "q*.txt",
        "a.txt/x.txt",
    ]
    path = make_zip(tmp_path / "z.zip", [(name, str(n).encode()) for n, name in enumerate(names)])
    found = outcome(home.put_zip(reports, path))
    assert {k: v for k, v in found.items() if v[0] != "!"} == {
        "a.txt": "a.txt",
        "b/caf\u00e9.txt": "b/caf\u00e9.txt",
        "Straße.txt": "Straße.txt",
        "q?.txt": "q_.txt",
    }
    assert all("already" in found[name] for name in ("A.TXT", "b/cafe\u0301.txt", "STRASSE.txt", "q*.txt"))
    assert "folder" in found["a.txt/x.txt"]
    assert (reports.documents / "a.txt").read_bytes() == b"0"


def test_the_very_same_name_twice(home: Home, reports: Corpus, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = make_zip(tmp_path / "z.zip", [("a.txt", b"first"), ("a.txt", b"second")])
    first, second = home.put_zip(reports, path)
    assert (first.status, second.status) == ("stored", "refused")
    assert (reports.documents / "a.txt").read_bytes() == b"first"


def patched(path: Path, name: bytes, local: dict[int, bytes], central: dict[int, bytes]) -> Path:
    """The archive with bytes of one member's headers overwritten: offset in the header -> bytes."""
    data = bytearray(path.read_bytes())
    for signature, length, changes in ((b"PK\x03\x04", 30, local), (b"PK\x01\x02", 46, central)):
        at = data.index(name, data.index(signature)) - length
        while data[at : at + 4] != signature:
            at = data.index(name, at + length + 1) - length
        for offset, value in changes.items():
            data[at + offset : at + offset + len(value)] = value
    path.write_bytes(data)
    return path


def test_encrypted_members(home: Home, reports: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [("locked.txt", b"x" * 50), ("open.txt", b"open")])
    for bits in (0x1, 0x41, 0x2000):
        flag = struct.pack("<H", bits)
        found = outcome(home.put_zip(reports, patched(path, b"locked.txt", {6: flag}, {8: flag})))
        assert "encrypted" in found["locked.txt"] and found["open.txt"] == "open.txt"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9, 98])
def test_methods_whose_cost_cannot_be_held(home: Home, reports: Corpus, tmp_path: Path, method: int) -> None:
    path = make_zip(tmp_path / "z.zip", [("a.txt", b"x" * 500)])
    value = struct.pack("<H", method)
    found = outcome(home.put_zip(reports, patched(path, b"a.txt", {8: value}, {10: value})))
    assert "method" in found["a.txt"] and below(reports.documents) == set()


def test_one_file_too_big(home: Home, reports: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [("big.txt", b"ab" * 5_001), ("fits.txt", b"ab" * 5_000)])
    found = outcome(home.put_zip(reports, path, UploadLimits(file_bytes=10_000)))
    assert "10,000 bytes" in found["big.txt"] and found["fits.txt"] == "fits.txt"


@pytest.mark.parametrize("declared", [0, 10, 20_000, 0xFFFFFFF0])
def test_declared_sizes_are_not_believed(home: Home, reports: Corpus, tmp_path: Path, declared: int) -> None:
    """What says it is small and is not, or the other way round, is refused, and no more than allowed came out of it."""
    path = make_zip(tmp_path / "z.zip", [("liar.txt", os.urandom(5_000) * 3), ("good.txt", b"good")])
    size = struct.pack("<I", declared)
    seen = 0

    def put(source: str, pieces: Iterable[bytes]) -> str:
        nonlocal seen
        for piece in pieces:
            seen += len(piece)
        return source

    patched(path, b"liar.txt", {22: size}, {24: size})
    limits = UploadLimits(file_bytes=12_000)
    found = outcome(zip_archives.unpack(path, put, limits))
    assert found["liar.txt"][0] == "!" and found["good.txt"] == "good.txt" and seen <= 12_004
    assert outcome(home.put_zip(reports, path, limits)) == found and below(reports.documents) == {"good.txt"}


def test_counting_does_not_stop_at_what_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were zipfile to give more than was declared, the pieces would still be counted."""
    path = make_zip(tmp_path / "z.zip", [("a.txt", os.urandom(400_000))])
    monkeypatch.setattr(zip_archives, "check_member", lambda *_: None)
    seen: list[int] = []
    put = lambda source, pieces: seen.extend(len(p) for p in pieces) or source  # type: ignore[func-returns-value]  # noqa: E731
    (report,) = zip_archives.unpack(path, put, UploadLimits(file_bytes=100_000))
    assert "100,000" in report.reason and sum(seen) <= 100_000


def test_a_member_that_unpacks_to_too_much(home: Home, reports: Corpus, tmp_path: Path) -> None:
    noise = os.urandom(100_000)
    path = make_zip(tmp_path / "z.zip", [("bomb.txt", bytes(5_000_000)), ("zeros.txt", bytes(900_000)), ("good.txt", noise)])
    found = outcome(home.put_zip(reports, path, UploadLimits(ratio=100)))
    assert "100 times" in found["bomb.txt"] and found["good.txt"] == "good.txt" and found["zeros.txt"] == "zeros.txt"


def test_many_members_that_unpack_to_too_much(home: Home, reports: Corpus, tmp_path: Path) -> None:
    """Each is under every limit of its own; all together are not."""
    path = make_zip(tmp_path / "z.zip", [(f"{n}.txt", bytes(1_000_000)) for n in range(40)])
    results = home.put_zip(reports, path, UploadLimits(ratio=200))
    stored = [r for r in results if r.status == "stored"]
    assert (
        len(results) == 40
        and sum((reports.documents / r.source).stat().st_size for r in stored) <= 200 * path.stat().st_size
    )
    assert {"zip bombs" in r.reason for r in results[-5:]} == {True}


def test_the_total(home: Home, reports: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [(f"{n}.txt", os.urandom(10_000)) for n in range(10)])
    results = home.put_zip(reports, path, UploadLimits(total_bytes=35_000))
    assert [r.status for r in results] == ["stored"] * 3 + ["refused"] * 7
    assert all("35,000 bytes" in r.reason for r in results[3:]) and len(below(reports.documents)) == 3


def test_members_that_share_their_bytes(home: Home, reports: Corpus, tmp_path: Path) -> None:
    """Many entries for one packed piece: at most the allowed total comes out."""
    packed = make_zip(tmp_path / "one.zip", [("a.txt", bytes(1_000_000))]).read_bytes()
    at = packed.index(b"PK\x01\x02")
    end = packed.index(b"PK\x05\x06")
    central = b"".join(packed[at:end].replace(b"a.txt", f"{n:05}".encode()) for n in range(500))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 500, 500, len(central), at, 0)
    (tmp_path / "z.zip").write_bytes(packed[:at] + central + tail)
    results = home.put_zip(reports, tmp_path / "z.zip")
    assert len(results) == 500 and len(below(reports.documents)) <= 200


def test_too_many_members(home: Home, reports: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [(f"{n}", b"x") for n in range(11)])
    (report,) = home.put_zip(reports, path, UploadLimits(members=10), name="mine.zip")
    assert report == PutReport("mine.zip", "", "refused", "11 files, more than the 10 allowed in one archive")
    assert below(reports.documents) == set()
    assert len(home.put_zip(reports, path, UploadLimits(members=11))) == 11


def test_a_table_of_contents_that_would_fill_memory(home: Home, reports: Corpus, tmp_path: Path) -> None:
    """It is not read at all: what the archive says of its length does not matter, what is there does."""
    one = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 9, 1, *[0] * 6) + b"x"
    central = one * 200_000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(central), 0, 0)
    (tmp_path / "z.zip").write_bytes(central + tail)
    (report,) = home.put_zip(reports, tmp_path / "z.zip", UploadLimits(members=1_000))
    assert report.status == "refused" and "1,000 files" in report.reason


def damaged() -> Iterable[bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "some text " * 100)
    whole = buffer.getvalue()
    yield from (b"", b"PK", b"not a zip at all", whole[:-30], whole[:40], b"PK\x05\x06" + b"\xff" * 18, b"%PDF-1.7")
    yield whole.replace(b"PK\x03\x04", b"PK\x03\x05")
    yield whole[:-8] + b"\xff" * 8


@pytest.mark.parametrize("data", damaged())
def test_what_is_no_archive(home: Home, reports: Corpus, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "z.zip").write_bytes(data)
    (report,) = home.put_zip(reports, tmp_path / "z.zip")
    assert report.status == "refused" and "damaged" in report.reason and below(reports.documents) == set()


@given(st.data())
def test_no_archive_breaks_out(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any bytes of a good archive changed: reports come back, and only what put was given is stored."""
    path = tmp_path_factory.mktemp("fuzz") / "z.zip"
    make_zip(path, [("a.txt", b"alpha " * 50), ("b/c.txt", b"beta " * 50)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    stored: list[str] = []

    def put(source: str, pieces: Iterable[bytes]) -> str:
        assert sum(map(len, pieces)) <= 10_000
        stored.append(source)
        return source

    reports = zip_archives.unpack(path, put, UploadLimits(file_bytes=10_000))
    assert [r.source for r in reports if r.status == "stored"] == stored
    assert all(safe_name(source) == source for source in stored)


def test_names_in_utf_8_without_saying_so(home: Home, reports: Corpus, tmp_path: Path) -> None:
    """As the archiver of macOS makes them; a name that is not UTF-8 is kept as zip's own code page gives it."""
    path = make_zip(tmp_path / "z.zip", [("ตั๋ว.txt", b"thai"), ("xxé.txt", b"latin")])
    data = path.read_bytes().replace("é".encode(), b"\x82x")
    flags = struct.pack("<H", 0)
    path.write_bytes(data)
    patched(path, "ตั๋ว".encode(), {6: flags}, {8: flags})
    patched(path, b"xx\x82", {6: flags}, {8: flags})
    assert outcome(home.put_zip(reports, path)) == {"ตั๋ว.txt": "ตั๋ว.txt", "xxéx.txt": "xxéx.txt"}


@pytest.mark.parametrize("name", ["file_bytes", "total_bytes", "members", "ratio"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1"])
def test_limits_are_cast_strictly(name: str, value: int) -> None:
    with pytest.raises(SettingError, match=name):
        UploadLimits(**{name: value})

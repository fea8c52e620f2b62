"""The home folder: corpora whole or not at all, names that stay inside, and archives that cannot hurt."""

from __future__ import annotations

import io
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import unicodedata
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.build import build_index
from indexing.errors import DocumentMissing, IndexBusy, IndexFolderError, ModelMissing, SettingError
from indexing.files.walk import find_files
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.errors import CorpusExists, CorpusMissing, HomeFolderError, HomeMissing
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.service import uploaded_files, zip_archives
from qa_pipeline.service.home import Corpus, Home
from qa_pipeline.service.uploaded_files import safe_name
from qa_pipeline.service.zip_archives import PutReport, UploadLimits
from tests.known import SCRIPTS, WordEmbedder, WordReader


def words(name: str) -> WordEmbedder:
    assert name in ("words", "builtin"), name
    return WordEmbedder()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", create=True, embedder=words)  # type: ignore[arg-type]


@pytest.fixture
def corpus(home: Home) -> Corpus:
    return home.create("reports", title="Annual reports", embedder="words")


def below(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


# -- the folder --------------------------------------------------------------------------------------------------------


def test_a_home_is_made_only_where_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HomeMissing, match="no docqa home"):
        Home.open(tmp_path / "h")
    assert not (tmp_path / "h").exists()
    Home.open(tmp_path / "h", create=True)
    Home.open(tmp_path / "h", create=True)
    assert Home.open(tmp_path / "h").corpora() == []


def test_a_home_does_not_take_over_other_folders(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "letter.txt").write_text("x")
    with pytest.raises(HomeFolderError, match="other files"):
        Home.open(tmp_path / "h", create=True)
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "h"):
        with pytest.raises(HomeFolderError):
            Home.open(path, create=True)


def test_processes_that_make_one_home_at_once(tmp_path: Path) -> None:
    """Each finds what the other has made so far, or all of it."""
    for n in range(10):
        with ThreadPoolExecutor(4) as pool:
            homes = list(pool.map(lambda _, n=n: Home.open(tmp_path / f"h{n}", create=True), range(4)))
        assert all(home.corpora() == [] for home in homes)


@pytest.mark.parametrize("marker", ['{"format": 2}', "[]", "{", ""])
def test_a_home_of_another_format_is_refused(tmp_path: Path, marker: str) -> None:
    Home.open(tmp_path / "h", create=True)
    (tmp_path / "h" / "docqa-home.json").write_text(marker)
    with pytest.raises(HomeFolderError):
        Home.open(tmp_path / "h")


# -- corpora -----------------------------------------------------------------------------------------------------------


def test_a_new_corpus_is_empty_and_can_be_asked(home: Home, corpus: Corpus) -> None:
    assert home.corpora() == [corpus] == [home.corpus("reports")]
    assert (corpus.title, corpus.embedder) == ("Annual reports", "words") and corpus.created.endswith("+00:00")
    with Index.open(corpus.index) as index:
        assert index.folder.counts()["documents"] == 0 and list(index.problems()) == []
        reply = QAPipeline(index, WordEmbedder(), WordReader()).ask("When did the bridge open?")  # type: ignore[arg-type]
    assert reply.no_answer.is_no_answer and reply.passages == () and reply.generation == 0


def test_corpora_by_name_and_once_each(home: Home, corpus: Corpus) -> None:
    for name in ("zebra", "a-1_b", "0"):
        home.create(name, embedder="words")
    assert [c.name for c in home.corpora()] == ["0", "a-1_b", "reports", "zebra"]
    with pytest.raises(CorpusExists, match="'reports'"):
        home.create("reports", embedder="words")
    assert home.corpus("reports") == corpus


@pytest.mark.parametrize(
    "name", ["", "A", "ü", "a/b", "..", ".", "-a", "_a", "a" * 64, "a\n", "a\0", "a b", "con.x", None, 7]
)
def test_bad_corpus_names(home: Home, name: str) -> None:
    before = below(home.path)
    with pytest.raises(SettingError):
        home.create(name, embedder="words")
    for act in (home.corpus, home.delete):
        with pytest.raises(CorpusMissing):
            act(name)
    assert below(home.path) == before


def test_titles_are_one_line(home: Home) -> None:
    title = "  Jahres\u00adberichte\n\x00 2024\u202e تقارير "
    assert home.create("t", title=title, embedder="words").title == "Jahres berichte 2024 تقارير"
    with pytest.raises(SettingError):
        home.create("u", title="x" * 201, embedder="words")


def test_a_model_that_is_not_here_leaves_nothing(home: Home) -> None:
    def missing(name: str) -> WordEmbedder:
        raise ModelMissing(f"{name} is not here.")

    bare = Home.open(home.path, embedder=missing)  # type: ignore[arg-type]
    for embedder, error in (("nowhere", ModelMissing), (" ", SettingError)):
        with pytest.raises(error):
            bare.create("x", embedder=embedder)
    assert [p.name for p in (home.path / "corpora").iterdir()] == []


def test_two_who_make_the_same_corpus(home: Home) -> None:
    """The one that comes second finds it there, also when it looked before."""

    def slowly(name: str) -> WordEmbedder:
        home.create("same", title="first", embedder="words")
        return WordEmbedder()

    with pytest.raises(CorpusExists):
        Home.open(home.path, embedder=slowly).create("same", title="second", embedder="words")  # type: ignore[arg-type]
    assert home.corpus("same").title == "first"
    assert [p.name for p in (home.path / "corpora").iterdir()] == ["same"]


def test_a_deleted_corpus_is_gone(home: Home, corpus: Corpus) -> None:
    home.put(corpus, "a.txt", b"text")
    home.delete("reports")
    assert list((home.path / "corpora").iterdir()) == [] and home.corpora() == []
    for act in (home.corpus, home.delete):
        with pytest.raises(CorpusMissing):
            act("reports")
    with pytest.raises(CorpusMissing):
        home.put(corpus, "b.txt", b"text")
    with pytest.raises(DocumentMissing):
        home.original(corpus, "a.txt")
    assert home.create("reports", embedder="words").title == ""


def test_a_corpus_that_is_written_to_is_not_deleted(home: Home, corpus: Corpus) -> None:
    with IndexFolder.open(corpus.index, writable=True) as folder, folder.writer():
        with pytest.raises(IndexBusy):
            home.delete("reports", wait_s=0.1)
        assert home.corpus("reports") == corpus
    home.delete("reports")
    assert home.corpora() == []


def test_what_stopped_processes_left_is_swept(home: Home, corpus: Corpus) -> None:
    corpora = home.path / "corpora"
    (corpora / ".deleted-old-1" / "index").mkdir(parents=True)
    (corpora / ".new-young-1").mkdir()
    (corpora / ".new-old-1").mkdir()
    (corpus.incoming / "old.part").write_bytes(b"half")
    (corpus.incoming / "young.part").write_bytes(b"half")
    for path in (corpora / ".new-old-1", corpus.incoming / "old.part"):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert [c.name for c in Home.open(home.path).corpora()] == ["reports"]
    assert {p.name for p in corpora.iterdir()} == {"reports", ".new-young-1"}
    assert [p.name for p in corpus.incoming.iterdir()] == ["young.part"]


def test_a_corpus_with_damaged_facts_hides_no_other(home: Home, corpus: Corpus) -> None:
    other = home.create("other", embedder="words")
    (corpus.path / "corpus.json").write_text("{")
    assert home.corpora() == [other]
    with pytest.raises(HomeFolderError, match="'reports'"):
        home.corpus("reports")
    home.delete("reports")
    assert home.corpora() == [other]


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("2024/May/report.pdf", "2024/May/report.pdf"),
        ("2024\\May\\report.pdf", "2024/May/report.pdf"),
        ("a//./b.txt", "a/b.txt"),
        ("/etc/passwd", "passwd"),
        ("../../.ssh/id", "id"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("c:a.txt", "a.txt"),
        ("\\\\server\\share\\a.txt", "a.txt"),
        ("\\\\?\\C:\\a.txt", "a.txt"),
        (".htaccess", "htaccess"),
        ("~$report.docx", "report.docx"),
        ("a/.git/b", "a/git/b"),
        ("a\x00b\r\n.txt", "ab.txt"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("aux./NUL .x", "_aux/_NUL .x"),
        ("a. . .", "a"),
        ('what? <b>*|".txt', "what_ _b____.txt"),
        ("rows.csv#1", "rows.csv_1"),
        ("cv\u202efdp.exe", "cvfdp.exe"),
        ("cafe\u0301.txt", "caf\u00e9.txt"),
        ("\ud800.txt", "_.txt"),
        ("<script>alert(1)</script>.txt", "_script_alert(1)_/script_.txt"),
        ("مرصد ١٩٥٨.txt", "مرصد ١٩٥٨.txt"),
        ("می‌خواهم.pdf", "می‌خواهم.pdf"),
        ("ตั๋ว.docx", "ตั๋ว.docx"),
        ("👩‍👩‍👧.txt", "👩‍👩‍👧.txt"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
    ],
)
def test_safe_names(given: str, expected: str) -> None:
    assert safe_name(given) == expected


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "\\", "a/", "???", " ", "...", "\x00", "c:", "~$", "-", "a/..", "x/" * 40 + "y"]
)
def test_names_of_which_nothing_is_left(name: str) -> None:
    with pytest.raises(SettingError):
        safe_name(name)


def test_long_names_are_cut_and_stay_apart() -> None:
    names = {safe_name("ข" * 300 + f"{n}.docx") for n in range(5)}
    assert len(names) == 5
    assert all(name.endswith(".docx") and len(name.encode()) <= 200 and name.startswith("ข") for name in names)
    assert len(safe_name("x" * 5_000).encode()) <= 200
    with pytest.raises(SettingError, match="too long"):
        safe_name("/".join(["d" * 190] * 6) + "/a.txt")


BITS = [*"abC.. ~$/\\:\0\n#?é\u0301\u202e\u200dกｱ👩_-", "\ud800", "con", "nul", ".."]
NASTY = st.lists(st.sampled_from(BITS), max_size=40).map("".join)


@given(st.one_of(NASTY, st.text(max_size=300)))
def test_a_safe_name_stays_inside_and_stays_itself(name: str) -> None:
    try:
        safe = safe_name(name)
    except SettingError as error:
        str(error).encode()
        return
    assert safe_name(safe) == safe == unicodedata.normalize("NFC", safe)
    path = os.path.normpath(os.path.join("/documents", safe))
    assert path == f"/documents/{safe}"
    for part in safe.split("/"):
        assert part and not part.startswith((".", "~$", " ")) and not part.endswith((".", " "))
        assert len(part.encode()) <= 200 and not set(part) & set('<>:"|?*\\#\u202e\u2066')
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in part)


# -- files -------------------------------------------------------------------------------------------------------------


def test_put_keeps_bytes_as_they_are(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    for name, text in SCRIPTS.items():
        assert home.put(corpus, f"folder/{name}.txt", text.encode()) == f"folder/{name}.txt"
        assert home.original(corpus, f"folder/{name}.txt").read_bytes() == text.encode()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(300_000))
    assert home.put(corpus, "big.bin", big) == "big.bin" and big.exists()
    assert (corpus.documents / "big.bin").read_bytes() == big.read_bytes()
    assert home.put(corpus, "empty.txt", b"") == "empty.txt"
    assert list(corpus.incoming.iterdir()) == []
    assert stat.S_IMODE((corpus.documents / "big.bin").stat().st_mode) & 0o111 == 0


def test_put_replaces_the_older_file(home: Home, corpus: Corpus) -> None:
    home.put(corpus, "a.txt", b"old")
    old = (corpus.documents / "a.txt").open("rb")
    home.put(corpus, "a.txt", b"new")
    assert old.read() == b"old" and home.original(corpus, "a.txt").read_bytes() == b"new"
    old.close()


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/a", "\\a", "c:\\a", "c:a", "a\\..\\b", "a/ .. /b"])
def test_put_refuses_names_that_lead_out(home: Home, corpus: Corpus, name: str, tmp_path: Path) -> None:
    before = below(tmp_path)
    with pytest.raises(SettingError, match="leads out"):
        home.put(corpus, name, b"x")
    assert below(tmp_path) == before


def test_put_goes_through_no_link(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (corpus.documents / "link").symlink_to(outside)
    (corpus.documents / "file.txt").symlink_to(outside / "secret.txt")
    with pytest.raises(SettingError):
        home.put(corpus, "link/a.txt", b"x")
    home.put(corpus, "file.txt", b"mine")
    assert below(outside) == {"secret.txt"} and (outside / "secret.txt").read_text() == "secret"
    assert home.original(corpus, "file.txt").read_bytes() == b"mine"


def test_a_file_and_a_folder_of_one_name(home: Home, corpus: Corpus) -> None:
    home.put(corpus, "a", b"file")
    home.put(corpus, "b/c", b"file")
    for name in ("a/b", "b"):
        with pytest.raises(SettingError, match="folder"):
            home.put(corpus, name, b"x")
    assert below(corpus.documents) == {"a", "b/c"} and list(corpus.incoming.iterdir()) == []


def test_a_put_that_fails_leaves_the_old_file(home: Home, corpus: Corpus) -> None:
    home.put(corpus, "a.txt", b"old")

    def broken() -> Iterable[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(HomeFolderError, match="no space left"):
        home._put(corpus, "a.txt", broken())
    assert (corpus.documents / "a.txt").read_bytes() == b"old" and list(corpus.incoming.iterdir()) == []
    with pytest.raises(HomeFolderError, match="no such file"):
        home.put(corpus, "b.txt", corpus.path / "missing")


def test_originals_only_of_the_documents(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    home.put(corpus, "sub/a.txt", b"a")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.txt").write_text("s")
    (corpus.documents / "out").symlink_to(tmp_path / "secret")
    (corpus.documents / "in").symlink_to(corpus.documents / "sub")
    (corpus.documents / ".hidden").write_text("h")
    os.mkfifo(corpus.documents / "pipe")
    assert home.original(corpus, "sub/a.txt") == corpus.documents / "sub" / "a.txt"
    outside = ("../corpus.json", "../../../secret/s.txt", str(tmp_path / "secret" / "s.txt"), "out/s.txt", "/sub/a.txt")
    odd = ("", ".", "..", "sub", "sub/", "sub//a.txt", "sub/../sub/a.txt", "in/a.txt", ".hidden", "pipe", "sub\\a.txt")
    missing = ("sub/a.txt\0", "a" * 5_000, "é", "\ud800", "\\x00", "SUB/A.TXT")
    for name in (*outside, *odd, *missing):
        for act in (home.original, home.remove):
            with pytest.raises(DocumentMissing):
                act(corpus, name)
    assert (tmp_path / "secret" / "s.txt").exists()


def test_every_source_of_a_walk_leads_to_its_file(home: Home, corpus: Corpus) -> None:
    """Also of files that did not come through `put`: in other normal forms, or with bytes that are no text."""
    for name in ("cafe\u0301.txt", "caf\u00e9.txt", "und/e\u0301/a.txt"):
        (corpus.documents / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus.documents / name).write_text(name)
    (corpus.documents / os.fsdecode(b"latin\xe9.txt")).write_text("latin")
    found = list(find_files(corpus.documents))
    assert len(found) == 4
    for file in found:
        assert home.original(corpus, file.source) == file.path


def test_remove_takes_empty_folders_along(home: Home, corpus: Corpus) -> None:
    home.put(corpus, "a/b/c.txt", b"c")
    home.put(corpus, "a/d.txt", b"d")
    home.remove(corpus, "a/b/c.txt")
    assert below(corpus.documents) == {"a/d.txt"} and not (corpus.documents / "a" / "b").exists()
    home.remove(corpus, "a/d.txt")
    assert list(corpus.documents.iterdir()) == [] and corpus.documents.is_dir()
    with pytest.raises(DocumentMissing):
        home.remove(corpus, "a/d.txt")


def test_folders_that_vanish_while_a_file_comes_in(home: Home, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]
    ordinary = uploaded_files.make_folders

    def vanishing(documents: Path, source: str) -> None:
        ordinary(documents, source)
        if left[0]:
            left[0] -= 1
            (documents / "a").rmdir()

    monkeypatch.setattr(uploaded_files, "make_folders", vanishing)
    assert home.put(corpus, "a/b.txt", b"x") == "a/b.txt" and below(corpus.documents) == {"a/b.txt"}


CHILD = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from qa_pipeline.service.home import Home
home = Home.open(Path({home!r})); corpus = home.corpus("reports")
for n in range(10**6):
    home.put(corpus, "a.txt", bytes([65 + n % 26]) * 200_000)
    if n == 0: print("first", flush=True)
"""


def test_kill_9_leaves_a_whole_file(home: Home, corpus: Corpus, repository: Path) -> None:
    for wait in (0.0, 0.02, 0.05):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(root=str(repository), home=str(home.path))], stdout=subprocess.PIPE
        )
        assert child.stdout is not None and child.stdout.readline()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        content = (corpus.documents / "a.txt").read_bytes()
        assert len(content) == 200_000 and len(set(content)) == 1
        assert below(corpus.documents) == {"a.txt"}


def test_a_corpus_whose_last_file_went_is_emptied(home: Home, corpus: Corpus) -> None:
    home.put(corpus, "a.txt", b"The bridge opened in 1912.")
    assert build_index(corpus.documents, corpus.index, embedder=WordEmbedder()).documents == 1  # type: ignore[arg-type]
    home.remove(corpus, "a.txt")
    with pytest.raises(IndexFolderError, match="nothing was changed"):
        build_index(corpus.documents, corpus.index, embedder=WordEmbedder())  # type: ignore[arg-type]
    report = build_index(corpus.documents, corpus.index, embedder=WordEmbedder(), emptied=True)  # type: ignore[arg-type]
    assert report.documents == report.passages == 0 and [(f.source, f.status) for f in report.files] == [
        ("a.txt", "removed")
    ]
    with Index.open(corpus.index) as index:
        assert list(index.problems()) == []


# -- archives ----------------------------------------------------------------------------------------------------------


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


def test_an_ordinary_archive(home: Home, corpus: Corpus, tmp_path: Path) -> None:
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
    found = outcome(home.put_zip(corpus, path))
    assert found == {name: name.replace("\\", "/") for name in members}
    assert below(corpus.documents) == set(found.values())
    for name, data in members.items():
        assert home.original(corpus, found[name]).read_bytes() == data
    assert list(corpus.incoming.iterdir()) == []


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
    ("inner.ZIP", "archive in an archive"),
    ("???", "nothing|no letter"),
]


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_members_with_bad_names(home: Home, corpus: Corpus, tmp_path: Path, name: str, reason: str) -> None:
    path = make_zip(tmp_path / "z.zip", [("good.txt", b"good"), (name, b"bad"), ("later.txt", b"later")])
    before = below(tmp_path)
    good, bad, later = home.put_zip(corpus, path)
    assert (good.status, bad.status, later.status) == ("stored", "refused", "stored")
    assert any(part in bad.reason for part in reason.split("|")), bad
    assert below(tmp_path) - before == {f"home/corpora/reports/documents/{n}.txt" for n in ("good", "later")}


def test_members_that_are_no_files(home: Home, corpus: Corpus, tmp_path: Path) -> None:
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
    found = outcome(home.put_zip(corpus, make_zip(tmp_path / "z.zip", members)))
    assert [value[:11] for value in found.values()] == ["!a link, not"[:11]] * 3 + ["!not an ordi"[:11]] * 3 + [
        "link/inside",
        "run.sh",
    ]
    assert below(corpus.documents) == {"link/inside.txt", "run.sh"}
    assert not any(path.is_symlink() for path in corpus.documents.rglob("*"))
    assert os.stat(corpus.documents / "run.sh").st_mode & 0o111 == 0


def test_equal_names(home: Home, corpus: Corpus, tmp_path: Path) -> None:
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
    found = outcome(home.put_zip(corpus, path))
    assert {k: v for k, v in found.items() if v[0] != "!"} == {
        "a.txt": "a.txt",
        "b/caf\u00e9.txt": "b/caf\u00e9.txt",
        "Straße.txt": "Straße.txt",
        "q?.txt": "q_.txt",
    }
    assert all("already" in found[name] for name in ("A.TXT", "b/cafe\u0301.txt", "STRASSE.txt", "q*.txt"))
    assert "folder" in found["a.txt/x.txt"]
    assert (corpus.documents / "a.txt").read_bytes() == b"0"


def test_the_very_same_name_twice(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = make_zip(tmp_path / "z.zip", [("a.txt", b"first"), ("a.txt", b"second")])
    first, second = home.put_zip(corpus, path)
    assert (first.status, second.status) == ("stored", "refused")
    assert (corpus.documents / "a.txt").read_bytes() == b"first"


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


def test_encrypted_members(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [("locked.txt", b"x" * 50), ("open.txt", b"open")])
    for bits in (0x1, 0x41, 0x2000):
        flag = struct.pack("<H", bits)
        found = outcome(home.put_zip(corpus, patched(path, b"locked.txt", {6: flag}, {8: flag})))
        assert "encrypted" in found["locked.txt"] and found["open.txt"] == "open.txt"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9, 98])
def test_methods_whose_cost_cannot_be_held(home: Home, corpus: Corpus, tmp_path: Path, method: int) -> None:
    path = make_zip(tmp_path / "z.zip", [("a.txt", b"x" * 500)])
    value = struct.pack("<H", method)
    found = outcome(home.put_zip(corpus, patched(path, b"a.txt", {8: value}, {10: value})))
    assert "method" in found["a.txt"] and below(corpus.documents) == set()


def test_one_file_too_big(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [("big.txt", b"ab" * 5_001), ("fits.txt", b"ab" * 5_000)])
    found = outcome(home.put_zip(corpus, path, UploadLimits(file_bytes=10_000)))
    assert "10,000 bytes" in found["big.txt"] and found["fits.txt"] == "fits.txt"


@pytest.mark.parametrize("declared", [0, 10, 20_000, 0xFFFFFFF0])
def test_declared_sizes_are_not_believed(home: Home, corpus: Corpus, tmp_path: Path, declared: int) -> None:
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
    assert outcome(home.put_zip(corpus, path, limits)) == found and below(corpus.documents) == {"good.txt"}


def test_counting_does_not_stop_at_what_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were zipfile to give more than was declared, the pieces would still be counted."""
    path = make_zip(tmp_path / "z.zip", [("a.txt", os.urandom(400_000))])
    monkeypatch.setattr(zip_archives, "check_member", lambda *_: None)
    seen: list[int] = []
    put = lambda source, pieces: seen.extend(len(p) for p in pieces) or source  # type: ignore[func-returns-value]  # noqa: E731
    (report,) = zip_archives.unpack(path, put, UploadLimits(file_bytes=100_000))
    assert "100,000" in report.reason and sum(seen) <= 100_000


def test_a_member_that_unpacks_to_too_much(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    noise = os.urandom(100_000)
    path = make_zip(tmp_path / "z.zip", [("bomb.txt", bytes(5_000_000)), ("zeros.txt", bytes(900_000)), ("good.txt", noise)])
    found = outcome(home.put_zip(corpus, path, UploadLimits(ratio=100)))
    assert "100 times" in found["bomb.txt"] and found["good.txt"] == "good.txt" and found["zeros.txt"] == "zeros.txt"


def test_many_members_that_unpack_to_too_much(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    """Each is under every limit of its own; all together are not."""
    path = make_zip(tmp_path / "z.zip", [(f"{n}.txt", bytes(1_000_000)) for n in range(40)])
    reports = home.put_zip(corpus, path, UploadLimits(ratio=200))
    stored = [r for r in reports if r.status == "stored"]
    assert (
        len(reports) == 40 and sum((corpus.documents / r.source).stat().st_size for r in stored) <= 200 * path.stat().st_size
    )
    assert {"zip bombs" in r.reason for r in reports[-5:]} == {True}


def test_the_total(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [(f"{n}.txt", os.urandom(10_000)) for n in range(10)])
    reports = home.put_zip(corpus, path, UploadLimits(total_bytes=35_000))
    assert [r.status for r in reports] == ["stored"] * 3 + ["refused"] * 7
    assert all("35,000 bytes" in r.reason for r in reports[3:]) and len(below(corpus.documents)) == 3


def test_members_that_share_their_bytes(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    """Many entries for one packed piece: at most the allowed total comes out."""
    packed = make_zip(tmp_path / "one.zip", [("a.txt", bytes(1_000_000))]).read_bytes()
    at = packed.index(b"PK\x01\x02")
    end = packed.index(b"PK\x05\x06")
    central = b"".join(packed[at:end].replace(b"a.txt", f"{n:05}".encode()) for n in range(500))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 500, 500, len(central), at, 0)
    (tmp_path / "z.zip").write_bytes(packed[:at] + central + tail)
    reports = home.put_zip(corpus, tmp_path / "z.zip")
    assert len(reports) == 500 and len(below(corpus.documents)) <= 200


def test_too_many_members(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "z.zip", [(f"{n}", b"x") for n in range(11)])
    (report,) = home.put_zip(corpus, path, UploadLimits(members=10), name="mine.zip")
    assert report == PutReport("mine.zip", "", "refused", "11 files, more than the 10 allowed in one archive")
    assert below(corpus.documents) == set()
    assert len(home.put_zip(corpus, path, UploadLimits(members=11))) == 11


def test_a_table_of_contents_that_would_fill_memory(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    """It is not read at all: what the archive says of its length does not matter, what is there does."""
    one = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 9, 1, *[0] * 6) + b"x"
    central = one * 200_000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(central), 0, 0)
    (tmp_path / "z.zip").write_bytes(central + tail)
    (report,) = home.put_zip(corpus, tmp_path / "z.zip", UploadLimits(members=1_000))
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
def test_what_is_no_archive(home: Home, corpus: Corpus, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "z.zip").write_bytes(data)
    (report,) = home.put_zip(corpus, tmp_path / "z.zip")
    assert report.status == "refused" and "damaged" in report.reason and below(corpus.documents) == set()


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


def test_names_in_utf_8_without_saying_so(home: Home, corpus: Corpus, tmp_path: Path) -> None:
    """As the archiver of macOS makes them; a name that is not UTF-8 is kept as zip's own code page gives it."""
    path = make_zip(tmp_path / "z.zip", [("ตั๋ว.txt", b"thai"), ("xxé.txt", b"latin")])
    data = path.read_bytes().replace("é".encode(), b"\x82x")
    flags = struct.pack("<H", 0)
    path.write_bytes(data)
    patched(path, "ตั๋ว".encode(), {6: flags}, {8: flags})
    patched(path, b"xx\x82", {6: flags}, {8: flags})
    assert outcome(home.put_zip(corpus, path)) == {"ตั๋ว.txt": "ตั๋ว.txt", "xxéx.txt": "xxéx.txt"}


@pytest.mark.parametrize("name", ["file_bytes", "total_bytes", "members", "ratio"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1"])
def test_limits_are_cast_strictly(name: str, value: int) -> None:
    with pytest.raises(SettingError, match=name):
        UploadLimits(**{name: value})

"""The service without HTTP: its settings, what may wait, what it keeps open, how files and documents are listed."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from indexing.build import build_index
from indexing.errors import DocumentMissing, SettingError
from indexing.store.listing import ListingQuery, file_of, list_documents
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.api.files import attachment
from qa_pipeline.errors import BrokenCitation, CorpusMissing, TooBusy
from qa_pipeline.service.admission import Admission
from qa_pipeline.service.corpus_pool import CorpusPool
from qa_pipeline.service.model_pool import ModelPool
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings, server_settings
from qa_pipeline.settings import AskSettings
from tests.known import SCRIPTS, Altered, WordEmbedder
from tests.live import BRIDGE, known_models

# -- settings ----------------------------------------------------------------------------------------------------------


def test_flags_come_before_variables_and_variables_before_defaults() -> None:
    found = server_settings({"home": "h", "top_k": "7"}, {"DOCQA_TOP_K": "9", "DOCQA_BATCH": "1_0", "DOCQA_PORT": ""})
    assert (found.home, found.top_k, found.batch, found.port) == (Path("h"), 7, 10, 8080)
    assert server_settings({}, {"DOCQA_HOME": "h", "DOCQA_LOG_QUESTIONS": "Yes"}).log_questions is True
    origins = server_settings({"home": "h", "cors_origins": "https://a.org, http://b.org:8"}, {}).cors_origins
    assert origins == ("https://a.org", "http://b.org:8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_QUESTIONS", "maybe"),
        ("LOG_QUESTIONS", "2"),
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "1.5"),
        ("PORT", "٣"),
        ("BODY_BYTES", "0"),
        ("TOP_K", "101"),
        ("CONCURRENCY", "0"),
        ("CORS_ORIGINS", "a.org"),
        ("CORS_ORIGINS", "https://a.org/x"),
        ("HOST", " "),
        ("BATCH", "9" * 30),
        ("SHUTDOWN_S", "4000"),
    ],
)
def test_what_cannot_be_used_stops_the_start_with_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name.lower() if name in ("HOST", "CORS_ORIGINS") else "(?i)" + name):
        server_settings({"home": "h"}, {f"DOCQA_{name}": value})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LOG_QUESTIONS", "maybe", "is 'maybe'; it must be one of 1, true, yes, on, 0, false, no, off."),
        ("PORT", "1e3", "is '1e3'; it must be a whole number from 0 to 65,535."),
        ("PORT", "+5", "is '+5'; it must be a whole number from 0 to 65,535."),
        ("TOP_K", "101", "is 101; it must be a whole number from 1 to 100."),
    ],
)
def test_an_error_is_one_sentence_with_name_value_and_what_is_allowed(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        server_settings({"home": "h"}, {f"DOCQA_{name}": value})
    assert str(caught.value) == f"DOCQA_{name} {said}"


@pytest.mark.parametrize("text", ["1", " TRUE", "yes", "On", "0", "false", "NO ", "off"])
def test_words_for_yes_and_no(text: str) -> None:
    found = server_settings({"home": "h", "log_questions": text}, {})
    assert found.log_questions is (text.strip().lower() in ("1", "true", "yes", "on"))


@pytest.mark.parametrize("values", [{"port": True}, {"port": "80"}, {"queue": 1.0}, {"log_questions": 1}, {"top_k": 0}])
def test_values_are_checked_however_they_come(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        ServerSettings(Path("h"), **values)


def test_a_home_must_be_named() -> None:
    with pytest.raises(SettingError, match="--home"):
        server_settings({}, {})


# -- what may wait -----------------------------------------------------------------------------------------------------


def test_so_many_run_so_many_wait_and_the_next_is_refused() -> None:
    reads, go, most, now = Admission(2, 3), threading.Event(), [0], [0]
    guard = threading.Lock()

    def work() -> None:
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        go.wait(10)
        with guard:
            now[0] -= 1

    futures = [reads.submit(work) for _ in range(5)]
    while reads.running() < 2:
        time.sleep(0.01)
    assert (reads.running(), reads.queued()) == (2, 3)
    with pytest.raises(TooBusy) as caught:
        reads.submit(work)
    assert 1 <= caught.value.retry_after <= 60 and reads.refused == 1
    more = reads.submit(work, bounded=False)
    go.set()
    for future in (*futures, more):
        future.result(10)
    reads.submit(lambda: None).result(10)
    assert most == [2]
    reads.close()
    with pytest.raises(TooBusy, match="shutting down"):
        reads.submit(work)


def test_what_fails_or_is_cancelled_leaves_its_place() -> None:
    reads = Admission(1, 1)

    def fail() -> None:
        raise ValueError("as it was raised")

    async def each() -> None:
        for _ in range(5):
            with pytest.raises(ValueError, match="as it was raised"):
                await reads.run(fail)
        for _ in range(5):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reads.run(lambda: time.sleep(0.05)), 0.001)
            await asyncio.sleep(0.1)
        assert await reads.run(lambda: 3) == 3

    asyncio.run(each())
    assert (reads.running(), reads.queued()) == (0, 0)
    reads.close()


# -- what is kept open -------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_once_however_many_need_it() -> None:
    loads: list[str] = []

    def load(name: str) -> WordEmbedder:
        loads.append(name)
        time.sleep(0.05)
        return WordEmbedder()

    models = ModelPool("r", embedder=load)  # type: ignore[arg-type]
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(models.embedder("e"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["e"] and len(set(map(id, found))) == 1
    models.embedder("other")
    assert loads == ["e", "other"]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    service = Service(ServerSettings(tmp_path / "h"), known_models())
    corpus = service.home.create("a")
    for code, text in SCRIPTS.items():
        service.home.put(corpus, f"scripts/{code}.txt", text.encode())
    service.home.put(corpus, "bridge.txt", BRIDGE.encode())
    build_index(corpus.documents, corpus.index, embedder=service.models.embedder("words"))
    return service


def test_what_is_not_the_text_at_its_place_is_never_sent(service: Service) -> None:
    question = "When was the bridge opened in?"
    with service.using("a") as opened:
        opened.pipeline().verifier = Verifier(Altered(opened.folder, "1912", "1913"))
        for ask in (service.ask, service.search, lambda *asked: list(service.ask_stream(*asked))):
            with pytest.raises(BrokenCitation, match="docqa doctor"):
                ask("a", question, AskSettings(), None)


def test_a_corpus_in_use_stays_open_until_it_is_given_back(service: Service) -> None:
    corpora: CorpusPool = service.corpora
    with service.using("a") as opened:
        service.delete("a")
        assert opened.folder.connection().execute("SELECT count(*) FROM documents").fetchone()[0] > 0
        with pytest.raises(CorpusMissing), service.using("a"):
            pass
        service.home.create("a")
        with service.using("a") as anew:
            assert anew is not opened and anew.counts()["documents"] == 0
    corpora.close()


def test_old_uploads_are_swept(service: Service) -> None:
    import os

    for name, age in (("old", 40), ("new", 1)):
        (service.home.uploads / name).mkdir()
        os.utime(service.home.uploads / name, (time.time() - age * 86_400,) * 2)
    service._sweep()
    assert [path.name for path in service.home.uploads.iterdir()] == ["new"]


# -- lists -------------------------------------------------------------------------------------------------------------


def test_documents_are_listed_counted_and_traced_to_their_files(service: Service) -> None:
    with service.using("a") as opened:
        whole = list_documents(opened.folder, ListingQuery())
        assert whole.total == len(SCRIPTS) + 1 and [d.source for d in whole.documents] == sorted(
            d.source for d in whole.documents
        )
        assert whole.facets["folder"] == {"scripts": len(SCRIPTS), "": 1} and whole.facets["type"] == {
            "txt": len(SCRIPTS) + 1
        }
        assert list_documents(opened.folder, ListingQuery(folder="")).documents[0].source == "bridge.txt"
        arabic = list_documents(opened.folder, ListingQuery(language="ar", folder="scripts"))
        assert (
            arabic.total == 1
            and arabic.facets["language"] == list_documents(opened.folder, ListingQuery(folder="scripts")).facets["language"]
        )
        assert list_documents(opened.folder, ListingQuery(pattern="scripts/?[hr].txt"), 0, 10).total >= 2
        assert list_documents(opened.folder, ListingQuery(), 5, 2).documents == whole.documents[5:7]
        assert list_documents(opened.folder, ListingQuery(), 2**53, 2).documents == ()
        for nasty in ("'", "\x00", "%", "x" * 1_000, "\ud7ff"):
            assert list_documents(opened.folder, ListingQuery(nasty, nasty, nasty, nasty)).total == 0
        assert file_of(opened.folder, arabic.documents[0].id) == ("scripts/ar.txt", 1)
        with pytest.raises(DocumentMissing):
            file_of(opened.folder, "none")


@pytest.mark.parametrize("name", ["a.txt", 'q"uote.txt', "line\r\nX: y.txt", "برج.pdf", "x;y%.txt", "\\", "", "😀" * 50])
def test_no_file_name_breaks_out_of_its_header(name: str) -> None:
    from urllib.parse import unquote

    header = attachment(name)
    assert header.isascii() and header.isprintable() and header.count('"') == 2
    assert unquote(header.rpartition("''")[2]) == name

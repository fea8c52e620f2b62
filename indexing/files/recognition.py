"""Recognises the pages of PDFs and pictures that have no text, in sandboxed processes, and puts the text into documents.

A process holds one file and recognises a page for each request, within the time and memory limits of a file. Several
processes work at once. A page that was recognised is kept at once (`ocr.page_cache`), so a killed run reads none again.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexing.child_process import ChildProcess, code_to_serve, parent
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.recognised_text import with_recognised
from indexing.files.walk import content_hash
from indexing.ocr.engines import INSTALL, Engines, engines_here
from indexing.ocr.page_cache import PageCache
from indexing.ocr.settings import OcrSettings
from indexing.ocr.words import RecognisedPage, page_of_dict

logger = logging.getLogger(__name__)

DPI = 300
LAYOUT = 1
"""Raised when pages get another text from the same engines, so that no page of an earlier version is taken over."""
MOST_WORKERS = 16
_CODE = code_to_serve("indexing.files.recognition")
_START_S = 60.0
_LARGEST = 2**31
_GRACE_S = 5.0

ReportPage = Callable[[float], None]
"""Called after each page with the seconds that it took; 0 for one that an earlier run recognised."""


@dataclass(frozen=True, slots=True)
class OcrPlan:
    """How a run recognises text: its settings, and the engines of this machine."""

    settings: OcrSettings
    engines: Engines

    @property
    def active(self) -> bool:
        """Whether anything is recognised."""
        return self.settings.mode != "off" and self.engines.any

    @property
    def why_not(self) -> str:
        """What would read pages without text, where recognition is off or no engine is installed; else ""."""
        if self.active:
            return ""
        return "--ocr auto recognises its text" if self.settings.mode == "off" else f"to recognise its text, {INSTALL}"

    @property
    def key(self) -> str:
        """Names all that a recognised page depends on, besides its file; "" if nothing is recognised."""
        values = [asdict(self.settings), self.engines.as_dict(), DPI, LAYOUT]
        return json.dumps(values) if self.active else ""


def plan_here(settings: OcrSettings | None) -> OcrPlan:
    """The plan of a run on this machine. Without recognition no engine is looked for. settings: None for the default."""
    settings = settings or OcrSettings()
    return OcrPlan(settings, Engines() if settings.mode == "off" else engines_here())


@dataclass(frozen=True, slots=True)
class UnreadPages:
    """Leaves the pages to recognise unread: for the first pass over files, in which they are counted."""

    settings: OcrSettings

    def texts(self, data: bytes, kind: str, texts: list[FileText]) -> list[FileText]:
        """The same texts."""
        return texts


class Recogniser:
    """Recognises pages in `workers` processes. Thread-safe. Close it by leaving the `with` block, also amid pages.

    folder: where pages are kept until the end of the run; None keeps none. workers: 0 for one process a core.
    """

    def __init__(
        self,
        plan: OcrPlan,
        limits: FileLimits,
        folder: Path | None = None,
        *,
        workers: int = 0,
        told: ReportPage | None = None,
    ) -> None:
        self.settings, self.workers = plan.settings, workers or worker_count()
        cache = None if folder is None else PageCache(folder, plan.key)
        languages = list(plan.settings.languages)
        self._request = {"limits": asdict(limits), "engines": plan.engines.as_dict(), "languages": languages}
        self._closing = False
        self._limits, self._cache, self._told = limits, cache, told or (lambda seconds: None)
        self._free: queue.LifoQueue[_PageWorker] = queue.LifoQueue()
        self._all = [_PageWorker(self._request, limits) for _ in range(self.workers)]
        for worker in self._all:
            self._free.put(worker)
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="ocr")

    def __enter__(self) -> Recogniser:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._pool.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()

    def stop(self) -> None:
        """End all processes; pages that they are at fail, and no other one begins."""
        self._closing = True
        for worker in self._all:
            worker.kill()

    def texts(self, data: bytes, kind: str, texts: list[FileText]) -> list[FileText]:
        """The texts of a file with its unread pages recognised. kind: pdf, or that of a picture. Raises UnreadableFile."""
        return [with_recognised(text, self.pages(data, kind, text.unread)) if text.unread else text for text in texts]

    def pages(self, data: bytes, kind: str, numbers: Sequence[int]) -> dict[int, RecognisedPage]:
        """Pages of a file, from 1, by number. The first one shows script and language for the others."""
        content = content_hash(data)
        found = {number: page for number in numbers if (page := self._kept(content, number)) is not None}
        for _ in found:
            self._told(0.0)
        left = [number for number in numbers if number not in found]
        hint = next(((page.script, page.language) for page in found.values() if page.words), ("", ""))
        while left and not hint[0]:
            number = left.pop(0)
            found[number] = page = self._page(data, kind, content, number, hint)
            hint = (page.script, page.language) if page.words else hint
        rest = [self._pool.submit(self._page, data, kind, content, number, hint) for number in left]
        for number, future in zip(left, rest, strict=True):
            found[number] = future.result()
        return found

    def _kept(self, content: str, number: int) -> RecognisedPage | None:
        return self._cache.get(content, number) if self._cache is not None else None

    def _page(self, data: bytes, kind: str, content: str, number: int, hint: tuple[str, str]) -> RecognisedPage:
        began = time.monotonic()
        worker = self._free.get()
        try:
            if self._closing:
                raise UnreadableFile("the recognition was stopped")
            page = worker.page(data, kind, content, number, hint)
        except UnreadableFile as error:
            page = RecognisedPage(reason=str(error))
        else:
            if self._cache is not None:
                try:
                    self._cache.put(content, number, page)
                except OSError as error:
                    logger.warning("A recognised page cannot be kept (%s); a stopped run will read it again.", error)
        finally:
            self._free.put(worker)
        self._told(time.monotonic() - began)
        return page


def worker_count() -> int:
    """The number of processes that recognise at once: one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, cores)


class _PageWorker:
    """A process that recognises pages, started when first needed. One thread uses it at a time."""

    def __init__(self, request: dict[str, Any], limits: FileLimits) -> None:
        self._request, self._limits = request, limits
        self._child: ChildProcess | None = None
        self._content = ""
        self._lock = threading.Lock()

    def kill(self) -> None:
        """End the process, from any thread; a page that it is at fails."""
        with self._lock:
            if self._child is not None:
                self._child.process.kill()

    def close(self) -> None:
        with self._lock:
            if self._child is not None:
                self._child.close()
            self._child, self._content = None, ""

    def page(self, data: bytes, kind: str, content: str, number: int, hint: tuple[str, str]) -> RecognisedPage:
        """Recognise a page. Raises UnreadableFile if the process dies or takes too long."""
        child = self._started()
        try:
            with child.within(self._limits.seconds + _GRACE_S):
                asked = {"kind": kind, "page": number, "hint": hint, "fresh": content != self._content}
                child.connection.send_bytes(json.dumps(asked).encode())
                if content != self._content:
                    child.connection.send_bytes(data)
                    self._content = content
                return page_of_dict(json.loads(child.connection.recv_bytes(_LARGEST)))
        except TimeoutError:
            self.close()
            raise UnreadableFile(f"not recognised within {self._limits.seconds:g} seconds (--seconds)") from None
        except (OSError, EOFError, ValueError):
            self.close()
            memory = f"it needs more than {self._limits.memory_mb:,} MB of memory (memory_mb)"
            raise UnreadableFile(f"the recognition crashed on it: it is damaged, or {memory}") from None
        except BaseException:
            self.close()
            raise

    def _started(self) -> ChildProcess:
        if self._child is None:
            child = ChildProcess(_CODE, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
            with self._lock:
                self._child = child
            try:
                with child.within(_START_S):
                    child.connection.send_bytes(json.dumps(self._request).encode())
                    child.connection.recv_bytes(1)
            except (OSError, EOFError):
                self.close()
                raise UnreadableFile("the process that recognises text could not be started") from None
        return self._child


# -- in the worker -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Worker's main loop: receive the settings, then recognise pages until the connection closes."""
    from indexing.files.sandbox import arm, disarm

    connection = parent()
    request = json.loads(connection.recv_bytes())
    limits, engines = FileLimits(**request["limits"]), Engines(**request["engines"])
    connection.send_bytes(b".")
    data = b""
    with suppress(EOFError, ConnectionError):
        while True:
            asked = json.loads(connection.recv_bytes())
            data = connection.recv_bytes() if asked["fresh"] else data
            arm(limits)
            page = _recognised(data, asked, limits, engines, request["languages"])
            connection.send_bytes(json.dumps(page.as_dict(), ensure_ascii=False).encode("utf-8", "replace"))
            disarm()


def _recognised(
    data: bytes, asked: dict[str, Any], limits: FileLimits, engines: Engines, languages: Sequence[str]
) -> RecognisedPage:
    import subprocess

    from indexing.files.pictures import gray, is_blank
    from indexing.files.scan_layout import page_text
    from indexing.ocr.engines import read_picture
    from indexing.ocr.tesseract import TesseractFailed

    try:
        picture, dpi = _pdf_page(data, asked["page"]) if asked["kind"] == "pdf" else gray(data, asked["page"])
        if is_blank(picture):
            return RecognisedPage()
        hint = (asked["hint"][0], asked["hint"][1])
        found = read_picture(picture, engines, languages=languages, hint=hint, dpi=dpi, seconds=limits.seconds)
    except UnreadableFile as error:
        return RecognisedPage(reason=str(error))
    except TesseractFailed as error:
        return RecognisedPage(reason=f"tesseract failed ({error})")
    except subprocess.TimeoutExpired:
        return RecognisedPage(reason=f"not recognised within {limits.seconds:g} seconds (--seconds)")
    except Exception as error:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return RecognisedPage(reason=f"needs more than the {limits.memory_mb:,} MB of memory allowed (memory_mb)")
        return RecognisedPage(reason=f"the recognition failed on it ({type(error).__name__})")
    height, width = picture.shape
    size = (height, width) if found.turns % 2 else (width, height)
    text, words = page_text(found.lines, *size, dpi, found.turns)
    return RecognisedPage(text, words, found.engine, found.script, found.language, found.reason)


def _pdf_page(data: bytes, number: int) -> tuple[Any, int]:
    """(gray values, dots per inch) of a page of a PDF as it is shown. Raises UnreadableFile."""
    from indexing.files.pdf_images import gray_page

    return gray_page(data, number, DPI)

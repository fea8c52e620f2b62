"""Takes pictures of the page over the example corpus in headless Chromium: page.png, and every view in views/.

    python docs/images/make.py [--into FILE] [QUESTION]      page.png alone
    python docs/images/make.py --views [NAME ...]            views/NAME-LANGUAGE-WIDTH.png, all or these

Needs docqa, playwright and a Chromium (on PATH, or named in CHROMIUM). The views need Pillow too, and fonts of all
scripts (fonts-noto-core, fonts-noto-cjk). It starts a service and a page of its own on free ports over a temporary home
folder, uploads examples/corpus as a zip, asks, and ends both.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parent
ROOT = IMAGES.parent.parent
CORPUS = ROOT / "examples" / "corpus"
QUESTION = "When was Kestrel Bridge opened?"
# One folder, so that the picture needs no fonts beyond Latin, and shows a filter in force.
CHOICES = {"thorough": "1", "folder": "en"}
WIDTH, HEIGHT = 1280, 930
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Each view with a question in two directions of writing, on a phone and on a desk.
QUESTIONS = {"en": QUESTION, "ar": "متى انطلقت حملة التطعيم ضد حمى الجزر؟"}
WIDTHS = {390: 844, 1280: 900}
COLOURS = 256
# No part waits for its script any more, and the style sheet of the page is there.
DRAWN = """() => !document.querySelector('[data-testid=stSkeleton]')
  && [...document.querySelectorAll('style')].some((one) => one.textContent.includes('docqa-answer'))"""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("question", nargs="?", default=QUESTION)
    arguments.add_argument("--views", nargs="*", metavar="NAME")
    arguments.add_argument("--into", type=Path, default=IMAGES / "page.png")
    options = arguments.parse_args()
    api, page = free_port(), free_port()
    with tempfile.TemporaryDirectory() as home, running("serve", "--home", home, "--port", str(api), "--reader", "builtin"):
        service = f"http://127.0.0.1:{api}"
        wait(lambda: httpx.get(f"{service}/ready", trust_env=False).status_code == 200)
        if options.views is None:
            fill(service)
        with running("ui", "--api", service, "--port", str(page)):
            address = f"http://127.0.0.1:{page}"
            wait(lambda: httpx.get(f"{address}/_stcore/health", trust_env=False).status_code == 200)
            if options.views is not None:
                take_views(service, address, options.views)
                return 0
            query = urlencode({"corpus": "halmar", "q": options.question, **CHOICES})
            take(f"{address}/?{query}", options.into)
    print(f"{options.into} ({options.into.stat().st_size // 1000} kB)")
    return 0


def views(service: str) -> Iterator[tuple[str, str, str, str]]:
    """Name, language, address below the page's, and what has to be there, of every view."""
    with httpx.Client(base_url=f"{service}/v1/corpora/halmar", timeout=120, trust_env=False) as http:
        for language, question in QUESTIONS.items():
            asked = {"corpus": "halmar", "q": question, "language": language, "not_type": "docx"}
            reply = http.post("ask", json={"question": question, "filters": {"language": language}}).json()
            first = (reply["answers"] or reply["passages"])[0]
            place = {"document": first["document_id"], "start": first["start"], "end": first["end"]}
            words = " OR ".join(re.findall(r"\w{4,}", question))
            yield "collection", language, f"/?{urlencode({'corpus': 'halmar', 'language': language})}", ".docqa-quiet"
            yield "answers", language, f"/?{urlencode(asked)}", ".st-key-tools"
            yield "words", language, f"/?{urlencode({**asked, 'q': words, 'mode': 'words'})}", ".docqa-count"
            yield "beside", language, f"/?{urlencode({**asked, **place})}", ".st-key-beside .docqa-whole, .docqa-page img"
            yield "document", language, f"/document?{urlencode({**asked, **place})}", ".docqa-whole, .docqa-page img"
            yield (
                "files",
                language,
                f"/corpora?{urlencode({'corpus': 'halmar', 'language': language})}",
                ".st-key-delete-corpus",
            )
            http.post("saved", json={"question": question, "filters": {"language": language}})
            sent = http.post(
                "questions", files={"file": (f"{language}.txt", f"question\n{question}\nxylophone\n\n{question}")}
            )
            job = sent.raise_for_status().json()["job"]["id"]
            wait(lambda job=job: http.get(f"{service}/v1/jobs/{job}").json()["state"] == "done")  # type: ignore[misc]
            yield "batch", language, f"/batch?{urlencode({'corpus': 'halmar', 'job': job})}", "table"
        yield "documents", "en", "/document?corpus=halmar", "[data-testid=stPageLink]"
        yield "collections", "en", "/corpora", ".docqa-entry"
        yield "saved", "en", "/saved?corpus=halmar", "h1"
        yield "quality", "en", "/quality", "h1"


def take_views(service: str, address: str, names: Sequence[str]) -> None:
    """Write a picture of each view in each width: first of the empty home, then of the example corpus."""
    (IMAGES / "views").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        context = browser.new_context(color_scheme="light")
        seen = itertools.chain([("start", "en", "/", ".docqa-start")], filled_views(service))
        for name, language, path, there in seen:
            for width, height in WIDTHS.items():
                if names and name not in names:
                    continue
                page = context.new_page()
                page.set_viewport_size({"width": width, "height": height})
                page.set_default_timeout(120_000)
                page.goto(address + path)
                page.locator(f"[data-testid=stMain] :is({there})").first.wait_for()
                page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
                page.wait_for_function(DRAWN)
                time.sleep(1)
                picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                into = IMAGES / "views" / f"{name}-{language}-{width}.png"
                picture.quantize(COLOURS, dither=Image.Dither.NONE).save(into, optimize=True)
                print(f"{into.name} ({into.stat().st_size // 1000} kB)", flush=True)
                page.close()
        browser.close()


def filled_views(service: str) -> Iterator[tuple[str, str, str, str]]:
    fill(service)
    yield from views(service)


def browser_path() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def fill(service: str) -> None:
    """Create the collection and wait until the example corpus is indexed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(CORPUS.rglob("*.*")):
            archive.write(path, path.relative_to(CORPUS))
    with httpx.Client(base_url=service, timeout=120, trust_env=False) as http:
        corpus = {"name": "halmar", "title": "The Halmar Isles", "embedder": "builtin"}
        http.post("/v1/corpora", json=corpus).raise_for_status()
        sent = http.post("/v1/corpora/halmar/documents", files={"files": ("halmar.zip", packed.getvalue())})
        job = sent.raise_for_status().json()["job"]["id"]
        wait(lambda: http.get(f"/v1/jobs/{job}").json()["state"] == "done")


def take(address: str, target: Path) -> None:
    """Open the address in a light theme, wait until the page's script has ended, and write the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(address)
        settle(page)
        page.screenshot(path=target)
        browser.close()


def settle(page: Page) -> None:
    page.locator(".docqa-where").first.wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.mouse.move(WIDTH - 2, HEIGHT - 2)
    time.sleep(1)


@contextmanager
def running(*words: str) -> Iterator[None]:
    """`docqa WORDS` while the block runs."""
    command = [sys.executable, "-m", "qa_pipeline.cli", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait(reached: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until `reached` is true; an address that does not answer yet is not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if reached():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit("it did not start in time")


if __name__ == "__main__":
    raise SystemExit(main())

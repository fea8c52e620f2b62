"""Takes docs/images/page.png: the page over the example corpus, with an answered question, in headless Chromium.

    python docs/images/make.py [--into FILE] [QUESTION]

Needs docqa, playwright and a Chromium (CHROMIUM names one that is not on PATH). It starts a service
and a page of its own on free ports over a temporary home folder, uploads examples/corpus as a zip, asks, and ends both.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parent
ROOT = IMAGES.parent.parent
CORPUS = ROOT / "examples" / "corpus"
QUESTION = "When was Kestrel Bridge opened?"
# One folder, so that the picture needs no fonts beyond Latin, and shows a filter in force.
CHOICES = {"thorough": "1", "folder": "en"}
WIDTH, HEIGHT = 1280, 930
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("question", nargs="?", default=QUESTION)
    arguments.add_argument("--into", type=Path, default=IMAGES / "page.png")
    options = arguments.parse_args()
    api, page = free_port(), free_port()
    with tempfile.TemporaryDirectory() as home, running("serve", "--home", home, "--port", str(api), "--reader", "builtin"):
        service = f"http://127.0.0.1:{api}"
        wait(lambda: httpx.get(f"{service}/ready", trust_env=False).status_code == 200)
        fill(service)
        with running("ui", "--api", service, "--port", str(page)):
            address = f"http://127.0.0.1:{page}"
            wait(lambda: httpx.get(f"{address}/_stcore/health", trust_env=False).status_code == 200)
            query = urlencode({"corpus": "halmar", "q": options.question, **CHOICES})
            take(f"{address}/?{query}", options.into)
    print(f"{options.into} ({options.into.stat().st_size // 1000} kB)")
    return 0


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
    browser_path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
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

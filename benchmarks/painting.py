"""What a person waits for in a browser: the page's first paint, the question box, and after a click passages and answer.

`docqa serve` (built-in models, examples/corpus) and the page run in their own processes, warmed up by one visit. A cold
load has a new browser context with an empty cache. A warm load is a second visit in that context. The browser is Chromium
driven by Playwright, and shares the machine's cores.

A click is timed in the browser, from [Ask] to the first passage or answer of that question, and to its complete reply.
Every question is new to the service, and the page is warm.

The same is measured of `trial_page.html`: the view Ask alone, as a static page over the API. It belongs to
`docs/decisions/streamlit-page.md`.

    python -m benchmarks.painting [--loads 10] [--clicks 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks import machine
from benchmarks.serving import CORPUS, fill, service

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0] ?? NaN"
SENT = "performance.getEntriesByType('resource').reduce((sum, entry) => sum + entry.transferSize, 0) / 1e6"
# Times of one click, in ms: `passage` to the first passage or answer, `reply` to the complete reply. What stood there before
# the click is marked, so that it does not count.
WATCH = """() => new Promise((done) => {
  const quoted = ".docqa-passage, .docqa-answer, .docqa-none", times = {};
  document.querySelectorAll(`${quoted}, .st-key-tools`).forEach((one) => { one.dataset.before = "1"; });
  const began = performance.now();
  const look = () => {
    const now = performance.now() - began;
    if (times.passage === undefined && document.querySelector(`:is(${quoted}):not([data-before])`)) times.passage = now;
    if (document.querySelector(":is(.docqa-answer, .docqa-none):not([data-before])")
        && document.querySelector(".st-key-tools:not([data-before])")) done({...times, reply: now});
    else requestAnimationFrame(look);
  };
  [...document.querySelectorAll("[data-testid=stMain] button")].find((one) => one.textContent.trim() === "Ask"
    && one.closest("[data-testid=stForm]")).click();
  look();
})"""


@contextmanager
def site(api: str) -> Iterator[str]:
    """Runs the page over a service, as `docqa ui` does; yields its URL."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(machine.ROOT / "ui/app.py"), "--server.port", str(port)]
    environment = {**os.environ, "DOCQA_API_URL": api, "PYTHONPATH": str(machine.ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(f"http://127.0.0.1:{port}/_stcore/health"):
            if process.poll() is not None:
                raise SystemExit("The page did not start.")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/?corpus={CORPUS}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def visit(context: BrowserContext, url: str) -> dict[str, float]:
    """One load of the page in a new tab: ms since navigation, and MB transferred."""
    page = context.new_page()
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_label("Question").wait_for()
    usable = time.perf_counter() - began
    ended(page)
    whole = time.perf_counter() - began
    found = {"painted": page.evaluate(PAINTED), "usable": 1e3 * usable, "whole": 1e3 * whole, "MB": page.evaluate(SENT)}
    page.close()
    return found


def ended(page: Page) -> None:
    """Waits until Streamlit's script has ended; a static page has none."""
    if page.locator("[data-testid=stApp]").count():
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def click(page: Page, question: str) -> dict[str, float]:
    """Asks a question on an open page: ms from the click."""
    box = page.get_by_label("Question")
    box.fill(question)
    found: dict[str, float] = page.evaluate(WATCH)
    ended(page)
    return found


def questions(number: int) -> list[str]:
    """Different questions about the example corpus, answerable ones."""
    labels = json.loads((machine.ROOT / "examples" / "questions.json").read_text("utf-8"))["data"]
    asked = [
        one["question"] for article in labels for part in article["paragraphs"] for one in part["qas"] if one["answers"]
    ]
    return list(dict.fromkeys(asked))[: number + 1]


def run(loads: int, clicks: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Alternates cold and warm loads, then asks, of the page and of the trial. Rows of the loads, and of the clicks."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("No browser is installed; name a Chromium in CHROMIUM.")
    rows: list[dict[str, Any]] = []
    waited: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place, service(Path(place) / "home") as (api, _):
        fill(api)
        with site(api) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            html = Path(__file__).with_name("trial_page.html").read_text("utf-8")
            for name, address in (("page", url), ("trial", f"{api}/trial?corpus={CORPUS}")):
                seen: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
                for number in range(loads + 1):
                    context = browser.new_context(viewport={"width": 1280, "height": 900})
                    context.route(f"{api}/trial*", lambda route: route.fulfill(body=html, content_type="text/html"))
                    times = {kind: visit(context, address) for kind in seen}
                    for kind, found in times.items() if number else ():
                        seen[kind].append(found)
                    if number == loads:
                        waited += _clicks(context, address, name, clicks)
                    context.close()
                rows += [_row(f"{name}, {kind}", found) for kind, found in seen.items()]
            browser.close()
    return rows, waited


def _clicks(context: BrowserContext, url: str, name: str, clicks: int) -> list[dict[str, Any]]:
    """Asks on a page that has been open; the first question is not counted."""
    if not clicks:
        return []
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Question").wait_for()
    ended(page)
    # Other questions for each page, as the service remembers what it has read.
    asked = questions(2 * clicks + 1)[name == "trial" :: 2]
    _, *found = [click(page, question) for question in asked]
    row: dict[str, Any] = {"clicks": name, "number": len(found)}
    for name, words in (("passage", "first passage"), ("reply", "reply")):
        for share in (50, 95):
            row[f"{words} p{share} ms"] = machine.quantile([one[name] for one in found], share / 100)
    return [row]


def _row(kind: str, found: list[dict[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"load": kind, "loads": len(found)}
    for name, words in (("painted", "painted"), ("usable", "box there"), ("whole", "all there")):
        for share in (50, 95):
            row[f"{words} p{share} ms"] = machine.quantile([one[name] for one in found], share / 100)
    return {**row, "MB sent": machine.quantile([one["MB"] for one in found], 0.5)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.painting", description="How long a browser waits for the page.")
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = machine.facts((*machine.PACKAGES, "streamlit", "playwright"))
    print(machine.line(facts))
    rows, waited = run(chosen.loads, chosen.clicks)
    print(machine.table(rows))
    if waited:
        print(machine.table(waited))
    machine.finish(facts, {"painting": rows, "clicks": waited}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

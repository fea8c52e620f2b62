"""Page load times in a browser: until first paint, and until a question can be typed.

`docqa serve` (built-in models, examples/corpus) and the page run in their own processes, warmed up by one visit. A cold
load has a new browser context with an empty cache. A warm load is a second visit in that context. The browser is Chromium
driven by Playwright, and shares the machine's cores.

    python -m benchmarks.painting [--loads 10] [--json FILE]
"""

from __future__ import annotations

import argparse
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
    from playwright.sync_api import BrowserContext

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0] ?? NaN"
SENT = "performance.getEntriesByType('resource').reduce((sum, entry) => sum + entry.transferSize, 0) / 1e6"


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
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    whole = time.perf_counter() - began
    found = {"painted": page.evaluate(PAINTED), "usable": 1e3 * usable, "whole": 1e3 * whole, "MB": page.evaluate(SENT)}
    page.close()
    return found


def run(loads: int) -> list[dict[str, Any]]:
    """Alternates cold and warm loads."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("No browser is installed; name a Chromium in CHROMIUM.")
    seen: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as place, service(Path(place) / "home") as (api, _):
        fill(api)
        with site(api) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            visit(browser.new_context(), url)
            for _ in range(loads):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                for kind in seen:
                    seen[kind].append(visit(context, url))
                context.close()
            browser.close()
    return [_row(kind, found) for kind, found in seen.items()]


def _row(kind: str, found: list[dict[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"load": kind, "loads": len(found)}
    for name, words in (("painted", "painted"), ("usable", "box there"), ("whole", "all there")):
        for share in (50, 95):
            row[f"{words} p{share} ms"] = machine.quantile([one[name] for one in found], share / 100)
    return {**row, "MB sent": machine.quantile([one["MB"] for one in found], 0.5)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.painting", description="How long a browser waits for the page.")
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = machine.facts((*machine.PACKAGES, "streamlit", "playwright"))
    print(machine.line(facts))
    rows = run(chosen.loads)
    print(machine.table(rows))
    machine.finish(facts, {"painting": rows}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

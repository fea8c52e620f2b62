"""Draws random filters, keys and routes, and searches every response for what the key may not see.

A service with two corpora runs in this process. Each draw makes a key with a random filter, for one corpus or for all, and
sends one request: any route that reads, with a random filter of its own, or one that writes. A leak is a marker word of a
document that the filter hides, a 304 for it, a wrong total, or a change. The models are those of the tests: by words.

    python -m benchmarks.key_filters [--draws 100000] [--seed 1] [--json FILE]

The exit status is 1 if anything leaked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from benchmarks import machine
from indexing.store.corpus_db import IndexFolder
from indexing.store.listing import document_condition
from qa_pipeline.api.app import create_app, with_headers
from qa_pipeline.service.api_keys import Key
from tests.key_filters import (
    Route,
    drawn,
    fill,
    marker,
    number_of,
    own_filter,
    routes_of_corpus,
    routes_of_document,
    routes_that_write,
)
from tests.live import Live, live

SECRET = "drawn"
CORPORA = {"a": 0, "b": 12}
FINE = (200, 304, 403, 404)
EVERY = 1_000


class OneKey:
    """Keys of a service, of which there is one: the key that was drawn last."""

    def __init__(self) -> None:
        self.key: Key | None = None

    def required(self) -> bool:
        return True

    def check(self, secret: str) -> Key | None:
        return self.key if secret == SECRET else None


class Draws:
    """Random requests to a service, and what leaked."""

    def __init__(self, api: Live, http: httpx.AsyncClient, seed: int) -> None:
        self.http = http
        self.chance = random.Random(seed)
        self.filled = {corpus: fill(api, corpus, first) for corpus, first in CORPORA.items()}
        self.folders = {corpus: IndexFolder.open(api.service.home.corpus(corpus).index) for corpus in CORPORA}
        self.keys = api.service.keys = OneKey()  # type: ignore[assignment]
        self.leaks: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.shown = 0

    async def draw(self) -> None:
        """One key, one request."""
        corpus = self.chance.choice(list(CORPORA))
        ids, feedback = self.filled[corpus]
        chosen = drawn(self.chance, list(ids))
        corpora = self.chance.choice([(), (), ("a",), ("b",)])
        self.keys.key = Key("k", "k", False, corpora, "", "", chosen)  # type: ignore[union-attr]
        method, path, sent = self.route(corpus, ids, feedback)
        headers = {"Authorization": f"Bearer {SECRET}", **sent.get("headers", {})}
        answer = await self.http.request(method, path, **{**sent, "headers": headers})
        self.statuses[answer.status_code] += 1
        why = self.leak(answer, method, path, chosen, corpora)
        if why:
            self.leaks.append(f"{why}: {method} {path} {sent} filter {chosen} corpora {corpora}")

    def route(self, corpus: str, ids: dict[str, str], feedback: list[str]) -> Route:
        id, one = self.chance.choice(list(ids.values())), self.chance.choice(feedback)
        kind = self.chance.random()
        if kind < 0.1:
            return self.chance.choice(routes_that_write(corpus, id, one))
        if kind < 0.35:
            return self.chance.choice([*routes_of_document(corpus, id), ("GET", f"/v1/corpora/{corpus}/feedback/{one}", {})])
        return self.chance.choice(routes_of_corpus(corpus, own_filter(self.chance)))

    def leak(self, answer: httpx.Response, method: str, path: str, chosen: dict[str, Any], corpora: tuple[str, ...]) -> str:
        """What is wrong with a response; "" if it is right."""
        if answer.status_code not in FINE:
            return f"status {answer.status_code}"
        allowed = {corpus: self.allowed(corpus, chosen) if not corpora or corpus in corpora else set() for corpus in CORPORA}
        hidden = {s: id for corpus, (ids, _) in self.filled.items() for s, id in ids.items() if s not in allowed[corpus]}
        if any(marker(number_of(source)).encode() in answer.content for source in hidden):
            return "a hidden document is shown"
        if answer.status_code in (200, 304) and any(id in path for id in hidden.values()):
            return "a hidden document is there"
        if method == "GET" and path.endswith("/documents") and answer.status_code == 200:
            total = answer.json()["total"]
            if total > len(allowed[path.split("/")[3]]):
                return f"a total of {total}"
        self.shown += any(marker(number_of(s)).encode() in answer.content for seen in allowed.values() for s in seen)
        return ""

    def allowed(self, corpus: str, chosen: dict[str, Any]) -> set[str]:
        """The sources that a filter allows, by SQL over the documents alone."""
        condition = document_condition(chosen)
        sql = f"SELECT d.source FROM documents AS d WHERE {condition.sql}"
        return {row[0] for row in self.folders[corpus].connection().execute(sql, condition.values)}

    def unchanged(self) -> bool:
        """Whether every document is still there."""
        found = [self.allowed(corpus, {"missing": {"$ne": 1}}) for corpus in CORPORA]
        return [len(one) for one in found] == [len(ids) for ids, _ in self.filled.values()]


async def run(api: Live, draws: int, seed: int) -> Draws:
    """So many draws in this process, one after the other."""
    app = with_headers(create_app(api.service))
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=120) as http:
        chosen = Draws(api, http, seed)
        for number in range(draws):
            await chosen.draw()
            if number % EVERY == 0:
                print(f"\r{number:,} of {draws:,}: {len(chosen.leaks)} leaks", end="", file=sys.stderr, flush=True)
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.key_filters", description="Draw filters, keys and routes.")
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = machine.facts()
    print(machine.line(facts))
    with tempfile.TemporaryDirectory() as folder, live(Path(folder) / "home") as api:
        began = time.perf_counter()
        found = asyncio.run(run(api, chosen.draws, chosen.seed))
        seconds = time.perf_counter() - began
        if not found.unchanged():
            found.leaks.append("something was changed")
    row = {"draws": chosen.draws, "leaks": len(found.leaks), "showed something": found.shown, "seconds": round(seconds)}
    row |= {f"status {status}": count for status, count in sorted(found.statuses.items())}
    print("\n" + machine.table([row]))
    for line in found.leaks[:20]:
        print(line)
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": facts, **row, "examples": found.leaks[:20]}, indent=1))
    return 1 if found.leaks or not found.shown else 0


if __name__ == "__main__":
    sys.exit(main())

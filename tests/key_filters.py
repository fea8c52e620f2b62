"""Random filters of keys, and every route that they must hold on: for a test of few, and a benchmark of many."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from indexing.store.corpus_db import IndexFolder
from indexing.store.listing import document_condition
from tests.live import Live

DOCUMENTS = 12
QUESTION = "When was the tower opened in?"

Route = tuple[str, str, dict[str, Any]]
"""Method, path, and what is sent."""


def marker(number: int) -> str:
    """A word that stands in one document and its file's name only."""
    return f"zq{number:02}qz"


def number_of(source: str) -> int:
    """The number of the document of a file."""
    return int(source.partition("zq")[2][:2])


def fill(api: Live, corpus: str, first: int = 0) -> tuple[dict[str, str], list[str]]:
    """Create a corpus of DOCUMENTS documents with different meta, and feedback on each: source -> id, feedback ids."""
    files: dict[str, bytes | str] = {}
    for number in range(first, first + DOCUMENTS):
        text = f"The tower {marker(number)} was opened in {1900 + number}. It is {marker(number)}."
        record = {"text": text, "team": "abc"[number % 3], "year": 2000 + number % DOCUMENTS, "open": number % 2 == 0}
        files[f"{('red', 'blue')[number % 2]}/{marker(number)}.jsonl"] = json.dumps(record) + "\n"
    ids = api.fill(corpus, files)
    feedback = []
    for source, id in ids.items():
        said = {"document_id": id, "start": 0, "end": 20, "verdict": "right", "question": f"{marker(number_of(source))}?"}
        answer = api.http.post(f"/v1/corpora/{corpus}/feedback", json=said)
        assert answer.status_code == 201, answer.text
        feedback.append(answer.json()["id"])
    return ids, feedback


def drawn(chance: random.Random, sources: Sequence[str], depth: int = 0) -> dict[str, Any]:
    """A random filter on fields of documents."""
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return {"team": chance.choice(["a", ["a", "b"], {"$ne": "c"}, {"$nin": ["a", "x"]}, []])}
    if kind == 1:
        return {"year": {chance.choice(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"]): 2000 + chance.randrange(DOCUMENTS)}}
    if kind == 2:
        return {"source": {"$glob": chance.choice(["red/*", "blue/*", "*0*", "nothing", "*"])}}
    if kind == 3:
        return {"source": chance.choice(sources)}
    if kind == 4:
        return {"open": chance.choice([True, False])}
    if kind == 5:
        return {"missing": chance.choice([1, {"$ne": 1}])}
    parts = [drawn(chance, sources, depth + 1) for _ in range(chance.randrange(1, 4))]
    return {"$not": parts[0]} if kind == 6 else {("$and", "$or")[kind - 7]: parts}


def allowed_sources(folder: IndexFolder, chosen: dict[str, Any]) -> set[str]:
    """The sources that a filter allows, by SQL over the documents alone."""
    condition = document_condition(chosen)
    sql = f"SELECT d.source FROM documents AS d WHERE {condition.sql}"
    return {row[0] for row in folder.connection().execute(sql, condition.values)}


def own_filter(chance: random.Random) -> dict[str, Any] | None:
    """A filter that a client sends with its question, or none."""
    return chance.choice([None, {"$or": [{"team": ["a", "b", "c"]}, {"missing": {"$ne": 1}}]}, {"language": "en"}])


def routes_of_corpus(corpus: str, own: dict[str, Any] | None) -> list[Route]:
    """Every way to read something of a corpus but one document, with a filter of the client too."""
    ask: dict[str, Any] = {"question": QUESTION, "thorough": True, "top_k": 20, "retrieve": 20}
    search: dict[str, Any] = {"question": QUESTION, "retrieve": 20}
    if own is not None:
        ask, search = {**ask, "filters": own}, {**search, "filters": own}
    base = f"/v1/corpora/{corpus}"
    return [
        ("POST", f"{base}/ask", {"json": ask}),
        ("POST", f"{base}/search", {"json": search}),
        ("POST", f"{base}/ask/stream", {"json": ask}),
        ("POST", f"{base}/ask/batch", {"json": {"questions": [ask, ask]}}),
        ("POST", f"{base}/search/batch", {"json": {"questions": [search]}}),
        ("POST", f"{base}/search", {"json": {**search, "words": "the OR a OR was"}}),
        ("POST", f"{base}/ask", {"json": {**ask, "words": "the OR a OR was"}}),
        ("POST", f"{base}/words", {"json": {"words": "the OR a OR was", "filters": own, "limit": 100}}),
        ("POST", f"{base}/words", {"json": {"words": "source:red/*", "limit": 100}}),
        ("GET", f"{base}/documents", {"params": {"limit": 100, "fields": "true"}}),
        ("GET", f"{base}/documents", {"params": {"meta": "team=a", "fields": "true"}}),
        ("GET", f"{base}/documents", {"params": {"type": "json", "source~": "*"}}),
        ("GET", f"{base}/feedback", {}),
        ("GET", f"{base}/feedback", {"params": {"limit": 3}}),
        ("GET", f"{base}/feedback/export", {}),
        ("GET", base, {}),
        ("GET", "/v1/corpora", {}),
        ("GET", "/v1/corpora", {"params": {"limit": 1}}),
        ("GET", "/v1/jobs", {}),
        ("GET", f"{base}/saved", {}),
        ("GET", "/metrics", {}),
        ("GET", "/v1/evaluations", {}),
    ]


def routes_of_document(corpus: str, id: str) -> list[Route]:
    """Every way to read a document. One whose version a client claims to have is no less secret."""
    path = f"/v1/corpora/{corpus}/documents/{id}"
    known = {"headers": {"If-None-Match": "*"}}
    return [
        ("GET", path, {}),
        ("GET", path, known),
        ("GET", f"{path}/original", {}),
        ("GET", f"{path}/original", known),
        ("GET", f"{path}/pages/1", {}),
    ]


def routes_that_write(corpus: str, id: str, feedback: str) -> list[Route]:
    """Ways to change something, all refused to a key with a filter."""
    base = f"/v1/corpora/{corpus}"
    return [
        ("DELETE", base, {}),
        ("DELETE", f"{base}/documents/{id}", {}),
        ("DELETE", f"{base}/feedback/{feedback}", {}),
        ("POST", f"{base}/feedback", {"json": {"question": "q", "verdict": "wrong", "document_id": id}}),
        ("POST", f"{base}/saved", {"json": {"question": QUESTION}}),
        ("POST", f"{base}/questions", {"files": {"file": ("q.csv", b"question\nq\n")}}),
        ("POST", f"{base}/documents", {"files": {"files": ("x.txt", b"x")}}),
    ]

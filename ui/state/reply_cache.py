"""The reply cache of a session: one request per question and generation of a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ui.client.schemas import Corpus, Documents, Event, ListedDocument, Reply
from ui.state.query import FACETS, Query
from ui.state.session import cached_by_key, client

KEPT = 20
LISTED, BATCH_IDS = 1_000, 200


@dataclass(frozen=True, slots=True)
class CachedReply:
    """A reply, and the language that the search was restricted to ("" for any)."""

    reply: Reply
    own: str = ""


def outcome(corpus: Corpus, asked: Query, show: Callable[[Event], None] = lambda event: None) -> CachedReply:
    """The cached reply to a question, or a new one, with each event passed to `show`. Raises ApiError."""
    kept, key = _kept(), _key(corpus, asked)
    if key not in kept:
        kept[key] = _ask(corpus, asked, show)
        while len(kept) > KEPT:
            del kept[next(iter(kept))]
    return kept[key]


def is_kept(corpus: Corpus, asked: Query) -> bool:
    """Whether the reply to a question is cached."""
    return _key(corpus, asked) in _kept()


def _kept() -> dict[Any, CachedReply]:
    kept: dict[Any, CachedReply] = st.session_state.setdefault("outcomes", {})
    return kept


def _key(corpus: Corpus, asked: Query) -> Any:
    return corpus.name, corpus.created, corpus.generation, asked


def _ask(corpus: Corpus, asked: Query, show: Callable[[Event], None]) -> CachedReply:
    own = "" if asked.crosslingual else question_language(corpus.name, asked.question)
    for event in client().ask_stream(corpus.name, asked.question, asked.filters(own), **asked.settings()):
        if event.reply is not None:
            return CachedReply(event.reply, own)
        show(event)
    raise AssertionError("a stream ends with a reply or an error")


@cached_by_key(max_entries=1_000)
def question_language(corpus: str, question: str) -> str:
    """The question's language as detected by the service. Raises ApiError."""
    return client().search(corpus, question, retrieve=1).language


@cached_by_key(max_entries=64, ttl=600)
def count_facets(corpus: str, created: str, generation: int, asked: Query) -> Documents:
    """Facet counts of one generation of a corpus; each value is counted under the other filters."""
    excluded: dict[str, Any] = {f"not_{name}": asked.excludes(name) or None for name in FACETS}
    return client().list_documents(
        corpus,
        language=asked.languages or None,
        type=asked.types or None,
        folder=asked.folders or None,
        year=asked.years or None,
        id=asked.documents or None,
        meta=asked.included("meta") or None,
        **excluded,
        since=asked.since or None,
        until=asked.until or None,
        fields=True,
        limit=1,
    )


@cached_by_key(max_entries=64, ttl=600)
def get_cited(corpus: str, created: str, generation: int, ids: tuple[str, ...]) -> dict[str, ListedDocument]:
    """Documents of one generation of a corpus, by id. Raises ApiError."""
    parts = [ids[at : at + BATCH_IDS] for at in range(0, len(ids), BATCH_IDS)]
    found = [client().list_documents(corpus, id=part, limit=BATCH_IDS).documents for part in parts]
    return {document.id: document for documents in found for document in documents}


@cached_by_key(max_entries=64, ttl=600)
def get_listing(corpus: str, created: str, generation: int, source: str = "") -> Documents:
    """The first documents of one generation of a corpus. source: glob for the name, "" for any. Raises ApiError."""
    return client().list_documents(corpus, source=source or None, limit=LISTED)

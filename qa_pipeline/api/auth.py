"""Authentication and authorisation by API key, and the CORS check, before any body is read.

Without keys the service is this machine's own; then only requests that name this machine are taken (another name could
be any page's, pointed here), and never one that a page of another address sends.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from qa_pipeline.errors import CorpusMissing, KeyNeeded, NotAllowed
from qa_pipeline.service.api_keys import Key
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import is_loopback

OPEN = "open"
WRITES = "writes"
ALL_CORPORA = "all_corpora"
READING = ("GET", "HEAD", "OPTIONS")

Connection = ASGIConnection[Any, Any, Any, Any]


def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a request through, with its key as `request.auth`. Raises KeyNeeded, NotAllowed, CorpusMissing.

    Routes say what they need: OPEN no key, WRITES a key that may write, ALL_CORPORA one that is not limited.
    """
    service: Service = connection.app.state.service
    _refuse_other_pages(connection, service)
    if handler.opt.get(OPEN):
        return
    key = _key(connection, service)
    connection.scope["auth"] = key
    corpus = connection.path_params.get("corpus")
    if corpus is not None and not service.may_see(key, corpus):
        raise CorpusMissing(f"There is no corpus {corpus!r}; make it first, or choose one that is there.")
    if key is not None and handler.opt.get(WRITES) and not key.write:
        raise NotAllowed("This key may only read; use one that may write.")
    if key is not None and handler.opt.get(ALL_CORPORA) and key.corpora:
        raise NotAllowed("This key is limited to some corpora; use one that is not.")


def _key(connection: Connection, service: Service) -> Key | None:
    """The key a request came with; None while no keys are asked for."""
    if not service.keys_needed():
        _refuse_other_names(connection)
        return None
    scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
    key = service.keys.check(secret.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise KeyNeeded("A key is needed: send it as `Authorization: Bearer KEY` (`docqa keys HOME add` makes one).")
    return key


def _refuse_other_names(connection: Connection) -> None:
    if not is_loopback(_host(f"//{connection.headers.get('host', '')}").partition("%")[0]):
        raise NotAllowed("Without keys the service answers only to names of this machine, such as 127.0.0.1.")


def _refuse_other_pages(connection: Connection, service: Service) -> None:
    """A browser says which page sends what could change something; a page of another address may not."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in READING or origin in service.settings.cors_origins:
        return
    if origin.partition("://")[2].lower() != connection.headers.get("host", "").lower():
        raise NotAllowed("A page of another address may not do this; --cors-origins names those that may.")


def _host(address: str) -> str:
    """The host of an address, "" for what is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""

"""Authentication and authorisation by API key, and the cross-origin check, before any body is read.

Without keys the service is local. Then it accepts only requests whose Host header names this machine, against DNS
rebinding. It refuses writing requests from pages of other origins, unless they are CORS origins.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from indexing.errors import SettingError
from indexing.store.filters import Filter
from qa_pipeline.errors import CorpusMissing, KeyNeeded, NotAllowed
from qa_pipeline.service.api_keys import Key
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import is_loopback

OPEN = "open"
WRITES = "writes"
ALL_CORPORA = "all_corpora"
FILTERED = "filtered"
READING = ("GET", "HEAD", "OPTIONS")

Connection = ASGIConnection[Any, Any, Any, Any]


def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Authorise a request, and set its key as `request.auth`. Raises KeyNeeded, NotAllowed, CorpusMissing.

    Options of a route: OPEN needs no key, WRITES a key that may write, ALL_CORPORA a key that is not limited to corpora.
    FILTERED obeys the filter of a key; a key with a filter may use no other.
    """
    service: Service = connection.app.state.service
    _refuse_other_pages(connection, service)
    _refuse_unknown_parameters(connection, handler)
    if handler.opt.get(OPEN):
        return
    key = _key(connection, service)
    connection.scope["auth"] = key
    corpus = connection.path_params.get("corpus")
    if corpus is not None and not service.may_see(key, corpus):
        raise CorpusMissing(f"There is no corpus {corpus!r}; create it first, or choose an existing one.")
    if key is not None and handler.opt.get(WRITES) and not key.write:
        raise NotAllowed("This key may only read; use one that may write.")
    if key is not None and handler.opt.get(ALL_CORPORA) and key.corpora:
        raise NotAllowed("This key is limited to some corpora; use one that is not.")
    if key is not None and key.filter is not None and not handler.opt.get(FILTERED):
        raise NotAllowed("This key sees some documents only, so it may not do this; use one without a filter.")


def filter_of(connection: Connection) -> Filter | None:
    """The filter of the request's key; None if it sees every document of its corpora."""
    key: Key | None = connection.scope.get("auth")  # type: ignore[assignment]
    return None if key is None else key.filter


def limited(connection: Connection, filters: Filter | None) -> Filter | None:
    """The filter of a question and that of the request's key, both of which must hold."""
    own = filter_of(connection)
    if own is None:
        return filters
    return {"$and": [own, *([] if filters is None else [filters])]}


def _refuse_unknown_parameters(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raises SettingError for a query parameter that the route does not have, such as a misspelled filter."""
    if not connection.scope["path"].startswith("/v1/"):
        return
    parameters = handler.parsed_fn_signature.parameters
    known = {getattr(found.kwarg_definition, "query", None) or name for name, found in parameters.items()}
    for name in connection.query_params:
        if name not in known:
            raise SettingError(f"There is no parameter {name[:80]!r} here; see the description of the service.")


def owner(connection: Connection) -> str:
    """Whose limits a request counts against: the id of its key; "" without keys."""
    key: Key | None = connection.scope.get("auth")  # type: ignore[assignment]
    return "" if key is None else key.id


def _key(connection: Connection, service: Service) -> Key | None:
    """The key of a request; None if the service needs no keys. Raises KeyNeeded, NotAllowed."""
    if not service.keys_needed():
        _refuse_other_names(connection)
        return None
    scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
    key = service.keys.check(secret.strip()) if scheme.lower() == "bearer" else None
    if key is not None and key.is_expired:
        raise KeyNeeded("This key has expired; ask for a new one (`docqa keys HOME add` or `rotate` creates it).")
    if key is None:
        raise KeyNeeded("A key is needed: send it as `Authorization: Bearer KEY` (`docqa keys HOME add` creates one).")
    return key


def _refuse_other_names(connection: Connection) -> None:
    if not is_loopback(_host(f"//{connection.headers.get('host', '')}").partition("%")[0]):
        raise NotAllowed("Without keys the service answers only to names of this machine, such as 127.0.0.1.")


def _refuse_other_pages(connection: Connection, service: Service) -> None:
    """Refuse writing requests whose Origin header is another origin, unless it is a CORS origin."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in READING or origin in service.settings.cors_origins:
        return
    if origin.partition("://")[2].lower() != connection.headers.get("host", "").lower():
        raise NotAllowed("A page of another address may not do this; --cors-origins names those that may.")


def _host(address: str) -> str:
    """The host of a URL; "" for an invalid one."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""

"""Entity tags (RFC 9110): a client that has the current version gets 304 instead of the content."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec

ETAG = [ResponseHeader(name="ETag", description="For `If-None-Match`.", documentation_only=True)]
NOT_MODIFIED = {304: ResponseSpec(None, generate_examples=False, description="The version of If-None-Match is current.")}
REVALIDATED = "private, no-cache"
"""May be stored by the client alone, and is compared before each use."""


def etag_of(*parts: Any) -> str:
    """The tag of what these values describe.

    >>> etag_of("a", 1) == etag_of("a", 1) != etag_of("a", 2)
    True
    """
    return f'"{hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()}"'


def is_current(request: Request[Any, Any, Any], etag: str) -> bool:
    """Whether `If-None-Match` names this tag (weak comparison), or any."""
    given = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in given or given == ["*"]


def headers_of(etag: str) -> dict[str, str]:
    """The headers of a tagged response."""
    return {"ETag": etag, "Cache-Control": REVALIDATED}

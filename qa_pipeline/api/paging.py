"""Pages of lists by an opaque cursor, with the address of the next page in a `Link` header (RFC 8288)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.params import Parameter

from indexing.errors import SettingError

T = TypeVar("T")

MOST = 1_000
Limit = Annotated[int | None, Parameter(ge=1, le=MOST, description="Items of a page; without it, all.")]
Cursor = Annotated[str | None, Parameter(max_length=1_000, description="From the Link header of the page before.")]
LINK = [ResponseHeader(name="Link", description='`<ADDRESS>; rel="next"` of the next page.', documentation_only=True)]

Place = tuple[str, str]
"""Where an item is in its list: what the list is ordered by, and its id."""


def page_of(
    items: Sequence[T], place: Callable[[T], Place], cursor: str | None, limit: int | None, *, ascending: bool = False
) -> tuple[Sequence[T], str]:
    """The items after the cursor, at most `limit`, and the cursor of the next page, "" for the last one.

    The cursor holds the place of an item, so pages stay right when items are added or deleted between them. Raises
    SettingError.

    >>> first, after = page_of(["a", "b", "c"], lambda one: (one, one), None, 2, ascending=True)
    >>> first, page_of(["a", "c"], lambda one: (one, one), after, 2, ascending=True)
    (['a', 'b'], (['c'], ''))
    """
    begin = 0 if cursor is None else _after(items, place, _decoded(cursor), ascending)
    end = len(items) if limit is None else min(len(items), begin + limit)
    return items[begin:end], _encoded(place(items[end - 1])) if begin < end < len(items) else ""


def paged(request: Request[Any, Any, Any], items: T, cursor: str) -> Response[T]:
    """A response with these items, and with the address of the next page if there is a cursor."""
    if not cursor:
        return Response(items)
    given = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    address = f"{request.url.path}?{urlencode([*given, ('cursor', cursor)])}"
    return Response(items, headers={"Link": f'<{address}>; rel="next"'})


def _after(items: Sequence[T], place: Callable[[T], Place], last: Place, ascending: bool) -> int:
    """The index of the first item after a place; where its item is gone, of the first one with its order or a later one.

    Items of the same time may then come twice, but none is left out.
    """
    later = len(items)
    for number, item in enumerate(items):
        order, id = place(item)
        if id == last[1]:
            return number + 1
        if later == len(items) and (order >= last[0] if ascending else order <= last[0]):
            later = number
    return later


def _encoded(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> Place:
    try:
        order, id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(order, str) and isinstance(id, str):
            return order, id
    except (ValueError, TypeError):
        pass
    raise SettingError("The cursor is not valid; take it from the Link header of the page before, or leave it out.")

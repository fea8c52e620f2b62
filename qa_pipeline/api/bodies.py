"""Strict decoding of JSON bodies, bounded in bytes, in values and in the characters of each field."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, ValidationException

from qa_pipeline.api.auth import owner
from qa_pipeline.errors import TooLarge

VALUES = 1_000_000
CHARACTERS = 10_000
FILTER_VALUES = 10_000
LARGE = 100_000
HELD = "docqa.held"
# Bounded by their schema, or by a setting of the service.
ELSEWHERE = ("question", "context")


class BoundedRequest(Request[Any, Any, Any]):
    """A request that decodes JSON directly into the type of its route. At most VALUES values, counted before decoding."""

    async def body(self) -> bytes:
        """The body, whose bytes count for its key until the request ends. Raises TooBusy before it is read."""
        held: ExitStack | None = self.scope.get(HELD)  # type: ignore[assignment]
        if held is not None and not isinstance(self._body, bytes):
            service = self.app.state.service
            settings = service.settings
            announced = self.headers.get("content-length", "")
            count = min(int(announced), settings.body_bytes) if announced.isdecimal() else settings.body_bytes
            held.enter_context(service.reads.holding(owner(self), count, settings.key_bytes))
        return await super().body()

    async def json(self) -> Any:
        """The decoded body.

        Raises TooLarge, ValidationException for a schema mismatch, ClientException for invalid JSON or a name given twice.
        """
        body = await self.body()
        if sum(body.count(sign) for sign in (b",", b"[", b"{")) > VALUES:
            raise TooLarge(f"The body holds more than {VALUES:,} values; send it in several requests.")
        kind = self.route_handler.parsed_fn_signature.parameters["data"].annotation
        if len(body) > LARGE:
            return await asyncio.to_thread(decoded, body, kind)
        return decoded(body, kind)


def decoded(body: bytes, kind: Any) -> Any:
    """A body as a value of this type. Raises the errors of `BoundedRequest.json`."""
    try:
        value = msgspec.json.decode(body, type=kind)
        _check(json.loads(body, object_pairs_hook=_unique))
        return value
    except msgspec.ValidationError as error:
        raise ValidationException(f"The body is not valid ({error}).") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ClientException(f"The body is not valid JSON ({error}).") from None
    except RecursionError:
        raise ClientException("The body is nested too deeply.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as a dictionary. Raises ClientException if it has a name twice, of which the last would win silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ClientException(f"The body names {twice[:80]!r} twice in one object; name it once.")
    return found


def _check(value: Any) -> None:
    """Raises TooLarge for a field with too many characters, or a filter with too many values."""
    if isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and name not in ELSEWHERE:
                _check_text(name, item)
            elif name in ("filters", "settings"):
                _check_filter(name, item)
            elif name not in ELSEWHERE:
                _check(item)


def _check_filter(name: str, value: Any) -> None:
    for number, part in enumerate(_parts(value)):
        if number >= FILTER_VALUES:
            raise TooLarge(f"{name} holds more than {FILTER_VALUES:,} values; choose by another field.")
        if isinstance(part, str):
            _check_text(name, part)


def _parts(value: Any) -> Iterable[Any]:
    """Every name and value in a nested value."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            waiting += part


def _check_text(name: str, text: str) -> None:
    if len(text) > CHARACTERS:
        raise TooLarge(f"A text in {name} has {len(text):,} characters; {CHARACTERS:,} are the most.")

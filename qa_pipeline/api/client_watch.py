"""Watches the client of one request: the body must come in time, and when the client goes, its work stops."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from qa_pipeline.errors import ClientGone, TooSlow
from qa_pipeline.reading.cancellation import WorkToken

SLOWEST = 20_000
"""Bytes a second of the slowest client that may go on sending a body after its first seconds."""


class ClientWatch:
    """The `receive` of a request, and a task that waits for the client to go once the body is complete.

    seconds: time for a body; each SLOWEST bytes of it give one more.
    """

    def __init__(self, receive: Callable[[], Any], token: WorkToken, seconds: float) -> None:
        self._receive = receive
        self._token = token
        self._until = time.monotonic() + seconds
        self._ready: Any = None
        self._complete = False
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def expect_no_body(self) -> None:
        """For a request without a body, which no route reads: watch the client from the start."""
        self._ready = await self.receive()

    async def receive(self) -> Any:
        """The next message of the request. Raises TooSlow if the body does not come in time."""
        if self._ready is not None:
            message, self._ready = self._ready, None
            return message
        if self._complete:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except asyncio.TimeoutError:
            raise TooSlow("The body of the request came too slowly; send it again over a faster connection.") from None
        if message["type"] == "http.disconnect":
            self._leave()
        elif message["type"] == "http.request":
            self._until += len(message.get("body", b"")) / SLOWEST
            if not message.get("more_body", False):
                self._complete = True
                self._task = asyncio.create_task(self._watch())
        return message

    async def close(self) -> None:
        """End the task, at the end of the request."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._complete = True
        self._gone.set()
        self._token.cancel(ClientGone("The client has gone."))

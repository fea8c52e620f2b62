"""uvicorn's server and HTTP protocol with what they lack: a deadline for a request's head, and the moment of a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import FrameType
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.auto import AutoHTTPProtocol


class ServiceServer(Server):
    """A server that calls `on_stop` when it is asked to stop, before it waits for its connections."""

    def __init__(self, config: Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


def protocol_with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """The HTTP protocol that closes a connection whose request has no complete head after `seconds`.

    The time begins with the connection, and with the first byte of each further request.
    """

    class HeadDeadlineProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._end()
            elif self._late is None:
                self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def _begin(self) -> None:
            self._late = self.loop.call_later(seconds, self._close)

        def _end(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _close(self) -> None:
            self._late = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return HeadDeadlineProtocol

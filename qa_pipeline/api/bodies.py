"""Strict decoding of JSON bodies, bounded in bytes and in memory."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, ValidationException

from qa_pipeline.errors import TooLarge

VALUES = 1_000_000


class BoundedRequest(Request[Any, Any, Any]):
    """A request that decodes JSON directly into the type of its route. At most VALUES values, counted before decoding."""

    async def json(self) -> Any:
        """The decoded body. Raises TooLarge, ValidationException for a schema mismatch, ClientException for invalid JSON."""
        body = await self.body()
        if sum(body.count(sign) for sign in (b",", b"[", b"{")) > VALUES:
            raise TooLarge(f"The body holds more than {VALUES:,} values; send it in several requests.")
        try:
            return msgspec.json.decode(body, type=self.route_handler.parsed_fn_signature.parameters["data"].annotation)
        except msgspec.ValidationError as error:
            raise ValidationException(f"The body is not valid ({error}).") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ClientException(f"The body is not valid JSON ({error}).") from None
        except RecursionError:
            raise ClientException("The body is nested too deeply.") from None

"""Errors as problem+json (RFC 9457): one table from exception class to HTTP status."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from indexing import errors
from qa_pipeline import errors as own_errors
from qa_pipeline.api.schemas import Problem
from qa_pipeline.service.public_messages import make_public

logger = logging.getLogger("docqa.api")

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[type[errors.DocqaError], int] = {
    errors.SettingError: 422,
    errors.FilterError: 422,
    errors.UnreadableFile: 422,
    own_errors.KeyNeeded: 401,
    own_errors.NotAllowed: 403,
    own_errors.CorpusMissing: 404,
    errors.DocumentMissing: 404,
    own_errors.EvaluationMissing: 404,
    own_errors.JobMissing: 404,
    own_errors.CorpusExists: 409,
    own_errors.JobNotDone: 409,
    own_errors.JobCancelled: 409,
    errors.IndexBusy: 409,
    own_errors.TooSlow: 408,
    own_errors.TooLarge: 413,
    errors.DiskFull: 507,
    own_errors.TooBusy: 429,
    own_errors.ClientGone: 499,
    own_errors.OutOfTime: 504,
    own_errors.PipelineFailed: 500,
    own_errors.BrokenCitation: 500,
    errors.DocqaError: 503,
}
FULL = "The disk of the service is full, so nothing was changed; free some space and try again."
REFUSED = "The home is read-only here, so nothing was changed; only questions and searches work."
USUAL = (400, 401, 403, 422, 500)


def status_of(error: errors.DocqaError) -> int:
    """The HTTP status of an error's class, or of its nearest base class.

    >>> status_of(own_errors.CorpusMissing("")), status_of(errors.ModelMissing(""))
    (404, 503)
    """
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def error_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """OpenAPI responses for the error statuses of a route, and for the USUAL ones of every route."""
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=_phrase(status), media_type=MEDIA_TYPE)
        for status in sorted({*USUAL, *statuses})
    }


def problem(error: Exception, *, with_text: bool = False) -> Problem:
    """Any error as a Problem. Unexpected errors are logged; with_text: with their message, which may contain a question."""
    if not isinstance(error, errors.DiskFull) and is_disk_full(error):
        return _problem("DiskFull", 507, FULL)
    if isinstance(error, OSError) and error.errno in errors.READ_ONLY:
        return _problem("HomeFolderError", 503, REFUSED)
    if isinstance(error, errors.DocqaError):
        return _problem(type(error).__name__, status_of(error), str(error))
    if isinstance(error, ValidationException):
        return _problem("SettingError", 422, _invalid(error))
    if isinstance(error, MethodNotAllowedException):
        return _problem("MethodNotAllowed", 405, f"This address takes {_allowed(error)} only.")
    if isinstance(error, HTTPException):
        return _problem(_kind(error.status_code), error.status_code, error.detail or _phrase(error.status_code))
    logger.error(
        "a request failed: %s%s\n%s",
        type(error).__name__,
        f": {error}" if with_text else "",
        "".join(traceback.format_tb(error.__traceback__)),
    )
    return _problem("Defect", 500, "Internal error; the log of the service has the details.")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that no space is left."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, errors.DiskFull) or (isinstance(error, OSError) and error.errno in errors.NO_SPACE):
            return True
        error = error.__cause__ or error.__context__
    return False


def exception_handler(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The problem+json response to any error."""
    service = request.app.state.service
    if isinstance(error, errors.DocqaError):
        make_public(error, service.home.path)
    found = problem(error, with_text=service.settings.log_questions)
    headers: dict[str, str] = {}
    if found.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, own_errors.TooBusy):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowedException):
        headers["Allow"] = _allowed(error)
    if found.status == 413:
        headers["Connection"] = "close"
    return Response(found, status_code=found.status, media_type=MEDIA_TYPE, headers=headers)


def _allowed(error: MethodNotAllowedException) -> str:
    """The allowed methods of a path, from the framework's error."""
    told = {name.lower(): value for name, value in (error.headers or {}).items()}
    return allowed_methods(method.strip() for method in told.get("allow", "").split(","))


def allowed_methods(methods: Iterable[str]) -> str:
    """An `Allow` header: with HEAD wherever there is GET.

    >>> allowed_methods(["POST", "GET"])
    'GET, HEAD, POST'
    """
    found = set(methods)
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))


def _problem(kind: str, status: int, detail: str) -> Problem:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).capitalize()
    return Problem(f"urn:docqa:problem:{kind}", words, status, detail)


def _invalid(error: ValidationException) -> str:
    """The validation errors of a request in one sentence; the first five only, never the whole input."""
    extra = error.extra if isinstance(error.extra, list) else []
    parts = [f"{_place(item)}: {_wrong(item)}" for item in extra[:5]]
    return f"The request is not valid ({'; '.join(parts)})." if parts else error.detail or "The request is not valid."


def _place(item: dict[str, Any]) -> str:
    return {"data": "the body"}.get(str(item.get("key")), str(item.get("key", "the request")))


def _wrong(item: dict[str, Any]) -> str:
    """The validation error of one value; for a missing value the framework's message is only its name."""
    message = str(item.get("message", "is not valid"))
    return "it is missing" if message.strip("'") == item.get("key") else message


def _kind(status: int) -> str:
    return "".join(word.capitalize() for word in _phrase(status).split())


def _phrase(status: int) -> str:
    """The phrase of a status. 499 is nginx's, for the log alone: nobody is there to receive it."""
    return "Client Closed Request" if status == 499 else HTTPStatus(status).phrase

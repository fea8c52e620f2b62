"""Server settings: frozen values from flags and DOCQA_* variables, cast strictly."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from indexing.errors import SettingError
from indexing.models.presets import DEFAULT_READER
from indexing.settings import whole_number
from qa_pipeline.settings import MAX_TOP_K, PRECISIONS

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
MAX_BYTES = 1_000_000_000_000


def _cores() -> int:
    return min(256, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a home folder is served. Raises SettingError for a value that makes no sense.

    precision: how the reader computes, one of PRECISIONS. body_bytes: of a JSON body; upload_bytes: of a whole upload,
    file_bytes: of one file in it, upload_files: how many. top_k: answers or passages one may ask for. batch: questions
    in one request, questions: in one file. concurrency: questions read at once, queue: that wait for it; more are
    refused. 0: as many as cores, and four times that. cors_origins: pages of other addresses that may call; none unless
    set. log_questions: their text may be logged. shutdown_s: seconds that what was taken has to finish. keep_days: how
    long results of question files are kept.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8080
    reader: str = DEFAULT_READER
    precision: str = "auto"
    body_bytes: int = 32_000_000
    file_bytes: int = 50_000_000
    upload_bytes: int = 500_000_000
    upload_files: int = 1_000
    top_k: int = MAX_TOP_K
    batch: int = 1_000
    questions: int = 10_000
    concurrency: int = field(default_factory=_cores)
    queue: int = 0
    cors_origins: tuple[str, ...] = ()
    log_questions: bool = False
    shutdown_s: int = 30
    keep_days: int = 30

    def __post_init__(self) -> None:
        whole_number("port", self.port, 0, 65_535)
        for name in ("body_bytes", "file_bytes", "upload_bytes"):
            whole_number(name, getattr(self, name), 1, MAX_BYTES)
        whole_number("upload_files", self.upload_files, 1, 100_000)
        whole_number("top_k", self.top_k, 1, MAX_TOP_K)
        whole_number("batch", self.batch, 1, 100_000)
        whole_number("questions", self.questions, 1, 1_000_000)
        whole_number("concurrency", self.concurrency, 1, 256)
        whole_number("queue", self.queue, 0, 100_000)
        whole_number("shutdown_s", self.shutdown_s, 0, 3_600)
        whole_number("keep_days", self.keep_days, 0, 36_500)
        if self.precision not in PRECISIONS:
            raise SettingError(f"precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}.")
        if not self.host.strip() or not self.reader.strip():
            raise SettingError("host and reader must not be empty.")
        for origin in self.cors_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise SettingError(f"cors_origins holds {origin!r}; an origin is like https://search.example.org.")

    @property
    def waiting(self) -> int:
        """How many questions may wait."""
        return self.queue or 4 * self.concurrency

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host names this machine and nothing else.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "docqa.example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def server_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> ServerSettings:
    """Settings from flags (None: not given) and then DOCQA_* variables ("" is not set). Raises SettingError.

    >>> server_settings({"home": "h", "port": None}, {"DOCQA_PORT": "9000"}).port
    9000
    """
    values: dict[str, Any] = {}
    for setting in fields(ServerSettings):
        variable = f"DOCQA_{setting.name.upper()}"
        given = flags.get(setting.name)
        name, given = (setting.name, given) if given is not None else (variable, environment.get(variable) or None)
        if given is not None:
            values[setting.name] = _cast(name, str(setting.type), given)
    if "home" not in values:
        raise SettingError("No home folder is named; use --home HOME or the variable DOCQA_HOME.")
    return ServerSettings(**values)


def _cast(name: str, kind: str, given: Any) -> Any:
    """A flag's or a variable's value as the type of its field, strictly."""
    if not isinstance(given, str):
        return tuple(given) if kind.startswith("tuple") else given
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    if kind == "bool":
        return _truth(name, given)
    if kind == "int":
        return _whole(name, given)
    return Path(given) if kind == "Path" else given


def _truth(name: str, given: str) -> bool:
    if given.strip().lower() not in (*YES, *NO):
        raise SettingError(f"{name} is {given!r}; it must be one of {', '.join((*YES, *NO))}.")
    return given.strip().lower() in YES


def _whole(name: str, given: str) -> int:
    """Digits, with "_" between them where wanted; int() would take more."""
    digits = given.strip().replace("_", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise SettingError(f"{name} is {given!r}; it must be a whole number.")
    return int(digits)

"""Server settings: frozen values from flags and DOCQA_* variables, cast strictly."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.inspect import BoolType, CustomType, IntType, VarTupleType, type_info

from indexing.errors import SettingError
from indexing.models.presets import DEFAULT_READER
from indexing.ocr.settings import OcrSettings
from qa_pipeline.settings import MAX_TOP_K, PRECISIONS, check_pipeline_file

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
DIGITS = 15

Bytes = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Files = Annotated[int, Meta(ge=1, le=100_000)]
Passages = Annotated[int, Meta(ge=1, le=MAX_TOP_K)]
Batch = Annotated[int, Meta(ge=1, le=100_000)]
Questions = Annotated[int, Meta(ge=1, le=1_000_000)]
Concurrency = Annotated[int, Meta(ge=1, le=256)]
Queue = Annotated[int, Meta(ge=0, le=100_000)]
Seconds = Annotated[int, Meta(ge=0, le=3_600)]
Deadline = Annotated[int, Meta(ge=1, le=3_600)]
Connections = Annotated[int, Meta(ge=1, le=100_000)]
Characters = Annotated[int, Meta(ge=1_000, le=100_000_000)]
OpenCorpora = Annotated[int, Meta(ge=1, le=100_000)]
Days = Annotated[int, Meta(ge=0, le=36_500)]


def _cores() -> int:
    return min(256, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a service over a home folder. Raises SettingError for an invalid value.

    precision: of the reader, one of PRECISIONS.
    lean: answer by plain functions, without Haystack. pipeline: file of a Haystack pipeline that answers; "": the usual one.
    body_bytes: maximum size of a JSON body; upload_bytes: of a whole upload; file_bytes: of one file in it.
    upload_files: maximum number of files in an upload.
    top_k: maximum of a request's top_k and retrieve. batch: maximum number of questions in one request.
    questions: maximum number of questions in one file.
    concurrency: questions read at once; by default the number of cores.
    queue: maximum number of waiting questions, further ones are refused; 0 means four times concurrency.
    key_batches: batches of one key in flight. key_bytes: bytes of its JSON bodies in flight.
    deadline_s: seconds for a question, from its arrival; in a batch, for each.
    body_s: seconds for a request's head, and for its body beyond a slow but steady client's time. connections: open at once.
    read_chars: maximum number of characters of a text at /v1/read. open_corpora: corpora kept open at once.
    uploads_bytes: maximum size of all kept question files and their answers.
    cors_origins: origins whose pages may call the API; by default none. log_questions: whether question texts may be logged.
    no_keys: answer without keys, also if there are keys or were; for an address of this machine only.
    ocr: whether text in uploaded pictures and scanned pages is recognised: auto, off or force; auto where an engine is
    installed. ocr_languages: codes of the languages in them; by default each page's script decides.
    shutdown_s: seconds for admitted work to finish at shutdown. keep_days: how long results of question files are kept.
    """

    home: Path
    host: str = "127.0.0.1"
    port: Port = 8080
    reader: str = DEFAULT_READER
    precision: str = "auto"
    lean: bool = False
    pipeline: str = ""
    body_bytes: Bytes = 32_000_000
    file_bytes: Bytes = 50_000_000
    upload_bytes: Bytes = 500_000_000
    upload_files: Files = 1_000
    top_k: Passages = MAX_TOP_K
    batch: Batch = 1_000
    questions: Questions = 10_000
    concurrency: Concurrency = field(default_factory=_cores)
    queue: Queue = 0
    key_batches: Concurrency = 2
    key_bytes: Bytes = 100_000_000
    deadline_s: Deadline = 60
    body_s: Deadline = 20
    connections: Connections = 1_000
    read_chars: Characters = 200_000
    open_corpora: OpenCorpora = 64
    uploads_bytes: Bytes = 10_000_000_000
    cors_origins: tuple[str, ...] = ()
    log_questions: bool = False
    no_keys: bool = False
    ocr: str = "auto"
    ocr_languages: tuple[str, ...] = ()
    shutdown_s: Seconds = 30
    keep_days: Days = 30

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            _checked(name, kind, getattr(self, name))
        _ = self.recognition
        if self.precision not in PRECISIONS:
            raise SettingError(f"precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}.")
        if not self.host.strip() or not self.reader.strip():
            raise SettingError("host and reader must not be empty.")
        if self.lean and self.pipeline:
            raise SettingError("lean answers without Haystack, and pipeline with it; set only one of them.")
        if self.no_keys and not self.is_local:
            raise SettingError(f"no_keys is for an address of this machine, and {self.host} can be reached from others.")
        for origin in self.cors_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise SettingError(f"cors_origins holds {origin!r}; an origin is like https://search.example.org.")

    @property
    def waiting(self) -> int:
        """Maximum number of waiting questions."""
        return self.queue or 4 * self.concurrency

    @property
    def recognition(self) -> OcrSettings:
        """How text in pictures is recognised. Raises SettingError."""
        return OcrSettings(self.ocr, self.ocr_languages)  # type: ignore[arg-type]  # it checks the mode

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "docqa.example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def server_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> ServerSettings:
    """Settings from flags (None: not given), else from DOCQA_* variables ("": not set). Raises SettingError.

    A pipeline file is looked at, but Haystack is not imported yet.

    >>> server_settings({"home": "h", "port": None}, {"DOCQA_PORT": "9000"}).port
    9000
    """
    values: dict[str, Any] = {}
    for setting, kind in _kinds().items():
        variable = f"DOCQA_{setting.upper()}"
        given = flags.get(setting)
        name, given = (setting, given) if given is not None else (variable, environment.get(variable) or None)
        if given is not None:
            values[setting] = _checked(name, kind, _parsed(kind, given) if isinstance(given, str) else given)
    if "home" not in values:
        raise SettingError("No home folder is named; use --home HOME or the variable DOCQA_HOME.")
    settings = ServerSettings(**values)
    if settings.pipeline:
        check_pipeline_file(Path(settings.pipeline))
    return settings


@cache
def _kinds() -> Mapping[str, Any]:
    """The type of each setting, with its bounds."""
    return get_type_hints(ServerSettings, include_extras=True)


def _parsed(kind: Any, text: str) -> Any:
    """Parse a text as this type; an unparsable text is returned unchanged.

    Stricter than int(), which accepts signs and digits of any script. msgspec would accept 1e3, and reject "yes".
    """
    match type_info(kind):
        case BoolType():
            word = text.strip().lower()
            return word in YES if word in (*YES, *NO) else text
        case IntType():
            digits = text.strip().replace("_", "")
            return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS else text
        case VarTupleType():
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case CustomType():
            return Path(text)
    return text


def _checked(name: str, kind: Any, value: Any) -> Any:
    """Return the value of a setting if it has the right type and is within bounds. Raises SettingError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise SettingError(f"{name} is {value!r}; it must be {_allowed(kind)}.") from None


def _allowed(kind: Any) -> str:
    """The allowed values of a setting, in words.

    >>> _allowed(Port), _allowed(bool)
    ('a whole number from 0 to 65,535', 'one of 1, true, yes, on, 0, false, no, off')
    """
    match type_info(kind):
        case IntType(ge=low, le=high):
            return f"a whole number from {low:,} to {high:,}"
        case BoolType():
            return f"one of {', '.join((*YES, *NO))}"
        case CustomType():
            return "a path"
        case VarTupleType():
            return "texts with commas between"
    return "text"

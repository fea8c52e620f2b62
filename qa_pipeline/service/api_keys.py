"""API keys: scope, rights, and salted hashes at rest.

A secret is `docqa_<id>_<43 characters>`. It has 256 random bits, so one fast hash suffices. It is shown once, at creation,
and cannot be recovered.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from indexing.atomic_files import store
from indexing.errors import FilterError, SettingError
from indexing.store.listing import document_condition
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.home import corpus_name
from qa_pipeline.service.service_db import now

FORMAT = 1
LIMITED_FORMAT = 3
LABEL = 100
SECRET = 200
LOCK_S = 30.0


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secret. corpora: the key is limited to these; empty: all. created, expires: ISO 8601, UTC.

    expires: "" for never. filter: the key sees the documents that it allows; None: all. Such a key may only read.
    """

    id: str
    label: str
    write: bool
    corpora: tuple[str, ...]
    created: str
    expires: str = ""
    filter: Mapping[str, Any] | None = None

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return bool(self.expires) and self.expires <= now()

    def allows(self, corpus: str) -> bool:
        """Whether the key may see a corpus."""
        return not self.corpora or corpus in self.corpora

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Entries = list[Key]


@dataclass(frozen=True, slots=True)
class _StoredKey:
    """A key as stored, with the salt and hash of its secret, both hex."""

    key: Key
    salt: str
    hash: str

    def fits(self, secret: str) -> bool:
        """Whether this is the key's secret; compared in constant time."""
        return hmac.compare_digest(_hash(secret, self.salt), self.hash)


class KeyStore:
    """The keys in one file (mode 0600), reloaded when it changes. Safe from any thread and any process.

    Without a file there are no keys. Raises HomeFolderError for an unreadable file, so that nobody gets access.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Made by the first key, and never removed: it says that there was a key.
        self._lock = path.with_name(f"{path.name}.lock")
        self._guard = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._kept: tuple[_StoredKey, ...] = ()

    def add(
        self,
        label: str,
        *,
        write: bool = False,
        corpora: Iterable[str] = (),
        expires: str = "",
        filter: Mapping[str, Any] | None = None,
    ) -> tuple[Key, str]:
        """Create a key. Returns it and its secret, which is not stored. Raises SettingError, FilterError.

        expires: a date or time in ISO 8601, UTC without an offset.
        """
        names = tuple(sorted({corpus_name(name) for name in corpora}))
        if filter is not None:
            document_condition(filter)
            if write:
                raise SettingError("A key with a filter may only read; leave --write or --filter out.")
        key = Key(secrets.token_hex(6), _label(label), bool(write), names, now(), _expiry(expires), filter)
        stored, secret = _with_secret(key)
        with self._changing():
            self._write((*self._read(), stored))
        return key, secret

    def rotate(self, id: str) -> tuple[Key, str]:
        """Give a key a new secret; the old one is refused from then on. Raises SettingError for an unknown id."""
        with self._changing_key(id) as kept:
            found = next(one.key for one in kept if one.key.id == id)
            stored, secret = _with_secret(found)
            self._write([stored if one.key.id == id else one for one in kept])
        return found, secret

    def remove(self, id: str) -> None:
        """Revoke a key. Raises SettingError for an unknown id."""
        with self._changing_key(id) as kept:
            self._write([one for one in kept if one.key.id != id])

    def required(self) -> bool:
        """Whether there was ever a key: then a request needs one, also when the last is removed or the file is gone."""
        return self._lock.exists() or self.path.exists() or bool(self._current())

    def list(self) -> Entries:
        """Every key, the oldest first."""
        return [kept.key for kept in self._current()]

    def check(self, secret: str) -> Key | None:
        """The key with this secret, also an expired one, or None.

        Compares with every key in constant time, so timing reveals nothing.
        """
        if not isinstance(secret, str) or len(secret) > SECRET:
            return None
        found: Key | None = None
        for kept in self._current():
            if kept.fits(secret):
                found = kept.key
        return found

    # -- the file --------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold a file lock during read, change and write, so that no change of another process is lost."""
        lock = FileLock(str(self._lock), timeout=LOCK_S, thread_local=False)
        try:
            with lock:
                yield
        except Timeout:
            raise HomeFolderError("Another process is changing the keys; try again when it is done.") from None
        except OSError as error:
            raise HomeFolderError(f"The keys cannot be written ({error.strerror}); look at the disk and rights.") from error

    @contextmanager
    def _changing_key(self, id: str) -> Iterator[Sequence[_StoredKey]]:
        """As `_changing`, with the keys, of which one has this id. Raises SettingError otherwise."""
        self._check_known(id, self._read())  # Before the lock is made, which closes a service that never had a key.
        with self._changing():
            kept = self._read()
            self._check_known(id, kept)
            yield kept

    @staticmethod
    def _check_known(id: str, kept: Sequence[_StoredKey]) -> None:
        if not any(one.key.id == id for one in kept):
            raise SettingError(f"There is no key {str(id)[:80]!r}; `docqa keys HOME list` lists them.")

    def _current(self) -> tuple[_StoredKey, ...]:
        """The keys in the file, reloaded only if its inode, size or times changed."""
        with self._guard:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._kept = self._read()
                self._stamp = stamp
            return self._kept

    def _stamp_now(self) -> tuple[int, ...]:
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unreadable(error) from error
        return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns

    def _read(self) -> tuple[_StoredKey, ...]:
        try:
            found = json.loads(self.path.read_text("utf-8"))
            if found["format"] not in (FORMAT, LIMITED_FORMAT):
                raise ValueError(f"its format is not {FORMAT}")
            return tuple(_stored_key(values) for values in found["keys"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, SettingError, FilterError) as error:
            raise _unreadable(error) from error

    def _write(self, kept: Sequence[_StoredKey]) -> None:
        rows = [{**asdict(one.key), "salt": one.salt, "hash": one.hash} for one in kept]
        # A docqa that knows no filter and no expiry refuses the file, instead of granting more than it says.
        number = LIMITED_FORMAT if any(one.key.expires or one.key.filter is not None for one in kept) else FORMAT
        store(self.path, json.dumps({"format": number, "keys": rows}, indent=1).encode("utf-8"), 0o600)


def _hash(secret: str, salt: str) -> str:
    data = secret.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=32, salt=bytes.fromhex(salt), person=b"docqa key").hexdigest()


def _stored_key(values: dict[str, Any]) -> _StoredKey:
    """A key of the file, cast strictly, so that a damaged entry grants nothing. Raises ValueError."""
    texts = [values[name] for name in ("id", "label", "created", "salt", "hash")]
    corpora = values["corpora"]
    good = all(isinstance(text, str) for text in texts) and isinstance(values["write"], bool) and isinstance(corpora, list)
    if not good or len(bytes.fromhex(texts[3])) != 16 or len(bytes.fromhex(texts[4])) != 32:
        raise ValueError("a key in it is damaged")
    expires, filter = values.get("expires", ""), values.get("filter")
    if not isinstance(expires, str) or not isinstance(filter, dict | None):
        raise ValueError("a key in it is damaged")
    if filter is not None:
        document_condition(filter)
    names = tuple(corpus_name(name) for name in corpora)
    key = Key(texts[0], texts[1], values["write"], names, texts[2], _expiry(expires), filter)
    return _StoredKey(key, texts[3], texts[4])


def _with_secret(key: Key) -> tuple[_StoredKey, str]:
    secret = f"docqa_{key.id}_{secrets.token_urlsafe(32)}"
    salt = secrets.token_hex(16)
    return _StoredKey(key, salt, _hash(secret, salt)), secret


def _expiry(text: str) -> str:
    """A time in the form of `now`; "" stays. Raises SettingError."""
    if not text:
        return ""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise SettingError(f"A key expires at a date such as 2027-01-31, not {text[:80]!r}.") from None
    utc = datetime.timezone.utc
    found = found.replace(tzinfo=utc) if found.tzinfo is None else found.astimezone(utc)
    return found.isoformat(timespec="milliseconds")


def _label(label: object) -> str:
    text = " ".join(label.split()) if isinstance(label, str) else ""
    if not text or len(text) > LABEL or not text.isprintable():
        raise SettingError(f"The label of a key must be a printable text of 1 to {LABEL} characters, as who has it.")
    return text


def _unreadable(error: Exception) -> HomeFolderError:
    words = error.strerror if isinstance(error, OSError) else str(error)
    return HomeFolderError(
        f"The keys cannot be read ({words}); every request is refused until keys.json is repaired or removed."
    )

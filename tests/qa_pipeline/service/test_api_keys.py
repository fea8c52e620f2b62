"""API keys: only the right secret opens, nothing of it is kept, and what is damaged opens nothing."""

from __future__ import annotations

import hmac
import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service import api_keys as module
from qa_pipeline.service.api_keys import Key, KeyStore
from qa_pipeline.service.home import Home


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys.json")


def test_a_secret_opens_its_own_key(keys: KeyStore) -> None:
    made = [keys.add(f"key {n}", write=bool(n % 2), corpora=["b", "a"][:n]) for n in range(3)]
    assert keys.list() == [key for key, _ in made]
    for key, secret in made:
        assert re.fullmatch(rf"docqa_{key.id}_[A-Za-z0-9_-]{{43}}", secret) and keys.check(secret) == key
    assert made[2][0].corpora == ("a", "b") and made[1][0].write and not made[0][0].write
    assert len({secret for _, secret in made} | {key.id for key, _ in made}) == 6


def test_nothing_of_a_secret_is_kept(keys: KeyStore) -> None:
    _, secret = keys.add("me", write=True, corpora=())
    kept = keys.path.read_text()
    assert secret not in kept and secret.split("_", 2)[2] not in kept
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert secret not in repr(keys.list()) and {p.name for p in keys.path.parent.iterdir()} <= {
        "keys.json",
        "keys.json.lock",
    }


def test_an_unknown_key_closes_no_service_that_never_had_one(keys: KeyStore) -> None:
    for change in (keys.remove, keys.rotate):
        with pytest.raises(SettingError, match="no key 'none'"):
            change("none")
        assert not keys.required() and list(keys.path.parent.iterdir()) == []
    keys.remove(keys.add("me")[0].id)
    assert keys.required() and keys.list() == []


def test_equal_secrets_would_have_other_hashes() -> None:
    assert module._hash("s", "00" * 16) != module._hash("s", "01" * 16)


@given(st.one_of(st.text(max_size=250), st.integers(), st.none(), st.binary(max_size=60)))
def test_nothing_else_opens(tmp_path_factory: pytest.TempPathFactory, secret: Any) -> None:
    keys = KeyStore(tmp_path_factory.mktemp("keys") / "keys.json")
    assert keys.check(secret) is None
    keys.add("me", write=True)
    assert keys.check(secret) is None


def test_nearly_right_does_not_open(keys: KeyStore) -> None:
    key, secret = keys.add("me", write=True)
    other, _ = keys.add("other", write=True)
    last = "A" if secret[-1] != "A" else "B"
    kept = json.loads(keys.path.read_text())["keys"][0]["hash"]
    near = [secret[:-1], f"{secret}x", secret.upper(), f" {secret}", f"{secret}\0", secret[:-1] + last]
    near += [secret.replace(key.id, other.id), f"docqa_{key.id}_", f"docqa_{key.id}_{kept}", kept]
    assert [keys.check(text) for text in near] == [None] * len(near)


def test_every_key_is_compared_in_constant_time(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [keys.add(str(n))[1] for n in range(5)]
    compared: list[tuple[str, str]] = []

    monkeypatch.setattr("hmac.compare_digest", _spy(compared))
    for secret in (secrets[0], secrets[-1], "wrong"):
        compared.clear()
        keys.check(secret)
        assert len(compared) == 5


def _spy(compared: list[tuple[str, str]]) -> Any:
    ordinary = hmac.compare_digest

    def compare(first: str, second: str) -> bool:
        compared.append((first, second))
        return ordinary(first, second)

    return compare


def test_a_removed_key_opens_nothing(keys: KeyStore) -> None:
    key, secret = keys.add("me")
    other, kept = keys.add("other")
    keys.remove(key.id)
    assert keys.check(secret) is None and keys.check(kept) == other and keys.list() == [other]
    for id in (key.id, "", "\ud800", None):
        with pytest.raises(SettingError, match="There is no key"):
            keys.remove(id)  # type: ignore[arg-type]


def test_another_process_is_seen(keys: KeyStore) -> None:
    """Each change, however quick, at the next check."""
    theirs = KeyStore(keys.path)
    assert keys.list() == []
    for n in range(20):
        key, secret = theirs.add(f"{n}")
        assert keys.check(secret) == key
        theirs.remove(key.id)
        assert keys.check(secret) is None
    keys.path.unlink()
    assert keys.list() == []


def test_changes_at_once_are_not_lost(keys: KeyStore) -> None:
    def add(n: int) -> None:
        for m in range(5):
            KeyStore(keys.path).add(f"{n} {m}")

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.label for key in keys.list()}) == 20


@pytest.mark.parametrize("write", [False, True])
def test_what_a_key_allows(write: bool) -> None:
    assert Key("i", "l", write, (), "").allows("any")
    limited = Key("i", "l", write, ("a",), "")
    assert limited.allows("a") and not limited.allows("b")


@pytest.mark.parametrize("label", ["", "  ", "x" * 101, "a\x00b", "a\u202eb", None, 3])
def test_bad_labels(keys: KeyStore, label: Any) -> None:
    with pytest.raises(SettingError, match="label"):
        keys.add(label)
    assert not keys.path.exists()


@pytest.mark.parametrize("corpora", [["../x"], ["A"], [""], [None], "ABC"])
def test_bad_corpora(keys: KeyStore, corpora: Any) -> None:
    with pytest.raises(SettingError, match="corpus name"):
        keys.add("me", corpora=corpora)


def test_a_label_is_one_line(keys: KeyStore) -> None:
    assert keys.add("  أحمد\n من المكتبة ")[0].label == "أحمد من المكتبة"


DAMAGE = [
    lambda found: "",
    lambda found: "{",
    lambda found: "[]",
    lambda found: "null",
    lambda found: found | {"format": 2},
    lambda found: found | {"keys": {}} | {"keys": 7},
    lambda found: found | {"keys": [found["keys"][0] | {"write": "no"}]},
    lambda found: found | {"keys": [found["keys"][0] | {"corpora": "abc"}]},
    lambda found: found | {"keys": [found["keys"][0] | {"corpora": [7]}]},
    lambda found: found | {"keys": [found["keys"][0] | {"hash": ""}]},
    lambda found: found | {"keys": [found["keys"][0] | {"salt": "zz"}]},
    lambda found: found | {"keys": [{"id": "x"}]},
    lambda found: found | {"keys": ["x"]},
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_lets_nobody_in(keys: KeyStore, damage: Any) -> None:
    _, secret = keys.add("me", write=True, corpora=["a"])
    damaged = damage(json.loads(keys.path.read_text()))
    keys.path.write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
    for _ in range(2):
        for act in (lambda: keys.check(secret), keys.list, lambda: keys.add("x"), lambda: keys.remove("x")):
            with pytest.raises(HomeFolderError, match="every request is refused"):
                act()  # type: ignore[no-untyped-call]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HomeFolderError):
        KeyStore(tmp_path / "file" / "keys.json").add("me")


def test_the_keys_of_a_home(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home", create=True)
    _, secret = KeyStore(home.keys).add("me")
    assert KeyStore(Home.open(tmp_path / "home").keys).check(secret) is not None
    assert os.listdir(home.path / "corpora") == []

"""Atomic writes: whichever step fails, a file holds its old bytes or all of the new ones, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexing import atomic_files
from indexing.atomic_files import (
    file_checksum,
    is_full,
    make_folder,
    move,
    open_atomic,
    pieces_of,
    remove,
    remove_leftovers,
    replace_folder,
    store,
    store_text,
    sync_tree,
    temporary_file,
    write_error,
)

OLD, NEW = b"old bytes", b"the new bytes, which are longer"


class Stop(Exception):
    pass


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is fsynced from now on, in order: "file" or "folder"."""
    found: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        found.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def failing_at(monkeypatch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Calls into the system fail from the `step`-th on, counted over all of them; the names of those that were made."""
    made: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments: object, **named: object) -> object:
            made.append(name)
            if len(made) >= step:
                raise OSError(28, "No space left on device")
            return real(*arguments, **named)

        return call

    for name in ("open", "fsync", "replace"):
        monkeypatch.setattr(os, name, counted(name))
    return made


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("before", [OLD, None])
def test_a_failure_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, before: bytes | None, durable: bool) -> None:
    target, contents, step = tmp_path / "f", [], 0
    while True:
        target.unlink(missing_ok=True)
        if before is not None:
            target.write_bytes(before)
        step += 1
        with pytest.MonkeyPatch.context() as patch:
            made = failing_at(patch, step)
            try:
                store(target, NEW, durable=durable)
            except OSError:
                pass
            failed = len(made) >= step
        contents.append(target.read_bytes() if target.exists() else None)
        assert [path.name for path in tmp_path.iterdir()] in ([], ["f"])
        if not failed:
            break
    assert set(contents) == {before, NEW} and contents == sorted(contents, key=lambda one: one == NEW)
    assert contents[0] == before and contents[-1] == NEW and len(contents) == (6 if durable else 3)


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = failing_at(monkeypatch, 1_000)
    store(tmp_path / "f", NEW)
    assert made == ["open", "fsync", "replace", "open", "fsync"]


def test_durable_is_fsynced_and_other_is_not(tmp_path: Path, synced: list[str]) -> None:
    store(tmp_path / "f", NEW)
    assert synced == ["file", "folder"]
    store_text(tmp_path / "f", "Ünï")
    assert synced == ["file", "folder"] * 2 and (tmp_path / "f").read_bytes() == "Ünï".encode()
    store(tmp_path / "f", OLD, durable=False)
    assert len(synced) == 4 and (tmp_path / "f").read_bytes() == OLD


def test_an_exception_while_writing_leaves_the_old(tmp_path: Path, synced: list[str]) -> None:
    store(tmp_path / "f", OLD, durable=False)
    for error in (Stop, KeyboardInterrupt):
        with pytest.raises(error), open_atomic(tmp_path / "f") as file:
            file.write(NEW)
            raise error
    assert (tmp_path / "f").read_bytes() == OLD and len(list(tmp_path.iterdir())) == 1 and synced == []


def test_others_see_the_old_until_the_end(tmp_path: Path) -> None:
    store(tmp_path / "f", OLD)
    with open_atomic(tmp_path / "f") as file:
        file.write(NEW)
        file.flush()
        assert (tmp_path / "f").read_bytes() == OLD
    assert (tmp_path / "f").read_bytes() == NEW


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_has_the_mode_asked_for_from_the_start(tmp_path: Path, mode: int) -> None:
    (tmp_path / "f").write_bytes(OLD)
    with open_atomic(tmp_path / "f", mode) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode & ~_umask()
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_folder_that_cannot_be_fsynced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    store(tmp_path / "f", NEW)
    assert (tmp_path / "f").read_bytes() == NEW


def test_a_whole_file_is_removed_unless_it_was_moved(tmp_path: Path, synced: list[str]) -> None:
    with temporary_file([b"a", b"b"], tmp_path) as file:
        assert file.read_bytes() == b"ab" and synced == ["file"]
    assert list(tmp_path.iterdir()) == []
    with temporary_file([b"a", b"b"], tmp_path) as file:
        move(file, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"ab" and len(list(tmp_path.iterdir())) == 1


def test_pieces_that_end_in_an_error_leave_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise Stop

    with pytest.raises(Stop), temporary_file(pieces(), tmp_path):
        raise AssertionError("never whole")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_one_target_are_removed_and_no_others(tmp_path: Path) -> None:
    names = [".f[1].00ff.part", "f[1]", ".f1.00ff.part", ".other.part"]
    for name in names:
        (tmp_path / name).write_bytes(OLD)
    remove_leftovers(tmp_path / "f[1]")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_takes_the_place_of_another(tmp_path: Path, synced: list[str]) -> None:
    for content in (OLD, NEW):
        (tmp_path / f".f.{16 * '0'}.new").mkdir()
        with replace_folder(tmp_path / "f") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_bytes(content)
        assert synced.count("file") == 1 and synced.count("folder") == 3
        synced.clear()
        assert (tmp_path / "f" / "sub" / "file").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_was_not_filled_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "file").write_bytes(OLD)
    with pytest.raises(Stop), replace_folder(tmp_path / "f"):
        raise Stop
    monkeypatch.setattr(atomic_files, "sync_file", lambda path: failing())
    with pytest.raises(OSError), replace_folder(tmp_path / "f") as folder:
        (folder / "file").write_bytes(NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["f"] and (tmp_path / "f" / "file").read_bytes() == OLD


def failing() -> None:
    raise OSError(5, "Input/output error")


RENAMES = ("to the side", "into its place", "back")


@pytest.mark.parametrize("failing", [RENAMES[:1], RENAMES[1:2], RENAMES[1:], RENAMES])
def test_a_failed_rename_restores_the_old_folder_at_once_or_at_the_next_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[str, ...]
) -> None:
    target = filled(tmp_path / "f")
    names, replace = iter(RENAMES), os.replace

    def rename(source: Path, into: Path) -> None:
        if next(names, "") in failing:
            raise OSError(5, "Input/output error")
        replace(source, into)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", rename)
        with pytest.raises(OSError), replace_folder(target) as folder:
            (folder / "file").write_bytes(NEW)
    assert target.exists() == (failing != RENAMES[1:])
    with pytest.raises(Stop), replace_folder(target):
        raise Stop
    assert [path.name for path in tmp_path.iterdir()] == ["f"] and (target / "file").read_bytes() == OLD


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_killed_between_the_renames_leaves_the_old_folder_to_the_next(tmp_path: Path) -> None:
    target = filled(tmp_path / "f")
    code = (
        "import os, pathlib, signal, sys\n"
        "from indexing.atomic_files import replace_folder\n"
        "rename, names = os.replace, iter(['first'])\n"
        "os.replace = lambda *paths: rename(*paths) if next(names, '') else os.kill(os.getpid(), signal.SIGKILL)\n"
        "with replace_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'file').write_bytes(b'new')\n"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code, target], cwd=root).returncode == -signal.SIGKILL
    assert not target.exists() and len(list(tmp_path.iterdir())) == 2
    with pytest.raises(Stop), replace_folder(target):
        assert (target / "file").read_bytes() == OLD
        raise Stop
    assert [path.name for path in tmp_path.iterdir()] == ["f"] and (target / "file").read_bytes() == OLD


def filled(folder: Path) -> Path:
    folder.mkdir()
    (folder / "file").write_bytes(OLD)
    return folder


def test_leftovers_of_one_folder_are_removed_and_no_others(tmp_path: Path) -> None:
    hexes = 16 * "a"
    own = {f".m[1].{hexes}.new", f".m[1].{hexes}.old"}
    others = {f".m[1]-large.{hexes}.new", f".m[1].large.{hexes}.old", f".m1.{hexes}.new", ".m[1].aa.new", "m[1]-large"}
    for name in own | others:
        (tmp_path / name).mkdir()
    filled(tmp_path / "m[1]")
    with replace_folder(tmp_path / "m[1]") as folder:
        (folder / "file").write_bytes(NEW)
    assert {path.name for path in tmp_path.iterdir()} == others | {"m[1]"}
    assert (tmp_path / "m[1]" / "file").read_bytes() == NEW


def test_a_folder_never_replaces_one_that_is_not_empty(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(OLD)
    with pytest.raises(OSError):
        move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "a").exists() and (tmp_path / "b" / "b").exists()


def test_a_tree_is_fsynced_with_its_folders(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "f").write_bytes(OLD)
    sync_tree(tmp_path)
    assert sorted(synced) == ["file", "folder", "folder", "folder"]


def test_a_new_folder_is_on_disk_with_its_parents(tmp_path: Path, synced: list[str]) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    assert synced == ["folder"] * 3 and (tmp_path / "a" / "b" / "c").is_dir()
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 3
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


def test_a_removed_file_is_off_the_disk(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a").touch()
    remove(tmp_path / "a")
    assert synced == ["folder"] and not (tmp_path / "a").exists()
    with pytest.raises(FileNotFoundError):
        remove(tmp_path / "a")


@pytest.mark.parametrize("number", [0, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_whether_a_folder_takes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    if number:
        monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert write_error(tmp_path) == number and list(tmp_path.iterdir()) == []
    assert is_full(tmp_path) is (number in (errno.ENOSPC, errno.EDQUOT))


def test_pieces_and_checksums(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abcde")
    assert list(pieces_of(tmp_path / "f", 2)) == [b"ab", b"cd", b"e"]
    assert len(file_checksum(tmp_path / "f")) == 64 and file_checksum(tmp_path / "missing") == ""

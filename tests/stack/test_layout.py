"""Where a stack keeps its files, and who may read them."""

from __future__ import annotations

import fcntl
import stat
from pathlib import Path

import pytest

from stack import layout as module
from stack.layout import DEFAULT_DIRECTORY, Layout, file_lock, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_the_one_that_stack_dir_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_DIR", str(tmp_path / "other"))
    assert Layout.current().directory == tmp_path / "other"

    monkeypatch.setenv("STACK_DIR", "")
    assert Layout.current().directory == DEFAULT_DIRECTORY


def test_a_relative_folder_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACK_DIR", "here")
    found = Layout.current()
    monkeypatch.chdir("/")

    assert found.directory == tmp_path / "here"


def test_a_socket_whose_path_would_be_too_long_is_in_the_temporary_directory() -> None:
    short, long = Layout(Path("/s")), Layout(Path("/") / ("x" * 120))

    assert short.socket == Path("/s/supervisor.sock")
    assert len(str(long.socket)) <= module.UNIX_SOCKET_PATH_LIMIT
    assert long.socket == Layout(long.directory).socket
    assert long.socket != Layout(Path("/") / ("y" * 120)).socket


def test_others_may_pass_through_but_not_look_at_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    made = Layout(tmp_path / "stack")
    made.create()
    made.create()

    assert mode(made.directory) == mode(made.postgres) == 0o711
    assert mode(made.processes) == 0o700


def test_a_private_file_is_readable_by_its_owner_alone_also_when_it_was_open_before(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_keeps_others_out_and_is_free_again_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"

    with file_lock(path), path.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""A disk that can be full: the order service's database on a small file system of its own (tmpfs; needs root)."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from stack import control, postgres
from stack.layout import Layout
from stack.state import State
from tests.journeys.waiting import eventually

SERVICE = "order"
#: Above what PostgreSQL keeps of its log of changes (max_wal_size, 1 GB), so that only we can fill it.
SIZE_MB = 1536
BALLAST, BLOCK = "ballast", bytes(64 * 1024)


class SmallDisk:
    """The file system under the data folder of `postgres-order`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._data = postgres.folder(layout, SERVICE) / "data"

    def move_in(self) -> None:
        """Move the server's data onto a file system of their own."""
        name = f"postgres-{SERVICE}"
        control.stop(name, layout=self._layout)
        aside = self._data.with_name("aside")
        self._data.rename(aside)
        self._data.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "tmpfs", self._data], check=True)
        owner = aside.stat()
        shutil.copytree(aside, self._data, dirs_exist_ok=True)
        for path in (self._data, *self._data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        shutil.rmtree(aside)
        control.start(name, layout=self._layout)
        eventually(lambda: postgres.answers(State.load(self._layout), SERVICE), "the moved server to answer")

    @property
    def _ballast(self) -> Path:
        return self._data / BALLAST

    def fill(self) -> None:
        """Leave no byte, also none of those that somebody frees meanwhile."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            found = os.statvfs(self._data)
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize)
            file.seek(0, os.SEEK_END)
            while file.write(BLOCK):
                continue

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        """Take the file system away, also one that a killed run left; its server does not run."""
        if self._data.is_mount():
            subprocess.run(["umount", self._data], check=True)


def can_mount() -> bool:
    """Say whether this process may mount a file system, by trying."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    found = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return found.returncode == 0

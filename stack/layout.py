"""Where the local stack keeps its files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_DIRECTORY = ROOT / ".stack"
CACHE = DEFAULT_DIRECTORY / "cache"
UNIX_SOCKET_PATH_LIMIT = 100  # 107 by the kernel; supervisord adds its pid while it binds


@dataclass(frozen=True)
class Layout:
    """The files of one stack. Several stacks can run at the same time in separate directories."""

    directory: Path

    @classmethod
    def current(cls) -> Layout:
        """Return the layout of the directory that STACK_DIR names, or of `.stack` if it is not set."""
        return cls(Path(os.environ.get("STACK_DIR") or DEFAULT_DIRECTORY).resolve())

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def processes(self) -> Path:
        """The folder of two files per process: JSON (what to run) and pid (what runs)."""
        return self.directory / "processes"

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def env(self) -> Path:
        return self.directory / "env"

    @property
    def state(self) -> Path:
        return self.directory / "state.json"

    @property
    def supervisor_config(self) -> Path:
        return self.directory / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """supervisord's socket. If the stack's path is too long for a socket, it is in the temporary directory."""
        path = self.directory / "supervisor.sock"
        if len(str(path)) <= UNIX_SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"stack-{os.getuid()}-{digest}.sock"

    def create(self) -> None:
        """Create the directories. PostgreSQL's user can enter them; the files in them are private."""
        for directory in (self.directory, self.log, self.processes, self.postgres, CACHE):
            directory.mkdir(parents=True, exist_ok=True)
        for passed_through in (self.directory, self.postgres):
            passed_through.chmod(0o711)
        self.processes.chmod(0o700)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let other starts and stops of this stack wait."""
        with file_lock(self.directory / "lock"):
            yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`. It ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Write `path` atomically; only its owner can read it."""
    draft = path.with_name(f"{path.name}.new")
    draft.touch(mode=0o600)
    draft.chmod(0o600)
    draft.write_text(text)
    draft.replace(path)

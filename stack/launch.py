"""Starts the process that a JSON file describes: `launch.py FILE`.

supervisord starts each process through this file. It stores pid and start time beside the description, so that `down`
finds the processes of a killed supervisord. On Linux it asks the kernel to end the process with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1


def main(path: Path) -> None:
    """Store this process's pid, then replace it by the command."""
    spec = json.loads(path.read_text())
    own = psutil.Process()
    path.with_suffix(".pid").write_text(json.dumps({"pid": own.pid, "started": own.create_time()}))
    if spec["end_with_parent"] and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.Signals[spec["stop_signal"]].value)
    os.chdir(spec["directory"])
    os.execvpe(spec["command"][0], spec["command"], os.environ | spec["environment"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The commands of README.md, pasted into a shell as a stranger would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stack import testing

ROOT = Path(__file__).resolve().parent.parent.parent


def commands() -> str:
    """Return the block of the README, on this stack's variables, and patient: the machine may be busy."""
    block = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[0]
    return block.replace(". .stack/env", f". '{testing.layout().env}'").replace("sleep 1", "sleep 4")


@pytest.mark.usefixtures("variables")
@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl")
def test_the_readmes_commands_place_an_order_and_cancel_it() -> None:
    shell = subprocess.run(["bash", "-e"], input=commands(), capture_output=True, text=True, cwd=ROOT, timeout=120)

    assert shell.returncode == 0, shell.stdout + shell.stderr
    statuses = re.findall(r'"status":"(CONFIRMED|CANCELED|PENDING|COMPLETED)"', shell.stdout)
    assert statuses == ["CONFIRMED", "COMPLETED", "CANCELED"]
    assert shell.stdout.rstrip().endswith('"available":10}')

"""The commands of the tutorials, pasted into a shell as a stranger would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stack import testing
from tests.journeys.consistency import Checker

ROOT = Path(__file__).resolve().parent.parent.parent
TUTORIALS = ROOT / "docs" / "tutorial"
SECONDS = 240

needs_shell = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl")


def commands(*pages: str) -> str:
    """Return the blocks of the pages, on this stack's variables, and patient: the machine may be busy."""
    texts = [(TUTORIALS / page).read_text(encoding="utf-8") for page in pages]
    found = "\n".join(block for text in texts for block in re.findall(r"```bash\n(.*?)```", text, re.S))
    patient = re.sub(r"sleep (\d)", lambda wait: f"sleep {4 * int(wait[1])}", found)
    return patient.replace(". .stack/env", f". '{testing.layout().env}'")


def paste(script: str) -> str:
    """Run the commands in a shell that ends at the first one that fails; return what they print."""
    shell = subprocess.run(["bash", "-e"], input=script, capture_output=True, text=True, cwd=ROOT, timeout=SECONDS)
    assert shell.returncode == 0, shell.stdout + shell.stderr
    return shell.stdout.rstrip()


@needs_shell
@pytest.mark.usefixtures("variables")
def test_the_shoppers_commands_place_an_order_and_cancel_it() -> None:
    printed = paste(commands("shopper.md"))

    statuses = re.findall(r'"status":"(CONFIRMED|CANCELED|PENDING|COMPLETED)"', printed)
    assert statuses == ["CONFIRMED", "COMPLETED", "CANCELED"]
    assert printed.endswith('"available":10}')


@needs_shell
@pytest.mark.usefixtures("variables")
def test_the_operators_commands_find_the_dead_letter_and_end_the_saga(checker: Checker) -> None:
    printed = paste(commands("shopper.md", "operator.md"))
    checker.injected.dead_letters.update(re.findall(r"order\.events/\d+/\d+", printed))

    assert re.findall(r'"status":"(COMPENSATING|COMPENSATED)"', printed) == ["COMPENSATING", "COMPENSATED"]
    assert "schema_violation" in printed
    assert "waits for an operator" in printed
    assert "dry run" in printed
    assert printed.endswith('"available":10}')

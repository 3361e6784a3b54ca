"""Parts of a file each, without servers and outside of this project's configuration."""

from __future__ import annotations

from pathlib import Path

from tests.parts import ROOT, Part

PASSING, FAILING, NOTHING, BROKEN = (
    "def test_it_does_pass(): assert 1\n",
    "def test_it_does_fail(): assert 0\n",
    "x = 1\n",
    "import nothing_of_that_name\n",
)
OPTIONS = ["-p", "no:cacheprovider", "-q"]
#: As the project's own conftest.py, without settings and servers.
CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests import progress
from tests.ending import end_on_signals, end_with_parent
from tests.summary import OUTCOMES, Result

end_on_signals()
end_with_parent()
pytest_configure = progress.register_writer

def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    failures = [report.nodeid for name in ("failed", "error") for report in stats.get(name, ())]
    Result({{name: len(stats.get(name, ())) for name in OUTCOMES}}, failures).leave()
"""


def make_parts(folder: Path, *contents: str) -> dict[Part, list[str]]:
    """Write a file of tests for each part; return the parts with their paths."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    chosen = {}
    for number, content in enumerate(contents):
        path = folder / f"test_part_{number}.py"
        path.write_text(content)
        chosen[Part(f"part {number}", ())] = [str(path)]
    return chosen

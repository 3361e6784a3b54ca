"""What pytest processes leave at their end, added up, and the one summary of them all."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: Names the file in which a process leaves its counts.
REPORT = "TEST_PARTS_REPORT"
OUTCOMES = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
INTERRUPTED, NO_TESTS = 2, 5  # pytest's exit codes


@dataclass
class Result:
    """The counts by outcome, the failed tests, and how long each part took: wall seconds and seconds of CPU."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    times: list[tuple[str, float, float]] = field(default_factory=list)
    code: int = 0

    def add(self, other: Result) -> None:
        """Add what another process left; its exit code counts when it is the first bad one."""
        self.counts = dict(Counter(self.counts) + Counter(other.counts))
        self.failures += other.failures
        self.times += other.times
        if self.code in (0, NO_TESTS) and other.code not in (0, NO_TESTS):
            self.code = other.code

    @property
    def exit_code(self) -> int:
        """Return pytest's exit code for the whole; a part without tests is fine, a run without any is not."""
        return self.code or (0 if sum(self.counts.values()) else NO_TESTS)

    @classmethod
    def read(cls, path: Path, code: int) -> Result:
        """Return what a process left that ended with `code`; one that died left nothing, which is an error."""
        if path.exists():
            return cls(**{**json.loads(path.read_text()), "code": code})
        if code in (0, NO_TESTS):
            return cls(code=code)
        return cls({"error": 1}, [f"{path.stem}: ended with exit code {code}"], code=code)

    def leave(self) -> None:
        """Write this down for the process that started us, when it wants to know."""
        if REPORT in os.environ:
            Path(os.environ[REPORT]).write_text(json.dumps(asdict(self)))

    def text(self, seconds: float) -> str:
        """Return the summary; its last line is like pytest's own."""
        words = [f"{self.counts[name]} {name}" for name in OUTCOMES if self.counts.get(name)]
        lines = [f"{name:26} {wall:7.1f} s {cpu:7.1f} s of CPU" for name, wall, cpu in self.times]
        lines += [f"FAILED {failure}" for failure in self.failures]
        lines.append(f" {', '.join(words) or 'no tests ran'} in {seconds:.2f}s ".center(80, "="))
        return "\n".join(["", *lines])

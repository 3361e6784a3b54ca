"""What one run of a model is: its options, the rule that is left out, and what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Configuration:
    """A run of a model. With every rule in place it must hold; with one left out it must fail, by what it breaks."""

    model: str
    name: str
    options: tuple[str, ...] = ()
    #: The rule that is left out, in words; empty when none is.
    left_out: str = ""
    #: What the violation begins with, or contains; empty when the model must hold.
    breaks: str = ""
    #: Small enough for the tests of each change.
    small: bool = False
    #: Millions of states: it begins last, and is worth a compiler's optimization.
    large: bool = False

    @property
    def expected(self) -> str:
        """Return `holds` or `fails`."""
        return "fails" if self.breaks else "holds"

    @property
    def title(self) -> str:
        """Return the name by which one run is asked for."""
        return f"{self.model}/{self.name}"


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    #: `holds`, `fails`, or why there is no verdict.
    seen: str
    reason: str = ""
    states: int = 0
    seconds: float = 0.0
    trace: str = ""

    def meets(self, configuration: Configuration) -> bool:
        """Tell whether this is what was expected, for the reason that was expected."""
        return self.seen == configuration.expected and configuration.breaks in self.reason

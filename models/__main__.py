"""python -m models [name …]: run the configurations, print a table, exit 1 when one is not as expected.

Names are those of the table, or of a model. --trace prints the steps to each violation; --small runs the tests' part.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models import runner
from models.catalog import named
from models.configuration import Configuration, Outcome
from stack import prerequisites
from stack.errors import StackError
from stack.progress import show, tell

#: All runs together, and one run, in seconds.
ALL_SECONDS, RUN_SECONDS = 600.0, 300.0
LINE = "{:<46} {:<52} {:<8} {:<10} {:>10} {:>7}"


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; return the exit code."""
    options = _options(arguments)
    try:
        chosen = [each for each in named(options.names) if each.small or not options.small]
        prerequisites.ensure_model_checkers()
        with tempfile.TemporaryDirectory(prefix="models-") as folder:
            return _report(_run_all(chosen, Path(folder), options.trace))
    except (StackError, runner.BuildError, KeyError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="a model, or a configuration as the table names it")
    parser.add_argument("--trace", action="store_true", help="print the steps to each violation")
    parser.add_argument("--small", action="store_true", help="only what the tests run")
    return parser.parse_args(arguments)


def _run_all(chosen: Sequence[Configuration], folder: Path, trace: bool) -> list[tuple[Configuration, Outcome]]:
    """Run the configurations side by side, within ALL_SECONDS together."""
    ends = time.monotonic() + ALL_SECONDS

    def run(configuration: Configuration) -> tuple[Configuration, Outcome]:
        seconds = min(RUN_SECONDS, ends - time.monotonic())
        if seconds <= 0:
            return configuration, Outcome("no verdict", f"not begun within {ALL_SECONDS:.0f} s")
        outcome = runner.run(configuration, folder, seconds, trace=trace)
        tell(f"{configuration.title}: {outcome.seen}")
        return configuration, outcome

    small_first = sorted(chosen, key=lambda configuration: (configuration.large, not configuration.small))
    with ThreadPoolExecutor(max_workers=max(1, min(4, os.cpu_count() or 1))) as pool:
        results = dict(pool.map(run, small_first))
    return [(configuration, results[configuration]) for configuration in chosen]


def _report(results: Sequence[tuple[Configuration, Outcome]]) -> int:
    show(LINE.format("configuration", "rule left out", "expected", "seen", "states", "seconds").rstrip())
    for configuration, outcome in results:
        show(_line(configuration, outcome))
        if outcome.trace:
            show(outcome.trace)
    missed = [configuration.title for configuration, outcome in results if not outcome.meets(configuration)]
    show(f"{len(results)} runs, {len(missed)} not as expected{': ' if missed else ''}{', '.join(missed)}")
    return 1 if missed else 0


def _line(configuration: Configuration, outcome: Outcome) -> str:
    left_out = configuration.left_out or "-"
    figures = (f"{outcome.states:,}", f"{outcome.seconds:.1f}")
    line = LINE.format(configuration.title, left_out, configuration.expected, outcome.seen, *figures)
    return f"{line}  {outcome.reason}".rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

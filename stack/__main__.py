"""`python -m stack run|up|down|status|demo`: the command behind the Makefile's targets."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from stack import broker, commands, control, environment, lifecycle, supervision
from stack.errors import AlreadyRunning, StackError
from stack.layout import Layout
from stack.lifecycle import Options
from stack.progress import show, tell

if TYPE_CHECKING:
    from stack.demo import Scene

WATCH_SECONDS = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP."""


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--infrastructure-only", action="store_true", help="only PostgreSQL, Kafka and Redis")
    parser.add_argument("--for-tests", action="store_true", help="empty data; roles may create databases")
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return COMMANDS[arguments.command](Layout.current(), arguments)
    except StackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Interrupted:
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    commands.stop_running()
    raise Interrupted


@contextmanager
def _stopped_on_exit(layout: Layout, *, only_on_error: bool = False) -> Iterator[None]:
    """Stop the stack at the end. Signals do not interrupt this: it takes only seconds."""
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed or not only_on_error:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            tell("Stopping …")
            lifecycle.stop(layout)
            tell("Stopped; no process is left.")


def _options(arguments: argparse.Namespace, *, end_with_parent: bool) -> Options:
    return Options(for_tests=arguments.for_tests, end_with_parent=end_with_parent)


def _start(layout: Layout, options: Options, *, infrastructure_only: bool = False) -> dict[str, str]:
    values = lifecycle.start_infrastructure(layout, options)
    if not infrastructure_only:
        return lifecycle.start_services(layout, values, options)
    return values


def _refuse_if_running(layout: Layout) -> None:
    if supervision.is_running(layout):
        raise AlreadyRunning(f"The stack in {layout.directory} is already running; stop it with `make down`.")


def run(layout: Layout, arguments: argparse.Namespace) -> int:
    """Start the stack and keep it in the foreground until Ctrl-C, SIGTERM or `down`."""
    _refuse_if_running(layout)
    with _stopped_on_exit(layout):
        options = _options(arguments, end_with_parent=True)
        _show(layout, _start(layout, options, infrastructure_only=arguments.infrastructure_only))
        tell("Running. Ctrl-C stops everything.")
        while supervision.is_running(layout):
            time.sleep(WATCH_SECONDS)
        tell("Another process stopped the stack.")
    return 0


def up(layout: Layout, arguments: argparse.Namespace) -> int:
    """Start the stack in the background."""
    _refuse_if_running(layout)
    with _stopped_on_exit(layout, only_on_error=True):
        options = _options(arguments, end_with_parent=False)
        _show(layout, _start(layout, options, infrastructure_only=arguments.infrastructure_only))
    return 0


def down(layout: Layout, arguments: argparse.Namespace) -> int:
    """Stop the stack."""
    lifecycle.stop(layout)
    tell(f"The stack in {layout.directory} is stopped; no process is left.")
    return 0


def status(layout: Layout, arguments: argparse.Namespace) -> int:
    """Print the state of every process; exit code 1 if the stack is not running."""
    for name, (state, description) in control.states(layout=layout).items():
        show(f"{name:24} {state:9} {description}")
    return 0


def demo(layout: Layout, arguments: argparse.Namespace) -> int:
    """Start the stack, play orders of every kind, check the guarantees and stop. Without a broker: only a part."""
    from stack.demo import SCENES, SCENES_WITHOUT_FAULTS  # imported here: it needs more packages than the rest

    layout.create()
    try:
        if "KAFKA_BOOTSTRAP_SERVERS" not in environment.replaced(layout):
            broker.obtain()
    except StackError as error:
        return _demo_on_the_mock(Layout(layout.directory / "mock"), SCENES_WITHOUT_FAULTS, str(error))
    return _play(layout, Options(end_with_parent=True), SCENES)


def _demo_on_the_mock(layout: Layout, scenes: Sequence[Scene], reason: str) -> int:
    from stack import mock_broker

    show(f"{mock_broker.WARNING}\nWARNING: {reason}\n")
    with mock_broker.running() as options:
        return _play(layout, options, scenes)


def _play(layout: Layout, options: Options, scenes: Sequence[Scene]) -> int:
    from stack.demo import play

    _refuse_if_running(layout)
    with _stopped_on_exit(layout):
        report = play(_start(layout, options), scenes)
    show(report.as_json())
    return report.exit_code


def _show(layout: Layout, values: dict[str, str]) -> None:
    show(f"\nThe variables of this stack are in {layout.env}\n")
    for name in ("ORDER_URL", "PRODUCT_URL", "COUPON_URL", "USER_URL"):
        url = values[name]
        show(f"  {name.removesuffix('_URL').lower():8} {url}/admin/   {url}/api/docs")
    show(f"  kafka    {values['KAFKA_BOOTSTRAP_SERVERS']}")
    show(f"\n  operator {values['OPERATOR_USERNAME']}  password {environment.read(layout)['OPERATOR_PASSWORD']}\n")


COMMANDS: dict[str, Callable[[Layout, argparse.Namespace], int]] = {
    "run": run,
    "up": up,
    "down": down,
    "status": status,
    "demo": demo,
}

if __name__ == "__main__":
    sys.exit(main())

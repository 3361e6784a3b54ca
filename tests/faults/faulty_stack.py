"""A stack in which everything can go wrong: proxies between its parts, clocks that can be set, crash points."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import lifecycle, supervision, testing
from stack.layout import Layout
from stack.lifecycle import Options
from stack.process import Process
from tests.faults import clocks, crash_points
from tests.faults.clocks import Clocks
from tests.faults.disk import SmallDisk
from tests.faults.proxy import Network
from tests.faults.routes import Routes
from tests.faults.start import started_here

#: A killed worker's partitions go to another one after this silence, the least that a broker accepts; an undo is
#: asked for again soon, and a parked key tried again soon, so that a run shows often what takes an hour elsewhere.
SETTINGS = {
    "CONSUMER_SESSION_TIMEOUT_MS": "6000",
    "SAGA_UNDO_RETRY_SECONDS": "10",
    "RETRY_PAUSE_CAP_SECONDS": "20",
}
HOSTS_OUR_CODE = ("-web", "-worker")


@dataclass(frozen=True)
class FaultyStack:
    """A running stack and what makes it suffer."""

    layout: Layout
    variables: Mapping[str, str]
    network: Network
    clocks: Clocks | None
    disk: SmallDisk | None
    armed: Path

    def heal(self) -> None:
        """Let the network, the clocks and the disk be well again, and disarm every crash point."""
        self.network.heal()
        if self.clocks:
            self.clocks.heal()
        if self.disk:
            self.disk.free()
        for path in self.armed.glob("*.armed"):
            path.unlink(missing_ok=True)


@contextmanager
def faulty_stack(*, with_small_disk: bool = False, settings: Mapping[str, str] = SETTINGS) -> Iterator[FaultyStack]:
    """Run the stack that STACK_DIR names for the length of a with block; it is empty unless its servers ran before."""
    layout = testing.layout()
    end = testing.stop_services if supervision.is_running(layout) else testing.stop_all
    with ExitStack() as undo:
        undo.callback(clocks.remove_leftovers)
        disk = SmallDisk(layout) if with_small_disk else None
        if disk:
            disk.remove()
            undo.callback(disk.remove)
        network = undo.enter_context(Network())
        undo.callback(end)
        variables = testing.ensure_infrastructure()
        testing.stop_services()  # those that ran before are not like ours
        if disk:
            disk.move_in()
        routes = Routes(layout, network)
        routes.lay()
        found = Clocks(layout) if clocks.is_available() else None
        armed = _empty_folder(layout)

        def adapt(process: Process) -> Process:
            service = process.name.split("-")[0]
            adapted = routes.through(process, service)
            more = {crash_points.FOLDER: str(armed), crash_points.PROCESS: process.name}
            more |= found.variables(service) if found else {}
            adapted = dataclasses.replace(adapted, environment=adapted.environment | more)
            return started_here(adapted) if adapted.name.endswith(HOSTS_OUR_CODE) else adapted

        variables = lifecycle.start_services(layout, variables, Options(settings=settings, adapt=adapt))
        yield FaultyStack(layout, variables, network, found, disk, armed)


def _empty_folder(layout: Layout) -> Path:
    armed = layout.directory / "armed"
    shutil.rmtree(armed, ignore_errors=True)
    armed.mkdir()
    os.environ.pop(crash_points.FOLDER, None)
    return armed

"""The lanes of the test suite, which run side by side: which part, and which files of a part, belong to which lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import parts
from tests.parts import Part


@dataclass(frozen=True)
class Lane:
    """Parts that follow each other on one stack; of a part that has `files` here, another lane has the others."""

    name: str
    parts: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: Processes and brokers of their own are started, frozen and killed there: much waiting, little work.
OUTAGES = (
    *("test_bootsteps.py", "test_broker_outage.py", "test_consumer_processes.py", "test_expand_and_contract.py"),
    *("test_hung_workers.py", "test_one_way_networks.py", "test_relay_processes.py", "test_repartition.py"),
    *("test_slow_handlers.py", "test_stopping.py", "test_three_brokers.py"),
)
LANES = (
    Lane("messaging", ("messaging",)),
    Lane("outages", ("messaging", "messaging-admin", "user", "product"), {"messaging": OUTAGES}),
    Lane("services", ("plain", "coupon", "order")),
    # The faults come last, when the others have ended: a soak on shared processors takes minutes to come to rest.
    Lane("journeys", ("journeys", "faults")),
)


def lanes_of(chosen: dict[Part, list[str]]) -> dict[str, dict[Part, list[str]]]:
    """Return what each lane has to do, by its name."""
    found = {lane.name: {part: _own(lane, part, paths) for part, paths in chosen.items()} for lane in LANES}
    with_paths = {name: {part: paths for part, paths in own.items() if paths} for name, own in found.items()}
    return {name: own for name, own in with_paths.items() if own}


def _own(lane: Lane, part: Part, paths: list[str]) -> list[str]:
    """Return which of a part's paths this lane has; a folder that two lanes share becomes its files."""
    if part.name not in lane.parts:
        return []
    elsewhere = {name for other in LANES for name in other.files.get(part.name, ())}
    if not elsewhere:
        return paths
    files = [file for path in paths for file in _files(path)]
    return [each for each in files if (_name(each) in elsewhere) == (part.name in lane.files)]


def _files(path: str) -> list[str]:
    folder = parts.ROOT / path
    return (
        sorted(str(file.relative_to(parts.ROOT)) for file in folder.rglob("test_*.py")) if folder.is_dir() else [path]
    )


def _name(path: str) -> str:
    return Path(path.split("::")[0]).name

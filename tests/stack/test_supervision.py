"""supervisord's configuration, read by supervisord's own reader."""

from __future__ import annotations

import json
import stat
import sys
from typing import Any

from supervisor.options import ServerOptions

from stack import supervision
from stack.layout import ROOT, Layout
from stack.process import Process

PROCESSES = [
    Process("kafka", ["java", "kafka.Kafka"], directory="/tmp", stop_seconds=15),
    Process("postgres-order", ["postgres"], {"SECRET": "p%ss"}, directory="/", stop_signal="INT"),
]


def read(layout: Layout) -> ServerOptions:
    options = ServerOptions()
    options.realize(["-c", str(layout.supervisor_config), "-n"])
    return options


def programs(layout: Layout) -> dict[str, Any]:
    [group] = read(layout).process_group_configs
    assert group.name == supervision.GROUP
    return {config.name: config for config in group.process_configs}


def test_every_process_is_a_program_that_is_started_by_us_and_restarted_when_it_dies(layout: Layout) -> None:
    supervision.write_config(layout, PROCESSES)
    found = programs(layout)

    assert set(found) == {"kafka", "postgres-order"}
    assert {config.autostart for config in found.values()} == {False}
    assert {config.startretries for config in found.values()} == {supervision.RETRIES}
    assert [(config.stopsignal, config.stopwaitsecs) for config in found.values()] == [(15, 15), (2, 10)]
    assert all(config.stopasgroup and config.killasgroup for config in found.values())


def test_blanks_in_the_path_are_kept(layout: Layout) -> None:
    supervision.write_config(layout, PROCESSES)
    kafka = programs(layout)["kafka"]

    assert kafka.command == " ".join(f'"{part}"' for part in PROCESSES[0].launcher(layout))
    assert kafka.stdout_logfile == str(layout.log / "kafka.log")
    assert read(layout).serverurl == f"unix://{layout.socket}"


def test_secrets_stand_in_private_files_only(layout: Layout) -> None:
    supervision.write_config(layout, PROCESSES)
    description = layout.processes / "postgres-order.json"

    assert "p%ss" not in layout.supervisor_config.read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (layout.supervisor_config, description)} == {0o600}
    assert json.loads(description.read_text())["environment"] == {"SECRET": "p%ss"}


def test_a_process_is_started_through_the_launcher_that_records_it(layout: Layout) -> None:
    process = PROCESSES[0]
    process.write(layout)

    launcher = [sys.executable, str(ROOT / "stack" / "launch.py"), str(layout.processes / "kafka.json")]
    assert process.launcher(layout) == launcher
    assert json.loads((layout.processes / "kafka.json").read_text()) == {
        "name": "kafka",
        "command": ["java", "kafka.Kafka"],
        "environment": {},
        "directory": "/tmp",
        "stop_signal": "SIGTERM",
        "stop_seconds": 15,
        "end_with_parent": True,
    }


def test_a_folder_in_which_nothing_runs_is_gone_and_not_running(layout: Layout) -> None:
    assert supervision.is_gone(layout)
    assert not supervision.is_running(layout)
    supervision.shut_down(layout)

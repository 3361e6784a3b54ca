"""The processes of the four services follow from the topology."""

from __future__ import annotations

import pytest

from config.topology import SERVICES
from stack import services
from stack.layout import Layout
from stack.process import Process


@pytest.fixture
def processes(layout: Layout, values: dict[str, str]) -> dict[str, Process]:
    return {process.name: process for process in services.processes(layout, values, {})}


def test_each_service_has_a_web_a_worker_for_each_group_and_a_clock(processes: dict[str, Process]) -> None:
    assert list(processes) == [name for service in SERVICES.values() for name in services.names(service)]
    assert services.names(SERVICES["coupon"]) == [
        "coupon-web",
        "coupon-worker",
        "coupon-claims-worker",
        "coupon-beat",
    ]


def test_one_worker_of_each_service_relays_and_runs_the_tasks(processes: dict[str, Process]) -> None:
    alone = [name for name, process in processes.items() if "--no-relay" in process.command]
    queues = [name for name, process in processes.items() if "--queues" in process.command]

    assert alone == queues == ["coupon-claims-worker"]


def test_every_worker_names_its_group(processes: dict[str, Process]) -> None:
    for service in SERVICES.values():
        for group in service.groups:
            command = processes[f"{group.name}-worker"].command
            assert command[command.index("--consumer-group") + 1] == group.name


def test_a_web_process_listens_where_its_address_says(processes: dict[str, Process], values: dict[str, str]) -> None:
    command = processes["user-web"].command

    assert command[command.index("--bind") + 1] == values["USER_URL"].removeprefix("http://")


def test_a_service_that_does_not_answer_is_not_ready() -> None:
    assert services.is_ready("http://127.0.0.1:1") is False

"""The processes of the four services, as config/topology.py lists them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from urllib.error import URLError
from urllib.request import urlopen

from config.topology import SERVICES, ConsumerGroup, Service
from stack import commands, environment
from stack.layout import ROOT, Layout
from stack.process import Process

WEB_THREADS = "8"
TASK_THREADS = "2"
WORKER_STOP_SECONDS = 20  # it first ends its batch, its relay round and its tasks
ANSWER_SECONDS = 2.0


def web_name(service: Service) -> str:
    return f"{service.name}-web"


def worker_name(group: ConsumerGroup) -> str:
    return f"{group.name}-worker"


def beat_name(service: Service) -> str:
    return f"{service.name}-beat"


def names(service: Service) -> list[str]:
    """Return the names of the service's processes."""
    return [web_name(service), *(worker_name(group) for group in service.groups), beat_name(service)]


def processes(layout: Layout, values: Mapping[str, str], settings: Mapping[str, str]) -> list[Process]:
    """Return the processes of all services. `values` is the env file; `settings` override it."""
    found: list[Process] = []
    for service in SERVICES.values():
        own = environment.for_service(service, values, settings)
        found.append(Process(web_name(service), _web(values[f"{service.name.upper()}_URL"]), own))
        for index, group in enumerate(service.groups):
            command = _worker(service, group, further=index > 0)
            found.append(Process(worker_name(group), command, own, stop_seconds=WORKER_STOP_SECONDS))
        found.append(Process(beat_name(service), _beat(layout, service), own))
    return found


def _web(url: str) -> list[str]:
    bind = url.removeprefix("http://")
    options = ["--bind", bind, "--workers", "1", "--threads", WEB_THREADS, "--no-control-socket"]
    return [sys.executable, "-m", "gunicorn", "config.wsgi", *options]


def _worker(service: Service, group: ConsumerGroup, *, further: bool) -> list[str]:
    """The worker of a service's first group also hosts the relay and runs the tasks. Further workers only consume."""
    options = ["--pool", "threads", "--concurrency", TASK_THREADS, "-n", f"{group.name}@%h", "--loglevel", "INFO"]
    alone = ["--no-relay", "--queues", group.name] if further else []
    return [*_celery("worker"), *options, "--consumer-group", group.name, *alone]


def _beat(layout: Layout, service: Service) -> list[str]:
    return [*_celery("beat"), "-s", str(layout.directory / f"beat-{service.name}"), "--loglevel", "INFO"]


def _celery(command: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "config.celery", command]


def prepare(service: Service, values: Mapping[str, str], settings: Mapping[str, str]) -> None:
    """Update the service's tables, topics and operator account."""
    operator = {
        "DJANGO_SUPERUSER_USERNAME": values["OPERATOR_USERNAME"],
        "DJANGO_SUPERUSER_PASSWORD": values["OPERATOR_PASSWORD"],
        "DJANGO_SUPERUSER_EMAIL": f"{values['OPERATOR_USERNAME']}@example.com",
    }
    own = environment.for_service(service, values, settings) | operator
    commands.run([sys.executable, "-m", "stack.prepare"], environment=own, directory=ROOT)


def is_ready(url: str) -> bool:
    """Return whether the service at `url` answers /readyz with 200."""
    try:
        with urlopen(f"{url}/readyz", timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False

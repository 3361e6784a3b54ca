#!/usr/bin/env python
"""Run a Django command of one of the services: manage.py <service> <command> [options]."""

import os
import sys

from config.topology import SERVICES

USAGE = f"""Usage: manage.py <service> <command> [options]

The services: {", ".join(SERVICES)}.
With DJANGO_SETTINGS_MODULE set, the service may be left out.
Commands of a service: manage.py <service> help
"""


def main(arguments: list[str]) -> int:
    """Run the command in `arguments` and return the exit code; prints the usage when no service is named."""
    if len(arguments) > 1 and arguments[1] in SERVICES:
        os.environ["DJANGO_SETTINGS_MODULE"] = SERVICES[arguments[1]].settings_module
        arguments = [arguments[0], *arguments[2:]]
    elif "DJANGO_SETTINGS_MODULE" not in os.environ:
        sys.stderr.write(USAGE)
        return 2
    from django.core.management import execute_from_command_line

    execute_from_command_line(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

"""manage.py user rotate_signing_key publish|sign|retire --out FILE: the steps of replacing the signing key."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import jwt
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from user_app import key_rotation
from user_app.key_rotation import KeyValues, RotationRefused
from webapi import jwks

NEXT = {
    "publish": "Set it at the user service, restart its web processes, wait 5 minutes; then `sign --key FILE`.",
    "sign": "Set both at the user service and restart its web processes. After a day: `retire`.",
    "retire": "Set it at the user service and restart its web processes.",
}


class Command(BaseCommand):
    """Writes the values of the key variables for the next step. It changes nothing that runs."""

    help = (
        "Replace the key that signs tokens, without refusing any: publish (a new key is shown), sign (it signs), "
        "retire (the old one is shown no more). Each step writes the variables to set, to a file that only you can "
        "read. Wait 5 minutes between the first two, the time that the services keep a key set, and a day before the "
        "last, the life of a refresh token."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the step, --out and --key."""
        parser.add_argument("step", choices=list(NEXT), help="publish, sign or retire")
        parser.add_argument("--out", required=True, metavar="FILE", help="a new file for the variables (mode 600)")
        parser.add_argument("--key", metavar="FILE", help="sign: the file that `publish` wrote")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file, and print what to do with it."""
        try:
            values = self._values(options)
        except RotationRefused as error:
            raise CommandError(str(error), returncode=8) from error
        _write(Path(options["out"]), values)
        self.stdout.write(f"{options['out']} is written. {NEXT[options['step']]}")

    def _values(self, options: dict[str, Any]) -> KeyValues:
        present = {"signing": settings.SIGNING_KEY, "retired": settings.RETIRED_PUBLIC_KEYS}
        if options["step"] == "publish":
            return key_rotation.publish(**present)
        if options["step"] == "retire":
            return key_rotation.retire(retired=settings.RETIRED_PUBLIC_KEYS)
        if not options["key"]:
            raise RotationRefused("Name the file that `publish` wrote: --key FILE.")
        return key_rotation.sign(**present, new=_new_key(Path(options["key"])), published=_published())


def _published() -> set[str]:
    try:
        return set(jwks.signing_keys(jwks.fetch(settings.JWKS_URL)))
    except jwt.PyJWTError as error:
        raise RotationRefused(
            f"{settings.JWKS_URL} does not show its keys: {error}. Start the user service."
        ) from error


def _new_key(path: Path) -> str:
    name = "NEW_SIGNING_KEY="
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise RotationRefused(f"{path} cannot be read: {error.strerror}.") from error
    found = [line.removeprefix(name).strip('"').replace("\\n", "\n") for line in lines if line.startswith(name)]
    if not found:
        raise RotationRefused(f"{path} holds no {name[:-1]}. Name the file that `publish` wrote.")
    return found[0]


def _write(path: Path, values: KeyValues) -> None:
    lines = {
        "USER_SIGNING_KEY": values.signing,
        "USER_RETIRED_PUBLIC_KEYS": values.retired,
        "NEW_SIGNING_KEY": values.new_key,
    }
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}. Name a new file.") from error
    with os.fdopen(file, "w") as out:
        for name, value in lines.items():
            if value is not None:
                escaped = value.replace("\n", "\\n")
                out.write(f'{name}="{escaped}"\n')

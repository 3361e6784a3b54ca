"""manage.py <service> migrate: Django's command, one at a time for a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from messaging.database import own_connection

#: The advisory lock that a running migrate holds: (this, 0).
LOCK_SPACE = 0x0B11


class Command(migrate.Command):
    """Waits while another migrate runs: two at once would both create the same tables, and one would fail half-way."""

    def handle(self, *args: Any, **options: Any) -> None:
        if options["database"] != DEFAULT_DB_ALIAS or options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
        else:
            with self._alone():
                super().handle(*args, **options)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        held = own_connection(
            application_name=f"{settings.SERVICE_NAME}:migrate",
            statement_timeout="0",
            lock_timeout="0",
            idle_session_timeout="0",
        )
        try:
            with held.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [LOCK_SPACE])
                if not cursor.fetchone()[0]:
                    self.stderr.write("Another migrate is running; this one waits until it ends.")
                    cursor.execute("SELECT pg_advisory_lock(%s, 0)", [LOCK_SPACE])
            yield
        finally:
            held.close()

"""Autovacuum for the tables that change constantly or shed rows daily: PostgreSQL's defaults look at shares of a table.

The outbox is all but empty, and a backlog of once must not decide when it is cleaned. Each position is updated by every
batch: with room on its page no index has to follow, and the page is pruned on the way. The inbox loses a day's rows a
day: a fifth of a month's rows is too much to read past at each look for old ones.
"""

from django.db import migrations

_OUTBOX = {
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0",
    "autovacuum_vacuum_insert_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}
_POSITION = {
    "fillfactor": "20",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_delay": "0",
}
_INBOX = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}


def _stored(table: str, parameters: dict[str, str]) -> migrations.RunSQL:
    chosen = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    return migrations.RunSQL(
        f"ALTER TABLE {table} SET ({chosen})", f"ALTER TABLE {table} RESET ({', '.join(parameters)})"
    )


class Migration(migrations.Migration):
    dependencies = [("messaging", "0002_parking")]

    operations = [
        _stored("messaging_outbox", _OUTBOX),
        _stored("messaging_consumer_position", _POSITION),
        _stored("messaging_inbox", _INBOX),
    ]

"""The ledgers are append-only in the database too; the hot tables keep room for updates beside their rows."""

from django.db import migrations

_LEDGERS = ("order_app_sagahistory", "order_app_operatoraction")
_UPDATED_SOON = ("order_app_order", "order_app_saga", "order_app_sagastep")

_REFUSE = """
CREATE FUNCTION order_app_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END $$
"""


def _append_only(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION order_app_refuse_change()",
        f"DROP TRIGGER {table}_append_only ON {table}",
    )


def _room_for_updates(table: str) -> migrations.RunSQL:
    # Each row is updated once or twice, soon: with room on its page, no index of another column has to follow.
    return migrations.RunSQL(f"ALTER TABLE {table} SET (fillfactor = 70)", f"ALTER TABLE {table} RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("order_app", "0001_initial")]

    operations = [
        migrations.RunSQL(_REFUSE, "DROP FUNCTION order_app_refuse_change()"),
        *[_append_only(table) for table in _LEDGERS],
        *[_room_for_updates(table) for table in _UPDATED_SOON],
    ]

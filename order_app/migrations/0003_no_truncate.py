"""The ledgers can't be emptied either: TRUNCATE fires no trigger of UPDATE or DELETE."""

from django.db import migrations

_LEDGERS = ("order_app_sagahistory", "order_app_operatoraction")


def _no_truncate(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION order_app_refuse_change()",
        f"DROP TRIGGER {table}_no_truncate ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("order_app", "0002_append_only")]
    operations = [_no_truncate(table) for table in _LEDGERS]

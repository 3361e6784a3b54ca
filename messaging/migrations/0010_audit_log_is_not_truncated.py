"""The audit log can't be emptied either: TRUNCATE fires no trigger of UPDATE or DELETE."""

from django.db import migrations

REFUSE = """
CREATE TRIGGER messaging_operator_action_no_truncate BEFORE TRUNCATE ON messaging_operator_action
   FOR EACH STATEMENT EXECUTE FUNCTION messaging_refuse_change()
"""
ALLOW = "DROP TRIGGER messaging_operator_action_no_truncate ON messaging_operator_action"


class Migration(migrations.Migration):
    dependencies = [("messaging", "0009_refused_events")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]

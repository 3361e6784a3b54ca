from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0010_audit_log_is_not_truncated")]

    operations = [migrations.AddField("consumerposition", "lost_until", models.BigIntegerField(null=True))]

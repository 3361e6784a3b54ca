from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("messaging", "0008_parked_due")]

    operations = [
        migrations.AddField("outboxrow", "refused", models.TextField(null=True)),
        AddIndexConcurrently(
            "outboxrow",
            models.Index(fields=["id"], name="outbox_refused", condition=models.Q(refused__isnull=False)),
        ),
    ]

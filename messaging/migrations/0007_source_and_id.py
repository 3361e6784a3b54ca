"""The inbox keeps each event's source: CloudEvents identifies an event by source and id."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0006_positions_know_their_log")]

    operations = [
        migrations.AddField(
            model_name="inboxrow",
            name="source",
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name="inboxrow",
            name="ce_id",
            field=models.CharField(max_length=255, null=True),
        ),
    ]

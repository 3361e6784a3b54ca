"""Finds the few inbox rows whose id another source has too. Apart from 0007_source_and_id: it runs in no transaction."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("messaging", "0007_source_and_id")]

    operations = [
        AddIndexConcurrently(
            model_name="inboxrow",
            index=models.Index(
                condition=models.Q(("ce_id__isnull", False)),
                fields=["ce_id", "handler"],
                name="inbox_same_id",
            ),
        ),
    ]

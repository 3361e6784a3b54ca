"""When the retry looks at a parked key next, with an index.

Old code neither reads nor writes the column: the default makes a key that it parks due at once, and new code looks at
every key at least once a minute. It is not named next_attempt_at: old code joins the table with the inbox, and reads a
column of that name without a table's name.
"""

import django.db.models.functions.datetime
import django.utils.timezone
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("messaging", "0007_source_and_id_index")]

    operations = [
        migrations.AddField(
            model_name="parkedkey",
            name="look_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), default=django.utils.timezone.now
            ),
        ),
        AddIndexConcurrently(
            model_name="parkedkey",
            index=models.Index(fields=["topic", "look_at"], name="parked_due"),
        ),
    ]

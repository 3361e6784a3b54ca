"""Contract: only when nothing but `after` runs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("parcels", "0002_grams")]
    operations = [
        migrations.RunSQL("UPDATE parcels_parcel SET grams = 1000 * weight WHERE grams IS NULL", migrations.RunSQL.noop),
        migrations.AlterField("parcel", "grams", models.IntegerField()),
        migrations.RemoveField("parcel", "weight"),
    ]

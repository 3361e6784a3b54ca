"""Expand: `before` goes on writing its column alone, and `after` may leave it out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("parcels", "0001_initial")]
    operations = [
        migrations.AddField("parcel", "grams", models.IntegerField(null=True)),
        migrations.AlterField("parcel", "weight", models.IntegerField(null=True)),
    ]

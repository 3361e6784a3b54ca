"""What `before` needs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Parcel",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.TextField()),
                ("number", models.IntegerField()),
                ("weight", models.IntegerField()),
                ("release", models.TextField()),
            ],
        ),
    ]

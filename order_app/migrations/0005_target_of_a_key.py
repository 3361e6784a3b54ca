"""What a key was used for, beside the hash of the body: the mechanism now serves several addresses."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("order_app", "0004_money_and_times")]

    operations = [
        migrations.AddField("idempotencykey", "target", models.TextField(db_default="", default="")),
    ]

"""The first answers to requests with an Idempotency-Key, by the mechanism that all services share."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("user_app", "0003_roles")]

    operations = [
        migrations.CreateModel(
            "IdempotencyKey",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user_id", models.UUIDField()),
                ("key", models.CharField(max_length=255)),
                ("target", models.TextField(db_default="", default="")),
                ("body_hash", models.CharField(max_length=64)),
                ("response", models.JSONField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            {
                "verbose_name": "idempotency key",
                "verbose_name_plural": "idempotency keys",
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(fields=("user_id", "key"), name="user_idempotency_once"),
                ],
            },
        ),
    ]

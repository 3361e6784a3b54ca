"""The sessions of users."""

from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import messaging.ids


class Migration(migrations.Migration):
    """Adds the table `user_app_session`."""

    dependencies = [("user_app", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="id",
                    ),
                ),
                ("token_id", models.UUIDField(verbose_name="valid refresh token")),
                ("password_mark", models.CharField(max_length=32, verbose_name="password mark")),
                ("previous_token_id", models.UUIDField(null=True, verbose_name="replaced refresh token")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("refreshed_at", models.DateTimeField(verbose_name="refreshed at")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="ended at")),
                (
                    "end_reason",
                    models.CharField(blank=True, default="", max_length=20, verbose_name="reason of the end"),
                ),
                ("device", models.CharField(blank=True, default="", max_length=200, verbose_name="device")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "ordering": ["-created_at", "-id"],
                "indexes": [models.Index(fields=["expires_at"], name="session_expires")],
            },
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0011_lost_until")]

    operations = [
        migrations.CreateModel(
            name="GroupMember",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("consumer_group", models.CharField(max_length=100)),
                ("member_id", models.TextField()),
                ("worker", models.TextField()),
                ("client_id", models.TextField()),
                ("host", models.TextField()),
                ("partitions", models.JSONField()),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "member of a consumer group",
                "verbose_name_plural": "members of consumer groups",
                "db_table": "messaging_group_member",
            },
        ),
        migrations.AddConstraint(
            "groupmember",
            models.UniqueConstraint(fields=["consumer_group", "member_id"], name="group_member_once"),
        ),
    ]

"""What a customer was promised and when it ended: names of products, and the times of an order's end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("order_app", "0003_no_truncate")]

    operations = [
        *(
            migrations.AddField("order", name, models.DateTimeField(blank=True, null=True))
            for name in ("confirmed_at", "canceled_at", "updated_at")
        ),
        migrations.AddField("orderline", "name", models.TextField(blank=True, db_default="", default="")),
    ]

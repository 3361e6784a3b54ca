from django.db import migrations, models

import product_app.models


class Migration(migrations.Migration):
    """The choices alone: the column stays as it is."""

    dependencies = [("product_app", "0002_adjustments_append_only")]

    operations = [
        migrations.AlterField(
            model_name="product",
            name="currency",
            field=models.CharField(choices=product_app.models.currencies, max_length=3, verbose_name="currency"),
        ),
    ]

"""The index of open holds grew with every sale; what orders hold of a product follows from its adjustments."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("product_app", "0004_no_truncate")]
    operations = [RemoveIndexConcurrently("stockhold", "hold_open_by_product")]

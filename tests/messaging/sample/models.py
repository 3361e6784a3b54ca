"""What the sample handlers write."""

from django.db import models


class Applied(models.Model):
    """One row per effect, in the order in which effects were applied."""

    id = models.BigAutoField(primary_key=True)
    key = models.TextField()
    number = models.IntegerField()
    handler = models.TextField()

"""The table as this release knows it."""

from django.db import models


class Parcel(models.Model):
    """A parcel that was sent; `release` is the code that noted it."""

    id = models.BigAutoField(primary_key=True)
    key = models.TextField()
    number = models.IntegerField()
    grams = models.IntegerField()
    release = models.TextField()

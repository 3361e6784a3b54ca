"""The library's sample service with an admin."""

from tests.messaging import settings as sample

globals().update({name: value for name, value in vars(sample).items() if name.isupper()})
ROOT_URLCONF = "tests.messaging_admin.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "messaging",
    "tests.messaging.sample",
]

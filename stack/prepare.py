"""Run in a service's environment: migrate, create_topics and the operator's account, in one start of Django."""

from __future__ import annotations

import os

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command


def main() -> None:
    """Bring this service up to date; safe to repeat."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    call_command("create_topics")
    ensure_operator(os.environ["DJANGO_SUPERUSER_USERNAME"], os.environ["DJANGO_SUPERUSER_PASSWORD"])


def ensure_operator(username: str, password: str) -> None:
    """Make the superuser, or give the one of that name the password of this stack."""
    users = get_user_model()
    existing = users._default_manager.filter(**{str(users.USERNAME_FIELD): username}).first()
    if existing is None:
        call_command("createsuperuser", interactive=False)
    elif not existing.check_password(password):
        existing.set_password(password)
        existing.save(update_fields=["password"])


if __name__ == "__main__":
    main()

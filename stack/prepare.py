"""Runs migrate and create_topics and sets up the operator's account, in one process with a service's environment."""

from __future__ import annotations

import os

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command


def main() -> None:
    """Update this service's tables, topics and account; safe to repeat."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    call_command("create_topics")
    ensure_operator(os.environ["DJANGO_SUPERUSER_USERNAME"], os.environ["DJANGO_SUPERUSER_PASSWORD"])


def ensure_operator(username: str, password: str) -> None:
    """Create the superuser, or give the existing one the password of this stack."""
    users = get_user_model()
    existing = users._default_manager.filter(**{str(users.USERNAME_FIELD): username}).first()
    if existing is None:
        call_command("createsuperuser", interactive=False)
    elif not existing.check_password(password):
        existing.set_password(password)
        existing.save(update_fields=["password"])


if __name__ == "__main__":
    main()

"""What can become of an event at a handler, and of a dead letter at an operator."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class InboxState(TextChoices):
    """The states of an inbox row."""

    DONE = "done", _("done")
    EXHAUSTED = "exhausted", _("exhausted: the failure answer was given")
    WAITING = "waiting", _("waiting behind its key")
    DEAD = "dead", _("dead letter")
    SKIPPED = "skipped", _("skipped by an operator")


class Resolution(TextChoices):
    """What an operator did with a dead letter."""

    RETRIED = "retried", _("tried again")
    EDITED = "edited", _("edited and tried again")
    SKIPPED = "skipped", _("skipped")

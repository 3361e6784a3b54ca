"""messaging's tables in each service's admin, and the base for the services' own pages.

The base stands here, not in a package of its own, because every service installs `messaging` anyway, and because its
results and its audit log are messaging's: `Result`, `ReasonMissing`.
"""

from messaging.admin.actions import ReasonedAction, ReasonedActionsAdmin, Target
from messaging.admin.dead_letters import DeadLetterAdmin
from messaging.admin.filters import known_filter
from messaging.admin.parked_keys import ParkedKeyAdmin
from messaging.admin.pauses import PauseAdmin
from messaging.admin.read_only import AppendOnlyAdmin, ReadOnly, ReadOnlyAdmin, SearchByIds
from messaging.admin.stale_forms import RefusesStaleForms
from messaging.admin.tables import InboxAdmin, OutboxAdmin

__all__ = [
    # The base
    "AppendOnlyAdmin",
    "ReadOnly",
    "ReadOnlyAdmin",
    "ReasonedAction",
    "ReasonedActionsAdmin",
    "RefusesStaleForms",
    "SearchByIds",
    "Target",
    "known_filter",
    # The pages of messaging
    "DeadLetterAdmin",
    "InboxAdmin",
    "OutboxAdmin",
    "ParkedKeyAdmin",
    "PauseAdmin",
]

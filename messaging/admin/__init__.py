"""The library's tables in each service's admin: ledgers to be read, and pages where operators act with a reason."""

from messaging.admin.dead_letters import DeadLetterAdmin
from messaging.admin.parked_keys import ParkedKeyAdmin
from messaging.admin.pauses import PauseAdmin
from messaging.admin.read_only import InboxAdmin, Ledger, OutboxAdmin

__all__ = ["DeadLetterAdmin", "InboxAdmin", "Ledger", "OutboxAdmin", "ParkedKeyAdmin", "PauseAdmin"]

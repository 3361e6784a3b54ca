"""For the tests of services: give events to the handlers as the consumer would, and see what they leave.

    deliver(OrderCreated(...))          # through the inbox and the handlers, in one transaction
    assert published(StockReduced) == [StockReduced(...)]
    assert_same_however_delivered(OrderCreated(...), snapshot=rows)     # once, twice, singly, with crashes

Needs a real PostgreSQL (`pytest.mark.django_db(transaction=True)`) and no Kafka.
"""

from messaging.testing.assertions import assert_same_however_delivered, states_in_every_order
from messaging.testing.crashes import CrashPoint
from messaging.testing.delivery import deliver, deliver_late, deliver_twice, deliver_with_a_crash, record_of
from messaging.testing.published import forget_published, published

__all__ = [
    # Events come
    "record_of",
    "deliver",
    "deliver_twice",
    "deliver_late",
    "deliver_with_a_crash",
    "CrashPoint",
    # What they leave
    "published",
    "forget_published",
    "states_in_every_order",
    "assert_same_however_delivered",
]

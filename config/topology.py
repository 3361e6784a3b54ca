"""The table of services, their ports, topics and consumer groups.

manage.py, Celery, the local stack, the tests and the generated documentation read it. Nothing repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A Kafka topic.

    `key` names the record key. A `compacted` topic keeps the last record of each key instead of a period of time.
    """

    name: str
    key: str
    compacted: bool = False


@dataclass(frozen=True)
class ConsumerGroup:
    """A Kafka consumer group of a service. Each group has its own worker processes."""

    name: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A Django project: its app, its default port, its topics and its consumer groups."""

    name: str
    app: str
    port: int
    topics: tuple[Topic, ...]
    groups: tuple[ConsumerGroup, ...]

    @property
    def settings_module(self) -> str:
        return f"config.settings.{self.name}"

    def group(self, name: str) -> ConsumerGroup:
        """Return the consumer group called `name`; KeyError if the service has no such group."""
        return {group.name: group for group in self.groups}[name]


def _own_topics(service: str) -> tuple[Topic, ...]:
    return (Topic(f"{service}.status", "correlation id"), Topic(f"{service}.dead-letters", "original key"))


ORDER = Service(
    name="order",
    app="order_app",
    port=8001,
    topics=(Topic("order.events", "order id"), *_own_topics("order")),
    groups=(ConsumerGroup("order", ("product.events", "coupon.events", "product.catalog", "user.events")),),
)
PRODUCT = Service(
    name="product",
    app="product_app",
    port=8002,
    topics=(
        Topic("product.events", "order id"),
        Topic("product.catalog", "product id", compacted=True),
        *_own_topics("product"),
    ),
    groups=(ConsumerGroup("product", ("order.events",)),),
)
COUPON = Service(
    name="coupon",
    app="coupon_app",
    port=8003,
    topics=(Topic("coupon.events", "order id"), Topic("coupon.claims", "campaign id"), *_own_topics("coupon")),
    groups=(
        ConsumerGroup("coupon", ("order.events", "user.events")),
        ConsumerGroup("coupon-claims", ("coupon.claims",)),
    ),
)
USER = Service(
    name="user",
    app="user_app",
    port=8004,
    topics=(Topic("user.events", "user id", compacted=True), *_own_topics("user")),
    groups=(ConsumerGroup("user", ("order.events",)),),
)

SERVICES: dict[str, Service] = {service.name: service for service in (ORDER, PRODUCT, COUPON, USER)}
TOPICS: dict[str, Topic] = {topic.name: topic for service in SERVICES.values() for topic in service.topics}

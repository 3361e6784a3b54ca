"""manage.py <service> create_topics"""

from typing import Any

from django.core.management.base import BaseCommand

from messaging.conf import conf
from messaging.kafka.topic_sizes import too_small
from messaging.kafka.topics import create_topics


class Command(BaseCommand):
    help = "Create the Kafka topics that this service owns; those that exist are left as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        created = create_topics()
        self.stdout.write(f"created: {', '.join(created)}" if created else "every topic is there already")
        for problem in too_small(conf().topics):
            self.stderr.write(self.style.WARNING(problem))

"""What a Celery worker hosts: consumer, relay, clock, signs of life."""

"""Kafka's clients and records: what the rest of the library knows of the broker."""

"""The local stack, for development and tests only: embedded PostgreSQL, Kafka, Redis and the service processes."""

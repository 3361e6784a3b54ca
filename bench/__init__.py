"""Sagas per second of the whole system, beside pgbench running the same SQL. README.md has the method."""

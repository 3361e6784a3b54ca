"""Measures the whole system in sagas per second, and compares it with pgbench on the same SQL. Method: README.md."""

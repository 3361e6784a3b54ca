"""Code that every participant of the saga shares. Plain Python: no framework, no service."""

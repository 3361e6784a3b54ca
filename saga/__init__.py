"""What every participant of the saga shares, in plain Python: no framework, no service."""

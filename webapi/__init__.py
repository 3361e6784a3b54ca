"""The HTTP layer that the four services share: who calls, how lists and errors look, health, schema."""

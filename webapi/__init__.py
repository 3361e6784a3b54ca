"""The HTTP layer that the four services share: authentication, lists, errors, health, schema."""

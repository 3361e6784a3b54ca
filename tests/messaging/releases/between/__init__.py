"""The release that lives with old code and old tables beside it."""

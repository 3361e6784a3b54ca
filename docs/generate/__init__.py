"""Writes the documentation that follows from the code: `python -m docs.generate`, `--check` to see what is stale."""

"""Models of the protocols, checked by exhaustive search; `python -m models` (README.md)."""

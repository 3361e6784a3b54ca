"""The product service: the catalogue, its stock, and what is held for orders. Read handlers.py first."""

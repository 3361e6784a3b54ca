"""The product service: the catalogue, its stock, and the stock held for orders. Read handlers.py first."""

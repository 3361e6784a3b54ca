"""How long rows and records are kept."""

"""Parked keys, dead letters, pauses: what waits, and for what."""

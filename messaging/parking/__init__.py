"""Parked keys, dead letters, pauses: which events wait, and why."""

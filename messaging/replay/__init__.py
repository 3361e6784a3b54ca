"""Replay: read a range of a topic again, and apply what was never applied."""

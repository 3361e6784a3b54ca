"""The way in: positions, decoded records, and what each handler has done with an event."""

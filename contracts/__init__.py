"""The events, by the service that publishes them. Plain Python; needs no framework."""

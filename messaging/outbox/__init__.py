"""The way out: publish() writes rows, the relay brings them to Kafka in order."""

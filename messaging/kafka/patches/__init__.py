"""What leans on private parts of kafka-python."""

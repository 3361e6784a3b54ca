"""The consumer: from poll to commit, in batches, one by one after a failure, and again for parked keys."""

"""What operators may do, each action with an actor, a reason and a result."""

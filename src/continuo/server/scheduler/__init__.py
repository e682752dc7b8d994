"""The scheduler's interface: the infrastructure out as a versioned state with a stream of changes, decisions in."""

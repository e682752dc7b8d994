"""`continuo demo loop`: closed loops at work, from more load to less, with an outage in between, in front of you."""

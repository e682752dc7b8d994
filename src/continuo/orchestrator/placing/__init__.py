"""From what is seen of an orchestration to a placement problem, and from its answer to decisions."""

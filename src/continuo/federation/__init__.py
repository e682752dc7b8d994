"""What two clusters need to become one: pure functions from what is seen of both ends to the next writes."""

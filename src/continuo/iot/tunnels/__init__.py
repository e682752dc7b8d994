"""What both ends of a reverse tunnel share."""

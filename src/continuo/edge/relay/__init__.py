"""The relay: readings come in once and go out to everyone who bought them."""

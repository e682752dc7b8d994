"""The agent: what runs on a board."""

"""The agent: one board's part. It is a small install of its own and imports nothing of the hub."""

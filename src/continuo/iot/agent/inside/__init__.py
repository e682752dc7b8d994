"""What runs in the processes that the agent starts: what confines them, then what runs a plugin. Standard library only."""
